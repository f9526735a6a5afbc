package flow

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"slipway/approval"
	"slipway/audit"
	"slipway/check"
	"slipway/lifecycle"
	"slipway/repo"
	"slipway/zone"
)

// maxFailures bounds the fail-change events of one change.
const maxFailures = 20

// step runs one step of a change and tells the log file about its start and end. A
// step that fails twice in a row is told to people as well: the change shows as failed, with words,
// while it goes on being tried.
func (s *Service) step(ctx context.Context, id, name string, run func() error) error {
	logger := s.o.Logger.With("step", name, "change", id)
	logger.Info("step started")
	err := run()
	if err == nil {
		s.failures.clear(id, name)
		logger.Info("step finished")
		return nil
	}
	if ctx.Err() != nil {
		return err // the server stops; the step is taken up by the next start
	}
	var stuck *stuckError
	logger.Warn("step failed", "error", err)
	if n := s.failures.add(id, name); n > 1 || errors.As(err, &stuck) {
		if err := s.recordFailure(ctx, id, name, err); err != nil {
			logger.Warn("the failure could not be recorded", "error", err)
		}
	}
	return err
}

// stuckError is a failure that only a person can end. Its text is for people.
type stuckError struct{ text string }

func (e *stuckError) Error() string { return e.text }

// stepWords says in plain words what a step was about to do.
var stepWords = map[string]string{
	"check":   "judge this change",
	"approve": "approve this change by rule",
	"expire":  "let this change expire",
	"merge":   "put this change on main",
	"apply":   "bring this change to the name servers",
	"certify": "get the certificate of this change",
	"verify":  "see this change answered by the name servers",
	"live":    "record that this change is live",
}

func (s *Service) recordFailure(ctx context.Context, id, name string, cause error) error {
	st, events, err := s.loadEvents(ctx, id)
	if err != nil {
		return err
	}
	var stuck *stuckError
	problem := fmt.Sprintf("Slipway could not %s: %s. It keeps trying by itself; if it stays like this, ask whoever runs Slipway.",
		stepWords[name], short(cause.Error(), 1000))
	if errors.As(cause, &stuck) {
		problem = short(stuck.text, 2000)
	}
	told := 0
	for _, r := range events {
		if r.Event.Action == audit.FailChange {
			told++
		}
	}
	if st.Phase.Ended() || told >= maxFailures || st.Phase == lifecycle.Failed && st.Problem == problem {
		return nil
	}
	sum := sha256.Sum256([]byte(problem))
	_, err = s.record(ctx, st, audit.Event{
		Action: audit.FailChange,
		Once:   fmt.Sprintf("%s/fail/%s/%d/%s/%s", id, name, st.Revision, st.Base, hex.EncodeToString(sum[:8])),
	}, lifecycle.FailDetails{Step: name, Problem: problem})
	return err
}

// check judges a change that has no verdict yet on its current revision.
func (s *Service) check(ctx context.Context, id string) error {
	unlock, err := s.changes.take(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	st, err := s.load(ctx, id)
	if err != nil || st.Next(s.now()).Do != lifecycle.DoCheck {
		return err
	}
	return s.step(ctx, id, "check", func() error {
		main, err := s.main(ctx)
		if err != nil {
			return err
		}
		return s.judgeAndRecord(ctx, st, main.Commit(), true)
	})
}

// judgeAndRecord judges a change against main. Without always, a verdict that says the same about the
// same content is not recorded again. The caller holds the change's lock.
func (s *Service) judgeAndRecord(ctx context.Context, st lifecycle.State, main string, always bool) error {
	d, v, refs, err := s.look(ctx, st, main)
	if err != nil {
		return err
	}
	if !always && sameJudgement(st, d) {
		return nil
	}
	if v != nil {
		if refs["verdict"], err = s.keep(ctx, "verdict", v); err != nil {
			return err
		}
	}
	// The key holds what was judged and what came out: the same said twice is one event,
	// a rule that judges otherwise with time is another.
	raw, err := lifecycle.Encode(d)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(raw)
	outcome := fmt.Sprintf("%d/%s/%s/%s", st.Revision, main, strings.TrimPrefix(d.PolicyDigest, "sha256:"), hex.EncodeToString(sum[:8]))

	// First void, then judge: killed in between, the change waits with fewer votes, never with more.
	if d.ChangeDigest != st.Subject.ChangeDigest || d.PolicyDigest != st.Subject.PolicyDigest {
		why := "The change was judged anew and its content is different now."
		if d.ChangeDigest == st.Subject.ChangeDigest {
			why = "The rules changed and the change was judged anew."
		}
		if err := s.void(ctx, st, st.Votes, why, outcome); err != nil {
			return err
		}
	}
	_, err = s.record(ctx, st, audit.Event{
		Action: audit.CheckChange, ArtifactRefs: refs, GitCommit: st.Head,
		Resource: audit.Resource{App: d.App, Zone: only(d.Zones)},
		Once:     st.ID + "/check/" + outcome,
	}, d)
	return err
}

// look finds out how a change stands against main, without recording anything.
func (s *Service) look(ctx context.Context, st lifecycle.State, main string) (lifecycle.CheckDetails, *check.Verdict, map[string]string, error) {
	d := lifecycle.CheckDetails{Revision: st.Revision, Base: main, Head: st.Head}
	refs := make(map[string]string)
	deny := func(problem string) (lifecycle.CheckDetails, *check.Verdict, map[string]string, error) {
		d.Denied, d.Problem = true, short(problem, 2000)
		return d, nil, refs, nil
	}
	var source *zone.Error
	p, err := s.prepare(ctx, main, st.Head)
	switch {
	case errors.Is(err, repo.ErrConflict):
		return deny(conflictWords(err))
	case errors.As(err, &source):
		return deny(source.Error())
	case err != nil:
		return d, nil, nil, err
	}
	d.ChangeDigest = p.change.Digest
	d.Creates, d.Updates, d.Deletes = p.change.Creates, p.change.Updates, p.change.Deletes
	d.Zones, d.ZoneCount = zoneNames(p)
	if len(p.change.Apps) == 1 {
		d.App = p.change.Apps[0].Name
	}
	if p.change.Empty() {
		return deny("There is nothing left to do: main already says what this change asks for. Cancel it.")
	}
	v, err := s.judge(ctx, p, st.Requester, st.Role, st.ThirdParty)
	if errors.As(err, &source) {
		return deny(source.Error())
	}
	if err != nil {
		return d, nil, nil, err
	}
	people, err := s.o.Repo.CommitPeople(ctx, main, st.Head)
	if err != nil {
		return d, nil, nil, err
	}
	for _, who := range people {
		if !slices.Contains(d.Authors, who.Email) {
			d.Authors = append(d.Authors, who.Email)
		}
	}
	if refs, err = s.artifacts(ctx, p); err != nil {
		return d, nil, nil, err
	}
	unserved, err := homeless(ctx, p)
	if err != nil {
		return d, nil, nil, err
	}
	d.PolicyDigest, d.Tier, d.Score, d.Denied = v.PolicyDigest, string(v.Tier), v.Score, v.Denied
	d.Requirements = v.Approvals
	switch {
	case len(d.Authors) > maxAuthors:
		d.Denied, d.Problem = true, fmt.Sprintf("%d people wrote the commits of this change, more than the %d that can be kept from approving it. Submit it in parts.", len(d.Authors), maxAuthors)
		d.Authors = nil
	case v.Denied:
		d.Problem = denials(v)
	case len(unserved) > 0:
		d.Denied, d.Problem = true, fmt.Sprintf("No provider is set in slipway.yaml for %s, so nothing could bring this change to the name servers. Set one first: zones, then %s, then provider.",
			strings.Join(unserved[:min(len(unserved), 5)], ", "), unserved[0])
	case st.Ticket == "" && slices.ContainsFunc(d.Requirements, func(r approval.Requirement) bool { return r.Ticket }):
		d.Denied, d.Problem = true, "This change needs the reference of a ticket, so that its reason can be found later. Submit it again with the ticket's number."
	}
	return d, v, refs, nil
}

// homeless lists the edited zones that no provider serves, before or after the change.
func homeless(ctx context.Context, p *proposal) (zones []string, err error) {
	for _, z := range p.change.Zones() {
		t, err := p.home(ctx, z)
		if err != nil {
			return nil, err
		}
		if t == nil {
			zones = append(zones, string(z))
		}
	}
	return zones, nil
}

// maxAuthors bounds the people that an event can name.
const maxAuthors = 200

// denials is why a verdict denies, in the words of its findings.
func denials(v *check.Verdict) string {
	var why []string
	for _, f := range v.Findings {
		if f.Stops() {
			why = append(why, strings.TrimSpace(f.Message+" "+f.Help))
		}
	}
	if more := len(why) - 3; more > 0 {
		why = append(why[:3], fmt.Sprintf("And %d more.", more))
	}
	return short(strings.Join(why, " "), 2000)
}

// sameJudgement reports whether a fresh look says what is on record already.
func sameJudgement(st lifecycle.State, d lifecycle.CheckDetails) bool {
	denied := st.Phase == lifecycle.Denied || st.Phase == lifecycle.Failed && st.Resume == lifecycle.Denied
	a, errA := json.Marshal(st.Subject.Requirements)
	b, errB := json.Marshal(d.Requirements)
	return errA == nil && errB == nil && (string(a) == string(b) || len(st.Subject.Requirements)+len(d.Requirements) == 0) &&
		denied == d.Denied && (!denied || st.Problem == d.Problem) &&
		st.Tier == d.Tier && st.Subject.ChangeDigest == d.ChangeDigest && st.Subject.PolicyDigest == d.PolicyDigest &&
		slices.Equal(st.Subject.Authors, d.Authors)
}

// void records that votes count no more. The key says on what occasion.
func (s *Service) void(ctx context.Context, st lifecycle.State, votes []approval.Vote, why, occasion string) error {
	d := lifecycle.VoidDetails{Reason: why}
	for _, v := range votes {
		d.Votes = append(d.Votes, v.EventID)
		if v.Decision == approval.Approve && !slices.Contains(d.People, v.Person) {
			d.People = append(d.People, v.Person)
		}
	}
	if len(d.People) == 0 {
		return nil // nothing stands that anybody would miss
	}
	_, err := s.record(ctx, st, audit.Event{Action: audit.VoidApprovals, Once: st.ID + "/void/" + occasion}, d)
	return err
}

// approveByRule approves a change that needs no person.
func (s *Service) approveByRule(ctx context.Context, id string) error {
	unlock, err := s.changes.take(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	st, err := s.load(ctx, id)
	if err != nil || st.Next(s.now()).Do != lifecycle.DoApprove {
		return err
	}
	return s.step(ctx, id, "approve", func() error {
		_, err := s.record(ctx, st, audit.Event{
			Action: audit.ApproveByRule, ArtifactRefs: pick(st.Artifacts, "verdict"), Resource: audit.Resource{Zone: only(st.Zones)},
			Once: fmt.Sprintf("%s/rule/%d/%s/%s/%s", id, st.Revision, st.Base, st.Subject.ChangeDigest, st.Subject.PolicyDigest),
		}, lifecycle.RuleDetails{ChangeDigest: st.Subject.ChangeDigest, PolicyDigest: st.Subject.PolicyDigest, Tier: st.Tier})
		return err
	})
}

// expire ends a change that nobody decided on, or revised, in time.
func (s *Service) expire(ctx context.Context, id string) error {
	unlock, err := s.changes.take(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	st, err := s.load(ctx, id)
	if err != nil || st.Next(s.now()).Do != lifecycle.DoExpire {
		return err
	}
	return s.step(ctx, id, "expire", func() error {
		why := "Nobody decided on it in time. Ask again with a new change if it is still wanted."
		if st.Phase == lifecycle.Denied {
			why = "It was denied, and no better version came in time. Ask again with a new change if it is still wanted."
		}
		_, err := s.record(ctx, st, audit.Event{Action: audit.ExpireChange, Once: id + "/expire"}, lifecycle.EndDetails{Reason: why})
		return err
	})
}

// recheck judges a change that is still open before the merge against a main that has moved.
func (s *Service) recheck(ctx context.Context, id string) error {
	unlock, err := s.changes.take(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	st, err := s.load(ctx, id)
	if err != nil {
		return err
	}
	switch st.Phase {
	case lifecycle.Denied, lifecycle.Waiting, lifecycle.Scheduled:
	default:
		return nil // not judged yet, about to merge (which looks again itself), or past it
	}
	main, err := s.main(ctx)
	if err != nil || main.Commit() == st.Base {
		return err
	}
	return s.judgeAndRecord(ctx, st, main.Commit(), false)
}

// recheckOpen judges every open change anew after main moved, and wakes those that it moved.
func (s *Service) recheckOpen(ctx context.Context) error {
	open, err := s.openChanges(ctx)
	if err != nil {
		return err
	}
	for _, before := range open {
		if err := s.recheck(ctx, before.ID); err != nil {
			// One that cannot be judged now must not keep the others: it is judged before its merge anyway.
			s.o.Logger.Warn("an open change could not be judged against the new main", "change", before.ID, "error", err)
			continue
		}
		after, err := s.load(ctx, before.ID)
		if err != nil {
			return err
		}
		if len(after.Events) != len(before.Events) {
			s.wake(ctx, before.ID)
		}
	}
	return nil
}

// zoneNames lists the first zones that a proposal edits, and counts all.
func zoneNames(p *proposal) (names []string, count int) {
	zones := p.change.Zones()
	for _, z := range zones[:min(len(zones), lifecycle.MaxListed)] {
		names = append(names, string(z))
	}
	return names, len(zones)
}

// only is the one name of a list that has just one.
func only(list []string) string {
	if len(list) != 1 {
		return ""
	}
	return list[0]
}

// pick is the part of refs with these names.
func pick(refs map[string]string, names ...string) map[string]string {
	picked := maps.Clone(refs)
	maps.DeleteFunc(picked, func(name, _ string) bool { return !slices.Contains(names, name) })
	return picked
}

// wait is how long until a time, by this server's clock.
func (s *Service) wait(until time.Time) time.Duration {
	if until.IsZero() {
		return 0
	}
	return max(until.Sub(s.now()), time.Millisecond)
}

// withRef is refs and one more.
func withRef(refs map[string]string, name, digest string) map[string]string {
	all := maps.Clone(refs)
	if all == nil {
		all = make(map[string]string)
	}
	all[name] = digest
	return all
}
