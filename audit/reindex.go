package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

const reindexBatch = maxSpan // events a transaction

// Reindex drops the index below dir and rebuilds it from the log's files alone.
func Reindex(ctx context.Context, o Options, progress func(done, total uint64)) error {
	if progress == nil {
		progress = func(uint64, uint64) {}
	}
	if _, err := os.Stat(filepath.Join(o.Dir, logDir)); err != nil {
		return fmt.Errorf("reindex: there is no log in %s: %w", o.Dir, err)
	}
	unlock, err := lockDir(ctx, o.Dir)
	if err != nil {
		return fmt.Errorf("reindex: %w", err)
	}
	defer unlock()
	path := filepath.Join(o.Dir, logDir)
	state, err := readTreeState(path)
	if err != nil {
		return fmt.Errorf("reindex: %s: %w", treeStateFile, err)
	}
	index, err := createIndex(ctx, o.database())
	if err != nil {
		return fmt.Errorf("reindex: %w", err)
	}
	done := uint64(0)
	err = follow(ctx, path, 0, state.Size, func(next []indexed) error {
		done += uint64(len(next))
		progress(done, state.Size)
		return index.add(ctx, next)
	})
	if err = errors.Join(err, index.close()); err != nil {
		return fmt.Errorf("reindex: %w", err)
	}
	return nil
}

// follow reads the events from..size-1 of the log and hands them on in batches. The next
// batch is read while one is taken.
func follow(ctx context.Context, log string, from, size uint64, take func([]indexed) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var reading sync.WaitGroup
	defer reading.Wait()
	defer cancel()
	batches, failed := make(chan []indexed), error(nil)
	reading.Go(func() {
		defer close(batches)
		failed = readBatches(ctx, log, from, size, func(next []indexed) error {
			select {
			case batches <- next:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
	for next := range batches {
		if err := take(next); err != nil {
			return err
		}
	}
	return failed
}

func readBatches(ctx context.Context, log string, from, size uint64, hand func([]indexed) error) error {
	next := make([]indexed, 0, reindexBatch)
	for e, err := range entries(ctx, log, from, size) {
		if err != nil {
			return err
		}
		r, err := e.receipt()
		if err != nil {
			return err
		}
		if next = append(next, indexed{r, e.raw}); len(next) == reindexBatch {
			if err := hand(next); err != nil {
				return err
			}
			next = make([]indexed, 0, reindexBatch)
		}
	}
	if len(next) == 0 {
		return nil
	}
	return hand(next)
}

// compare says how many events of the log are in the index. The log is synced before
// the index learns of an event, so an index that knows more, or another last event,
// means that somebody has changed the log. That is not to be papered over.
func (x *Index) compare(ctx context.Context, log string, size uint64) (uint64, error) {
	known, err := x.size(ctx)
	if err != nil || known == 0 {
		return 0, err
	}
	const advice = "Keep both as they are, find out why, and restore the log from a copy. Only when you are sure that the log is right, run 'slipwayd reindex'"
	if known > size {
		return 0, fmt.Errorf("the log has %d events, but its index has already seen %d: the end of the log was lost or removed. %s", size, known, advice)
	}
	raw, err := x.raw(ctx, known-1)
	if err != nil {
		return 0, err
	}
	for e, err := range entries(ctx, log, known-1, known) {
		if err != nil {
			return 0, err
		}
		if !bytes.Equal(e.raw, raw) {
			return 0, fmt.Errorf("event %d of the log is not the one that the index has seen there: the log was changed. %s", known-1, advice)
		}
	}
	return known, nil
}
