package lint

import (
	"bytes"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"

	"slipway/change"
	"slipway/check/finding"
	"slipway/check/internal/scenario"
	"slipway/check/observe"
	"slipway/repo"
	"slipway/starter"
	"slipway/zone"
)

func world(tb testing.TB) *scenario.World {
	tb.Helper()
	src, err := os.ReadFile("testdata/base.txtar")
	if err != nil {
		tb.Fatal(err)
	}
	return scenario.New(tb, src)
}

// judge runs lint on what an archive changes, as asked for by somebody.
func judge(t *testing.T, w *scenario.World, requester, archive string) []finding.Finding {
	t.Helper()
	archive, before, seen := split(t, archive)
	if before != "" {
		base := w.Head(t, []byte(before))
		w = &scenario.World{Repo: w.Repo, Base: base}
	}
	head := w.Head(t, []byte(archive))
	c, err := change.Compute(t.Context(), w.Repo, w.Base, head)
	if err != nil {
		t.Fatalf("%v\n%s", err, archive)
	}
	settings, err := w.Base.Settings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found, err := Run(t.Context(), Input{
		Change: c, Base: w.Base, Head: head, Settings: settings, Observed: replay(seen),
		Requester: requester, Groups: settings.GroupsOf(requester), AsOf: scenario.Now,
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, archive)
	}
	return found
}

// notOfApex leaves out what is found because an example does not repeat the base's apex.
func notOfApex(found []finding.Finding) []finding.Finding {
	return slices.DeleteFunc(found, func(f finding.Finding) bool { return f.Rule == "caa-missing" })
}

func replay(seen *observe.Set) *observe.Log {
	if seen == nil {
		return nil
	}
	return observe.Replay(seen)
}

// split takes an example apart: the files that change, those in force before under in-force/, and
// what is seen outside.
func split(t *testing.T, archive string) (change, before string, seen *observe.Set) {
	t.Helper()
	parts := txtar.Parse([]byte(archive))
	var after, force txtar.Archive
	for _, f := range parts.Files {
		if name, ok := strings.CutPrefix(f.Name, "in-force/"); ok {
			force.Files = append(force.Files, txtar.File{Name: name, Data: f.Data})
		} else if f.Name == observations {
			seen = readObserved(t, string(f.Data))
		} else {
			after.Files = append(after.Files, f)
		}
	}
	return string(txtar.Format(&after)), string(txtar.Format(&force)), seen
}

// readObserved reads the observations of an example: a line "name type status", with a server if it was asked itself, begins an answer, and a
// line that begins with a name with its final dot is one of its records. A line "URL GET status type" begins a page,
// and lines that begin with a bar are its text.
func readObserved(t *testing.T, src string) *observe.Set {
	t.Helper()
	set := observe.Set{At: scenario.Now, Resolver: "192.0.2.53:53"}
	for line := range strings.Lines(src) {
		line = strings.TrimSpace(line)
		words := strings.Fields(line)
		switch n := len(set.Answers); {
		case line == "":
		case strings.HasPrefix(line, "https://"):
			set.Pages = append(set.Pages, observe.Page{URL: words[0], Status: words[2], Type: strings.Join(words[3:], " ")})
		case words[0] == "|":
			page := &set.Pages[len(set.Pages)-1]
			page.Body = append(page.Body, strings.TrimPrefix(strings.TrimPrefix(line, "|"), " ")+"\n"...)
		case !strings.HasSuffix(words[0], "."):
			a := observe.Answer{Name: zone.Name(words[0]), Type: words[1], Status: words[2]}
			if len(words) == 4 {
				a.Server = zone.Name(words[3])
			}
			set.Answers = append(set.Answers, a)
		default:
			set.Answers[n-1].Records = append(set.Answers[n-1].Records, line)
		}
	}
	read, err := observe.Read("example", bytes.NewReader(set.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	return read
}

const (
	ana  = "ana@finmicro.example"  // of no group
	omar = "omar@finmicro.example" // of platform-ops
)

// Every rule finds its bad example and not its good one, says where, and has
// something to say.
func TestExamples(t *testing.T) {
	w := world(t)
	seen := map[string]bool{}
	for _, r := range Rules() {
		t.Run(r.ID, func(t *testing.T) {
			if seen[r.ID] {
				t.Error("two rules have this ID")
			}
			seen[r.ID] = true
			if r.Title == "" || r.Why == "" || r.Help == "" || len(r.Controls) == 0 {
				t.Error("a rule needs a title, a reason, help and controls")
			}
			who := omar
			if slices.Contains([]string{"restricted-type", "app-record-outside-hostname", "app-takes-platform-record"}, r.ID) {
				who = ana
			}
			of := func(found []finding.Finding) []finding.Finding {
				return slices.DeleteFunc(found, func(f finding.Finding) bool { return f.Rule != r.ID })
			}
			bad := of(judge(t, w, who, r.Bad))
			if len(bad) == 0 {
				t.Error("the bad example is not found")
			}
			for _, f := range bad {
				if f.Path == "" || f.Line == 0 || f.Severity != r.Severity || f.Help == "" || !strings.HasSuffix(f.Message, ".") {
					t.Errorf("incomplete: %+v", f)
				}
			}
			if good := of(judge(t, w, who, r.Good)); len(good) > 0 {
				t.Errorf("false alarm on the good example: %+v", good)
			}
		})
	}
}

// What the examples do not show: corners where a rule must speak or be silent.
func TestCorners(t *testing.T) {
	const zones = "-- zones/finmicro.example.yaml --\n"
	w := world(t)
	for _, c := range []struct {
		name, who, archive string
		rules              []string // sorted
	}{
		{name: "nothing wrong", archive: zones + "www: {type: A, ttl: 300, value: 9.9.9.8}\nshop: {type: A, ttl: 300, value: 9.9.9.10}\n'':\n  - {type: A, ttl: 300, value: 9.9.9.9}\n  - {type: CAA, ttl: 3600, value: {flags: 0, tag: issue, value: ca.finmicro.example}}\n"},
		{name: "private addresses inside", archive: "-- zones/apps.finmicro.example.yaml --\nmenu: {type: A, ttl: 300, values: [10.1.2.3, 127.0.0.1, 192.0.2.1]}\n"},
		{name: "IPv6", archive: zones + "shop: {type: AAAA, ttl: 300, values: ['fd00::1', 'fe80::1', '::1', '2620:fe::fe', '2001:db8::1']}\n", rules: []string{"address-for-examples", "private-address-in-external-zone", "private-address-in-external-zone", "private-address-in-external-zone"}},
		{name: "IPv4 in IPv6", archive: zones + "shop: {type: AAAA, ttl: 300, value: '::ffff:10.0.0.1'}\n", rules: []string{"private-address-in-external-zone"}},
		{name: "carrier network", archive: zones + "shop: {type: A, ttl: 300, value: 100.64.0.1}\n", rules: []string{"private-address-in-external-zone"}},
		{name: "a wildcard answers a target", archive: zones + "'*.t': {type: A, ttl: 300, value: 9.9.9.10}\nshop: {type: CNAME, ttl: 300, value: any.t.finmicro.example.}\n", rules: []string{"wildcard"}},
		{name: "the closest encloser stops a wildcard", archive: zones + "'*.t': {type: A, ttl: 300, value: 9.9.9.10}\nx.t: {type: A, ttl: 300, value: 9.9.9.10}\nshop: {type: CNAME, ttl: 300, value: any.x.t.finmicro.example.}\n", rules: []string{"dangling-target", "wildcard"}},
		{name: "a target below a delegation", archive: zones + "lab: {type: NS, ttl: 3600, value: ns1.host.test.}\nshop: {type: CNAME, ttl: 300, value: x.lab.finmicro.example.}\n"},
		{name: "a target that an app serves", archive: zones + "shop: {type: CNAME, ttl: 300, value: front.finmicro.example.}\n-- apps/front.yaml --\n" + strings.ReplaceAll(strings.SplitAfterN(complete, "\n", 2)[1], "shop.", "front.")},
		{name: "removed while pointed at by an app's absence", archive: zones + "blog: {type: MX, ttl: 300, value: {preference: 10, exchange: www.finmicro.example.}}\n", rules: []string{"dangling-target", "still-pointed-at"}},
		{name: "becoming an alias under an MX", archive: zones + "www: {type: CNAME, ttl: 300, value: x.host.test.}\nblog: {type: MX, ttl: 300, value: {preference: 10, exchange: www.finmicro.example.}}\n", rules: []string{"target-is-cname", "target-is-cname"}},
		{name: "null MX", archive: zones + "blog: {type: MX, ttl: 300, value: {preference: 0, exchange: .}}\n"},
		{name: "glue is served", archive: zones + "lab: {type: NS, ttl: 3600, value: ns1.lab.finmicro.example.}\nns1.lab: {type: A, ttl: 3600, value: 9.9.9.53}\n"},
		{name: "below a delegation", archive: zones + "lab: {type: NS, ttl: 3600, value: ns1.host.test.}\nx.lab: {type: A, ttl: 3600, value: 9.9.9.53}\n", rules: []string{"never-served"}},
		{name: "delegating to a zone of ours", archive: zones + "apps: {type: NS, ttl: 172800, value: ns1.host.test.}\n"},
		{name: "TTL of zero", archive: zones + "shop: {type: A, ttl: 0, value: 9.9.9.10}\n", rules: []string{"ttl-out-of-bounds"}},
		{name: "TTL of a type", archive: "-- in-force/slipway.yaml --\ndomain: finmicro.example\nrestricted-types: {}\nzones:\n  finmicro.example: {visibility: external}\nttl: {min: 60, max: 86400, types: {MX: {min: 3600, max: 7200}, NS: {max: 3600}}}\n" + zones +
			"shop: {type: MX, ttl: 300, value: {preference: 0, exchange: .}}\nmail: {type: MX, ttl: 3600, value: {preference: 0, exchange: .}}\nlab: {type: NS, ttl: 7200, value: ns1.host.test.}\n", rules: []string{"ttl-out-of-bounds", "ttl-out-of-bounds"}},
		{name: "glue that differs from the zone's own", archive: "-- in-force/slipway.yaml --\ndomain: finmicro.example\nrestricted-types: {}\nzones:\n  finmicro.example: {visibility: external}\n  lab.finmicro.example: {visibility: external}\n" + zones +
			"lab: {type: NS, ttl: 3600, value: ns1.lab.finmicro.example.}\nns1.lab: {type: A, ttl: 3600, value: 9.9.9.53}\n-- zones/lab.finmicro.example.yaml --\n'': {type: NS, ttl: 3600, value: ns1.lab.finmicro.example.}\nns1: {type: A, ttl: 3600, value: 9.9.9.54}\n", rules: []string{"delegation-inconsistent"}},
		{name: "long TTL", archive: zones + "shop: {type: A, ttl: 86401, value: 9.9.9.10}\n", rules: []string{"ttl-out-of-bounds"}},
		{name: "no mail is signed", archive: zones + "'*._domainkey': {type: TXT, ttl: 300, value: 'v=DKIM1\\; p='}\n"},
		{name: "a provider's TTL", archive: zones + "shop: {type: Route53Provider/ALIAS, ttl: 942942942, value: {name: x, type: A}}\n"},
		{name: "ADSP is no key", archive: zones + "_adsp._domainkey: {type: TXT, ttl: 300, value: dkim=all}\n"},
		{name: "four aliases in a row", archive: zones + "a: {type: CNAME, ttl: 300, value: b.finmicro.example.}\nb: {type: CNAME, ttl: 300, value: c.finmicro.example.}\nc: {type: CNAME, ttl: 300, value: d.finmicro.example.}\nd: {type: CNAME, ttl: 300, value: www.host.test.}\n"},
		{name: "an alias of itself", archive: zones + "a: {type: CNAME, ttl: 300, value: a.finmicro.example.}\n", rules: []string{"alias-loop"}},
		{name: "CAA that forbids all", archive: zones + "shop: {type: CAA, ttl: 3600, value: {flags: 0, tag: issue, value: ;}}\n"},
		{name: "CAA iodef", archive: zones + "shop: {type: CAA, ttl: 3600, value: {flags: 0, tag: iodef, value: 'mailto:x@other.example'}}\n"},
		{name: "a restricted type removed", who: ana, archive: zones + "www: {type: A, ttl: 300, value: 9.9.9.8}\n'': {type: A, ttl: 300, value: 9.9.9.9}\n", rules: []string{"restricted-type"}},
		{name: "nobody recorded", who: "-", archive: zones + "www: {type: A, ttl: 300, value: 9.9.9.8}\nx: {type: TXT, ttl: 300, value: x}\n", rules: []string{"restricted-type", "restricted-type"}},
		{name: "names that no other customer can have, or that need a proof", archive: zones + "a: {type: CNAME, ttl: 300, value: d111111abcdef8.cloudfront.net.}\nb: {type: CNAME, ttl: 300, value: shop-fug4hfanetgdf6cz.z01.azurefd.net.}\nc: {type: CNAME, ttl: 300, value: shop-a6gqaeashthkhkeu.uksouth-01.azurewebsites.net.}\n"},
		{name: "names that any customer can have", archive: zones + "b: {type: CNAME, ttl: 300, value: shop.azurefd.net.}\nc: {type: CNAME, ttl: 300, value: shop.azurewebsites.net.}\n", rules: []string{"takeover-risk", "takeover-risk"}},
		{name: "S3 is claimable, EC2 is not", archive: zones + "a: {type: CNAME, ttl: 300, value: shop.s3.eu-west-1.amazonaws.com.}\nb: {type: CNAME, ttl: 300, value: ec2-9-9-9-9.eu-west-1.compute.amazonaws.com.}\n", rules: []string{"takeover-risk"}},
		{name: "none and some data", archive: strings.Replace(complete, "[none]", "[none, pii]", 1), rules: []string{"app-data-missing"}},
		{name: "an app in an internal zone that says external", archive: "-- apps/x.yaml --\nhostname: x.apps.finmicro.example\nrecords: [{name: x.apps.finmicro.example, type: A, ttl: 300, values: [10.0.0.1]}]\n" + withOwner + withPurpose + withExposure + withData + withExpiry, rules: []string{"app-exposure-mismatch"}},
		{name: "a file that is no business of lint", archive: "-- README.md --\nx\n"},
		{name: "the last day", archive: strings.Replace(complete, "2027-01-31", "2026-09-30", 1)},
		{name: "the day before", archive: strings.Replace(complete, "2027-01-31", "2026-09-29", 1), rules: []string{"app-expired"}},
		{name: "malformed in many ways", archive: zones + "a: {type: AAAA, ttl: 300, value: 9.9.9.9}\nb: {type: MX, ttl: 300, value: {preference: 10, exchange: 'a..b.'}}\n", rules: []string{"malformed-value", "malformed-value"}},
		{name: "SPF through our own zones", archive: zones + "a: {type: TXT, ttl: 300, value: 'v=spf1 include:b.finmicro.example include:1.test include:2.test include:3.test include:4.test -all'}\nb: {type: TXT, ttl: 300, value: 'v=spf1 include:a.finmicro.example a mx exists:x.test a:y.test mx:z.test -all'}\n", rules: []string{"spf-broken-include", "spf-broken-include", "spf-too-many-lookups", "spf-too-many-lookups"}},
		{name: "two DMARC records", archive: zones + "_dmarc.x: {type: TXT, ttl: 300, values: ['v=DMARC1\\; p=reject', 'v=DMARC1\\; p=quarantine']}\n", rules: []string{"dmarc-invalid"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			who := c.who
			switch who {
			case "":
				who = omar
			case "-":
				who = ""
			}
			var got []string
			for _, f := range notOfApex(judge(t, w, who, c.archive)) {
				got = append(got, f.Rule)
			}
			slices.Sort(got)
			if !slices.Equal(got, c.rules) {
				t.Errorf("got %q, want %q", got, c.rules)
			}
		})
	}
}

// Findings are of what the change edits, not of what was there before.
func TestOnlyTheChange(t *testing.T) {
	w := scenario.New(t, []byte("-- slipway.yaml --\ndomain: finmicro.example\nzones:\n  finmicro.example: {visibility: external}\n-- zones/finmicro.example.yaml --\nold: {type: A, ttl: 5, value: 10.0.0.1}\n"))
	found := judge(t, w, omar, "-- zones/finmicro.example.yaml --\n# a comment\nnew: {type: A, ttl: 300, value: 9.9.9.9}\nold: {type: A, ttl: 5, value: 10.0.0.1}\n")
	if len(found) > 0 {
		t.Errorf("got %+v", found)
	}
}

// Run works before the first commit, when there is no base.
func TestFirstCommit(t *testing.T) {
	w := world(t)
	c, err := change.Compute(t.Context(), w.Repo, nil, w.Base)
	if err != nil {
		t.Fatal(err)
	}
	found, err := Run(t.Context(), Input{Change: c, Head: w.Base, Settings: &repo.Settings{}, AsOf: scenario.Now})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(found, func(f finding.Finding) bool { return f.Rule == "zone-undeclared" }) {
		t.Errorf("got %+v", found)
	}
}

// The kit that a new organisation begins with has nothing that would stop it.
func TestStarterKit(t *testing.T) {
	kit, err := starter.Kit(starter.Sample())
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{}
	err = fs.WalkDir(kit, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		src, err := fs.ReadFile(kit, name)
		files[name] = &fstest.MapFile{Data: src, Mode: 0o644}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	w := scenario.FromFiles(t, files)
	settings, err := w.Base.Settings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := change.Compute(t.Context(), w.Repo, nil, w.Base)
	if err != nil {
		t.Fatal(err)
	}
	found, err := Run(t.Context(), Input{Change: c, Head: w.Base, Settings: settings, Requester: omar, Groups: settings.GroupsOf(omar), AsOf: scenario.Now})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if f.Severity == finding.Deny {
			t.Errorf("%s:%d: %s %s", f.Path, f.Line, f.Rule, f.Message)
		}
	}
}
