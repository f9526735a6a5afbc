package main

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"sync"
	"time"

	"slipway/audit"
	"slipway/repo"
)

// partsEvery is how often it is looked whether the parts run as slipway.yaml says, beside
// each time that main has moved: one that could not be opened is tried again then.
const partsEvery = time.Minute

// part opens one entry of `record:` and returns what runs it until the context ends.
type part func(ctx context.Context, name string, p repo.Part, guard *audit.Guard) (run func(context.Context) error, err error)

// parts keeps the entries of one sort running as main says now.
type parts struct {
	srv   *server
	sort  string // as slipway.yaml calls it, for example "forward"
	of    func(repo.RecordSettings) map[string]repo.Part
	start part

	// By name; used by keep alone.
	running map[string]*runningPart
	guards  map[string]*audit.Guard
}

type runningPart struct {
	from repo.Part
	stop context.CancelFunc
	done chan struct{} // closed when it has ended
}

// keepParts runs the entries of a sort, each on its own, for as long as the server runs.
func (srv *server) keepParts(sort string, of func(repo.RecordSettings) map[string]repo.Part, start part) {
	p := &parts{srv: srv, sort: sort, of: of, start: start, running: map[string]*runningPart{}, guards: map[string]*audit.Guard{}}
	moved := srv.moved.listen()
	ctx, cancel := context.WithCancel(context.Background())
	var loop sync.WaitGroup
	loop.Go(func() {
		tick := time.NewTicker(partsEvery)
		defer tick.Stop()
		for {
			p.keep(ctx)
			select {
			case <-ctx.Done():
				for name := range p.running {
					p.end(name)
				}
				return
			case <-moved:
			case <-tick.C:
			}
		}
	})
	srv.onClose(func(context.Context) error { cancel(); loop.Wait(); return nil })
}

// keep ends what main does not name any more, or names otherwise, and starts the rest.
func (p *parts) keep(ctx context.Context) {
	_, settings, err := p.srv.main(ctx)
	if err != nil {
		if ctx.Err() == nil {
			p.srv.log.Warn("the settings cannot be read; what they name of the record goes on as before", "sort", p.sort, "error", err)
		}
		return
	}
	wanted := p.of(settings.Record)
	for name, r := range p.running {
		select {
		case <-r.done:
			delete(p.running, name)
			continue
		default:
		}
		if w, still := wanted[name]; !still || !reflect.DeepEqual(w, r.from) {
			p.end(name)
		}
	}
	for name, w := range maps.All(wanted) {
		if p.running[name] != nil || ctx.Err() != nil {
			continue
		}
		guard := p.guard(name)
		run, err := p.start(ctx, name, w, guard)
		if err != nil {
			p.report(ctx, guard, fmt.Errorf("it could not be started: %w", err))
			continue
		}
		r := &runningPart{from: w, done: make(chan struct{})}
		var own context.Context
		own, r.stop = context.WithCancel(ctx)
		p.running[name] = r
		go func() {
			defer close(r.done)
			if err := run(own); err != nil && own.Err() == nil {
				p.report(ctx, guard, err)
			}
		}()
	}
}

func (p *parts) end(name string) {
	r := p.running[name]
	r.stop()
	<-r.done
	delete(p.running, name)
}

// guard is that of one entry, for as long as the server runs: an outage goes on while it
// is tried to start the entry again and again.
func (p *parts) guard(name string) *audit.Guard {
	if p.guards[name] == nil {
		p.guards[name] = &audit.Guard{Log: p.srv.record, Kind: p.sort, Name: name}
	}
	return p.guards[name]
}

// report puts a failure into the server's messages and, when it lasts, on record.
func (p *parts) report(ctx context.Context, guard *audit.Guard, problem error) {
	p.srv.log.Warn("what slipway.yaml names under record does not work, and is tried again", "sort", p.sort, "name", guard.Name, "error", problem)
	p.srv.guarded(ctx, guard, problem)
}

// guarded puts on record how a guard does.
func (srv *server) guarded(ctx context.Context, g *audit.Guard, problem error) {
	if err := g.Report(ctx, problem); err != nil && ctx.Err() == nil {
		srv.log.Error("a warning could not be recorded", "guard", g.Kind, "name", g.Name, "error", err)
	}
}

// bell tells whoever listens that main has moved; one ring for any number of moves.
type bell struct {
	mu        sync.Mutex // held for the length of a list operation
	listeners []chan struct{}
}

func (b *bell) listen() <-chan struct{} {
	c := make(chan struct{}, 1)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.listeners = append(b.listeners, c)
	return c
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.listeners {
		select {
		case c <- struct{}{}:
		default: // it has not yet answered the last one
		}
	}
}

// mainMoved makes known what main says now.
func (srv *server) mainMoved(ctx context.Context) error {
	srv.moved.ring()
	return srv.names.Refresh(ctx)
}
