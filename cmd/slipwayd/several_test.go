package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/approval"
	"slipway/audit/audittest"
	"slipway/client"
	"slipway/drift"
	"slipway/lifecycle"
	"slipway/nameserver"
	"slipway/provider"
	"slipway/provider/providertest/servers"
	"slipway/provider/rfc2136"
	"slipway/starter"
	"slipway/zone"
)

// One zone is served by Slipway's own name server and by BIND together, another one is shared with somebody who
// writes to it past Slipway. A change is live when both servers have it; an edit at one of them is found and names
// it; and what others have in the shared zone stays.
func TestZonesTogetherAndShared(t *testing.T) {
	const apps, public = zone.Name("apps.finmicro.example"), zone.Name("finmicro-apps.example")
	bind := servers.StartBIND(t, apps, public)
	t.Setenv("TEST_TSIG", bind.TSIG.Secret.Reveal())
	dir := kitWith(t, func(text string) string {
		text = strings.Replace(text, "internal, owner: finmicro.example, provider: local", "internal, owner: finmicro.example, provider: [local, bind]", 1)
		text = strings.Replace(text, string(public)+": {visibility: external, owner: finmicro.example, provider: local", string(public)+": {visibility: external, owner: finmicro.example, partial: true, provider: bind", 1)
		text = strings.Replace(text, "providers:\n", fmt.Sprintf("providers:\n  bind: {type: rfc2136, server: %q, key-name: %s, key-secret: 'env:TEST_TSIG'}\n", bind.Address, bind.TSIG.Name), 1)
		if strings.Count(text, "[local, bind]") != 1 || strings.Count(text, "partial: true") != 1 {
			t.Fatalf("the starter kit's settings are laid out differently:\n%s", text)
		}
		return text
	})
	// What somebody else has in the shared zone before Slipway comes, and goes on changing.
	raw, err := rfc2136.New(t.Context(), rfc2136.Settings{Name: "by-hand", Server: bind.Address, KeyName: bind.TSIG.Name, KeyAlgorithm: bind.TSIG.Algorithm, KeySecret: bind.TSIG.Secret})
	if err != nil {
		t.Fatal(err)
	}
	byHand := func(z zone.Name, edit func([]zone.RRSet) []zone.RRSet) {
		t.Helper()
		live, err := raw.Read(t.Context(), z)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := raw.Apply(t.Context(), provider.NewPlan(z, edit(live.Sets), live, fmt.Sprint("by-hand-", live.Serial), "none")); err != nil {
			t.Fatal(err)
		}
	}
	foreign := func(value string) func([]zone.RRSet) []zone.RRSet {
		return func(sets []zone.RRSet) []zone.RRSet {
			return append(sets, zone.RRSet{Name: zone.Name("k8s-"+value+".") + public, Type: "A", TTL: 300, Values: []string{"203.0.113." + value}})
		}
	}
	byHand(public, foreign("1"))

	srv, err := start(t.Context(), settings{
		data: filepath.Join(audittest.TempDir(t), "data"), listen: "127.0.0.1:0", dns: "127.0.0.1:0", dnsExternal: "127.0.0.1:0", namespace: "slipway",
		logFormat: "text", logLevel: "error", repository: dir, organisation: starter.Sample(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.close(context.WithoutCancel(t.Context()))
	ana, err := srv.demoClient(t.Context(), demoRequester, "product-manager")
	if err != nil {
		t.Fatal(err)
	}
	ivy, err := srv.demoClient(t.Context(), demoApprover, "infosec")
	if err != nil {
		t.Fatal(err)
	}
	answers := func(server string, name zone.Name, want string) {
		t.Helper()
		got, err := nameserver.Resolve(t.Context(), server, name, "A", 5*time.Second)
		if strings.Join(got, " ") != want {
			t.Errorf("%s at %s: %v (%v), want %q", name, server, got, err, want)
		}
	}
	var shown strings.Builder
	bring := func(app, exposure string, hostname zone.Name) {
		t.Helper()
		id, err := srv.demoRequest(t.Context(), &shown, ana, app, exposure, hostname, "")
		if err != nil {
			t.Fatalf("%v\n%s", err, &shown)
		}
		if exposure == "external" {
			if err := follow(t.Context(), &shown, ana, id, lifecycle.Waiting); err != nil {
				t.Fatalf("%v\n%s", err, &shown)
			}
			d, err := ivy.Change(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			vote := client.Vote{Decision: approval.Approve, ChangeDigest: d.Change.Subject.ChangeDigest, PolicyDigest: d.Change.Subject.PolicyDigest}
			if _, err := ivy.Vote(t.Context(), id, vote); err != nil {
				t.Fatal(err)
			}
		}
		if err := follow(t.Context(), &shown, ana, id, lifecycle.Live); err != nil {
			t.Fatalf("%v\n%s", err, &shown)
		}
	}

	// Both have it.
	host := "together." + apps
	bring("together", "internal", host)
	for _, server := range []string{bind.Address, srv.names.Internal()} {
		got, err := nameserver.Resolve(t.Context(), server, host, "A", 5*time.Second)
		if err != nil || len(got) != 1 {
			t.Errorf("%s answers %v, %v", server, got, err)
		}
	}
	// An edit at one of them is drift, and says where.
	byHand(apps, func(sets []zone.RRSet) []zone.RRSet {
		for i := range sets {
			if sets[i].Name == host {
				sets[i].Values = []string{"203.0.113.66"}
			}
		}
		return sets
	})
	compare := func(z zone.Name) ([]drift.Report, error) {
		all, err := ivy.Drift(t.Context(), []string{string(z)})
		return slices.DeleteFunc(all, func(r drift.Report) bool { return r.Scope != drift.Content }), err
	}
	reports, err := compare(apps)
	if err != nil || len(reports) != 1 || len(reports[0].Differences) != 1 || reports[0].Differences[0].Provider != "bind" || reports[0].Differences[0].Name != host {
		t.Fatalf("%+v, %v", reports, err)
	}
	if err := ivy.RevertDrift(t.Context(), string(apps), reports[0].Live); err != nil {
		t.Fatal(err)
	}
	if reports, err = compare(apps); err != nil || len(reports) != 1 || len(reports[0].Differences) != 0 {
		t.Errorf("after it was put back: %+v, %v", reports, err)
	}

	for _, server := range []string{bind.Address, srv.names.Internal()} {
		answers(server, "_acme-challenge."+host, "") // proved to the authority, and gone again
	}

	// The shared zone has what is asked for and what others have.
	bring("shared", "external", "shared."+public)
	byHand(public, foreign("2"))
	bring("shared-too", "external", "shared-too."+public)
	answers(bind.Address, "k8s-1."+public, "203.0.113.1")
	answers(bind.Address, "k8s-2."+public, "203.0.113.2")
	live, err := raw.Read(t.Context(), public)
	if err != nil || slices.ContainsFunc(live.Sets, func(set zone.RRSet) bool {
		return set.Type == "TXT" && strings.HasPrefix(string(set.Name), "_acme-challenge")
	}) {
		t.Errorf("Slipway's own proofs stay in the shared zone: %+v, %v", live, err)
	}
	if reports, err = compare(public); err != nil || len(reports) != 1 || len(reports[0].Differences) != 0 {
		t.Errorf("what others have counts as drift: %+v, %v", reports, err)
	}
}
