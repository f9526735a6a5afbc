package flow

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"slipway/audit"
	"slipway/lifecycle"
	"slipway/repo"
)

// system is who acts when no person does.
var system = audit.Actor{ID: "slipway", Role: "system"}

// actor is a person in an event.
func actor(id, role string) audit.Actor {
	if role == "" {
		role = "person" // an event always names a role
	}
	return audit.Actor{ID: id, Role: role}
}

// events reads all of a change's events.
func (s *Service) events(ctx context.Context, id string) ([]audit.Receipt, error) {
	q := audit.Query{Change: id, Limit: 1000}
	var all []audit.Receipt
	for {
		page, err := s.o.Log.Index().Events(ctx, q)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if len(page) < q.Limit {
			return all, nil
		}
		q.After, q.HasAfter = page[len(page)-1].Index, true
	}
}

// load folds a change's state from the log.
func (s *Service) load(ctx context.Context, id string) (lifecycle.State, error) {
	st, _, err := s.loadEvents(ctx, id)
	return st, err
}

func (s *Service) loadEvents(ctx context.Context, id string) (lifecycle.State, []audit.Receipt, error) {
	if id == "" || len(id) > 128 {
		return lifecycle.State{}, nil, lifecycle.ErrNoChange
	}
	events, err := s.events(ctx, id)
	if err != nil {
		return lifecycle.State{}, nil, err
	}
	st, err := lifecycle.Fold(events, s.now())
	return st, events, err
}

// openChanges folds every change that has not ended.
func (s *Service) openChanges(ctx context.Context) ([]lifecycle.State, error) {
	var open []lifecycle.State
	const page = 1000
	for offset := 0; ; offset += page {
		ids, err := s.o.Log.Index().ChangeIDs(ctx, audit.ChangeQuery{OpenOnly: true, Limit: page, Offset: offset})
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			st, err := s.load(ctx, id)
			if errors.Is(err, lifecycle.ErrNoChange) {
				continue
			}
			if err != nil {
				return nil, err
			}
			open = append(open, st)
		}
		if len(ids) < page {
			return open, nil
		}
	}
}

// record appends an event of a change, with what is known of it filled in.
func (s *Service) record(ctx context.Context, st lifecycle.State, e audit.Event, details any) (audit.Receipt, error) {
	var err error
	if e.Details, err = lifecycle.Encode(details); err != nil {
		return audit.Receipt{}, err
	}
	if e.Actor.ID == "" {
		e.Actor = system
	}
	if e.Timestamp.IsZero() {
		e.Timestamp = s.now()
	}
	if e.GitCommit == "" {
		if e.GitCommit = st.Commit; e.GitCommit == "" {
			e.GitCommit = st.Head
		}
	}
	e.Change, e.ApprovalChain = st.ID, st.Chain()
	if e.Resource.App == "" {
		e.Resource.App = st.App
	}
	r, err := s.o.Log.Append(ctx, e)
	if err != nil {
		return r, fmt.Errorf("record %s: %w", e.Action, err)
	}
	return r, nil
}

// main is the current main.
func (s *Service) main(ctx context.Context) (*repo.Tree, error) {
	commit, err := s.o.Repo.Resolve(ctx, "refs/heads/main")
	if err != nil {
		return nil, err
	}
	return s.o.Repo.Tree(ctx, commit)
}

func (s *Service) settings(ctx context.Context) (*repo.Settings, error) {
	t, err := s.main(ctx)
	if err != nil {
		return nil, err
	}
	return t.Settings(ctx)
}

// failures counts how often a step failed in a row, so that a blip is retried in silence.
type failures struct {
	mu sync.Mutex // held for the length of a map operation
	n  map[[2]string]int
}

func newFailures() *failures { return &failures{n: make(map[[2]string]int)} }

func (f *failures) add(id, step string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n[[2]string{id, step}]++
	return f.n[[2]string{id, step}]
}

func (f *failures) clear(id, step string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.n, [2]string{id, step})
}
