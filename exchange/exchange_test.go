package exchange

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/zone"
)

const realZonesDir = "../../shared/data/octodns-zones"

// realZones are the real zones that lie beside the checkout, as one would export them.
func realZones(t testing.TB) []Zone {
	t.Helper()
	if _, err := os.Stat(realZonesDir); err != nil {
		t.Skip("the real zones are not beside the checkout")
	}
	dir := t.TempDir()
	files, err := filepath.Glob(filepath.Join(realZonesDir, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(f) == "octodns.yaml" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(f)), src, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r, err := ReadOctoDNS(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d zones, %d losses in reading", len(r.Zones), len(r.Losses))
	return r.Zones
}

// sample has one of every type that octoDNS documents.
func sample(t testing.TB) []Zone {
	t.Helper()
	z := Zone{Name: "example.org"}
	for _, r := range []struct {
		name, typ string
		ttl       int
		values    []string
	}{
		{"example.org", "NS", 3600, []string{"ns1.example.org.", "ns2.example.net."}},
		{"example.org", "MX", 300, []string{"10 mail.example.org.", "20 mail.example.net."}},
		{"example.org", "CAA", 300, []string{`0 issue "ca.example; a=b"`, `128 iodef "mailto:s@example.org"`}},
		{"example.org", "TXT", 300, []string{`"v=spf1 -all"`, `"quote \" backslash \\ ${path.module} %{if true}"`, zone.QuoteText(strings.Repeat("long ", 100))}},
		{"ns1.example.org", "A", 300, []string{"192.0.2.1"}},
		{"mail.example.org", "A", 300, []string{"192.0.2.2", "192.0.2.3"}},
		{"mail.example.org", "AAAA", 300, []string{"2001:db8::1"}},
		{"www.example.org", "CNAME", 60, []string{"example.net."}},
		{"old.example.org", "DNAME", 60, []string{"new.example.net."}},
		{"*.wild.example.org", "A", 300, []string{"192.0.2.4"}},
		{"sub.example.org", "NS", 300, []string{"ns.sub.example.net."}},
		{"sub.example.org", "DS", 300, []string{"60485 13 2 d4b7d520e7bb5f0f67674a0cceb1e3e0614b93c4f9e99b8383f6a1e4469da50a"}},
		{"_sip._tcp.example.org", "SRV", 300, []string{"10 60 5060 sip.example.org."}},
		{"n.example.org", "NAPTR", 300, []string{`100 50 "S" "SIP+D2U" "!^.*$!sip:a@b!" _sip._udp.example.org.`}},
		{"h.example.org", "SSHFP", 300, []string{"4 2 a87f1b687ac0e57d2a081a2f282672334d90ed316d2b818ca9580ea384d92401"}},
		{"_443._tcp.www.example.org", "TLSA", 300, []string{"3 1 1 0d6fce3eb26e61ecd3cf0dbc2d8c2f9d2a5c7e7e1f1b9a3f5c0f3b2f6d9e8a71"}},
		{"svc.example.org", "HTTPS", 300, []string{`1 . alpn="h2,h3" port="8443"`}},
		{"loc.example.org", "LOC", 300, []string{"51 30 12.748 N 0 7 39.611 W 0m 1m 10m 10m"}},
		{"p.example.org", "PTR", 300, []string{"host.example.net."}},
	} {
		set, err := zone.NewRRSet(zone.Name(r.name), r.typ, r.ttl, r.values)
		if err != nil {
			t.Fatal(err)
		}
		z.Sets = append(z.Sets, set)
	}
	slices.SortFunc(z.Sets, bySet)
	return []Zone{z}
}

// back writes the files to a folder and returns it.
func back(t testing.TB, files []File) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "out")
	if err := WriteFiles(dir, files, false); err != nil {
		t.Fatal(err)
	}
	return dir
}

// roundTrips are all formats: how zones get there and back, and the sets that survive.
var roundTrips = []struct {
	name  string
	write func([]Zone) ([]File, []Loss, error)
	read  func(dir string) (*Result, error)
	keeps func(zone.RRSet) bool // nil: everything
}{
	{"bind", func(z []Zone) ([]File, []Loss, error) {
		return WriteBIND(z, BINDOptions{Now: time.Unix(1770000000, 0), DefaultTTL: 3600})
	}, func(dir string) (*Result, error) { return ReadBIND(dir, "") }, nil},
	{"octodns", WriteOctoDNS, ReadOctoDNS, nil},
	{"dnscontrol", WriteDNSControl, func(dir string) (*Result, error) { return ReadDNSControl(filepath.Join(dir, "dnscontrol.json")) },
		func(r zone.RRSet) bool { return r.InDNS() && r.Extra == "" }},
	{"route53", func(z []Zone) ([]File, []Loss, error) { return WriteTerraform(z, "route53") },
		func(dir string) (*Result, error) { return ReadTerraform(filepath.Join(dir, "zones.tf.json"), "") },
		func(r zone.RRSet) bool { return r.InDNS() && r.Extra == "" }},
	{"google", func(z []Zone) ([]File, []Loss, error) { return WriteTerraform(z, "google") },
		func(dir string) (*Result, error) { return ReadTerraform(filepath.Join(dir, "zones.tf.json"), "") },
		func(r zone.RRSet) bool { return r.InDNS() && r.Extra == "" }},
}

// TestRoundTrip takes zones out and in again: what is not the same must have been named as a loss.
func TestRoundTrip(t *testing.T) {
	for _, tt := range roundTrips {
		for source, zones := range map[string]func(testing.TB) []Zone{"sample": sample, "real": realZones} {
			t.Run(tt.name+"/"+source, func(t *testing.T) {
				want := zones(t)
				files, losses, err := tt.write(want)
				if err != nil {
					t.Fatal(err)
				}
				got, err := tt.read(back(t, files))
				if err != nil {
					t.Fatal(err)
				}
				if len(got.Losses) > 0 {
					t.Errorf("lost on the way back: %v", got.Losses[:min(5, len(got.Losses))])
				}
				if len(got.Zones) != len(want) {
					t.Fatalf("%d zones became %d", len(want), len(got.Zones))
				}
				kept := 0
				for i, z := range want {
					for _, r := range z.Sets {
						j := slices.IndexFunc(got.Zones[i].Sets, func(o zone.RRSet) bool { return o.Key() == r.Key() })
						named := slices.ContainsFunc(losses, func(l Loss) bool { return l.Record == label(r) && l.Zone == z.Name })
						switch {
						case j >= 0 && same(got.Zones[i].Sets[j], r):
							kept++
						case !named:
							t.Errorf("%s is lost in silence: %+v", label(r), r)
						case tt.keeps == nil || tt.keeps(r):
							if r.TTL != zone.NoTTL && r.Validate() == nil {
								t.Errorf("%s should survive; %+v", label(r), r)
							}
						}
					}
				}
				t.Logf("%d record sets survived, %d losses named", kept, len(losses))
			})
		}
	}
}

// same compares what a round trip keeps: a zone file has a TTL on every record.
func same(got, want zone.RRSet) bool {
	if want.TTL == zone.NoTTL {
		got.TTL = zone.NoTTL
	}
	if want.Type == aliasType {
		// octoDNS leaves out what is the default.
		got.Values, want.Values = wholeAliases(got.Values), wholeAliases(want.Values)
	}
	return got.Equal(want)
}

func wholeAliases(values []string) []string {
	out := []string{}
	for _, v := range values {
		a := route53Alias{Type: "A"}
		if err := json.Unmarshal([]byte(v), &a); err != nil {
			panic(err)
		}
		whole, err := json.Marshal(a)
		if err != nil {
			panic(err)
		}
		out = append(out, string(whole))
	}
	slices.Sort(out)
	return out
}

// TestNamedCheckzone has BIND's own checker read every zone file that is written.
func TestNamedCheckzone(t *testing.T) {
	checker, err := exec.LookPath("named-checkzone")
	if err != nil {
		t.Skip("named-checkzone (Debian's bind9-utils) is not installed")
	}
	zones := append(sample(t), realZones(t)...)
	files, _, err := WriteBIND(zones, BINDOptions{Now: time.Unix(1770000000, 0), DefaultTTL: 3600})
	if err != nil {
		t.Fatal(err)
	}
	dir := back(t, files)
	for i, f := range files {
		// Whether other zones' servers answer (-i) and how hosts are called (-k) is not about the form.
		out, err := exec.Command(checker, "-i", "none", "-k", "ignore", "-D", "-o", os.DevNull, string(zones[i].Name), filepath.Join(dir, f.Name)).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", f.Name, err, out)
		}
	}
	t.Logf("named-checkzone accepts %d zone files", len(files))
}

func TestOriginOf(t *testing.T) {
	for _, tt := range []struct{ src, base, want string }{
		{"$ORIGIN example.org.\n@ IN SOA a. b. 1 2 3 4 5\n", "x", "example.org"},
		{"; a comment\nexample.org. 300 IN SOA a. b. 1 2 3 4 5\n", "x", "example.org"},
		{"$ORIGIN org.\nexample IN SOA a. b. (1 2 3 4 5)\n", "x", "example.org"},
		{"$TTL 1\n@ IN SOA a. b. 1 2 3 4 5\n", "db.example.org", "example.org"},
		{"$TTL 1\n  IN SOA a. b. 1 2 3 4 5\n", "example.org.zone", "example.org"},
		{"zone \"example.org\" { type master; };\n", "named.conf", ""},
		{"", "README.md", ""},
	} {
		if got := originOf([]byte(tt.src), tt.base); string(got) != tt.want {
			t.Errorf("originOf(%q, %q) = %q, want %q", tt.src, tt.base, got, tt.want)
		}
	}
}

// TestHostileNames shows that no zone's name leads out of the folder.
func TestHostileNames(t *testing.T) {
	for _, name := range []zone.Name{"../../etc/cron.d/x", "a/b.example", `a\b.example`, ".hidden.example", ".", ""} {
		for _, write := range []func([]Zone) ([]File, []Loss, error){WriteOctoDNS, roundTrips[0].write} {
			if files, _, err := write([]Zone{{Name: name}}); err == nil {
				t.Errorf("zone %q becomes the file %q", name, files[0].Name)
			}
		}
	}
	if err := WriteFiles(t.TempDir(), []File{{Name: "../x"}}, true); err == nil {
		t.Error("a file outside the folder is written")
	}
}

func TestWriteFilesDoesNotOverwrite(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, "b.yaml")
	if err := os.WriteFile(old, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	files := []File{{"a.yaml", []byte("new")}, {"b.yaml", []byte("new")}}
	var exists *Exists
	if err := WriteFiles(dir, files, false); !errors.As(err, &exists) || len(exists.Paths) != 1 {
		t.Fatalf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "a.yaml")); err == nil {
		t.Error("a file was written though another could not be")
	}
	if err := WriteFiles(dir, files, true); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(old); !bytes.Equal(got, []byte("new")) {
		t.Error("force does not overwrite")
	}
}

// TestTerraformEvaluatesNothing looks at every text of the configuration as Terraform would.
func TestTerraformEvaluatesNothing(t *testing.T) {
	for _, p := range TerraformProviders() {
		files, _, err := WriteTerraform(sample(t), p)
		if err != nil {
			t.Fatal(err)
		}
		src := string(files[0].Content)
		for rest := src; ; {
			i := strings.Index(rest, "${")
			if i < 0 {
				break
			}
			ours := strings.HasPrefix(rest[i:], "${aws_route53_zone.z_") || strings.HasPrefix(rest[i:], "${google_dns_managed_zone.z_")
			if !ours && (i == 0 || rest[i-1] != '$') {
				t.Errorf("%s: %.60q is evaluated", p, rest[i:])
			}
			rest = rest[i+2:]
		}
		if strings.Contains(strings.ReplaceAll(src, "%%{", ""), "%{") {
			t.Errorf("%s: a directive is evaluated", p)
		}
	}
	if _, _, err := WriteTerraform(nil, "nobody"); err == nil {
		t.Error("an unknown provider is accepted")
	}
}
