package lifecycle

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"slipway/approval"
	"slipway/audit"
	"slipway/provider"
)

var (
	start  = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	yellow = []approval.Requirement{{Rule: "yellow", AnyOf: []string{"infosec"}, Count: 1, Expires: 7 * 24 * time.Hour}}
)

// story builds a change's events, a minute apart.
type story struct {
	t      testing.TB
	events []audit.Receipt
}

func (s *story) add(a audit.Action, by string, details any) *story {
	return s.event(audit.Event{Action: a, Actor: audit.Actor{ID: by, Role: "person"}}, details)
}

func (s *story) event(e audit.Event, details any) *story {
	s.t.Helper()
	var err error
	if e.Details, err = Encode(details); err != nil {
		s.t.Fatal(err)
	}
	n := len(s.events)
	e.EventID, e.Change, e.Timestamp = fmt.Sprint("e", n), "c-1", start.Add(time.Duration(n)*time.Minute)
	s.events = append(s.events, audit.Receipt{Index: uint64(n), Event: e})
	return s
}

func begin(t testing.TB) *story { return &story{t: t} }

func (s *story) submit() *story {
	return s.add(audit.SubmitChange, "ana", SubmitDetails{Revision: 1, Head: "h1", Title: "Launch", Via: "cli"})
}

func (s *story) check(revision int, digest string, r []approval.Requirement) *story {
	return s.event(audit.Event{Action: audit.CheckChange, Actor: audit.Actor{ID: "slipway", Role: "system"}, ArtifactRefs: map[string]string{"verdict": "sha256:v"}},
		CheckDetails{Revision: revision, Base: "m1", ChangeDigest: digest, PolicyDigest: "p", Tier: "yellow", Requirements: r, Zones: []string{"z.example"}, ZoneCount: 1})
}

func (s *story) vote(a audit.Action, by, digest string) *story {
	return s.add(a, by, VoteDetails{Groups: []string{"infosec"}, Reason: "a reason", ChangeDigest: digest, PolicyDigest: "p", Via: "api"})
}

func (s *story) merge() *story {
	return s.event(audit.Event{Action: audit.MergeChange, Actor: audit.Actor{ID: "slipway", Role: "system"}, GitCommit: "m2"},
		MergeDetails{Base: "m1", Zones: []string{"z.example"}, ZoneCount: 1})
}

func (s *story) apply() *story {
	return s.event(audit.Event{Action: audit.ApplyZone, Resource: audit.Resource{Zone: "z.example"}, GitCommit: "m2"},
		ApplyDetails{Receipt: provider.Receipt{Zone: "z.example", Serial: 1}, Commit: "m2"})
}

func TestFold(t *testing.T) {
	tomorrow := start.Add(24 * time.Hour)
	for _, tt := range []struct {
		name  string
		story *story
		at    time.Duration // after start
		phase Phase
		do    Do
		also  func(*testing.T, State)
	}{
		{name: "submitted", story: begin(t).submit(), phase: Submitted, do: DoCheck},
		{name: "green waits for the rule", story: begin(t).submit().check(1, "d", nil), phase: Waiting, do: DoApprove},
		{name: "green by rule", story: begin(t).submit().check(1, "d", nil).add(audit.ApproveByRule, "slipway", RuleDetails{ChangeDigest: "d", PolicyDigest: "p"}),
			phase: Approved, do: DoMerge},
		{name: "a rule's approval of other content is none", story: begin(t).submit().check(1, "d", nil).add(audit.ApproveByRule, "slipway", RuleDetails{ChangeDigest: "x", PolicyDigest: "p"}),
			phase: Waiting, do: DoApprove},
		{name: "a rule cannot approve what needs a person", story: begin(t).submit().check(1, "d", yellow).add(audit.ApproveByRule, "slipway", RuleDetails{ChangeDigest: "d", PolicyDigest: "p"}),
			phase: Waiting, do: DoWait},
		{name: "yellow waits", story: begin(t).submit().check(1, "d", yellow), phase: Waiting, do: DoWait, also: func(t *testing.T, s State) {
			if len(s.Missing) != 1 || !s.Subject.Open || !s.Deadline.Equal(start.Add(time.Minute+7*24*time.Hour)) {
				t.Errorf("missing %v, open %t, deadline %s", s.Missing, s.Subject.Open, s.Deadline)
			}
		}},
		{name: "yellow approved", story: begin(t).submit().check(1, "d", yellow).vote(audit.ApproveChange, "ivy", "d"), phase: Approved, do: DoMerge, also: func(t *testing.T, s State) {
			if c := s.Chain(); len(c) != 1 || c[0] != "ivy" {
				t.Errorf("chain %v", c)
			}
		}},
		{name: "the requester's own vote does not count", story: begin(t).submit().check(1, "d", yellow).vote(audit.ApproveChange, "ana", "d"), phase: Waiting, do: DoWait},
		{name: "withdrawn", story: begin(t).submit().check(1, "d", yellow).vote(audit.ApproveChange, "ivy", "d").vote(audit.WithdrawApproval, "ivy", "d"), phase: Waiting, do: DoWait},
		{name: "rejected", story: begin(t).submit().check(1, "d", yellow).vote(audit.RejectChange, "ivy", "d"), phase: Rejected, do: DoNothing},
		{name: "a rejection that could not be cast ends nothing", story: begin(t).submit().check(1, "d", yellow).vote(audit.RejectChange, "ivy", "other"), phase: Waiting, do: DoWait},
		{name: "a vote on earlier content is gone", story: begin(t).submit().check(1, "d", yellow).vote(audit.ApproveChange, "ivy", "d").check(1, "d2", yellow), phase: Waiting, do: DoWait, also: func(t *testing.T, s State) {
			if len(s.Votes) != 0 {
				t.Errorf("votes %v", s.Votes)
			}
		}},
		{name: "a vote on the same content stands", story: begin(t).submit().check(1, "d", yellow).vote(audit.ApproveChange, "ivy", "d").check(1, "d", yellow), phase: Approved, do: DoMerge},
		{name: "voided", story: begin(t).submit().check(1, "d", yellow).vote(audit.ApproveChange, "ivy", "d").add(audit.VoidApprovals, "slipway", VoidDetails{Votes: []string{"e2"}}), phase: Waiting, do: DoWait},
		{name: "revised", story: begin(t).submit().check(1, "d", yellow).vote(audit.ApproveChange, "ivy", "d").add(audit.ReviseChange, "ana", SubmitDetails{Revision: 2, Head: "h2"}),
			phase: Submitted, do: DoCheck, also: func(t *testing.T, s State) {
				if s.Revision != 2 || s.Head != "h2" || len(s.Votes) != 0 {
					t.Errorf("revision %d of %s with %v", s.Revision, s.Head, s.Votes)
				}
			}},
		{name: "a verdict on an earlier revision", story: begin(t).submit().add(audit.ReviseChange, "ana", SubmitDetails{Revision: 2}).check(1, "d", nil), phase: Submitted, do: DoCheck},
		{name: "denied", story: begin(t).submit().add(audit.CheckChange, "slipway", CheckDetails{Revision: 1, Denied: true, Problem: "no"}), phase: Denied, do: DoWait},
		{name: "denied for too long", story: begin(t).submit().add(audit.CheckChange, "slipway", CheckDetails{Revision: 1, Denied: true}), at: 31 * 24 * time.Hour, phase: Denied, do: DoExpire},
		{name: "a vote on a denied change", story: begin(t).submit().add(audit.CheckChange, "slipway", CheckDetails{Revision: 1, Denied: true}).vote(audit.ApproveChange, "ivy", ""), phase: Denied, do: DoWait},
		{name: "expires", story: begin(t).submit().check(1, "d", yellow), at: 8 * 24 * time.Hour, phase: Waiting, do: DoExpire},
		{name: "expired", story: begin(t).submit().check(1, "d", yellow).add(audit.ExpireChange, "slipway", EndDetails{}).vote(audit.ApproveChange, "ivy", "d"), phase: Expired, do: DoNothing},
		{name: "scheduled", story: begin(t).submit().check(1, "d", yellow).add(audit.ScheduleChange, "ana", ScheduleDetails{NotBefore: tomorrow}).vote(audit.ApproveChange, "ivy", "d"), phase: Scheduled, do: DoWait},
		{name: "its time has come", story: begin(t).submit().check(1, "d", yellow).add(audit.ScheduleChange, "ana", ScheduleDetails{NotBefore: tomorrow}).vote(audit.ApproveChange, "ivy", "d"),
			at: 25 * time.Hour, phase: Approved, do: DoMerge},
		{name: "cancelled", story: begin(t).submit().add(audit.CancelChange, "ana", EndDetails{Reason: "no"}), phase: Cancelled, do: DoNothing},
		{name: "merged", story: begin(t).submit().check(1, "d", nil).merge(), phase: Merged, do: DoApply},
		{name: "cancelled too late", story: begin(t).submit().check(1, "d", nil).merge().add(audit.CancelChange, "ana", EndDetails{}), phase: Merged, do: DoApply},
		{name: "applied", story: begin(t).submit().check(1, "d", nil).merge().apply(), phase: Applied, do: DoVerify},
		{name: "applied twice", story: begin(t).submit().check(1, "d", nil).merge().apply().apply(), phase: Applied, do: DoVerify, also: func(t *testing.T, s State) {
			if len(s.Receipts) != 1 {
				t.Errorf("%d receipts", len(s.Receipts))
			}
		}},
		{name: "live", story: begin(t).submit().check(1, "d", nil).merge().apply().add(audit.GoLive, "slipway", LiveDetails{}), phase: Live, do: DoNothing},
		{name: "live without a merge is not", story: begin(t).submit().check(1, "d", nil).add(audit.GoLive, "slipway", LiveDetails{}), phase: Waiting, do: DoApprove},
		{name: "failed", story: begin(t).submit().check(1, "d", nil).merge().add(audit.FailChange, "slipway", FailDetails{Step: "apply", Problem: "why"}), phase: Failed, do: DoApply, also: func(t *testing.T, s State) {
			if s.Resume != Merged || s.Step != "apply" || s.Problem != "why" {
				t.Errorf("%+v", s)
			}
		}},
		{name: "failed and gone on", story: begin(t).submit().check(1, "d", nil).merge().add(audit.FailChange, "slipway", FailDetails{Step: "apply"}).apply(), phase: Applied, do: DoVerify},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now := start.Add(max(tt.at, time.Hour))
			s, err := Fold(tt.story.events, now)
			if err != nil {
				t.Fatal(err)
			}
			if s.Phase != tt.phase {
				t.Errorf("phase %s, want %s", s.Phase, tt.phase)
			}
			if do := s.Next(now).Do; do != tt.do {
				t.Errorf("next %s, want %s", do, tt.do)
			}
			if len(s.Events) != len(tt.story.events) {
				t.Errorf("%d events of %d", len(s.Events), len(tt.story.events))
			}
			if tt.also != nil {
				tt.also(t, s)
			}
		})
	}
}

func TestFoldRefuses(t *testing.T) {
	if _, err := Fold(nil, start); !errors.Is(err, ErrNoChange) {
		t.Errorf("no events: %v", err)
	}
	if _, err := Fold(begin(t).check(1, "d", nil).events, start); !errors.Is(err, ErrNoChange) {
		t.Errorf("no submission: %v", err)
	}
	bad := begin(t).submit().events
	bad[0].Event.Details = json.RawMessage(`{"revision":"one"}`)
	if _, err := Fold(bad, start); err == nil {
		t.Error("details of another form were taken")
	}
}

// TestAnyOrder folds events in any order and every prefix: whatever a log holds, a state comes out, and
// one that has ended stays ended.
func TestAnyOrder(t *testing.T) {
	all := begin(t).submit().check(1, "d", yellow).vote(audit.ApproveChange, "ivy", "d").vote(audit.RejectChange, "omar", "d").
		add(audit.ApproveByRule, "slipway", RuleDetails{}).add(audit.VoidApprovals, "slipway", VoidDetails{Votes: []string{"e2"}}).
		add(audit.ReviseChange, "ana", SubmitDetails{}).add(audit.ScheduleChange, "ana", ScheduleDetails{NotBefore: start}).
		add(audit.CancelChange, "ana", EndDetails{}).add(audit.ExpireChange, "slipway", EndDetails{}).merge().apply().
		add(audit.FailChange, "slipway", FailDetails{}).add(audit.GoLive, "slipway", LiveDetails{}).add(audit.RefuseVote, "ana", RefusalDetails{}).events
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		events := append([]audit.Receipt(nil), all...)
		r.Shuffle(len(events)-1, func(i, j int) { events[i+1], events[j+1] = events[j+1], events[i+1] })
		var ended Phase
		for n := range events {
			s, err := Fold(events[:n+1], start.Add(time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			if ended != "" && s.Phase != ended {
				t.Fatalf("%s became %s", ended, s.Phase)
			}
			if s.Phase.Ended() {
				ended = s.Phase
			}
			if s.Phase == Live && s.Commit == "" {
				t.Fatal("live without a commit")
			}
		}
	}
}

func FuzzFold(f *testing.F) {
	for _, s := range []*story{begin(f).submit().check(1, "d", yellow).vote(audit.ApproveChange, "ivy", "d").merge().apply()} {
		raw, err := json.Marshal(s.events)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte(`[{"index":0,"event":{"action":"submit-change","details":{"revision":-1}}},{"index":1,"event":{"action":"check-change","details":{"zone_count":-1}}}]`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var events []audit.Receipt
		if json.Unmarshal(raw, &events) != nil {
			return
		}
		s, err := Fold(events, start)
		if err != nil {
			return
		}
		s.Next(start)
		s.Chain()
		if _, err := json.Marshal(s); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkFold(b *testing.B) {
	s := begin(b).submit().check(1, "d", yellow).vote(audit.ApproveChange, "ivy", "d").merge()
	for range 100 {
		s.add(audit.CreateDNSRecord, "slipway", RecordDetails{After: &Record{TTL: 300, Values: []string{"192.0.2.1"}}})
	}
	events := s.apply().events
	for b.Loop() {
		if _, err := Fold(events, start); err != nil {
			b.Fatal(err)
		}
	}
}
