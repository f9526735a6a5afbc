package observe

import (
	"bytes"
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"slipway/zone"
)

var when = time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)

// serve answers on a port of this machine, over UDP and TCP, from master file text. Names
// that end in "refused." are refused, and those that end in "silent." get no answer.
func serve(t *testing.T, text string) string {
	t.Helper()
	var rrs []dns.RR
	parser := dns.NewZoneParser(strings.NewReader(text), ".", "")
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		rrs = append(rrs, rr)
	}
	if err := parser.Err(); err != nil {
		t.Fatal(err)
	}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		name := strings.ToLower(q.Question[0].Name)
		switch {
		case strings.HasSuffix(name, "silent."):
			return
		case strings.HasSuffix(name, "refused."):
			m.Rcode = dns.RcodeRefused
		default:
			m.Rcode = dns.RcodeNameError
			for _, rr := range rrs {
				if rr.Header().Name == name {
					m.Rcode = dns.RcodeSuccess
					if rr.Header().Rrtype == q.Question[0].Qtype {
						m.Answer = append(m.Answer, rr)
					}
				}
			}
		}
		if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
			m.Truncate(udpSize)
		}
		w.WriteMsg(m)
	})
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	streams, err := net.Listen("tcp", packets.LocalAddr().String())
	if err != nil {
		t.Skip("the port is free for UDP alone")
	}
	for _, s := range []*dns.Server{{PacketConn: packets, Handler: handler}, {Listener: streams, Handler: handler}} {
		ready := make(chan struct{})
		s.NotifyStartedFunc = func() { close(ready) }
		go s.ActivateAndServe()
		<-ready
		t.Cleanup(func() { s.Shutdown() })
	}
	return packets.LocalAddr().String()
}

func TestLiveAndReplay(t *testing.T) {
	long := strings.Repeat(`long.test. 60 IN TXT "`+strings.Repeat("x", 200)+"0\"\n", 1)
	for i := range 9 {
		long += `long.test. 60 IN TXT "` + strings.Repeat("x", 200) + string(rune('1'+i)) + "\"\n"
	}
	r, err := NewResolver(serve(t, `
spf.test. 300 IN TXT "v=spf1 -all"
odd.test. 300 IN TXT "caf\233 <&> \"quoted\""
`+long))
	if err != nil {
		t.Fatal(err)
	}
	log := Online(r, NewFetcher(nil, r.DialPublic), when)
	ask := func(l *Log, name, typ string) Answer {
		t.Helper()
		a, err := l.Ask(t.Context(), Question{Name: zone.Name(name), Type: typ})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if a := ask(log, "spf.test", "TXT"); a.Status != NoError || !slices.Equal(a.Records, []string{`spf.test. 0 IN TXT "v=spf1 -all"`}) {
		t.Errorf("got %+v", a)
	}
	if a := ask(log, "none.test", "A"); a.Status != NoSuchName || len(a.Records) > 0 || !a.Definite() {
		t.Errorf("got %+v", a)
	}
	if a := ask(log, "x.refused", "A"); a.Status != "REFUSED" || a.Definite() {
		t.Errorf("got %+v", a)
	}
	if a := ask(log, "long.test", "TXT"); len(a.Records) != 10 {
		t.Errorf("a long answer has %d records", len(a.Records))
	}
	ask(log, "odd.test", "TXT")
	if set, ok := ask(log, "spf.test", "TXT").Set(); !ok || !slices.Equal(set.Values, []string{`"v=spf1 -all"`}) {
		t.Errorf("got %+v", set)
	}

	recorded := log.Set()
	read, err := Read("seen.json", bytes.NewReader(recorded.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if read.Digest() != recorded.Digest() || !bytes.Equal(read.Bytes(), recorded.Bytes()) {
		t.Errorf("read back otherwise:\n%s\n%s", read.Bytes(), recorded.Bytes())
	}
	replay := Replay(read)
	for _, a := range recorded.Answers {
		if got := ask(replay, string(a.Name), a.Type); !slices.Equal(got.Records, a.Records) || got.Status != a.Status {
			t.Errorf("replayed %+v, recorded %+v", got, a)
		}
	}
	if replay.Set().Digest() != recorded.Digest() {
		t.Error("a replay that asks the same has another digest")
	}
	if _, err := replay.Ask(t.Context(), Question{Name: "unseen.test", Type: "A"}); !errors.Is(err, ErrMissing) {
		t.Errorf("got %v", err)
	}
}

// An authoritative server is asked itself, without recursion.
func TestAskServer(t *testing.T) {
	r, err := NewResolver(serve(t, "ns1.test. 60 IN A 127.0.0.1\nlab.test. 60 IN SOA ns1.test. h.test. 1 2 3 4 5\n"))
	if err != nil {
		t.Fatal(err)
	}
	_, r.port, _ = net.SplitHostPort(r.address) // the same one plays both parts
	log := Online(r, NewFetcher(nil, r.DialPublic), when)
	for _, c := range []struct{ name, server, status string }{
		{"lab.test", "ns1.test", NoError}, {"lab.refused", "ns1.test", "REFUSED"}, {"lab.test", "ns2.test", Unreachable},
	} {
		q := Question{Name: zone.Name(c.name), Type: "SOA", Server: zone.Name(c.server)}
		if a, err := log.Ask(t.Context(), q); err != nil || a.Status != c.status {
			t.Errorf("%s: got %+v, %v", q, a, err)
		}
	}
	read, err := Read("seen.json", bytes.NewReader(log.Set().Bytes()))
	if err != nil || len(read.Answers) != 3 || read.Digest() != log.Set().Digest() {
		t.Errorf("read back %+v, %v", read, err)
	}
}

// A resolver that does not answer at all is an error and not a finding about the zone.
func TestUnusableResolver(t *testing.T) {
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.LocalAddr().String()
	l.Close()
	r, err := NewResolver(address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Ask(t.Context(), Question{Name: "x.test", Type: "A"}); err == nil || !strings.Contains(err.Error(), address) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Ask(ctx, Question{Name: "x.test", Type: "A"}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestNewResolver(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.53": "192.0.2.53:53", "192.0.2.53:5353": "192.0.2.53:5353", "2001:db8::53": "[2001:db8::53]:53",
		"[2001:db8::53]:5353": "[2001:db8::53]:5353", "": "", "a b": "",
	} {
		r, err := NewResolver(in)
		if (err == nil) != (want != "") || (err == nil && r.address != want) {
			t.Errorf("%q: got %v, %v", in, r, err)
		}
	}
}

func TestReadFaults(t *testing.T) {
	for in, want := range map[string]string{
		``:                                      "not a file",
		`{}`:                                    "format",
		`{"format":"slipway-observations/9"}`:   "format",
		`{"format":"slipway-observations/1"} x`: "follows",
		`{"format":"slipway-observations/1","pages":[{"url":"https://a.b/","status":"200"}]}`:                                                       "has no pages",
		`{"format":"slipway-observations/2","pages":[{"url":"http://a.b/","status":"200"}]}`:                                                        "https://name/path",
		`{"format":"slipway-observations/2","pages":[{"url":"https://a.b:444/","status":"200"}]}`:                                                   "https://name/path",
		`{"format":"slipway-observations/2","pages":[{"url":"https://a.b/","status":"99"}]}`:                                                        "no status",
		`{"format":"slipway-observations/2","pages":[{"url":"https://a.b/","status":"200","type":"a\u0001"}]}`:                                      "type",
		`{"format":"slipway-observations/2","pages":[{"url":"https://a.b/","status":"200"},{"url":"https://a.b/","status":"404"}]}`:                 "twice",
		`{"format":"slipway-observations/1","more":1}`:                                                                                              "unknown field",
		`{"format":"slipway-observations/1","answers":[{"name":"a..b","type":"A","status":"NOERROR"}]}`:                                             "observation 1",
		`{"format":"slipway-observations/1","answers":[{"name":"a.b","type":"?","status":"NOERROR"}]}`:                                              "record type",
		`{"format":"slipway-observations/1","answers":[{"name":"a.b","type":"A","status":"FINE"}]}`:                                                 "status",
		`{"format":"slipway-observations/1","answers":[{"name":"a.b","type":"A","status":"NOERROR","records":["x"]}]}`:                              "no record",
		`{"format":"slipway-observations/1","answers":[{"name":"a.b","type":"A","status":"NOERROR"},{"name":"A.b","type":"A","status":"NOERROR"}]}`: "twice",
	} {
		_, err := Read("seen.json", strings.NewReader(in))
		var fault *zone.Error
		if !errors.As(err, &fault) || !strings.Contains(fault.What, want) || fault.Place.Path != "seen.json" {
			t.Errorf("%s: got %v, want %q", in, err, want)
		}
	}
}

// Whatever is read has one canonical form, which reads back as itself.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"answers":[{"name":"a.test","records":["a.test. 0 IN TXT \"v=spf1 -all\""],"status":"NOERROR","type":"TXT"}],"at":"2026-10-01T12:00:00Z","format":"slipway-observations/1","resolver":"192.0.2.53:53"}`))
	f.Add([]byte(`{"answers":[{"name":"é.test","records":["b. CNAME c.","b. 5 A 192.0.2.1"],"status":"UNREACHABLE","type":"TYPE65280"}],"format":"slipway-observations/1"}`))
	f.Add([]byte(`{"answers":[{"name":".","records":["$INCLUDE x","$GENERATE 1-2 a A 1.2.3.4"],"status":"SERVFAIL","type":"DNSKEY"}],"format":"slipway-observations/1"}`))
	f.Add([]byte(`{"answers":[{"name":"a.test","server":"NS1.test","status":"REFUSED","type":"SOA"}],"format":"slipway-observations/1"}`))
	f.Add([]byte(`{"format":"slipway-observations/2","pages":[{"body":"dmVyc2lvbjogU1RTdjEK","status":"200","type":"text/plain","url":"https://mta-sts.a.test/.well-known/mta-sts.txt"},{"status":"BAD-CERTIFICATE","url":"https://a.test/"}]}`))
	f.Fuzz(func(t *testing.T, src []byte) {
		s, err := Read("seen.json", bytes.NewReader(src))
		if err != nil {
			return
		}
		again, err := Read("seen.json", bytes.NewReader(s.Bytes()))
		if err != nil {
			t.Fatalf("%v\n%s", err, s.Bytes())
		}
		if !bytes.Equal(again.Bytes(), s.Bytes()) {
			t.Fatalf("two forms:\n%s\n%s", s.Bytes(), again.Bytes())
		}
		for _, a := range s.Answers {
			a.Set()
		}
	})
}
