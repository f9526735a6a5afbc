package main

import (
	"context"
	"sync"
	"time"
)

// When the zones repository is packed. Previews and refused pushes leave objects in it that
// nothing points at; without packing each stays a file of its own, and without pruning for good.
const (
	maintainFirst = 10 * time.Minute // after the start, when whatever the start brought is done
	maintainEvery = 24 * time.Hour
)

// keepTidy packs the zones repository from time to time, beside everything else.
func (srv *server) keepTidy(context.Context) error {
	srv.onClose(every(maintainFirst, maintainEvery, func(ctx context.Context) {
		began := time.Now()
		if err := srv.zones.Maintain(ctx); err != nil {
			if ctx.Err() == nil {
				srv.log.Warn("the zones repository could not be packed; it is tried again tomorrow", "error", err)
			}
			return
		}
		srv.log.Info("packed the zones repository", "took", time.Since(began))
	}))
	return nil
}

// every does something after a first pause and then at an interval, until the function that it
// returns is called, which ends and waits for what is under way.
func every(first, interval time.Duration, do func(context.Context)) (stop func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		timer := time.NewTimer(first)
		defer timer.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
			}
			do(ctx)
			timer.Reset(interval)
		}
	})
	return func(context.Context) error {
		cancel()
		running.Wait()
		return nil
	}
}
