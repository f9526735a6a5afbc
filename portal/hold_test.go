package portal_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/approval"
	"slipway/audit"
	"slipway/flow"
	"slipway/identity"
	"slipway/lifecycle"
	"slipway/zone"
)

// ReleaseApply of the desk: nothing is ever stopped there.
func (d *desk) ReleaseApply(ctx context.Context, by identity.Person, id string, z zone.Name, plan, reason, via string) (lifecycle.State, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	st, _, _, err := d.change(ctx, id)
	if err == nil {
		err = &flow.Error{Code: flow.Conflict, Message: "Nothing of this change waits for a release."}
	}
	return st, err
}

// stop puts an approved change on main and stops its apply.
func (d *desk) stop(ctx context.Context, id string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	const z = "apps.finmicro.example"
	set := zone.RRSet{Name: "till." + z, Type: "A", TTL: 300, Values: []string{"192.0.2.44"}}
	raw, err := json.Marshal(map[string][]zone.Edit{"edits": {{Op: zone.Delete, Zone: z, Name: set.Name, Type: set.Type, Before: &set}}})
	if err != nil {
		return err
	}
	document, err := d.log.Documents().Put(ctx, raw)
	if err != nil {
		return err
	}
	return errors.Join(
		d.record(ctx, id, identity.Person{}, audit.MergeChange, lifecycle.MergeDetails{ZoneCount: 1, Zones: []string{z}}, func(e *audit.Event) { e.GitCommit = strings.Repeat("cd", 20) }),
		d.record(ctx, id, identity.Person{}, audit.HoldApply, lifecycle.HoldDetails{
			Plan: digest("plan"), Deletes: 1, Live: 3, Limit: "30% deletes", Why: "in zone " + z + " it would delete 1 of its 3 record sets (33.4%), where at most 30% are expected at once", Groups: []string{"infosec"},
		}, func(e *audit.Event) { e.Resource.Zone = z; e.ArtifactRefs["plan"] = document }),
	)
}

// release is one person's word at a door.
type release struct {
	by           guest
	zone         string
	plan, reason string
}

// releaseDoors are the ways to release an apply. They return what doors of votes return.
var releaseDoors = map[string]func(o *office, id string, r release) string{
	"core": func(o *office, id string, r release) string {
		_, err := o.flow.ReleaseApply(context.Background(), r.by.person, id, zone.Name(r.zone), r.plan, r.reason, "api")
		if refused, ok := errors.AsType[*approval.Refusal](err); ok {
			return refused.Code
		}
		if known, ok := errors.AsType[*flow.Error](err); ok {
			return known.Code
		}
		return ""
	},
	"API": func(o *office, id string, r release) string {
		body, err := json.Marshal(map[string]string{"zone": r.zone, "plan": r.plan, "reason": r.reason})
		o.must(err)
		q, err := http.NewRequest("POST", o.url+"/api/v1/changes/"+id+"/release", bytes.NewReader(body))
		o.must(err)
		q.Header.Set("Authorization", "Bearer "+r.by.token)
		code, answer := o.send(q)
		var said struct {
			Error struct{ Code, Refusal string }
		}
		if code == http.StatusOK {
			return ""
		}
		o.must(json.Unmarshal(answer, &said))
		if said.Error.Refusal != "" {
			return said.Error.Refusal
		}
		return said.Error.Code
	},
	"portal": func(o *office, id string, r release) string {
		q, err := http.NewRequest("POST", o.url+"/changes/"+id+"/release", strings.NewReader(url.Values{"zone": {r.zone}, "plan": {r.plan}, "reason": {r.reason}}.Encode()))
		o.must(err)
		q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		q.AddCookie(&http.Cookie{Name: "slipway", Value: r.by.cookie})
		code, page := o.send(q)
		switch found := regexp.MustCompile(`data-refusal="([a-z-]+)"`).FindSubmatch(page); {
		case code == http.StatusSeeOther:
			return ""
		case found != nil:
			return string(found[1])
		case code == http.StatusConflict:
			return flow.Conflict
		case code == http.StatusNotFound:
			return flow.NotFound
		}
		return fmt.Sprintf("status %d", code)
	},
	"command line": func(o *office, id string, r release) string {
		cmd := exec.Command(o.tool, "request", "release", id, "--zone", r.zone, "--plan", r.plan, "--reason", r.reason, "--yes")
		cmd.Env = append(os.Environ(), "SLIPWAY_SERVER="+o.url, "SLIPWAY_TOKEN="+r.by.token, "HOME="+o.t.TempDir())
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		err := cmd.Run()
		found := regexp.MustCompile(`(?m)^  Rule: ([a-z-]+)$`).FindStringSubmatch(stderr.String())
		switch said := stderr.String(); {
		case err == nil:
			return ""
		case found != nil && cmd.ProcessState.ExitCode() == 1:
			return found[1]
		case r.reason == "" && strings.Contains(said, "--reason is missing") && cmd.ProcessState.ExitCode() == 2:
			return approval.NoReason
		case strings.Contains(said, "Nothing of this change waits"):
			return flow.Conflict
		case strings.Contains(said, "not found") || strings.Contains(said, "There is no"):
			return flow.NotFound
		}
		return fmt.Sprintf("exit %d: %s", cmd.ProcessState.ExitCode(), &stderr)
	},
}

// stopped makes a change, asked for by somebody, whose apply was stopped.
func (o *office) stopped(by guest, n int) lifecycle.State {
	o.t.Helper()
	app := func(name string, from int) map[string][]byte {
		var b strings.Builder
		fmt.Fprintf(&b, "owner: %s\nteam: finance-operations\npurpose: Shows who may release\nexposure: internal\ndata: [none]\nexpires: 2027-06-30\nhostname: %[2]s.apps.finmicro.example\ncertificate: false\nrecords:\n", by.person.ID, name)
		fmt.Fprintf(&b, "  - {name: %s.apps.finmicro.example, type: A, ttl: 300, values: [192.0.2.7]}\n", name)
		for i := from; i < n; i++ {
			fmt.Fprintf(&b, "  - {name: h%d.%s.apps.finmicro.example, type: A, ttl: 300, values: [192.0.2.%d]}\n", i, name, i)
		}
		return map[string][]byte{"apps/" + name + ".yaml": []byte(b.String())}
	}
	o.n++
	name := fmt.Sprintf("many-%d", o.n)
	for _, from := range []int{0, n} {
		st, _, err := o.flow.Submit(context.Background(), flow.Submission{By: by.person, Via: "api", Files: app(name, from)}, nil)
		o.must(err)
		want := lifecycle.Live
		if from > 0 {
			want = lifecycle.Held
		}
		if st = o.until(st.ID, want); from > 0 {
			return st
		}
	}
	return lifecycle.State{}
}

func (o *office) until(id string, want lifecycle.Phase) lifecycle.State {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	appended := o.record.Index().Watch(ctx)
	for {
		st, _, _, err := o.flow.Change(context.Background(), id)
		o.must(err)
		if st.Phase == want {
			return st
		}
		select {
		case <-appended:
		case <-ctx.Done():
			o.t.Fatalf("%s is %s and not %s: %s", id, st.Phase, want, st.Problem)
		}
	}
}

// Every rule of releasing, through every door; and what people see of it.
func TestReleaseAtEveryDoor(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a whole server")
	}
	o := newOffice(t)
	server := identity.Person{ID: identity.System}
	at := func(name string) string { return name + "@finmicro.example" }
	join := func(name string) guest { return o.enter(server, at(name)) }
	adminG, anaG, bobG, ivyG, omarG, lenaG, samG, piaG := join("admin"), join("ana"), join("bob"), join("ivy"), join("omar"), join("lena"), join("sam"), join("pia")
	anaByOmar := o.enter(omarG.person, at("ana"))
	tess := o.enter(server, "tess@studio.example")

	// An organisation whose rules ask nobody.
	st, _, err := o.flow.Submit(context.Background(), flow.Submission{By: omarG.person, Via: "api", Files: map[string][]byte{
		"policies/tier.rego": []byte("package slipway.tier\n\ntier := \"green\"\n\nreasons := {\"All is green.\"}\n\nscore := 0\n\nweights := {}\n\napprovals := set()\n"),
	}}, nil)
	o.must(err)
	for _, g := range []guest{lenaG, samG, piaG} {
		_, err := o.flow.Vote(context.Background(), g.person, st.ID, approval.Approve, "", st.Subject.ChangeDigest, st.Subject.PolicyDigest, "api")
		o.must(err)
	}
	o.until(st.ID, lifecycle.Live)

	const z = "apps.finmicro.example"
	held := o.stopped(anaG, 30)
	h, _ := held.Hold(z)
	const why = "The machines are gone."
	refuses := func(name, id string, r release, want string) {
		t.Helper()
		for door, give := range releaseDoors {
			if code := give(o, id, r); code != want && !(door == "core" && want == flow.NotFound && code == approval.NotAMember) {
				t.Errorf("%s by %s: %q, want %q", name, door, code, want)
			}
		}
	}
	refuses("the requester", held.ID, release{anaG, z, h.Plan, why}, approval.SelfApproval)
	refuses("an administrator", held.ID, release{adminG, z, h.Plan, why}, approval.NotAMember)
	refuses("another employee", held.ID, release{bobG, z, h.Plan, why}, approval.NotAMember)
	refuses("who approves red changes", held.ID, release{lenaG, z, h.Plan, why}, approval.NotAMember)
	refuses("a third party", held.ID, release{tess, z, h.Plan, why}, flow.NotFound)
	refuses("another plan", held.ID, release{ivyG, z, "sha256:" + strings.Repeat("0", 64), why}, approval.StaleContent)
	refuses("no reason", held.ID, release{ivyG, z, h.Plan, ""}, approval.NoReason)
	refuses("another zone", held.ID, release{ivyG, "finmicro.example", h.Plan, why}, flow.Conflict)
	after, events, _, err := o.flow.Change(context.Background(), held.ID)
	o.must(err)
	if after.Phase != lifecycle.Held || slices.ContainsFunc(events, func(r audit.Receipt) bool { return r.Event.Action == audit.ReleaseApply }) {
		t.Fatalf("%s after refusals alone", after.Phase)
	}

	// What people see.
	see := func(g guest, path string) string {
		t.Helper()
		r, err := http.NewRequest("GET", o.url+path, nil)
		o.must(err)
		r.AddCookie(&http.Cookie{Name: "slipway", Value: g.cookie})
		code, page := o.send(r)
		if code != http.StatusOK {
			t.Fatalf("%s: %d", path, code)
		}
		return string(page)
	}
	page := see(ivyG, "/changes/"+held.ID)
	for _, want := range []string{"Waiting for release", "Publishing " + z + " was stopped", "it would delete 30 of its", "Release it", h.Plan, "h7.many-"} {
		if !strings.Contains(page, want) {
			t.Errorf("ivy's page does not say %q", want)
		}
	}
	if page := see(anaG, "/changes/"+held.ID); strings.Contains(page, "Release it") || !strings.Contains(page, "This is your own change") || !strings.Contains(page, "Ask to undo this change") {
		t.Error("the requester is offered to release it, or is not told why not")
	}
	if inbox := see(ivyG, "/inbox"); !strings.Contains(inbox, held.ID) || !strings.Contains(inbox, "Why publishing it was stopped") {
		t.Error("ivy's inbox does not have it")
	}
	if inbox := see(lenaG, "/inbox"); strings.Contains(inbox, held.ID) {
		t.Error("lena's inbox has what she may not release")
	}

	// Each door lets in who may, and nobody who may have asked for it.
	next := func(by guest) lifecycle.State { return o.stopped(by, 40) }
	for _, door := range []struct {
		name string
		st   func() lifecycle.State
		not  guest
	}{
		{"portal", func() lifecycle.State { return held }, anaG},
		{"API", func() lifecycle.State { return next(omarG) }, omarG},
		{"command line", func() lifecycle.State { return next(anaByOmar) }, omarG},
	} {
		st := door.st()
		h, _ := st.Hold(z)
		refuses("somebody who may have asked for it", st.ID, release{door.not, z, h.Plan, why}, approval.SelfApproval)
		if code := releaseDoors[door.name](o, st.ID, release{ivyG, z, h.Plan, why}); code != "" {
			t.Fatalf("%s: %s", door.name, code)
		}
		o.until(st.ID, lifecycle.Live)
		if !strings.Contains(see(anaG, "/changes/"+st.ID), "released it through") {
			t.Errorf("%s: the release is not told", door.name)
		}
	}
}
