package repo

import (
	"bytes"
	"strings"
	"testing"
)

const laidOut = `owner: ana@finmicro.example
team: finance-operations
purpose: Tracks team expenses before they reach the ledger
exposure: internal
data: [none]
expires: 2027-06-30
hostname: expenses.apps.finmicro.example
certificate: true
records:
  - {name: expenses.apps.finmicro.example, type: A, ttl: 300, values: [192.0.2.10, 192.0.2.11]}
artifacts: {sbom: sbom.cdx.json, provenance: provenance.intoto.jsonl}
`

func TestFormatApp(t *testing.T) {
	for _, tt := range []struct{ name, src, want string }{
		{"already", laidOut, laidOut},
		{"order, quotes and lists", `hostname: "expenses.apps.finmicro.example"
records:
- type: A
  name: expenses.apps.finmicro.example
  values:
  - 192.0.2.10
  - '192.0.2.11'
  ttl: 300
owner: 'ana@finmicro.example'
exposure: internal
data:
  - none
team: finance-operations
purpose: Tracks team expenses before they reach the ledger
certificate: true
expires: 2027-06-30
artifacts:
    sbom: sbom.cdx.json
    provenance: provenance.intoto.jsonl
`, laidOut},
		{"comments", `# The expense tracker.
exposure: internal # for now
# who answers
owner: ana@finmicro.example
records:
  # the machine
  - ttl: 300
    name: a.apps.finmicro.example # moves soon
    type: A
    values: [192.0.2.10]
`, `# who answers
owner: ana@finmicro.example
# The expense tracker.
exposure: internal # for now
records:
  # the machine
  - name: a.apps.finmicro.example # moves soon
    type: A
    ttl: 300
    values: [192.0.2.10]
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := FormatApp("apps/expense-tracker.yaml", []byte(tt.src))
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
			if again, err := FormatApp("apps/expense-tracker.yaml", got); err != nil || !bytes.Equal(again, got) {
				t.Errorf("not stable: %v\n%s", err, again)
			}
		})
	}
	if _, err := FormatApp("apps/a.yaml", []byte("nonsense: 1\n")); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("an unknown key: %v", err)
	}
	// What Marshal writes is the layout.
	a, err := ParseApp("apps/expense-tracker.yaml", []byte(laidOut))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := a.Marshal(); err != nil || string(out) != laidOut {
		t.Errorf("Marshal: %v\n%s", err, out)
	}
}

func FuzzFormatApp(f *testing.F) {
	f.Add(laidOut)
	f.Add("# a\nowner: b # c\n\n# d\nrecords: # e\n- {name: a.example.org, type: A, values: [1]} # f\n")
	f.Fuzz(func(t *testing.T, src string) {
		out, err := FormatApp("apps/a.yaml", []byte(src))
		if err != nil {
			return
		}
		before, err := ParseApp("apps/a.yaml", []byte(src))
		if err != nil {
			t.Fatal(err)
		}
		after, err := ParseApp("apps/a.yaml", out)
		if err != nil || !sameApp(before, after) {
			t.Fatalf("%q became %q: %v", src, out, err)
		}
	})
}
