package flow

import (
	"context"
	"errors"
	"io"

	"slipway/check"
	"slipway/identity"
	"slipway/lifecycle"
	"slipway/repo"
)

// undoes begins the title of a change that undoes another one.
const undoes = "Undo: "

// Rollback asks for the inverse of a change that is on main, as a new change by the person who asks. It goes
// the way of every change: what it does is checked and approved anew. What other changes did since stays.
func (s *Service) Rollback(ctx context.Context, by identity.Person, id, ticket, via string) (lifecycle.State, *check.Verdict, error) {
	st, err := s.undoable(ctx, by, id)
	if err != nil {
		return st, nil, err
	}
	sub := Submission{By: by, Via: via, Title: line(undoes+st.Title, MaxTitle), Ticket: ticket, Undoes: id}
	// One at a time for each change to be undone: whoever comes second finds the first.
	return s.submitOnce(ctx, sub, "undo "+id, func(o lifecycle.State) bool { return o.Undoes == id }, func() (string, error) {
		head, err := s.o.Repo.Revert(ctx, st.Commit, repo.Person{Name: by.ID, Email: by.ID}, sub.Title+"\n\nThis undoes the change "+id+".", s.now())
		if err != nil {
			return "", explain("work out how to undo this change", err)
		}
		main, err := s.main(ctx)
		if err != nil {
			return "", explain("read the zones repository", err)
		}
		if _, err = s.o.Repo.MergeTree(ctx, main.Commit(), head); errors.Is(err, repo.ErrConflict) {
			return "", &Error{
				Code: Conflict, Detail: err, Help: "Ask for a new change that says what should be there now.",
				Message: "Since this change went live, another one has changed " + conflictPlaces(err) + " again, so that it cannot be undone by itself.",
			}
		}
		return head, explain("work out how to undo this change", err)
	})
}

// undoable loads a change that a person may undo.
func (s *Service) undoable(ctx context.Context, by identity.Person, id string) (lifecycle.State, error) {
	if by.ID == "" {
		return lifecycle.State{}, fault(Forbidden, "Sign in first.", "Nobody is signed in.")
	}
	st, err := s.load(ctx, id)
	if err != nil {
		return st, explain("read the change", err)
	}
	settings, err := s.settings(ctx)
	switch {
	case err != nil:
		return st, explain("read the settings", err)
	case st.Requester != by.ID && (by.ThirdParty || settings.ThirdParty(by.ID)):
		return st, fault(Forbidden, "Ask the person who invited you.", "A third party may undo its own changes only.")
	case st.BeforeMerge():
		return st, fault(Conflict, "Cancel it instead: slipway request cancel.", "This change is not on main yet: there is nothing to undo.")
	case st.Commit == "":
		return st, fault(Conflict, "", "This change never came onto main, so there is nothing to undo: it is %s.", st.Phase)
	}
	return st, nil
}

// submitOnce submits the commit that propose makes, unless an open change is already the same thing: the
// requester gets their own again, anybody else is told of it.
func (s *Service) submitOnce(ctx context.Context, sub Submission, key string, same func(lifecycle.State) bool, propose func() (head string, err error)) (lifecycle.State, *check.Verdict, error) {
	id, revision, err := s.once(ctx, sub, key, same, propose)
	if err != nil {
		return lifecycle.State{}, nil, err
	}
	st, v, err := s.awaitVerdict(ctx, id, revision)
	if err != nil {
		return st, nil, explain("read the verdict; the change is on record as "+id+" all the same", err)
	}
	return st, v, nil
}

func (s *Service) once(ctx context.Context, sub Submission, key string, same func(lifecycle.State) bool, propose func() (string, error)) (id string, revision int, err error) {
	// No person's ID has a space in it, so that this lock is nobody's own.
	unlock, err := s.requests.take(ctx, key)
	if err != nil {
		return "", 0, explain("take the request", err)
	}
	defer unlock()
	open, err := s.openChanges(ctx)
	if err != nil {
		return "", 0, explain("read the record", err)
	}
	for _, o := range open {
		switch {
		case !same(o):
		case o.Requester == sub.By.ID:
			return o.ID, o.Revision, nil
		default:
			return "", 0, fault(Conflict, "Look at that change; if you approve, it goes live.", "%s has asked for the same already: change %s.", o.Requester, o.ID)
		}
	}
	if sub.Head, err = propose(); err != nil {
		return "", 0, err
	}
	if err := sub.tidy(s.now()); err != nil {
		return "", 0, err
	}
	return s.submit(ctx, sub, io.Discard)
}
