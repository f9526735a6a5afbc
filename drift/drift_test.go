package drift_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/drift"
	"slipway/provider"
	"slipway/provider/zonefile"
	"slipway/repo"
	"slipway/zone"
)

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

const z = zone.Name("finmicro.example")

const settings = `organisation: Fin Micro Ltd
domain: finmicro.example
zones:
  directory: zones
  finmicro.example: {visibility: external, owner: finmicro.example, provider: local}
providers:
  local: {type: zonefile}
`

const approved = `'':
  - type: MX
    ttl: 300
    values: [{preference: 10, exchange: mail.finmicro.example.}]
  - type: TXT
    values: [v=spf1 -all, 'say "hi"']
  - type: ALIAS
    value: app.example.net.
  - type: Route53Provider/ALIAS
    value: {type: A, name: lb.example.net.}
www:
  type: A
  ttl: 300
  values: [192.0.2.1, 192.0.2.2]
geo:
  type: A
  ttl: 300
  value: 192.0.2.3
  octodns: {healthcheck: {path: /status}}
'*':
  type: CNAME
  ttl: 60
  value: www.finmicro.example.
bücher:
  type: A
  ttl: 300
  value: 192.0.2.4
`

// tree makes a zones repository from files and returns what is on disk as a tree.
func tree(t testing.TB, files map[string]string) *repo.Tree {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("git", "init", "-q", dir).CombinedOutput(); err != nil {
		t.Fatalf("git init: %v\n%s", err, out)
	}
	r, err := repo.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	tr, err := r.WorkTree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// world is an approved tree, and a directory of zone files to which it was applied.
type world struct {
	t    testing.TB
	tree *repo.Tree
	dir  string
	p    provider.Provider
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, tree: tree(t, map[string]string{"slipway.yaml": settings, "zones/finmicro.example.yaml": approved}), dir: t.TempDir()}
	p, err := zonefile.New(zonefile.Options{Dir: w.dir})
	if err != nil {
		t.Fatal(err)
	}
	w.p = p
	w.apply("first")
	return w
}

func (w *world) apply(change string) {
	w.t.Helper()
	sets, err := w.tree.Served(w.t.Context(), z)
	if err != nil {
		w.t.Fatal(err)
	}
	plan := provider.NewPlan(z, sets, nil, change, "commit")
	plan.Expect = provider.ExpectAnything
	if _, err := w.p.Apply(w.t.Context(), plan); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) file() string {
	path, err := zonefile.Path(w.dir, z)
	if err != nil {
		w.t.Fatal(err)
	}
	return path
}

// edit changes the zone file by hand.
func (w *world) edit(change func(text string) string) {
	w.t.Helper()
	before, err := os.ReadFile(w.file())
	if err != nil {
		w.t.Fatal(err)
	}
	after := change(string(before))
	if after == string(before) {
		w.t.Fatal("the edit changes nothing")
	}
	if err := os.WriteFile(w.file(), []byte(after), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) compare() *drift.Report {
	w.t.Helper()
	r, err := drift.Compare(w.t.Context(), w.tree, z, w.p, noon)
	if err != nil {
		w.t.Fatal(err)
	}
	if r.Zone != z || !r.At.Equal(noon) || (r.Digest == "") != (len(r.Differences) == 0) {
		w.t.Errorf("report %+v", r)
	}
	return r
}

func replace(old, new string) func(string) string {
	return func(s string) string { return strings.Replace(s, old, new, 1) }
}

func TestCompare(t *testing.T) {
	for name, tt := range map[string]struct {
		edit func(string) string
		want []string
	}{
		"address changed": {replace("A\t192.0.2.1\n", "A\t192.0.2.66\n"),
			[]string{"A www.finmicro.example is live with 192.0.2.2, 192.0.2.66, but 192.0.2.1, 192.0.2.2 was approved."}},
		"value added": {func(s string) string { return s + "www.finmicro.example. 300 IN A 192.0.2.66\n" },
			[]string{"A www.finmicro.example is live with 192.0.2.1, 192.0.2.2, 192.0.2.66, but 192.0.2.1, 192.0.2.2 was approved."}},
		"TTL changed": {replace("*.finmicro.example.\t60\t", "*.finmicro.example.\t61\t"),
			[]string{"CNAME *.finmicro.example is live with a TTL of 61 seconds, but a TTL of 60 seconds was approved."}},
		"record added": {func(s string) string { return s + "evil 60 IN A 192.0.2.66\n" },
			[]string{"A evil.finmicro.example is live with 192.0.2.66, but nobody approved it."}},
		"record removed": {replace("*.finmicro.example.\t60\tIN\tCNAME\twww.finmicro.example.\n", ""),
			[]string{"CNAME *.finmicro.example was approved with www.finmicro.example., but it is not live: nobody who asks for it gets an answer."}},
		"name moved": {replace("xn--bcher-kva.", "xn--bcher-xva."), []string{
			"A bücher.finmicro.example was approved with 192.0.2.4, but it is not live: nobody who asks for it gets an answer.",
			"A bcþher.finmicro.example is live with 192.0.2.4, but nobody approved it."}},
		"provider's type": {replace("lb.example.net.", "evil.example.net."),
			[]string{`Route53Provider/ALIAS finmicro.example is live with {"name":"evil.example.net.","type":"A"}, but {"name":"lb.example.net.","type":"A"} was approved.`}},
		"settings": {replace("/status", "/evil"),
			[]string{`A geo.finmicro.example is live with 192.0.2.3 and the settings {"octodns":{"healthcheck":{"path":"/evil"}}}, but 192.0.2.3 and the settings {"octodns":{"healthcheck":{"path":"/status"}}} was approved.`}},
		"name server added": {func(s string) string { return s + "@ 60 IN NS ns.evil.example.\n" },
			[]string{"NS finmicro.example is live with ns.evil.example., ns.invalid., but nobody approved it."}},
		"name server replaced": {replace("NS\tns.invalid.", "NS\tns.evil.example."),
			[]string{"NS finmicro.example is live with ns.evil.example., but nobody approved it."}},
		"nonsense": {func(s string) string { return s + "(\n" }, []string{"Zone finmicro.example cannot be compared"}},

		"serial only": {func(s string) string {
			return regexp.MustCompile(`(hostmaster\.finmicro\.example\.) \d+`).ReplaceAllString(s, "$1 7")
		}, nil},
		"comment":      {func(s string) string { return s + "; somebody was here\n" }, nil},
		"header gone":  {func(s string) string { _, rest, _ := strings.Cut(s, "$TTL"); return "$TTL" + rest }, []string{"NS finmicro.example is live with ns.invalid., but nobody approved it."}},
		"another form": {replace("www.finmicro.example.\t300\tIN\tA\t192.0.2.1", "WWW 5m IN A 192.0.2.1"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			before := w.compare()
			if len(before.Differences) != 0 {
				t.Fatalf("differs from the start: %+v", before.Differences)
			}
			w.edit(tt.edit)
			r := w.compare()
			var got []string
			for _, d := range r.Differences {
				got = append(got, d.Sentence())
			}
			if !slices.EqualFunc(got, tt.want, strings.HasPrefix) {
				t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
			if again := w.compare(); again.Digest != r.Digest {
				t.Errorf("the same drift has digest %s and then %s", r.Digest, again.Digest)
			}
			w.apply("put back")
			if r := w.compare(); len(r.Differences) != 0 {
				t.Errorf("put back, and still different: %+v", r.Differences)
			}
		})
	}
}

func TestCompareErrors(t *testing.T) {
	w := newWorld(t)
	if _, err := drift.Compare(t.Context(), w.tree, "unknown.example", w.p, noon); !errors.Is(err, repo.ErrNotFound) {
		t.Errorf("a zone that is not in the repository: %v", err)
	}
	if err := os.Remove(w.file()); err != nil {
		t.Fatal(err)
	}
	r := w.compare()
	if len(r.Differences) != 8 || slices.ContainsFunc(r.Differences, func(d drift.Difference) bool { return d.Kind != drift.Missing }) {
		t.Errorf("file gone: %+v", r.Differences)
	}
}

// The JSON of a report is what clients read back.
func TestReportJSON(t *testing.T) {
	w := newWorld(t)
	w.edit(replace("192.0.2.2\n", "192.0.2.66\n"))
	r := w.compare()
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back drift.Report
	if err := json.Unmarshal(raw, &back); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(back)
	if err != nil || !bytes.Equal(raw, again) {
		t.Errorf("%s\n%s", raw, again)
	}
}

// Of many edits all are found and none is invented.
func TestManyEdits(t *testing.T) {
	live := &provider.Live{Zone: z, Exists: true}
	sets := make([]zone.RRSet, 10_000)
	for i := range sets {
		sets[i] = zone.RRSet{Name: zone.Name(fmt.Sprintf("host%05d.", i)) + z, Type: "A", TTL: 300, Values: []string{"192.0.2.1"}}
	}
	live.Sets = slices.Clone(sets)
	for i := 0; i < 10_000; i += 50 {
		live.Sets[i].Values = []string{"192.0.2.66"}
	}
	slices.Reverse(live.Sets)
	r := drift.Between(z, "commit", sets, live, noon)
	if len(r.Differences) != 200 {
		t.Fatalf("%d differences", len(r.Differences))
	}
	for i, d := range r.Differences {
		if want := sets[50*i].Name; d.Name != want || d.Kind != drift.Changed {
			t.Errorf("difference %d is %s %s, want %s", i, d.Kind, d.Name, want)
		}
	}
}

func BenchmarkCompareUnchanged(b *testing.B) {
	w := newWorld(b)
	for b.Loop() {
		w.compare()
	}
}
