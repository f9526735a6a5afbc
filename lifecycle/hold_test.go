package lifecycle

import (
	"testing"
	"time"

	"slipway/approval"
	"slipway/audit"
	"slipway/provider"
)

func (s *story) hold(zone, plan string) *story {
	return s.event(audit.Event{Action: audit.HoldApply, Actor: audit.Actor{ID: "slipway", Role: "system"}, Resource: audit.Resource{Zone: zone}, ArtifactRefs: map[string]string{"plan": "sha256:p"}},
		HoldDetails{Plan: plan, Deletes: 40, Live: 100, Limit: "30% deletes", Why: "why", Groups: []string{"infosec", "platform-ops"}})
}

func (s *story) release(by, zone, plan, reason string, groups, vouched []string) *story {
	return s.event(audit.Event{Action: audit.ReleaseApply, Actor: audit.Actor{ID: by, Role: "person"}, Resource: audit.Resource{Zone: zone}},
		ReleaseDetails{Plan: plan, Reason: reason, Groups: groups, Via: "api", Vouched: vouched})
}

// merged is a change of two zones on main, asked for by ana, whose sign-in rests on adam, and written by bob too.
func merged(t testing.TB) *story {
	return begin(t).
		add(audit.SubmitChange, "ana", SubmitDetails{Revision: 1, Head: "h1", Title: "Launch", Via: "cli", Vouched: []string{"adam"}}).
		add(audit.CheckChange, "slipway", CheckDetails{Revision: 1, Base: "m1", ChangeDigest: "d", PolicyDigest: "p", Tier: "green", Authors: []string{"bob"}, Zones: []string{"z.example", "y.example"}, ZoneCount: 2}).
		event(audit.Event{Action: audit.MergeChange, Actor: audit.Actor{ID: "slipway", Role: "system"}, GitCommit: "m2"},
			MergeDetails{Base: "m1", Zones: []string{"z.example", "y.example"}, ZoneCount: 2})
}

func (s *story) applyTo(zone string) *story {
	return s.event(audit.Event{Action: audit.ApplyZone, Resource: audit.Resource{Zone: zone}, GitCommit: "m2"}, ApplyDetails{Commit: "m2", Receipt: provider.Receipt{Serial: 1}})
}

func TestHold(t *testing.T) {
	infosec := []string{"infosec"}
	const z = "z.example"
	for _, tt := range []struct {
		name     string
		story    *story
		phase    Phase
		do       Do
		held     int
		released string
	}{
		{"one zone waits, the other is applied first", merged(t).hold(z, "p1"), Merged, DoApply, 1, ""},
		{"nothing is left but what waits", merged(t).hold(z, "p1").applyTo("y.example"), Held, DoWait, 1, ""},
		{"in the other order", merged(t).applyTo("y.example").hold(z, "p1"), Held, DoWait, 1, ""},
		{"both wait", merged(t).hold(z, "p1").hold("y.example", "p2"), Held, DoWait, 2, ""},
		{"released", merged(t).applyTo("y.example").hold(z, "p1").release("ivy", z, "p1", "The office is closed.", infosec, nil), Merged, DoApply, 1, "ivy"},
		{"released and applied", merged(t).applyTo("y.example").hold(z, "p1").release("ivy", z, "p1", "The office is closed.", infosec, nil).applyTo(z), Applied, DoVerify, 0, ""},
		{"the zone became as asked for by itself", merged(t).applyTo("y.example").hold(z, "p1").applyTo(z), Applied, DoVerify, 0, ""},
		{"another plan waits again", merged(t).applyTo("y.example").hold(z, "p1").release("ivy", z, "p1", "x", infosec, nil).hold(z, "p2"), Held, DoWait, 1, ""},
		{"a release of an earlier plan", merged(t).applyTo("y.example").hold(z, "p1").hold(z, "p2").release("ivy", z, "p1", "x", infosec, nil), Held, DoWait, 1, ""},
		{"a release of another zone", merged(t).applyTo("y.example").hold(z, "p1").release("ivy", "y.example", "p1", "x", infosec, nil), Held, DoWait, 1, ""},
		{"a release before there is anything to release", merged(t).applyTo("y.example").release("ivy", z, "p1", "x", infosec, nil).hold(z, "p1"), Held, DoWait, 1, ""},
		{"by the requester", merged(t).applyTo("y.example").hold(z, "p1").release("ana", z, "p1", "x", infosec, nil), Held, DoWait, 1, ""},
		{"by an author", merged(t).applyTo("y.example").hold(z, "p1").release("Bob", z, "p1", "x", infosec, nil), Held, DoWait, 1, ""},
		{"by who signed the requester in", merged(t).applyTo("y.example").hold(z, "p1").release("adam", z, "p1", "x", infosec, nil), Held, DoWait, 1, ""},
		{"by somebody whom the requester signed in", merged(t).applyTo("y.example").hold(z, "p1").release("ivy", z, "p1", "x", infosec, []string{"ana"}), Held, DoWait, 1, ""},
		{"by nobody of these groups", merged(t).applyTo("y.example").hold(z, "p1").release("lena", z, "p1", "x", []string{"legal"}, nil), Held, DoWait, 1, ""},
		{"without a reason", merged(t).applyTo("y.example").hold(z, "p1").release("ivy", z, "p1", " ", infosec, nil), Held, DoWait, 1, ""},
		{"a hold before the merge holds nothing", begin(t).submit().check(1, "d", yellow).hold(z, "p1"), Waiting, DoWait, 0, ""},
		{"a hold after the apply holds nothing", merged(t).applyTo(z).hold(z, "p1"), Merged, DoApply, 0, ""},
		{"a failure while it waits", merged(t).applyTo("y.example").hold(z, "p1").add(audit.FailChange, "slipway", FailDetails{Step: "apply", Problem: "why"}), Failed, DoWait, 1, ""},
		{"a hold ends a failure", merged(t).applyTo("y.example").add(audit.FailChange, "slipway", FailDetails{Step: "apply", Problem: "why"}).hold(z, "p1"), Held, DoWait, 1, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now := start.Add(24 * time.Hour)
			st, err := Fold(tt.story.events, now)
			if err != nil {
				t.Fatal(err)
			}
			if st.Phase != tt.phase || st.Next(now).Do != tt.do || len(st.Held) != tt.held {
				t.Errorf("%s, then %s, with %+v; want %s, %s and %d held", st.Phase, st.Next(now).Do, st.Held, tt.phase, tt.do, tt.held)
			}
			h, ok := st.Hold(z)
			by := ""
			if ok && h.Release != nil {
				by = h.Release.By
			}
			if by != tt.released {
				t.Errorf("released by %q, want %q", by, tt.released)
			}
			if st.Phase.Ended() || st.Commit != "" && st.BeforeMerge() {
				t.Errorf("%+v", st)
			}
		})
	}
}

// What is released is one plan: the words of a person about another one count for nothing.
func TestReleaseOf(t *testing.T) {
	st, err := Fold(merged(t).applyTo("y.example").hold("z.example", "p1").events, start)
	if err != nil {
		t.Fatal(err)
	}
	h, _ := st.Hold("z.example")
	vote := approval.Vote{Person: "ivy", Groups: []string{"infosec"}, Decision: approval.Approve, Reason: "x", ChangeDigest: "p1", PolicyDigest: "p1", At: start}
	if r := approval.Check(st.ReleaseOf(h), nil, vote, start); r != nil {
		t.Errorf("%v", r)
	}
	vote.ChangeDigest = "p2"
	if r := approval.Check(st.ReleaseOf(h), nil, vote, start); r == nil || r.Code != approval.StaleContent {
		t.Errorf("%v", r)
	}
	h.Groups = nil
	vote.ChangeDigest = "p1"
	if r := approval.Check(st.ReleaseOf(h), nil, vote, start); r == nil || r.Code != approval.NotAMember {
		t.Errorf("where nobody is named, somebody may: %v", r)
	}
}
