package planfile_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"slipway/provider"
	"slipway/provider/planfile"
	"slipway/zone"
)

func set(name, typ string, ttl int, values ...string) zone.RRSet {
	r, err := zone.NewRRSet(zone.Name(name), typ, ttl, values)
	if err != nil {
		panic(err)
	}
	return r
}

func live(z zone.Name, sets ...zone.RRSet) *provider.Live {
	return &provider.Live{Zone: z, Exists: true, Serial: 7, Sets: sets, Digest: provider.Digest(sets)}
}

func planned(t testing.TB, now *provider.Live, desired ...zone.RRSet) planfile.Plan {
	t.Helper()
	p := provider.NewPlan(now.Zone, desired, now, "", "")
	return planfile.Of(p, "main", "rfc2136", now, provider.Limits{Deletes: 30, Updates: 30, From: 2})
}

var at = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

const tree = "8a3f1c9d0e7b6a5f4e3d2c1b0a9f8e7d6c5b4a39"

func file(t testing.TB, plans ...planfile.Plan) *planfile.File {
	t.Helper()
	f, err := planfile.New("", tree, nil, plans, at)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func text(t testing.TB, f *planfile.File) string {
	t.Helper()
	b, err := f.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestOf(t *testing.T) {
	www, old := set("www.example", "CNAME", 3600, "old.example."), set("old.example", "A", 300, "192.0.2.1")
	now := live("example", www, old)
	p := planned(t, now, set("www.example", "CNAME", 60, "new.example."), set("new.example", "A", 300, "192.0.2.2"))
	var order []string
	for _, e := range p.Edits {
		order = append(order, fmt.Sprint(e.Op, " ", e.Name))
	}
	if want := "create new.example, update www.example, delete old.example"; strings.Join(order, ", ") != want {
		t.Errorf("order: %s, want %s", strings.Join(order, ", "), want)
	}
	if p.Lasts != 3600 || p.Counts != (provider.Counts{Creates: 1, Updates: 1, Deletes: 1, Live: 2}) || !strings.Contains(p.Exceeds, "delete 1 of its 2") {
		t.Errorf("%+v", p)
	}
	if p.Plan != provider.NewPlan("example", []zone.RRSet{set("www.example", "CNAME", 60, "new.example."), set("new.example", "A", 300, "192.0.2.2")}, now, "x", "y").Digest() {
		t.Error("the digest is not that of the plan which is applied")
	}
	if p := planned(t, live("example", set("_acme-challenge.example", "TXT", 60, "proof"))); len(p.Notes) != 1 || !strings.Contains(p.Notes[0], "being issued") {
		t.Errorf("notes: %q", p.Notes)
	}
	fresh := &provider.Live{Zone: "example", Digest: provider.Digest(nil)}
	if p := planned(t, fresh, www, set("example", "NS", 300, "ns.example.")); len(p.Notes) != 2 {
		t.Errorf("notes: %q", p.Notes)
	}
}

func TestFacts(t *testing.T) {
	p := planfile.Plan{Exceeds: "in zone example it would delete all", Lasts: 3600, Others: 2, Notes: []string{"it is new"}}
	if got, want := strings.Join(p.Facts(), "\n"), `In zone example it would delete all. A server holds such an apply until somebody has looked at it.
Old answers may still be given for 1h after it (the longest TTL of what changes or goes).
2 record sets of others in this zone stay as they are.
It is new.`; got != want {
		t.Errorf("%s", got)
	}
	for seconds, want := range map[int]string{30: "30s", 60: "1m", 90: "1m30s", 5400: "1h30m", 86400: "24h"} {
		if got := (planfile.Plan{Lasts: seconds}).Facts()[0]; !strings.Contains(got, " "+want+" after") {
			t.Errorf("%d: %s", seconds, got)
		}
	}
	if got := (planfile.Plan{}).Facts(); got != nil {
		t.Errorf("%q", got)
	}
}

func TestRoundTrip(t *testing.T) {
	f := file(t, planned(t, live("b.example"), set("b.example", "TXT", 300, "ä \"x\" <b>")), planned(t, live("a.example", set("a.example", "A", 300, "192.0.2.1"))))
	if f.Plans[0].Zone != "a.example" {
		t.Error("not in order")
	}
	back, err := planfile.Parse(strings.NewReader(text(t, f)))
	if err != nil {
		t.Fatal(err)
	}
	if text(t, back) != text(t, f) || len(planfile.Changed(f, back)) != 0 || back.Empty() {
		t.Errorf("%+v is not %+v", back, f)
	}
	later, err := planfile.New("", tree, nil, f.Plans, at.Add(time.Hour))
	if err != nil || later.Digest != f.Digest {
		t.Errorf("the time is in the digest: %v", err)
	}
	other, err := planfile.New(tree, tree, nil, f.Plans, at)
	if err != nil || other.Digest == f.Digest {
		t.Errorf("the commit is not in the digest: %v", err)
	}
	if !file(t).Empty() || !file(t, planned(t, live("a.example"))).Empty() {
		t.Error("nothing to do is not empty")
	}
}

// Whatever is changed in a file by hand, it is refused: also when its digest was made to fit.
func TestTampered(t *testing.T) {
	good := file(t, planned(t, live("a.example", set("a.example", "A", 300, "192.0.2.1")), set("a.example", "A", 300, "192.0.2.2")))
	for _, tt := range []struct{ name, from, to, want string }{
		{"a value", `"192.0.2.2"`, `"192.0.2.66"`, "changed after it was written"},
		{"the commit", `"commit": ""`, `"commit": "` + tree + `"`, "changed after it was written"},
		{"a further key", `"commit": ""`, `"commit": "", "approved": true`, "unknown field"},
		{"its form", `"slipway_plan": 1`, `"slipway_plan": 2`, "this version of Slipway reads form 1"},
		{"an edit", `"op": "update"`, `"op": "create"`, "is not what is done to it"},
		{"a name", `"name": "a.example"`, `"name": "A.example"`, "canonical form"},
		{"a name outside", `"name": "a.example"`, `"name": "b.example"`, "outside the zone"},
		{"a plan's digest", `"plan": "sha256:`, `"plan": "sha256:0`, "by digest"},
		{"the digest of what is live", good.Plans[0].Live, good.Plans[0].Desired, "not that of its contents"},
		{"counts", `"deletes": 0`, `"deletes": 1`, "counts"},
		{"something behind", "}\n", "}\n{}", "after its end"},
		{"another file", "{", "[", "has written"},
	} {
		src := strings.Replace(text(t, good), tt.from, tt.to, 1)
		if tt.name == "something behind" {
			src = text(t, good) + "{}"
		}
		for _, fit := range []bool{false, true} {
			if fit { // as somebody who knows how would
				var f planfile.File
				if json.Unmarshal([]byte(src), &f) != nil {
					continue
				}
				old := f.Digest
				f.Digest, _ = f.Sum()
				src = strings.Replace(src, old, f.Digest, 1)
			}
			_, err := planfile.Parse(strings.NewReader(src))
			if fit && (tt.name == "a value" || tt.name == "the commit") {
				// A file is not a signature: what it says of values is for people, and what binds is
				// the plan's digest, which planning again gives another of.
				continue
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s, fitted %v: %v, want %q", tt.name, fit, err, tt.want)
			}
		}
	}
}

func TestChanged(t *testing.T) {
	one, two, three := set("a.example", "A", 300, "192.0.2.1"), set("a.example", "A", 300, "192.0.2.2"), set("a.example", "A", 300, "192.0.2.3")
	base := file(t, planned(t, live("a.example", one), two))
	for _, tt := range []struct {
		name string
		now  *planfile.File
		want planfile.What
	}{
		{"the same", file(t, planned(t, live("a.example", one), two)), ""},
		{"live is another", file(t, planned(t, live("a.example", three), two)), planfile.OtherLive},
		{"the repository says otherwise", file(t, planned(t, live("a.example", one), three)), planfile.OtherDesired},
		{"it was made", file(t, planned(t, live("a.example", two), two)), planfile.Done},
		{"it is gone", file(t), planfile.Missing},
		{"there is more to do", file(t, planned(t, live("a.example", one), two), planned(t, live("b.example"), set("b.example", "A", 300, "192.0.2.1"))), planfile.Unplanned},
		{"there is more, with nothing to do", file(t, planned(t, live("a.example", one), two), planned(t, live("b.example"))), ""},
	} {
		got := planfile.Changed(base, tt.now)
		if tt.want == "" && len(got) > 0 || tt.want != "" && (len(got) != 1 || got[0].What != tt.want || got[0].Text == "") {
			t.Errorf("%s: %+v, want %s", tt.name, got, tt.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(text(f, file(f, planned(f, live("a.example", set("a.example", "A", 300, "192.0.2.1")), set("a.example", "A", 300, "192.0.2.2"))))))
	f.Add([]byte(text(f, file(f))))
	f.Add([]byte(`{"slipway_plan":1,"plans":[{"edits":[{"op":"create"}]}]}`))
	f.Add([]byte(`{"slipway_plan":1e9}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, src []byte) {
		p, err := planfile.Parse(bytes.NewReader(src))
		if err != nil {
			return
		}
		again, err := planfile.Parse(strings.NewReader(text(t, p)))
		if err != nil || again.Digest != p.Digest || len(planfile.Changed(p, again)) > 0 {
			t.Errorf("%+v read again is %+v, %v", p, again, err)
		}
	})
}
