package nameserver_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"slipway/nameserver"
	"slipway/zone"
)

// signatures checks every set of a section against the zone's keys and returns how
// many were checked.
func signatures(t *testing.T, keys []dns.RR, section []dns.RR) int {
	t.Helper()
	type id struct {
		name string
		t    uint16
	}
	sets := map[id][]dns.RR{}
	for _, rr := range section {
		if h := rr.Header(); h.Rrtype != dns.TypeRRSIG && h.Rrtype != dns.TypeOPT {
			sets[id{h.Name, h.Rrtype}] = append(sets[id{h.Name, h.Rrtype}], rr)
		}
	}
	for at, set := range sets {
		valid := false
		for _, rr := range section {
			sig, ok := rr.(*dns.RRSIG)
			if !ok || sig.TypeCovered != at.t || sig.Hdr.Name != at.name || !sig.ValidityPeriod(time.Now()) {
				continue
			}
			for _, key := range keys {
				if k := key.(*dns.DNSKEY); k.KeyTag() == sig.KeyTag && sig.Verify(k, set) == nil {
					valid = true
				}
			}
		}
		if !valid {
			t.Errorf("%s %s has no valid signature", at.name, dns.TypeToString[at.t])
		}
	}
	return len(sets)
}

func dnskeys(t *testing.T, server, z string) []dns.RR {
	t.Helper()
	var keys []dns.RR
	m := exchange(t, "udp", server, z, dns.TypeDNSKEY, true)
	for _, rr := range m.Answer {
		if k, ok := rr.(*dns.DNSKEY); ok {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		t.Fatalf("zone %s has no DNSKEY:\n%s", z, m)
	}
	signatures(t, keys, m.Answer)
	return keys
}

func TestSignedZone(t *testing.T) {
	const z = zone.Name("apps.finmicro.example")
	w := newWorld(t, nameserver.Zone{Name: z, Signed: true}, nameserver.Zone{Name: "plain.example"})
	w.write(z, fmt.Sprintf(apps, 7))
	w.write("plain.example", minimal("plain.example", 1, "a A 192.0.2.1\n"))
	w.start()
	keys := dnskeys(t, w.Internal(), z.FQDN())

	for _, tt := range []struct {
		name     string
		qtype    uint16
		checked  int // sets with a signature in the section that matters
		negative bool
	}{
		{"expenses.apps.finmicro.example.", dns.TypeA, 1, false},
		{"EXPENSES.apps.finmicro.example.", dns.TypeTXT, 1, false},
		{"menu.apps.finmicro.example.", dns.TypeA, 2, false},
		{"out.apps.finmicro.example.", dns.TypeA, 1, false},
		{"anything.apps.finmicro.example.", dns.TypeA, 1, false},
		{"apps.finmicro.example.", dns.TypeSOA, 1, false},
		{"apps.finmicro.example.", dns.TypeNS, 1, false},
		{"apps.finmicro.example.", dns.TypeMX, 1, false},
		{"apps.finmicro.example.", dns.TypeANY, 1, false},
		{"expenses.apps.finmicro.example.", dns.TypeAAAA, 2, true},
		{"nothing.here.apps.finmicro.example.", dns.TypeMX, 2, true},
		{"ent.apps.finmicro.example.", dns.TypeA, 2, true},
		{"apps.finmicro.example.", dns.TypeTXT, 2, true},
	} {
		m := exchange(t, "udp", w.Internal(), tt.name, tt.qtype, true)
		section := m.Answer
		if tt.negative {
			section = m.Ns
			if len(m.Answer) > 0 {
				t.Errorf("%s %s is answered: %v", tt.name, dns.TypeToString[tt.qtype], m.Answer)
			}
		}
		if n := signatures(t, keys, section); n != tt.checked {
			t.Errorf("%s %s: %d signed sets, want %d\n%s", tt.name, dns.TypeToString[tt.qtype], n, tt.checked, m)
		}
	}
	if m := exchange(t, "udp", w.Internal(), "expenses.apps.finmicro.example.", dns.TypeA, false); len(m.Answer) != 2 {
		t.Errorf("signatures are sent to one who did not ask:\n%s", m)
	}

	ds, err := w.DS(z)
	if err != nil || len(ds) != 1 {
		t.Fatalf("DS: %q, %v", ds, err)
	}
	rr, err := dns.NewRR(ds[0])
	if err != nil {
		t.Fatal(err)
	}
	if want := keys[0].(*dns.DNSKEY).ToDS(dns.SHA256); !strings.EqualFold(rr.String(), want.String()) {
		t.Errorf("DS %s is not of the key %s", rr, keys[0])
	}
	if _, err := w.DS("plain.example"); err == nil {
		t.Error("a zone that is not signed has a DS record")
	}
	if _, err := w.DS("unknown.example"); err == nil {
		t.Error("a zone that is not served has a DS record")
	}

	files, _ := filepath.Glob(filepath.Join(w.keys, "K*"))
	if len(files) != 2 {
		t.Errorf("key files: %q", files)
	}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", f, info.Mode(), err)
		}
	}

	// The key is the zone's for good: another start finds it.
	again := newWorld(t, nameserver.Zone{Name: z, Signed: true})
	again.dir, again.keys = w.dir, w.keys
	again.start()
	if got, _ := again.DS(z); len(got) != 1 || got[0] != ds[0] {
		t.Errorf("after another start the DS record is %q, was %q", got, ds)
	}
}

func TestZoneWithoutUsableKeyIsNotServed(t *testing.T) {
	const z = zone.Name("apps.finmicro.example")
	w := newWorld(t, nameserver.Zone{Name: z, Signed: true})
	w.write(z, fmt.Sprintf(apps, 7))
	w.start()
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	private, _ := filepath.Glob(filepath.Join(w.keys, "K*.private"))
	for what, spoil := range map[string]func() error{
		"readable by others": func() error { return os.Chmod(private[0], 0o644) },
		"empty":              func() error { return os.WriteFile(private[0], nil, 0o600) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		again := newWorld(t, nameserver.Zone{Name: z, Signed: true})
		again.dir, again.keys = w.dir, w.keys
		again.start()
		if m := exchange(t, "udp", again.Internal(), "expenses.apps.finmicro.example.", dns.TypeA, false); m.Rcode != dns.RcodeServerFailure {
			t.Errorf("key %s: answered %s", what, dns.RcodeToString[m.Rcode])
		}
		if again.Health() == nil {
			t.Errorf("key %s: no fault", what)
		}
		if _, err := again.DS(z); err == nil {
			t.Errorf("key %s: there is a DS record", what)
		}
		os.Chmod(private[0], 0o600)
	}
}

// A parent and a child on one server, both signed: the DS record is the parent's,
// and so are the signatures of the referral.
func TestSignedParentAndChild(t *testing.T) {
	w := newWorld(t,
		nameserver.Zone{Name: "finmicro.example", Signed: true},
		nameserver.Zone{Name: "apps.finmicro.example", Signed: true})
	w.write("apps.finmicro.example", fmt.Sprintf(apps, 7))
	w.write("finmicro.example", minimal("finmicro.example", 1, "apps NS ns1\nns1 A 192.0.2.53\nlost NS ns1\n"))
	w.start()
	ds, err := w.DS("apps.finmicro.example")
	if err != nil {
		t.Fatal(err)
	}
	w.write("finmicro.example", minimal("finmicro.example", 2, "apps NS ns1\nns1 A 192.0.2.53\nlost NS ns1\n"+strings.Join(ds, "\n")+"\n"))
	w.Reload("finmicro.example")
	parent := dnskeys(t, w.Internal(), "finmicro.example.")
	m := exchange(t, "udp", w.Internal(), "apps.finmicro.example.", dns.TypeDS, true)
	if n := signatures(t, parent, m.Answer); n != 1 {
		t.Errorf("DS of the child:\n%s", m)
	}
	m = exchange(t, "udp", w.Internal(), "x.lost.finmicro.example.", dns.TypeA, true)
	var nsec []dns.RR
	for _, rr := range m.Ns {
		if rr.Header().Rrtype != dns.TypeNS {
			nsec = append(nsec, rr)
		}
	}
	if n := signatures(t, parent, nsec); n != 1 {
		t.Errorf("referral to an unsigned zone does not prove that it is unsigned:\n%s", m)
	}
	child := dnskeys(t, w.Internal(), "apps.finmicro.example.")
	if dns.IsDuplicate(parent[0], child[0]) {
		t.Error("two zones share a key")
	}
}

// Many questions while the zone is reloaded and signed; of use under -race.
func TestSignedZoneUnderLoad(t *testing.T) {
	const z = zone.Name("apps.finmicro.example")
	w := newWorld(t, nameserver.Zone{Name: z, Signed: true})
	w.write(z, fmt.Sprintf(apps, 7))
	w.start()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				m := exchange(t, "udp", w.Internal(), "menu.apps.finmicro.example.", dns.TypeA, true)
				if len(m.Answer) != 5 {
					t.Errorf("an answer was mixed up:\n%s", m)
					return
				}
			}
		})
	}
	for i := range 30 {
		w.write(z, fmt.Sprintf(apps, 8+i))
		w.Reload(z)
	}
	close(stop)
	wg.Wait()
}

// dig's own validator agrees, where BIND's delv is installed.
func TestDelv(t *testing.T) {
	delv, err := exec.LookPath("delv")
	if err != nil {
		t.Skip("delv (BIND) is not installed")
	}
	const z = zone.Name("apps.finmicro.example")
	w := newWorld(t, nameserver.Zone{Name: z, Signed: true})
	w.write(z, fmt.Sprintf(apps, 7))
	w.start()
	ds, err := w.DS(z)
	if err != nil {
		t.Fatal(err)
	}
	rr, err := dns.NewRR(ds[0])
	if err != nil {
		t.Fatal(err)
	}
	d := rr.(*dns.DS)
	anchors := filepath.Join(t.TempDir(), "anchors")
	text := fmt.Sprintf("trust-anchors { %s static-ds %d %d %d \"%s\"; };\n", d.Hdr.Name, d.KeyTag, d.Algorithm, d.DigestType, d.Digest)
	if err := os.WriteFile(anchors, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	host, port, _ := strings.Cut(w.Internal(), ":")
	for _, q := range []struct{ name, typ, want string }{
		{"expenses.apps.finmicro.example", "A", "; fully validated"},
		{"menu.apps.finmicro.example", "A", "; fully validated"},
		{"any.apps.finmicro.example", "A", "; fully validated"},
		{"expenses.apps.finmicro.example", "MX", "; negative response, fully validated"},
		{"no.ent.apps.finmicro.example", "A", "; negative response, fully validated"},
	} {
		out, err := exec.Command(delv, "@"+host, "-p", port, "-a", anchors, "+root="+string(z), q.name, q.typ).CombinedOutput()
		if !strings.Contains(string(out), q.want) {
			t.Errorf("delv %s %s: %v\n%s", q.name, q.typ, err, out)
		}
	}
}
