package nameserver

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coredns/coredns/plugin/file"
	"github.com/miekg/dns"
)

// asker is a dns.ResponseWriter that keeps the answer.
type asker struct {
	dns.ResponseWriter
	answer *dns.Msg
}

func (a *asker) RemoteAddr() net.Addr      { return &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 53} }
func (a *asker) LocalAddr() net.Addr       { return a.RemoteAddr() }
func (a *asker) WriteMsg(m *dns.Msg) error { a.answer = m; return nil }

// Whatever stands in a zone file, reading it and asking for anything in it ends.
func FuzzZoneFile(f *testing.F) {
	head := "$ORIGIN fin.example.\n$TTL 60\n@ SOA ns h 1 1 1 1 1\n"
	f.Add(head+"a A 192.0.2.1\n* CNAME a\nb CNAME b\nc CNAME d\nd CNAME c\n", "x.fin.example.", uint16(dns.TypeA))
	f.Add(head+"a DNAME a\nsub NS ns.sub\nns.sub A 192.0.2.1\n", "y.a.fin.example.", uint16(dns.TypeA))
	f.Add(head+"$GENERATE 1-10 h$ A 192.0.2.$\n", "h3.fin.example.", uint16(dns.TypeANY))
	f.Add(head+"$INCLUDE /etc/passwd\n", "fin.example.", uint16(dns.TypeSOA))
	f.Add(head+"a.b.c TXT \"\\255\\000\"\n", "b.c.fin.example.", uint16(dns.TypeDS))
	f.Add(head+"_x._tcp SRV 1 1 1 A\nA A 192.0.2.1\n@ NS A\n", "_X._tcp.fin.example.", uint16(dns.TypeSRV))
	f.Add("", ".", uint16(0))
	f.Fuzz(func(t *testing.T, text, name string, qtype uint16) {
		if len(text) > 4096 || strings.Contains(text, "$GENERATE") && len(text) > 200 {
			return // what $GENERATE may make of a few bytes is the library's test
		}
		z, err := parse(strings.NewReader(text), "fin.example.", "fuzz")
		if err != nil {
			return
		}
		q := new(dns.Msg)
		q.SetQuestion(name, qtype)
		wire, err := q.Pack()
		if err != nil || q.Unpack(wire) != nil || !dns.IsSubDomain("fin.example.", strings.ToLower(q.Question[0].Name)) {
			return
		}
		var data atomic.Pointer[file.Zone]
		data.Store(z)
		answers := file.File{ZoneLookupFunc: func(string) (string, *file.Zone, bool) { return "fin.example.", z, true }}
		w := &asker{}
		rcode, err := tidy{zone: &data, origin: "fin.example.", next: answers}.ServeDNS(context.Background(), w, q)
		if err != nil || w.answer == nil && rcode == dns.RcodeSuccess {
			t.Errorf("%s %d: %d, %v, no answer", name, qtype, rcode, err)
		}
	})
}

func TestFind(t *testing.T) {
	v := &view{}
	zones := map[string]*served{}
	for _, z := range []string{"finmicro.example.", "apps.finmicro.example.", `a\.b.example.`} {
		zones[z] = &served{origin: z}
	}
	v.zones.Store(&zones)
	for _, tt := range []struct {
		name  string
		qtype uint16
		want  string
	}{
		{"www.finmicro.example.", dns.TypeA, "finmicro.example."},
		{"x.y.apps.finmicro.example.", dns.TypeA, "apps.finmicro.example."},
		{"apps.finmicro.example.", dns.TypeNS, "apps.finmicro.example."},
		{"apps.finmicro.example.", dns.TypeDS, "finmicro.example."},
		{"x.apps.finmicro.example.", dns.TypeDS, "apps.finmicro.example."},
		{"finmicro.example.", dns.TypeDS, "finmicro.example."},
		{`x.a\.b.example.`, dns.TypeA, `a\.b.example.`},
		{"b.example.", dns.TypeA, ""},
		{"xfinmicro.example.", dns.TypeA, ""},
		{"example.", dns.TypeA, ""},
		{".", dns.TypeA, ""},
	} {
		got := ""
		if sv := v.find(tt.name, tt.qtype); sv != nil {
			got = sv.origin
		}
		if got != tt.want {
			t.Errorf("%s %s: zone %q, want %q", tt.name, dns.TypeToString[tt.qtype], got, tt.want)
		}
	}
	zones["."] = &served{origin: "."}
	for name, want := range map[string]string{"example.": ".", ".": ".", "apps.finmicro.example.": "apps.finmicro.example."} {
		if got := v.find(name, dns.TypeA).origin; got != want {
			t.Errorf("with the root: %s: zone %q, want %q", name, got, want)
		}
	}
}
