package repo

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"slipway/zone"
)

const designApp = `owner: ana@finmicro.example
team: finance-operations
purpose: Tracks team expenses before they reach the ledger
exposure: internal          # internal | external
data: [none]                # none | pii | financial | health
expires: 2027-06-30
hostname: expenses.apps.finmicro.example
certificate: true
records:
  - {name: expenses.apps.finmicro.example, type: A, ttl: 300, values: [192.0.2.10]}
artifacts: {sbom: sbom.cdx.json, provenance: provenance.intoto.jsonl}
`

func TestParseApp(t *testing.T) {
	a, err := ParseApp("apps/expense-tracker.yaml", []byte(designApp))
	if err != nil {
		t.Fatal(err)
	}
	want := &App{
		Name: "expense-tracker", Path: "apps/expense-tracker.yaml",
		Owner: "ana@finmicro.example", Team: "finance-operations", Purpose: "Tracks team expenses before they reach the ledger",
		Exposure: "internal", Data: []string{"none"}, Expires: "2027-06-30",
		Hostname: "expenses.apps.finmicro.example", Certificate: true,
		Records: []zone.RRSet{{
			Name: "expenses.apps.finmicro.example", Type: "A", TTL: 300, Values: []string{"192.0.2.10"},
			Place: zone.Place{Path: "apps/expense-tracker.yaml", Line: 10},
		}},
		Artifacts: map[string]string{"sbom": "sbom.cdx.json", "provenance": "provenance.intoto.jsonl"},
		Lines: map[string]int{"owner": 1, "team": 2, "purpose": 3, "exposure": 4, "data": 5, "expires": 6, "hostname": 7,
			"certificate": 8, "records": 9, "artifacts": 11},
	}
	if !reflect.DeepEqual(a, want) {
		t.Errorf("got  %+v\nwant %+v", a, want)
	}
	// The canonical layout is the documentation's, without its comments.
	src, err := a.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	var bare strings.Builder
	for line := range strings.Lines(designApp) {
		text, _, _ := strings.Cut(line, "#")
		bare.WriteString(strings.TrimRight(text, " \n") + "\n")
	}
	if string(src) != bare.String() {
		t.Errorf("marshalled:\n%s\nwant:\n%s", src, bare.String())
	}
}

func TestMarshalAwkward(t *testing.T) {
	a := &App{
		Name: "x", Owner: "a@x.example", Purpose: "line one\nline two: with # and 'quotes' and \"more\"", Team: "123", Upstream: "http://10.1.2.3:8080/yes", MTLS: true,
		Data: []string{"pii", "health"}, ThirdParty: "null",
		Records: []zone.RRSet{
			{Name: "x.example", Type: "TXT", TTL: zone.NoTTL, Values: []string{`"v=spf1 \"a\" -all"`}},
			{Name: "_25._tcp.x.example", Type: "CAA", TTL: 60, Values: []string{`0 issue "ca.example"`}},
		},
	}
	src, err := a.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseApp("apps/x.yaml", src)
	if err != nil {
		t.Fatalf("%v\n%s", err, src)
	}
	if back.Purpose != a.Purpose || back.Team != a.Team || back.Upstream != a.Upstream || back.ThirdParty != a.ThirdParty || back.Owner != a.Owner {
		t.Errorf("got %+v from\n%s", back, src)
	}
	for i, r := range back.Records {
		if r.Name != a.Records[i].Name || !reflect.DeepEqual(r.Values, a.Records[i].Values) || r.TTL != a.Records[i].TTL {
			t.Errorf("record %+v, want %+v, in\n%s", r, a.Records[i], src)
		}
	}
	if _, err := (&App{Name: "Bad Name"}).Marshal(); err == nil {
		t.Error("an app of an impossible name was marshalled")
	}
}

func TestAppFaults(t *testing.T) {
	tests := []struct {
		name, path, src, want string
	}{
		{"unknown key", "", "owner: a\npurpse: x\n", `apps/x.yaml:2: unknown key "purpse" in an app's manifest (did you mean "purpose"?`},
		{"kebab key", "", "third-party: x\n", `did you mean "third_party"?`},
		{"key twice", "", "owner: a\nowner: b\n", "stands twice"},
		{"bad exposure", "", "exposure: public\n", `exposure cannot be "public" (write internal or external)`},
		{"bad data", "", "data: [secrets]\n", `data cannot be "secrets"`},
		{"bad date", "", "expires: next year\n", "is not a date"},
		{"bad hostname", "", "hostname: a..b\n", "apps/x.yaml:1: hostname:"},
		{"certificate", "", "certificate: maybe\n", "must be true or false"},
		{"records", "", "records: {name: x}\n", "records must be a list"},
		{"record key", "", "records:\n  - {nme: x}\n", `apps/x.yaml:2: unknown key "nme" in a record (did you mean "name"?`},
		{"record without name", "", "records:\n  - {type: A, values: [192.0.2.1]}\n", "a record has no name"},
		{"record without type", "", "records:\n  - {name: x.example, values: [192.0.2.1]}\n", "has no type"},
		{"record without values", "", "records:\n  - {name: x.example, type: A}\n", "has no value"},
		{"value and values", "", "records:\n  - {name: x.example, type: A, value: 192.0.2.1, values: [192.0.2.1]}\n", "both value and values"},
		{"record twice", "", "records:\n  - {name: x.example, type: A, value: 192.0.2.1}\n  - {name: X.example, type: a, value: 192.0.2.2}\n", "apps/x.yaml:3: the record set x.example A stands twice; the first is in line 2"},
		{"ttl", "", "records:\n  - {name: x.example, type: A, ttl: -1, value: 192.0.2.1}\n", "ttl"},
		{"name", "apps/My App.yaml", "", "cannot be an app's name"},
		{"not YAML", "", "owner: [", "this is not YAML"},
		{"a list", "", "- owner\n", "must be a mapping"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.path == "" {
				tt.path = "apps/x.yaml"
			}
			_, err := ParseApp(tt.path, []byte(tt.src))
			var ze *zone.Error
			if !errors.As(err, &ze) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v\nwant %q", err, tt.want)
			}
		})
	}
}

// What is missing or malformed in content is for checks to report, all at once.
func TestAppLeavesContentToChecks(t *testing.T) {
	a, err := ParseApp("apps/x.yaml", []byte("records:\n  - {name: x.example, type: a, values: [999.0.2.1, 192.0.2.1]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if a.Owner != "" || a.Exposure != "" || len(a.Records) != 1 || a.Records[0].Type != "A" || len(a.Records[0].Values) != 2 {
		t.Errorf("app %+v", a)
	}
	var ze *zone.Error
	if err := a.Records[0].Validate(); !errors.As(err, &ze) || ze.Place.Line != 2 {
		t.Errorf("Validate: %v", err)
	}
	if empty, err := ParseApp("apps/x.yaml", nil); err != nil || empty.Name != "x" {
		t.Errorf("an empty manifest: %+v, %v", empty, err)
	}
}

func FuzzParseApp(f *testing.F) {
	f.Add([]byte(designApp))
	f.Add([]byte("records:\n  - {name: x.example, type: TXT, values: ['a\\;b', \"c\"]}\n"))
	f.Add([]byte("records: [&a {name: x.example, type: A, value: 192.0.2.1}, *a]"))
	f.Add([]byte("purpose: |\n  two\n  lines\nexpires: 2027-06-30\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		a, err := ParseApp("apps/x.yaml", src)
		var ze *zone.Error
		if err != nil {
			if !errors.As(err, &ze) || ze.Place.Line < 1 {
				t.Errorf("an error without a place: %v", err)
			}
			return
		}
		out, err := a.Marshal()
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		back, err := ParseApp("apps/x.yaml", out)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, out)
		}
		again, err := back.Marshal()
		if err != nil || string(again) != string(out) {
			t.Errorf("the layout is not stable: %v\n%s\n%s", err, out, again)
		}
	})
}
