package portal

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"slipway/approval"
	"slipway/audit"
	"slipway/check"
	"slipway/flow"
	"slipway/identity"
	"slipway/lifecycle"
	"slipway/repo"
)

// changeView is everything about one change, as one person sees it.
type changeView struct {
	State    lifecycle.State
	Now      string // where it stands
	Next     string // what happens now
	Stages   []stage
	Timeline []timelineEntry
	Edits    []edit
	Apps     []appChange
	Verdict  *check.Verdict
	Needs    []need
	Together []together
	Live     bool   // more may happen, so the script keeps looking
	Version  string // of what is shown, for the script

	CanVote, CanWithdraw bool
	CantVote             string // why somebody who approves may not decide on this one
	CanCancel, CanRevise bool
	CanSchedule          bool
	CanRetry             bool
	CanRollback          bool
	CanTakeOut           bool // evidence
	Held                 []heldPlan

	Problem *flow.Error // what was tried and refused
	Done    string      // what was tried and done
	Reason  string      // as typed, when it was refused
}

// ReasonToApprove reports whether approving means to let the change go against a rule, which takes a reason too.
func (v changeView) ReasonToApprove() bool {
	return slices.ContainsFunc(v.State.Subject.Requirements, func(r approval.Requirement) bool { return r.Reason })
}

// appChange is what changes about an app besides its records.
type appChange struct {
	Op, Name string
	Facts    []fact
}

type fact struct{ Label, Before, After string }

// done are the messages after something succeeded, by the word in the address.
var done = map[string]string{
	"approve":  "Your approval is on record.",
	"reject":   "Your rejection is on record.",
	"withdraw": "Your approval was taken back.",
	"cancel":   "The request is cancelled.",
	"schedule": "The time is on record.",
	"retry":    "The step is being tried again.",
	"release":  "It is released, and being published.",
	"rollback": "This request would undo the other one. It goes the way of every request.",
	"adopt":    "This request would make what is live the approved state. It goes the way of every request.",
}

// listSize is how many changes one page lists.
const listSize = 50

type changesView struct {
	Show    string // mine | open | all
	Insider bool
	Changes []lifecycle.State
	Now     time.Time
	Earlier string // address of the next page; "" on the last one
}

func (s *server) changesPage(w http.ResponseWriter, r *request) error {
	v := changesView{Show: r.URL.Query().Get("show"), Insider: isInsider(r.person), Now: s.Now()}
	offset, err := number(r.URL.Query(), "offset", 0, 1_000_000)
	if err != nil {
		return err
	}
	q := audit.ChangeQuery{Limit: listSize + 1, Offset: offset}
	if !v.Insider {
		v.Show = "mine"
	}
	switch v.Show {
	case "open":
		q.OpenOnly = true
	case "all":
	default:
		v.Show, q.Requester = "mine", r.person.ID
	}
	states, err := s.Service.Changes(r.Context(), q)
	if err != nil {
		return err
	}
	if len(states) > listSize {
		states = states[:listSize]
		v.Earlier = fmt.Sprintf("/changes?show=%s&offset=%d", v.Show, offset+listSize)
	}
	v.Changes = onlyVisible(r.person, states)
	return s.show(w, r, http.StatusOK, "changes", "Requests", v)
}

type inboxView struct {
	Changes []inboxItem
	Now     time.Time
}

// inboxItem is a change that waits for the reader, with enough to know what it is about.
type inboxItem struct {
	State   lifecycle.State
	Reasons []string
	Held    []string // why publishing it was stopped
	Edits   []edit
	More    int // edits that are not listed
}

// inboxEdits is how many edits are shown of each change in the inbox.
const inboxEdits = 5

func (s *server) inboxPage(w http.ResponseWriter, r *request) error {
	waiting, err := s.Service.Inbox(r.Context(), r.person)
	if err != nil {
		return err
	}
	v := inboxView{Now: s.Now()}
	for _, st := range waiting {
		item := inboxItem{State: st}
		_, _, verdict, err := s.Service.Change(r.Context(), st.ID)
		if err != nil {
			return err
		}
		for _, h := range st.Held {
			item.Held = append(item.Held, h.Why)
		}
		if verdict != nil {
			item.Reasons = verdict.TierReasons
			if verdict.Change != nil {
				item.Edits = recordEdits(verdict.Change.Edits[:min(len(verdict.Change.Edits), inboxEdits)])
				item.More = len(verdict.Change.Edits) - len(item.Edits)
			}
		}
		v.Changes = append(v.Changes, item)
	}
	return s.show(w, r, http.StatusOK, "inbox", "Inbox", v)
}

// maxEdits is how many edits a page lists: a change of a whole zone is read in Git.
const maxEdits = 500

func (s *server) changeView(ctx context.Context, p identity.Person, id string) (*changeView, error) {
	st, events, verdict, err := s.Service.Change(ctx, id)
	if err != nil {
		return nil, err
	}
	if !maySee(p, st) {
		return nil, notFound("This request")
	}
	v := &changeView{
		State: st, Stages: stages(st), Timeline: timeline(events), Verdict: verdict, Needs: needs(st, s.Now()),
		Live: !st.Phase.Ended(), Version: version(st),
	}
	v.Together = indistinct(st, approval.Tally(st.Subject, st.Votes, s.Now()).Seats)
	v.Now, v.Next = standing(st, st.Deadline)
	if verdict != nil && verdict.Change != nil {
		v.Edits = recordEdits(verdict.Change.Edits[:min(len(verdict.Change.Edits), maxEdits)])
		for _, a := range verdict.Change.Apps {
			v.Apps = append(v.Apps, appChange{Op: opWords[a.Op], Name: a.Name, Facts: facts(a.Before, a.After)})
		}
	}
	s.offer(p, v)
	if v.Held, err = s.heldPlans(ctx, p, st); err != nil {
		return nil, err
	}
	return v, nil
}

// version changes whenever something happened to a change, or its time has come.
func version(st lifecycle.State) string { return fmt.Sprintf("%d-%s", len(st.Events), st.Phase) }

// offer decides which buttons are there. What they do is decided again by
// Service when they are pressed; votes are asked of the same rules here, so that
// nobody is offered a vote that would be refused.
func (s *server) offer(p identity.Person, v *changeView) {
	st := v.State
	mine := st.Requester == p.ID
	v.CanRevise = mine && st.BeforeMerge() && appOf(v.Verdict) != nil
	v.CanCancel = mine && st.BeforeMerge()
	v.CanSchedule = mine && st.BeforeMerge() && st.Phase != lifecycle.Denied
	v.CanRetry = st.Phase == lifecycle.Failed && (mine || p.Admin)
	v.CanTakeOut = s.offersEvidence(p, "")
	v.CanRollback = (st.Phase == lifecycle.Live || st.Phase == lifecycle.Held) && st.Commit != "" && (mine || !p.ThirdParty)
	if !st.Subject.Open {
		return
	}
	vote := approval.Vote{
		Person: p.ID, Groups: p.Groups, Vouched: p.Vouched, ChangeDigest: st.Subject.ChangeDigest, PolicyDigest: st.Subject.PolicyDigest, At: s.Now(), Via: "portal",
		Decision: approval.Approve, Reason: "-",
	}
	refusal := approval.Check(st.Subject, st.Votes, vote, s.Now())
	v.CanVote = refusal == nil
	if refusal != nil && st.Phase == lifecycle.Waiting && (mine || len(p.Groups) > 0) {
		v.CantVote = refusal.Text
	}
	vote.Decision = approval.Withdraw
	v.CanWithdraw = approval.Check(st.Subject, st.Votes, vote, s.Now()) == nil
}

// facts compares two manifests, key by key, in words.
func facts(before, after *repo.App) []fact {
	if before == nil {
		before = &repo.App{}
	}
	if after == nil {
		after = &repo.App{}
	}
	yes, visitors := map[bool]string{true: "Requested"}, map[bool]string{true: "Only visitors with a certificate of the company", false: "Everybody who can reach it"}
	var out []fact
	for _, f := range []fact{
		{"Purpose", before.Purpose, after.Purpose},
		{"Owner", before.Owner, after.Owner},
		{"Team", before.Team, after.Team},
		{"Address on the web", before.Hostname.Unicode(), after.Hostname.Unicode()},
		{"Who can reach it", exposureWords[before.Exposure], exposureWords[after.Exposure]},
		{"Data it handles", handles(before.Data), handles(after.Data)},
		{"Third party", before.ThirdParty, after.ThirdParty},
		{"Needed until", day(before.Expires), day(after.Expires)},
		{"Certificate", yes[before.Certificate], yes[after.Certificate]},
		{"Where the app answers", before.Upstream, after.Upstream},
		{"Who is let in", visitors[before.MTLS], visitors[after.MTLS]},
	} {
		if f.Before != f.After {
			out = append(out, f)
		}
	}
	return out
}

func (s *server) changePage(w http.ResponseWriter, r *request) error {
	v, err := s.changeView(r.Context(), r.person, r.PathValue("id"))
	if err != nil {
		return err
	}
	v.Done = done[r.URL.Query().Get("done")]
	return s.show(w, r, http.StatusOK, "change", v.State.Title, v)
}

// liveWait is how long the script's question "anything new?" is held open.
const liveWait = 25 * time.Second

// changeLive answers 204 while nothing happened, else with the page's main part.
func (s *server) changeLive(w http.ResponseWriter, r *request) error {
	id, seen := r.PathValue("id"), r.URL.Query().Get("seen")
	if err := s.visible(r.Context(), r.person, id); err != nil {
		return err
	}
	st, err := s.hold(r.Context(), id, liveWait, func(st lifecycle.State) bool { return version(st) != seen })
	if err != nil {
		return err
	}
	if version(st) == seen {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	v, err := s.changeView(r.Context(), r.person, id)
	if err != nil {
		return err
	}
	return s.fragment(w, http.StatusOK, "change", "change", v)
}

// act does something to a change and shows its page: with a message, or with
// the refusal in place of it.
func (s *server) act(w http.ResponseWriter, r *request, what string, try func(ctx context.Context, id string, form url.Values) error) error {
	id := r.PathValue("id")
	if err := s.visible(r.Context(), r.person, id); err != nil {
		return err
	}
	form, err := readPost(r)
	if err != nil {
		return err
	}
	if err = try(r.Context(), id, form); err == nil {
		if what == "" {
			what = form.Get("decision")
		}
		http.Redirect(w, r.Request, "/changes/"+url.PathEscape(id)+"?done="+url.QueryEscape(what), http.StatusSeeOther)
		return nil
	}
	e := explain(err)
	switch e.Code {
	case flow.Invalid, flow.Refused, flow.Conflict, flow.Forbidden:
	default:
		return err
	}
	v, shown := s.changeView(r.Context(), r.person, id)
	if shown != nil {
		return err
	}
	v.Problem, v.Reason = e, cut(form.Get("reason"), maxText)
	return s.show(w, r, statusOf[e.Code], "change", v.State.Title, v)
}

func (s *server) votePage(w http.ResponseWriter, r *request) error {
	return s.act(w, r, "", func(ctx context.Context, id string, f url.Values) error {
		_, err := s.Service.Vote(ctx, r.person, id, approval.Decision(f.Get("decision")), f.Get("reason"), f.Get("change_digest"), f.Get("policy_digest"), "portal")
		return err
	})
}

func (s *server) cancelPage(w http.ResponseWriter, r *request) error {
	return s.act(w, r, "cancel", func(ctx context.Context, id string, f url.Values) error {
		_, err := s.Service.Cancel(ctx, r.person, id, f.Get("reason"), "portal")
		return err
	})
}

func (s *server) schedulePage(w http.ResponseWriter, r *request) error {
	return s.act(w, r, "schedule", func(ctx context.Context, id string, f url.Values) error {
		var at time.Time // none: as soon as it is approved
		if text := f.Get("not_before"); text != "" {
			var err error
			if at, err = parseMoment(text); err != nil {
				return &flow.Error{Code: flow.Invalid, Message: "The time cannot be read.", Help: "Write it as 2027-01-31T09:00 (UTC)."}
			}
		}
		_, err := s.Service.Schedule(ctx, r.person, id, at, "portal")
		return err
	})
}

func (s *server) retryPage(w http.ResponseWriter, r *request) error {
	return s.act(w, r, "retry", func(ctx context.Context, id string, _ url.Values) error {
		_, err := s.Service.Retry(ctx, r.person, id)
		return err
	})
}
