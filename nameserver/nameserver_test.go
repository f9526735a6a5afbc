package nameserver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"slipway/nameserver"
	"slipway/provider/zonefile"
	"slipway/zone"
)

// apps is a zone with one of everything that the server treats specially.
const apps = `$ORIGIN apps.finmicro.example.
$TTL 300
@ IN SOA ns.apps.finmicro.example. hostmaster.apps.finmicro.example. %d 3600 600 1209600 60
@ IN NS ns1.finmicro.example.
@ IN MX 10 expenses
expenses IN A 192.0.2.10
expenses IN A 192.0.2.11
expenses IN TXT "owner=ana; cost \"low\""
menu IN CNAME expenses
out IN CNAME www.example.net.
* IN A 192.0.2.99
deep.ent IN A 192.0.2.12
team IN NS ns.team
ns.team IN A 192.0.2.13
has\046dot IN A 192.0.2.14
`

// bench is the world of one test: a directory of zone files and a server on it.
type world struct {
	t         testing.TB
	dir, keys string
	mu        sync.Mutex
	zones     []nameserver.Zone
	faults    map[zone.Name]error
	*nameserver.Server
}

func newWorld(t testing.TB, zones ...nameserver.Zone) *world {
	t.Helper()
	return &world{t: t, dir: t.TempDir(), keys: filepath.Join(t.TempDir(), "keys"), zones: zones, faults: map[zone.Name]error{}}
}

func (w *world) options() nameserver.Options {
	return nameserver.Options{
		Dir:      w.dir,
		KeyDir:   w.keys,
		Internal: "127.0.0.1:0",
		External: "127.0.0.1:0",
		Zones: func(context.Context) ([]nameserver.Zone, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return slices.Clone(w.zones), nil
		},
		Fault: func(z zone.Name, err error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.faults[z] = err
		},
		Poll: -1,
		Log:  slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

func (w *world) start() *world {
	w.t.Helper()
	s, err := nameserver.Start(w.t.Context(), w.options())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			w.t.Error(err)
		}
	})
	w.Server = s
	return w
}

func (w *world) write(z zone.Name, text string) {
	w.t.Helper()
	path, err := zonefile.Path(w.dir, z)
	if err != nil {
		w.t.Fatal(err)
	}
	err = zonefile.Replace(path, 0o644, func(f io.Writer) error { _, err := io.WriteString(f, text); return err })
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) fault(z zone.Name) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.faults[z]
}

func (w *world) resolve(server string, name zone.Name, typ string) []string {
	w.t.Helper()
	got, err := nameserver.Resolve(w.t.Context(), server, name, typ, 2*time.Second)
	if err != nil {
		w.t.Fatalf("resolve %s %s: %v", name, typ, err)
	}
	return got
}

func exchange(t testing.TB, network, server, name string, qtype uint16, do bool) *dns.Msg {
	t.Helper()
	q := new(dns.Msg)
	q.SetQuestion(name, qtype)
	q.SetEdns0(1232, do)
	m, _, err := (&dns.Client{Net: network, Timeout: 5 * time.Second}).Exchange(q, server)
	if err != nil {
		t.Fatalf("%s %s %s: %v", network, name, dns.TypeToString[qtype], err)
	}
	return m
}

func minimal(z zone.Name, serial int, records string) string {
	return fmt.Sprintf("$ORIGIN %s\n$TTL 60\n@ SOA ns hostmaster %d 1 1 1 1\n@ NS ns.invalid.\n%s", z.FQDN(), serial, records)
}

func TestAnswers(t *testing.T) {
	w := newWorld(t, nameserver.Zone{Name: "apps.finmicro.example"})
	w.write("apps.finmicro.example", fmt.Sprintf(apps, 7))
	w.start()
	for _, tt := range []struct {
		name   string
		qtype  uint16
		rcode  int
		answer []string // "TYPE data", in order
	}{
		{"expenses.apps.finmicro.example.", dns.TypeA, dns.RcodeSuccess, []string{"A 192.0.2.10", "A 192.0.2.11"}},
		{"EXPENSES.apps.FINMICRO.example.", dns.TypeA, dns.RcodeSuccess, []string{"A 192.0.2.10", "A 192.0.2.11"}},
		{"expenses.apps.finmicro.example.", dns.TypeTXT, dns.RcodeSuccess, []string{`TXT "owner=ana; cost \"low\""`}},
		{"expenses.apps.finmicro.example.", dns.TypeAAAA, dns.RcodeSuccess, nil},
		{"menu.apps.finmicro.example.", dns.TypeA, dns.RcodeSuccess, []string{"CNAME expenses.apps.finmicro.example.", "A 192.0.2.10", "A 192.0.2.11"}},
		{"out.apps.finmicro.example.", dns.TypeA, dns.RcodeSuccess, []string{"CNAME www.example.net."}},
		{"whatever.apps.finmicro.example.", dns.TypeA, dns.RcodeSuccess, []string{"A 192.0.2.99"}},
		{"ent.apps.finmicro.example.", dns.TypeA, dns.RcodeSuccess, nil},
		{`has\.dot.apps.finmicro.example.`, dns.TypeA, dns.RcodeSuccess, []string{"A 192.0.2.14"}},
		{"apps.finmicro.example.", dns.TypeSOA, dns.RcodeSuccess, []string{"SOA ns.apps.finmicro.example. hostmaster.apps.finmicro.example. 7 3600 600 1209600 60"}},
		{"apps.finmicro.example.", dns.TypeA, dns.RcodeSuccess, nil},
		{"apps.finmicro.example.", dns.TypeANY, dns.RcodeSuccess, []string{`HINFO "RFC8482" ""`}},
		{"finmicro.example.", dns.TypeA, dns.RcodeRefused, nil},
		{"example.net.", dns.TypeA, dns.RcodeRefused, nil},
		{".", dns.TypeNS, dns.RcodeRefused, nil},
	} {
		for _, network := range []string{"udp", "tcp"} {
			m := exchange(t, network, w.Internal(), tt.name, tt.qtype, false)
			var got []string
			for _, rr := range m.Answer {
				got = append(got, dns.TypeToString[rr.Header().Rrtype]+" "+strings.TrimPrefix(rr.String(), rr.Header().String()))
			}
			if m.Rcode != tt.rcode || !slices.Equal(got, tt.answer) {
				t.Errorf("%s %s %s: %s %q, want %s %q", network, tt.name, dns.TypeToString[tt.qtype], dns.RcodeToString[m.Rcode], got, dns.RcodeToString[tt.rcode], tt.answer)
			}
			if m.Rcode == dns.RcodeSuccess && !m.Authoritative {
				t.Errorf("%s %s: the answer is not authoritative", tt.name, dns.TypeToString[tt.qtype])
			}
		}
	}
	m := exchange(t, "udp", w.Internal(), "x.team.apps.finmicro.example.", dns.TypeA, false)
	if len(m.Ns) != 1 || len(m.Extra) != 2 || m.Authoritative {
		t.Errorf("a name below a zone cut is not referred:\n%s", m)
	}
	q := new(dns.Msg)
	q.SetUpdate("apps.finmicro.example.")
	q.Insert([]dns.RR{&dns.A{Hdr: dns.RR_Header{Name: "x.apps.finmicro.example.", Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.IPv4(192, 0, 2, 1)}})
	if m, _, err := new(dns.Client).Exchange(q, w.Internal()); err != nil || m.Rcode != dns.RcodeNotImplemented && m.Rcode != dns.RcodeRefused {
		t.Errorf("a dynamic update is answered %v, %v", m, err)
	}
}

func TestExternalListenerShowsExternalZonesOnly(t *testing.T) {
	w := newWorld(t,
		nameserver.Zone{Name: "finmicro.example", External: true},
		nameserver.Zone{Name: "apps.finmicro.example"})
	w.write("finmicro.example", minimal("finmicro.example", 1, "www A 192.0.2.1\ninside CNAME expenses.apps\n"))
	w.write("apps.finmicro.example", fmt.Sprintf(apps, 1))
	w.start()
	if got := w.resolve(w.External(), "www.finmicro.example", "A"); !slices.Equal(got, []string{"192.0.2.1"}) {
		t.Errorf("external zone on the external listener: %q", got)
	}
	if got := w.resolve(w.Internal(), "expenses.apps.finmicro.example", "A"); len(got) != 2 {
		t.Errorf("internal zone on the internal listener: %q", got)
	}
	for _, name := range []string{"expenses.apps.finmicro.example.", "inside.finmicro.example."} {
		m := exchange(t, "udp", w.External(), name, dns.TypeA, false)
		for _, rr := range m.Answer {
			if _, leaked := rr.(*dns.A); leaked {
				t.Errorf("%s: the external listener shows an internal record: %s", name, rr)
			}
		}
	}

	w.mu.Lock()
	w.zones = w.zones[1:]
	w.mu.Unlock()
	if err := w.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m := exchange(t, "udp", w.External(), "www.finmicro.example.", dns.TypeA, false); m.Rcode != dns.RcodeRefused {
		t.Errorf("a zone that was taken out is still answered: %s", dns.RcodeToString[m.Rcode])
	}
}

func TestReload(t *testing.T) {
	const z = zone.Name("apps.finmicro.example")
	w := newWorld(t, nameserver.Zone{Name: z}).start()
	if m := exchange(t, "udp", w.Internal(), z.FQDN(), dns.TypeSOA, false); m.Rcode != dns.RcodeServerFailure {
		t.Errorf("a zone that was never applied answers %s, want SERVFAIL", dns.RcodeToString[m.Rcode])
	}
	if err := w.Health(); err != nil {
		t.Errorf("a zone that was never applied is a fault: %v", err)
	}
	for i := range 20 {
		w.write(z, minimal(z, i+1, fmt.Sprintf("a A 192.0.2.%d\n", i)))
		w.Reload(z)
		if got := w.resolve(w.Internal(), "a.apps.finmicro.example", "A"); !slices.Equal(got, []string{fmt.Sprintf("192.0.2.%d", i)}) {
			t.Fatalf("after reload %d: %q", i, got)
		}
	}

	// An edit that nobody announced.
	w.write(z, minimal(z, 21, "a A 192.0.2.200\n"))
	if err := w.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.resolve(w.Internal(), "a.apps.finmicro.example", "A"); !slices.Equal(got, []string{"192.0.2.200"}) {
		t.Errorf("an unannounced edit is not served after Refresh: %q", got)
	}

	// A zone that the server has not heard of.
	w.mu.Lock()
	w.zones = append(w.zones, nameserver.Zone{Name: "new.example"})
	w.mu.Unlock()
	w.write("new.example", minimal("new.example", 1, "a A 192.0.2.1\n"))
	w.Reload("new.example")
	if got := w.resolve(w.Internal(), "a.new.example", "A"); len(got) != 1 {
		t.Errorf("a new zone is not served after Reload: %q", got)
	}
	w.Reload("nobody.knows.example") // must not hang or panic
}

func TestSpoiltFileKeepsTheLastGoodZone(t *testing.T) {
	const z = zone.Name("apps.finmicro.example")
	good := minimal(z, 1, "a A 192.0.2.1\n")
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret A 192.0.2.66\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"nonsense":      "this is not a zone\n",
		"empty":         "",
		"binary":        "\x00\x01\x02\xff",
		"no SOA":        "$ORIGIN apps.finmicro.example.\na 60 IN A 192.0.2.2\n",
		"two SOA":       good + "@ SOA ns hostmaster 9 1 1 1 1\n",
		"bad address":   good + "b A 192.0.2.300\n",
		"other zone":    good + "www.finmicro.example. A 192.0.2.3\n",
		"other class":   good + "b CH A 192.0.2.3\n",
		"include":       good + "$INCLUDE " + secret + "\n",
		"CDS":           good + "@ CDS 1 13 2 d4b7d520e7bb5f0f67674a0cceb1e3e0614b93c4f9e99b8383f6a1e4469da50a\n",
		"NSEC3":         good + "@ NSEC3PARAM 1 0 0 -\n",
		"endless quote": good + "b TXT \"never closed\n",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nameserver.Zone{Name: z}, nameserver.Zone{Name: "other.example"})
			w.write(z, good)
			w.write("other.example", minimal("other.example", 1, "a A 192.0.2.9\n"))
			w.start()
			w.write(z, bad)
			w.Reload(z)
			if got := w.resolve(w.Internal(), "a.apps.finmicro.example", "A"); !slices.Equal(got, []string{"192.0.2.1"}) {
				t.Errorf("the last good version is not served: %q", got)
			}
			if err := w.Health(); err == nil || !strings.Contains(err.Error(), string(z)) {
				t.Errorf("Health does not name the zone: %v", err)
			}
			if w.fault(z) == nil {
				t.Error("the fault was not reported")
			}
			w.write(z, good)
			w.Reload(z)
			if err := errors.Join(w.Health(), w.fault(z)); err != nil {
				t.Errorf("mended, and still a fault: %v", err)
			}
		})
	}
	w := newWorld(t, nameserver.Zone{Name: z})
	w.write(z, good)
	w.start()
	path, _ := zonefile.Path(w.dir, z)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := w.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.resolve(w.Internal(), "a.apps.finmicro.example", "A"); len(got) != 1 || w.Health() == nil {
		t.Errorf("file removed: answers %q, health %v", got, w.Health())
	}
}

func TestManyServersAndCleanStop(t *testing.T) {
	const z = zone.Name("apps.finmicro.example")
	var servers []*world
	for i := range 4 {
		w := newWorld(t, nameserver.Zone{Name: z, External: true})
		w.write(z, minimal(z, 1, fmt.Sprintf("a A 192.0.2.%d\n", i)))
		servers = append(servers, w.start())
	}
	for i, w := range servers {
		if got := w.resolve(w.Internal(), "a.apps.finmicro.example", "A"); !slices.Equal(got, []string{fmt.Sprintf("192.0.2.%d", i)}) {
			t.Errorf("server %d answers another's zone: %q", i, got)
		}
	}
	first := servers[0]
	o := first.options()
	o.Internal = servers[1].Internal()
	if _, err := nameserver.Start(t.Context(), o); err == nil || !strings.Contains(err.Error(), "already in use") {
		t.Errorf("an address in use: %v", err)
	}
	address := first.Internal()
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	o.Internal, o.External = address, ""
	again, err := nameserver.Start(t.Context(), o)
	if err != nil {
		t.Fatalf("the port is not free after Stop: %v", err)
	}
	if err := errors.Join(again.Stop(), again.Stop()); err != nil {
		t.Error(err)
	}
	for range 20 { // stopped before the listeners have begun to serve
		s, err := nameserver.Start(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTransfer(t *testing.T) {
	w := newWorld(t, nameserver.Zone{Name: "apps.finmicro.example", External: true})
	var many strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&many, "host-%d A 192.0.2.%d\n", i, i%256)
	}
	w.write("apps.finmicro.example", fmt.Sprintf(apps, 7)+many.String())
	w.start()
	transfer := func(server string, q *dns.Msg) (records []dns.RR, err error) {
		envelopes, err := new(dns.Transfer).In(q, server)
		if err != nil {
			return nil, err
		}
		for e := range envelopes {
			records, err = append(records, e.RR...), errors.Join(err, e.Error)
		}
		return records, err
	}
	q := new(dns.Msg)
	q.SetAxfr("apps.finmicro.example.")
	got, err := transfer(w.Internal(), q)
	if want := 13 + 3000 + 1; err != nil || len(got) != want { // the SOA record ends it too
		t.Errorf("AXFR: %d records, %v; want %d", len(got), err, want)
	}
	if got, err := transfer(w.External(), q); err == nil {
		t.Errorf("AXFR from the external listener: %d records", len(got))
	}
	q.SetAxfr("finmicro.example.")
	if got, err := transfer(w.Internal(), q); err == nil {
		t.Errorf("AXFR of another zone: %d records", len(got))
	}
	q.SetAxfr("expenses.apps.finmicro.example.")
	if got, err := transfer(w.Internal(), q); err == nil {
		t.Errorf("AXFR of a name inside a zone: %d records", len(got))
	}
	q.SetIxfr("apps.finmicro.example.", 7, "ns.", "h.")
	if m, _, err := (&dns.Client{Net: "tcp"}).Exchange(q, w.Internal()); err != nil || len(m.Answer) != 1 {
		t.Errorf("IXFR by one who is up to date: %v %v", m, err)
	}
	if m := exchange(t, "udp", w.Internal(), "apps.finmicro.example.", dns.TypeAXFR, false); m.Rcode != dns.RcodeRefused {
		t.Errorf("AXFR over UDP: %s", dns.RcodeToString[m.Rcode])
	}
}
