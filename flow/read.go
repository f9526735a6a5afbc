package flow

import (
	"context"
	"errors"
	"fmt"

	"slipway/approval"
	"slipway/audit"
	"slipway/check"
	"slipway/identity"
	"slipway/lifecycle"
	"slipway/repo"
)

// Change is one change with its events and its latest verdict (nil while there is none).
func (s *Service) Change(ctx context.Context, id string) (lifecycle.State, []audit.Receipt, *check.Verdict, error) {
	st, events, err := s.loadEvents(ctx, id)
	if err != nil {
		return st, nil, nil, explain("read the change", err)
	}
	v, err := s.verdict(ctx, st.Verdict)
	if err != nil {
		// Documents can be erased; what happened stays readable without them.
		s.o.Logger.Warn("a verdict cannot be read", "change", id, "error", err)
		v = nil
	}
	return st, events, v, nil
}

// Changes lists changes, the one with the newest event first.
func (s *Service) Changes(ctx context.Context, q audit.ChangeQuery) ([]lifecycle.State, error) {
	ids, err := s.o.Log.Index().ChangeIDs(ctx, q)
	if err != nil {
		return nil, explain("list the changes", err)
	}
	list := make([]lifecycle.State, 0, len(ids))
	for _, id := range ids {
		st, err := s.load(ctx, id)
		if errors.Is(err, lifecycle.ErrNoChange) {
			continue
		}
		if err != nil {
			return nil, explain("read the change", err)
		}
		list = append(list, st)
	}
	return list, nil
}

// Inbox lists the open changes on which by's approval would count now, and those of which an apply waits
// for somebody like them to release it.
func (s *Service) Inbox(ctx context.Context, by identity.Person) ([]lifecycle.State, error) {
	settings, err := s.settings(ctx)
	if err != nil {
		return nil, explain("read the settings", err)
	}
	groups := settings.GroupsOf(by.ID)
	if len(groups) == 0 {
		return nil, nil
	}
	open, err := s.openChanges(ctx)
	if err != nil {
		return nil, explain("list the changes", err)
	}
	var inbox []lifecycle.State
	for _, st := range open {
		now := s.now()
		vote := approval.Vote{
			Person: by.ID, Groups: groups, Decision: approval.Approve, At: now, Vouched: by.Vouched,
			ChangeDigest: st.Subject.ChangeDigest, PolicyDigest: st.Subject.PolicyDigest,
		}
		if st.Phase == lifecycle.Waiting && approval.Check(st.Subject, st.Votes, vote, now) == nil || releasable(settings, by, st, now) {
			inbox = append(inbox, st)
		}
	}
	return inbox, nil
}

// Apps lists the apps on main.
func (s *Service) Apps(ctx context.Context) ([]*repo.App, error) {
	main, err := s.main(ctx)
	if err != nil {
		return nil, explain("read the zones repository", err)
	}
	apps, err := main.Apps(ctx)
	return apps, explain("read the apps", err)
}

// maxAppEvents bounds the events on one app's page.
const maxAppEvents = 500

// App is one app as it is on main (nil when it is not), its changes and the latest events about it.
func (s *Service) App(ctx context.Context, name string) (*repo.App, []lifecycle.State, []audit.Receipt, error) {
	if !repo.ValidAppName(name) {
		return nil, nil, nil, fault(NotFound, "Look at the list of apps.", "There is no such app.")
	}
	main, err := s.main(ctx)
	if err != nil {
		return nil, nil, nil, explain("read the zones repository", err)
	}
	app, err := main.App(ctx, name)
	if err != nil && !errors.Is(err, repo.ErrNotFound) {
		return nil, nil, nil, explain("read the app", err)
	}
	changes, err := s.Changes(ctx, audit.ChangeQuery{App: name, Limit: 100})
	if err != nil {
		return nil, nil, nil, err
	}
	events, err := s.o.Log.Index().Events(ctx, audit.Query{App: name, Newest: true, Limit: maxAppEvents})
	if err != nil {
		return nil, nil, nil, explain(fmt.Sprintf("read the record of %s", name), err)
	}
	if app == nil && len(events) == 0 {
		return nil, nil, nil, fault(NotFound, "Look at the list of apps.", "There is no app of the name %s.", name)
	}
	return app, changes, events, nil
}
