package check

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"slipway/check/internal/scenario"
	"slipway/check/observe"
)

// A verdict names the observations that it rests on by the digest of their file, and none when nobody looked.
func TestVerdictNamesObservations(t *testing.T) {
	const settings = "-- slipway.yaml --\ndomain: finmicro.example\nrestricted-types: {}\nzones:\n  finmicro.example: {visibility: external}\n"
	w := scenario.New(t, []byte(settings+"-- zones/finmicro.example.yaml --\nwww: {type: A, ttl: 300, value: 9.9.9.9}\n"))
	head := w.Head(t, []byte("-- zones/finmicro.example.yaml --\nwww: {type: A, ttl: 300, value: 9.9.9.9}\nshop: {type: TXT, ttl: 300, value: 'v=spf1 include:mail.test -all'}\n"))
	judge := func(base *scenario.World, seen *observe.Log) *Verdict {
		v, err := NewEngine().Run(t.Context(), Input{Repo: w.Repo, Base: base.Base, Head: head, AsOf: scenario.Now, Observed: seen})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	const file = `{"answers":[{"name":"mail.test","records":["mail.test. 0 IN TXT \"v=spf1 +all\""],"status":"NOERROR","type":"TXT"}],"at":"2026-10-01T12:00:00Z","format":"slipway-observations/1","resolver":"192.0.2.53:53"}`
	set, err := observe.Read("seen.json", strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(file))
	v := judge(w, observe.Replay(set))
	if want := "sha256:" + hex.EncodeToString(sum[:]); v.Observations != want || !v.Denied {
		t.Errorf("denied %v by observations %q, want %q", v.Denied, v.Observations, want)
	}
	plain := judge(w, nil)
	if plain.Observations != "" || plain.Denied {
		t.Errorf("without looking: denied %v by %q", plain.Denied, plain.Observations)
	}

	// What lets a record pass decides, so approvals under it are bound to it.
	other := &scenario.World{Repo: w.Repo, Base: w.Head(t, []byte(settings+"waivers:\n  - {rule: wildcard, record: x.finmicro.example A, reason: because it may, by: ivy@finmicro.example, expires: 2027-01-31}\n"))}
	if judge(other, nil).PolicyDigest == plain.PolicyDigest {
		t.Error("a waiver leaves the policy digest as it was")
	}
}
