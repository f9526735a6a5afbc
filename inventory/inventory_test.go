package inventory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/provider"
	"slipway/provider/catalog"
	"slipway/provider/powerdns"
	"slipway/provider/providertest/servers"
	"slipway/provider/rfc2136"
	"slipway/repo"
	"slipway/zone"
)

var now = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func set(name, typ string, values ...string) zone.RRSet {
	return zone.RRSet{Name: zone.Name(name), Type: typ, TTL: 300, Values: values}
}

func fill(t *testing.T, p provider.Provider, z zone.Name, sets ...zone.RRSet) {
	t.Helper()
	live, err := p.Read(t.Context(), z)
	if err == nil {
		_, err = p.Apply(t.Context(), provider.NewPlan(z, sets, live, "first", "commit"))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Stock is taken of a real PowerDNS, which lists its zones, and a real BIND, which does
// not, one zone being at both and not the same; and a repository comes of it that Slipway reads.
func TestTake(t *testing.T) {
	pdns, bind := servers.StartPowerDNS(t), servers.StartBIND(t, "corp.example", "both.example")
	t.Setenv("INVENTORY_API", pdns.APIKey.Reveal())
	t.Setenv("INVENTORY_TSIG", bind.TSIG.Secret.Reveal())
	inPDNS, err := powerdns.New(t.Context(), powerdns.Settings{Name: "pdns", URL: pdns.URL, APIKey: pdns.APIKey, DNS: pdns.Address})
	if err != nil {
		t.Fatal(err)
	}
	inBIND, err := rfc2136.New(t.Context(), rfc2136.Settings{Name: "bind", Server: bind.Address, KeyName: bind.TSIG.Name, KeyAlgorithm: bind.TSIG.Algorithm, KeySecret: bind.TSIG.Secret})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, inPDNS, "shop.example", set("shop.example", "MX", "10 mail.shop.example."), set("mail.shop.example", "A", "192.0.2.25"), set("shop.example", "TXT", `"owner=web-team"`), set("www.shop.example", "CNAME", "gone.shop.example."))
	fill(t, inPDNS, "both.example", set("www.both.example", "A", "192.0.2.1"))
	fill(t, inBIND, "both.example", set("both.example", "NS", "ns.both.example."), set("ns.both.example", "A", "127.0.0.1"), set("www.both.example", "A", "192.0.2.2"))
	fill(t, inBIND, "corp.example", set("corp.example", "NS", "ns.corp.example."), set("ns.corp.example", "A", "127.0.0.1"), set("corp.example", "RP", `olga\.b.corp.example. .`))

	settings, err := repo.ParseSettings("settings.yaml", []byte(fmt.Sprintf(`organisation: Fin Micro Ltd
domain: corp.example
providers:
  pdns: {type: powerdns, url: %q, api-key: 'env:INVENTORY_API', dns: %q}
  bind: {type: rfc2136, server: %q, key-name: %s, key-secret: 'env:INVENTORY_TSIG'}
zones:
  corp.example: {provider: bind}
  both.example: {provider: bind}
  gone.example: {provider: bind}
`, pdns.URL, pdns.Address, bind.Address, bind.TSIG.Name)))
	if err != nil {
		t.Fatal(err)
	}
	opened := catalog.New(catalog.Options{})
	var told []int
	inv, err := Take(t.Context(), Options{Settings: settings, Now: now, History: history(t), Progress: func(done, total int) { told = append(told, done, total) },
		Open: func(ctx context.Context, name string) (provider.Provider, error) {
			s := settings.Providers[name]
			return opened.Open(ctx, name, s.Type, s.Params)
		}})
	if err != nil {
		t.Fatal(err)
	}
	if len(told) != 8 || told[7] != 4 {
		t.Errorf("progress %v", told)
	}
	by := map[zone.Name]*Zone{}
	for _, z := range inv.Zones {
		by[z.Name] = z
	}
	if z := by["shop.example"]; z == nil || !reflect.DeepEqual(z.Providers, []string{"pdns"}) || len(z.Owners) == 0 || z.Owners[0].Owner != "web-team" {
		t.Errorf("shop: %+v", z)
	}
	if z := by["both.example"]; z == nil || !reflect.DeepEqual(z.Providers, []string{"bind", "pdns"}) || len(z.Problems) != 1 || !strings.Contains(z.Problems[0], "not the same") || z.Owners[0].Owner != "ana@corp.example" {
		t.Errorf("both: %+v", z)
	}
	if z := by["corp.example"]; z == nil || len(z.Owners) != 1 || z.Owners[0].Owner != "olga.b@corp.example" {
		t.Errorf("corp: %+v", z)
	}
	if z := by["gone.example"]; z == nil || len(z.Problems) != 1 {
		t.Errorf("gone: %+v", z)
	}

	// The repository is one that Slipway reads, and nothing secret is in it.
	files, _, err := inv.Files()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range files {
		for _, secret := range []string{pdns.APIKey.Reveal(), bind.TSIG.Secret.Reveal()} {
			if strings.Contains(string(content), secret) {
				t.Errorf("a credential stands in %s", name)
			}
		}
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	git(t, dir, "init", "-q")
	r, err := repo.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	tree, err := r.WorkTree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	made, err := tree.Settings(t.Context())
	if err != nil || !made.Zones["shop.example"].Unclassified || made.Zones["shop.example"].Visibility != "external" || !reflect.DeepEqual(made.Zones["both.example"].Providers, []string{"bind", "pdns"}) ||
		!reflect.DeepEqual(made.Providers, settings.Providers) {
		t.Errorf("settings %+v, %v\n%s", made, err, files["slipway.yaml"])
	}
	// What it says is what is served.
	sets, err := tree.Served(t.Context(), "shop.example")
	live, lerr := inPDNS.Read(t.Context(), "shop.example")
	if err != nil || lerr != nil || provider.Digest(live.WithTTLs(sets)) != live.Digest {
		t.Errorf("shop.example in the repository is not what is served: %v, %v, %v", sets, err, lerr)
	}
	gaps, err := Judge(t.Context(), r, tree, nil, now)
	if err != nil {
		t.Fatal(err)
	}
	gaps = append(gaps, inv.Gaps()...)
	Sort(gaps)
	var said []string
	for _, g := range gaps {
		said = append(said, string(g.Kind)+" "+string(g.Zone))
	}
	for _, want := range []string{"unread both.example", "unread gone.example", "mail shop.example", "dangling shop.example", "no-owner gone.example", "unclassified corp.example"} {
		if !slices.Contains(said, want) {
			t.Errorf("%q is not among the gaps %q", want, said)
		}
	}
	if !slices.IsSortedFunc(gaps, func(a, b Gap) int { return slices.Index(Kinds(), a.Kind) - slices.Index(Kinds(), b.Kind) }) {
		t.Errorf("not the most pressing first: %q", said)
	}
}

func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

// history is a repository of octoDNS in which Ana looked after both.example.
func history(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	git(t, dir, "init", "-q")
	for i, who := range []string{"ana", "ana", "bob", "ana"} {
		if err := os.WriteFile(filepath.Join(dir, "both.example.yaml"), []byte(fmt.Sprint(i)), 0o644); err != nil {
			t.Fatal(err)
		}
		git(t, dir, "add", "-A")
		at := now.Add(time.Duration(i-10) * 24 * time.Hour).Format(time.RFC3339)
		cmd := exec.Command("git", "-C", dir, "-c", "user.name="+who, "-c", "user.email="+who+"@corp.example", "commit", "-qm", "x")
		cmd.Env = append(os.Environ(), "GIT_COMMITTER_DATE="+at, "GIT_AUTHOR_DATE="+at)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	return dir
}

func TestPropose(t *testing.T) {
	z := &Zone{Name: "x.example", tags: map[string]string{"Owner": "Web Team", "cost-centre": "4711"}, Sets: []zone.RRSet{
		set("x.example", "TXT", `"contact: pia@x.example"`, `"v=spf1 -all"`), set("x.example", "RP", `hostmaster.x.example. .`),
		set("_dmarc.x.example", "TXT", `"v=DMARC1; p=none; rua=mailto:dmarc@x.example,mailto:r@vendor.example"`),
	}}
	var got []string
	for _, p := range propose(z, "x.example", map[string]int{"ana@x.example": 3, "bob@x.example": 1}) {
		got = append(got, p.Owner)
	}
	if want := []string{"web team", "hostmaster@x.example", "pia@x.example", "ana@x.example", "bob@x.example"}; !reflect.DeepEqual(got, want) {
		t.Errorf("%q", got)
	}
	if got := propose(&Zone{Name: "x.example"}, "x.example", nil); len(got) != 0 {
		t.Errorf("out of nothing: %v", got)
	}
}

func TestNamed(t *testing.T) {
	known := map[string]zone.Name{"x.example": "x.example", "2.0.192.in-addr.arpa": "2.0.192.in-addr.arpa"}
	for file, want := range map[string]zone.Name{
		"zones/x.example.yaml": "x.example", "db.x.example": "x.example", "X.example.zone": "x.example", "terraform/x.example/main.tf": "x.example",
		"x.example.": "x.example", "zones/2.0.192.in-addr.arpa.yaml": "2.0.192.in-addr.arpa", "y.example.yaml": "", "a.x.example.yaml": "", "": "",
	} {
		if got, _ := named(known, file); got != want {
			t.Errorf("%s: %q", file, got)
		}
	}
}

// A registry's answer, as RFC 9083 has it.
func TestRegistry(t *testing.T) {
	answer := map[string]any{
		"objectClassName": "domain", "ldhName": "finmicro.com", "status": []string{"active", "client transfer prohibited"},
		"secureDNS": map[string]any{"delegationSigned": true},
		"events":    []any{map[string]any{"eventAction": "registration", "eventDate": "2020-01-01T00:00:00Z"}, map[string]any{"eventAction": "expiration", "eventDate": "2026-07-20T00:00:00Z"}},
		"entities":  []any{map[string]any{"objectClassName": "entity", "handle": "292", "roles": []string{"registrar"}, "vcardArray": []any{"vcard", []any{[]any{"version", map[string]any{}, "text", "4.0"}, []any{"fn", map[string]any{}, "text", "Example Registrar"}}}}},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/domain/finmicro.com" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/rdap+json")
		json.NewEncoder(w).Encode(answer)
	}))
	defer server.Close()
	u, _ := url.Parse(server.URL)
	registry := &Registry{Server: u}
	z := &Zone{Name: "finmicro.com", Owners: []Proposal{{Owner: "x"}}}
	z.register(t.Context(), registry)
	want := &Registration{Registrar: "Example Registrar", Expires: time.Date(2026, 7, 20, 0, 0, 0, 0, time.UTC), Status: []string{"active", "client transfer prohibited"}, Signed: true}
	if !reflect.DeepEqual(z.Registry, want) {
		t.Errorf("%+v, %v", z.Registry, z.Problems)
	}
	inv := &Inventory{At: now, Zones: []*Zone{z}}
	if gaps := inv.Gaps(); len(gaps) != 1 || gaps[0].Kind != Expiring || !strings.Contains(gaps[0].Text, "in 18 days") {
		t.Errorf("%+v", gaps)
	}
	z.Registry.Status, z.Registry.Expires = nil, now.Add(-time.Hour)
	if gaps := inv.Gaps(); len(gaps) != 2 || !strings.Contains(gaps[0].Text, "expired") || gaps[1].Kind != Unlocked {
		t.Errorf("%+v", gaps)
	}
	for name, asked := range map[zone.Name]bool{"sub.finmicro.com": false, "other.com": true, "com": false, "2.0.192.in-addr.arpa": false} {
		z := &Zone{Name: name}
		z.register(t.Context(), registry)
		if (len(z.Problems) > 0) != asked || z.Registry != nil {
			t.Errorf("%s: %v", name, z.Problems)
		}
	}
}

// What people write into tags and records cannot get out of its place in slipway.yaml.
func FuzzSettings(f *testing.F) {
	f.Add("Fin Micro", "web-team", "us-east-1")
	f.Add("a: b\n# c", "x\n  y: z", "- \"'")
	f.Fuzz(func(t *testing.T, organisation, owner, region string) {
		inv := &Inventory{Organisation: organisation, Domain: "x.example", Providers: []Provider{{Name: "p", Type: "route53", params: map[string]string{"region": region}}},
			Zones: []*Zone{{Name: "x.example", Providers: []string{"p"}, Owners: []Proposal{{Owner: owner, Why: "a tag"}}}}}
		src, err := inv.settings()
		if err != nil {
			return
		}
		s, err := repo.ParseSettings("slipway.yaml", src)
		if err != nil {
			return // refused by Files, too
		}
		if len(s.Zones) != 1 || !s.Zones["x.example"].Unclassified || len(s.Providers) != 1 || len(s.Administrators) != 0 || len(s.Groups["infosec"].Members) != 0 {
			t.Fatalf("%s", src)
		}
	})
}
