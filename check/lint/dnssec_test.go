package lint

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"slipway/check/internal/scenario"
	"slipway/check/observe"
)

var update = flag.Bool("update", false, "write generated files anew")

const examplesPath = "dnssec_examples.go"

// signing is how an example zone is signed. Ed25519 signs the same text alike every time.
type signing struct {
	seed          byte // of the key
	dsSeed        byte // of the key that the parent names; 0: the same
	digest        uint8
	begins, ends  time.Duration // from now
	nsec3         string
	spoil         bool // the SOA after signing
	withoutSOASig bool
}

func (s signing) observed(t *testing.T) string {
	t.Helper()
	rr := func(format string, args ...any) dns.RR {
		r, err := dns.NewRR(fmt.Sprintf(format, args...))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	key := func(seed byte) (*dns.DNSKEY, ed25519.PrivateKey) {
		private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
		public := base64.StdEncoding.EncodeToString(private.Public().(ed25519.PublicKey))
		return rr("signed.example. 0 IN DNSKEY 257 3 15 %s", public).(*dns.DNSKEY), private
	}
	sign := func(k *dns.DNSKEY, private ed25519.PrivateKey, set []dns.RR) dns.RR {
		sig := &dns.RRSIG{
			Hdr: dns.RR_Header{Name: "signed.example.", Rrtype: dns.TypeRRSIG, Class: dns.ClassINET}, SignerName: "signed.example.",
			Algorithm: k.Algorithm, KeyTag: k.KeyTag(),
			Inception: uint32(scenario.Now.Add(s.begins).Unix()), Expiration: uint32(scenario.Now.Add(s.ends).Unix()),
		}
		if err := sig.Sign(private, set); err != nil {
			t.Fatal(err)
		}
		return sig
	}
	own, private := key(s.seed)
	named := own
	if s.dsSeed != 0 {
		named, _ = key(s.dsSeed)
	}
	soa := rr("signed.example. 0 IN SOA ns1.host.test. hostmaster.host.test. 1 3600 600 86400 300")
	soaSig := sign(own, private, []dns.RR{soa})
	if s.spoil {
		soa.(*dns.SOA).Serial++
	}
	lines := []string{
		"signed.example DS NOERROR", named.ToDS(s.digest).String(),
		"signed.example DNSKEY NOERROR", own.String(), sign(own, private, []dns.RR{own}).String(),
		"signed.example SOA NOERROR", soa.String(),
	}
	if !s.withoutSOASig {
		lines = append(lines, soaSig.String())
	}
	lines = append(lines, "signed.example NSEC3PARAM NOERROR")
	if s.nsec3 != "" {
		lines = append(lines, rr("signed.example. 0 IN NSEC3PARAM %s", s.nsec3).String())
	}
	for i, l := range lines {
		lines[i] = strings.Join(strings.Fields(l), " ")
	}
	return observed(lines...)
}

const day = 24 * time.Hour

var exampleZones = []struct {
	name    string
	signing signing
}{
	{"soundSignatures", signing{seed: 1, digest: dns.SHA256, begins: -5 * day, ends: 9 * day, nsec3: "1 0 0 -"}},
	{"brokenSignatures", signing{seed: 1, dsSeed: 2, digest: dns.SHA256, begins: -5 * day, ends: 9 * day}},
	{"endingSignatures", signing{seed: 1, digest: dns.SHA256, begins: -13 * day, ends: day}},
	{"weakSignatures", signing{seed: 1, digest: dns.SHA1, begins: -5 * day, ends: 9 * day, nsec3: "1 0 10 aabb"}},
}

// The signed zones of the examples are what their keys sign; -update writes them.
func TestDNSSECExamples(t *testing.T) {
	var out bytes.Buffer
	out.WriteString("package lint\n\n// Signed zones for the examples of the DNSSEC rules. TestDNSSECExamples writes them.\nconst (\n")
	for _, z := range exampleZones {
		fmt.Fprintf(&out, "\t%s = `%s`\n", z.name, z.signing.observed(t))
	}
	out.WriteString(")\n")
	golden(t, examplesPath, out.Bytes())
}

func golden(t *testing.T, path string, want []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Errorf("%s is not what is generated now; run the test with -update", path)
	}
}

func TestDelegation(t *testing.T) {
	sound := exampleZones[0].signing
	for _, c := range []struct {
		name   string
		change func(*signing)
		broken string
		soon   bool
	}{
		{"sound", func(*signing) {}, "", false},
		{"with SHA-384 at the parent", func(s *signing) { s.digest = dns.SHA384 }, "", false},
		{"another key at the parent", func(s *signing) { s.dsSeed = 9 }, "no DS record", false},
		{"ended", func(s *signing) { s.ends = -day }, "the signature ended on 2026-09-30 over the keys", false},
		{"not begun", func(s *signing) { s.begins = day }, "begins only on 2026-10-02", false},
		{"spoilt", func(s *signing) { s.spoil = true }, "the signature is wrong over the SOA", false},
		{"unsigned SOA", func(s *signing) { s.withoutSOASig = true }, "no signature of a trusted key over the SOA", false},
		{"ends tomorrow of a fortnight", func(s *signing) { s.begins, s.ends = -13*day, day }, "", true},
		{"ends tomorrow of two days", func(s *signing) { s.begins, s.ends = -day, day }, "", false},
		{"ends in ten days of a year", func(s *signing) { s.begins, s.ends = -355*day, 10*day }, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := sound
			c.change(&s)
			_, _, seen := split(t, s.observed(t))
			answers := map[string]observe.Answer{}
			for _, a := range seen.Answers {
				answers[a.Type] = a
			}
			d := newDelegation("signed.example", answers, scenario.Now)
			if (d.broken == "") != (c.broken == "") || !strings.Contains(d.broken, c.broken) {
				t.Errorf("broken: %q, want %q", d.broken, c.broken)
			}
			if d.soon(scenario.Now) != c.soon {
				t.Errorf("ends soon: %v, from %v to %v", !c.soon, d.begins, d.ends)
			}
		})
	}
}

// Whatever servers say, looking at it does not fail, and what cannot be verified does not pass.
func FuzzDelegation(f *testing.F) {
	for _, s := range []string{soundSignatures, brokenSignatures, weakSignatures} {
		var ds, key, soa string
		for line := range strings.Lines(s) {
			switch {
			case strings.Contains(line, " IN DS "):
				ds = strings.TrimSpace(line)
			case strings.Contains(line, "DNSKEY 257"):
				key = strings.TrimSpace(line)
			case strings.Contains(line, "RRSIG SOA"):
				soa = strings.TrimSpace(line)
			}
		}
		f.Add(ds, key, soa)
	}
	f.Add("signed.example. DS 0 5 1 00", "signed.example. DNSKEY 257 3 5 AAAA", "signed.example. RRSIG SOA 5 2 0 20261010120000 20260926120000 0 . AAAA")
	f.Fuzz(func(t *testing.T, ds, key, sig string) {
		const soa = "signed.example. 0 IN SOA ns1.host.test. hostmaster.host.test. 2 3600 600 86400 300" // signed by none of the seeds
		answers := map[string]observe.Answer{
			"DS": {Records: []string{ds}}, "DNSKEY": {Records: []string{key, sig}}, "SOA": {Records: []string{soa, sig}},
		}
		d := newDelegation("signed.example", answers, scenario.Now)
		d.weak()
		if len(d.ds) > 0 && len(d.keys) > 0 && d.broken == "" {
			t.Errorf("%q, %q and %q pass for a sound zone", ds, key, sig)
		}
	})
}
