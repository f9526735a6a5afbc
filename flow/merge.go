package flow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"slipway/approval"
	"slipway/audit"
	"slipway/lifecycle"
	"slipway/repo"
)

// freshFor is how long a verdict on an unmoved main is taken as it is. Rules may look at the
// time (an app's expiry), so an older one is looked at again before a merge.
const freshFor = 10 * time.Minute

// merge puts a change on main if, at this moment, everything says that it may be. It reports
// whether main moved. Merges come one at a time, from the repository's merge workflow.
func (s *Service) merge(ctx context.Context, id string) (moved bool, err error) {
	unlock, err := s.changes.take(ctx, id)
	if err != nil {
		return false, err
	}
	defer unlock()
	st, err := s.load(ctx, id)
	if err != nil || st.Next(s.now()).Do != lifecycle.DoMerge {
		return false, err
	}
	err = s.step(ctx, id, "merge", func() error {
		// Each round either merges, or records why not, or sees main or the verdict settle.
		for range 5 {
			st, events, err := s.loadEvents(ctx, id)
			if err != nil {
				return err
			}
			if st, err = s.reconcile(ctx, st); err != nil {
				return err
			}
			if st.Next(s.now()).Do != lifecycle.DoMerge {
				moved = moved || st.Commit != ""
				return nil
			}
			moved, err = s.tryMerge(ctx, st, events)
			if moved || err != nil && !errors.Is(err, repo.ErrMoved) {
				return err
			}
		}
		return errors.New("main or the rules keep moving")
	})
	return moved, err
}

// reconcile records a merge that Git has and the log has not: the server was killed between the two.
func (s *Service) reconcile(ctx context.Context, st lifecycle.State) (lifecycle.State, error) {
	if !st.BeforeMerge() {
		return st, nil
	}
	commit, merged, err := s.o.Repo.Merged(ctx, st.ID)
	if err != nil || !merged {
		return st, err
	}
	if err := s.recordMerge(ctx, st, commit); err != nil {
		return st, err
	}
	return s.load(ctx, st.ID)
}

// tryMerge merges st if nothing has changed since it was judged and approved; else it records
// what has.
func (s *Service) tryMerge(ctx context.Context, st lifecycle.State, events []audit.Receipt) (moved bool, err error) {
	main, err := s.main(ctx)
	if err != nil {
		return false, err
	}
	if st.Base != main.Commit() {
		return false, s.judgeAndRecord(ctx, st, main.Commit(), true)
	}
	if last := lastEvent(events, audit.CheckChange); s.now().Sub(last.Timestamp) > freshFor {
		if d, _, _, err := s.look(ctx, st, main.Commit()); err != nil || !sameJudgement(st, d) {
			return false, errors.Join(err, s.judgeAndRecord(ctx, st, main.Commit(), false))
		}
	}
	if gone, err := s.departed(ctx, st, main); err != nil || len(gone) > 0 {
		return false, errors.Join(err, s.void(ctx, st, gone,
			"The approver is not a member of the group any more for which the approval was given.", gone[0].EventID))
	}
	// Made again rather than remembered: nothing points at the tree until now, and git may have tidied it away.
	tree, err := s.o.Repo.MergeTree(ctx, main.Commit(), st.Head)
	if err != nil {
		return false, err
	}
	commit, err := s.o.Repo.Merge(ctx, repo.Merge{
		ChangeID: st.ID, Expect: main.Commit(), Tree: tree, Head: st.Head,
		Author: repo.Person{Name: st.Requester, Email: st.Requester}, When: s.now(),
		Message: message(st), Trailers: trailers(st, events),
	}, s.o.Signer)
	if err != nil {
		return false, err
	}
	return true, s.recordMerge(ctx, st, commit)
}

// departed returns the votes that no longer count because their people left the groups that
// gave them the right. A vote counts if the person was a member when voting and still is at the merge.
func (s *Service) departed(ctx context.Context, st lifecycle.State, main *repo.Tree) ([]approval.Vote, error) {
	if len(st.Subject.Requirements) == 0 {
		return nil, nil
	}
	settings, err := main.Settings(ctx)
	if err != nil {
		return nil, err
	}
	now := slices.Clone(st.Votes)
	for i, v := range now {
		member := settings.GroupsOf(v.Person)
		now[i].Groups = slices.DeleteFunc(slices.Clone(v.Groups), func(g string) bool { return !slices.Contains(member, g) })
	}
	if approval.Tally(st.Subject, now, s.now()).Approved {
		return nil, nil
	}
	var gone []approval.Vote
	for i, v := range st.Votes {
		if len(now[i].Groups) < len(v.Groups) {
			gone = append(gone, v)
		}
	}
	if len(gone) == 0 {
		return nil, fmt.Errorf("change %s is approved by its log, but not counted again", st.ID)
	}
	return gone, nil
}

// message is the merge commit's subject and body.
func message(st lifecycle.State) string {
	var body strings.Builder
	fmt.Fprintf(&body, "%s\n\nRequested by %s", st.Title, st.Requester)
	if by := (map[string]string{"cli": "on the command line", "portal": "in the portal", "push": "by a push", "api": "through the API"})[st.Via]; by != "" {
		body.WriteString(" " + by)
	}
	if chain := st.Chain(); len(chain) > 0 {
		fmt.Fprintf(&body, ", approved by %s.\n", strings.Join(chain, ", "))
	} else {
		body.WriteString(", approved by rule.\n")
	}
	if st.Ticket != "" {
		fmt.Fprintf(&body, "Ticket: %s\n", st.Ticket)
	}
	return body.String()
}

// trailers tie the commit to what the log says: the events of the request, the verdict and the approvals.
func trailers(st lifecycle.State, events []audit.Receipt) []repo.Trailer {
	t := []repo.Trailer{
		{Key: "Change-Id", Value: st.ID},
		{Key: "Requested-by", Value: st.Requester},
	}
	chain := st.Chain()
	for _, person := range chain {
		t = append(t, repo.Trailer{Key: "Approved-by", Value: person})
	}
	t = append(t,
		repo.Trailer{Key: "Tier", Value: st.Tier},
		repo.Trailer{Key: "Change-Digest", Value: st.Subject.ChangeDigest},
		repo.Trailer{Key: "Policy-Digest", Value: st.Subject.PolicyDigest})

	ids := []string{lastEvent(events, audit.SubmitChange, audit.ReviseChange).EventID, lastEvent(events, audit.CheckChange).EventID}
	if st.ByRule {
		ids = append(ids, lastEvent(events, audit.ApproveByRule).EventID)
	}
	for _, v := range st.Votes {
		if v.Decision == approval.Approve && slices.Contains(chain, v.Person) {
			ids = append(ids, v.EventID)
		}
	}
	for _, id := range ids {
		t = append(t, repo.Trailer{Key: "Event-Id", Value: id})
	}
	return t
}

// lastEvent is the newest event with one of these actions.
func lastEvent(events []audit.Receipt, actions ...audit.Action) audit.Event {
	for i := len(events) - 1; i >= 0; i-- {
		if slices.Contains(actions, events[i].Event.Action) {
			return events[i].Event
		}
	}
	return audit.Event{}
}

func (s *Service) recordMerge(ctx context.Context, st lifecycle.State, commit string) error {
	p, err := s.committed(ctx, lifecycle.State{Base: st.Base, Commit: commit})
	if err != nil {
		return err
	}
	zones, count := zoneNames(p)
	settings, err := p.merged.Settings(ctx)
	if err != nil {
		return err
	}
	_, err = s.record(ctx, st, audit.Event{
		Action: audit.MergeChange, GitCommit: commit, Once: st.ID + "/merge",
		ArtifactRefs: st.Artifacts, Resource: audit.Resource{Zone: only(zones)},
	}, lifecycle.MergeDetails{
		Base: st.Base, Head: st.Head, Zones: zones, ZoneCount: count,
		ChangeDigest: st.Subject.ChangeDigest, PolicyDigest: st.Subject.PolicyDigest,
		Certify: s.uncertified(p, settings.Certificates.KeyKind),
	})
	if err != nil || s.o.MainMoved == nil {
		return err
	}
	if err := s.o.MainMoved(ctx); err != nil {
		// What it is for shows when the change is verified; the merge stands.
		s.o.Logger.Warn("the new main could not be taken up", "change", st.ID, "error", err)
	}
	return nil
}
