package exchange_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"slipway/exchange"
	"slipway/nameserver"
	"slipway/zone"
)

// served is a zone with everything that a transfer could spoil: a text of many strings, a type
// without a name, a wildcard, and what signing adds.
const served = `$ORIGIN example.org.
$TTL 300
@ IN SOA ns1 hostmaster 7 3600 600 1209600 60
@ IN NS ns1
@ IN TXT "one;" "two \"quoted\" \\ \195\164"
ns1 IN A 192.0.2.1
*.wild IN A 192.0.2.2
www IN CNAME ns1
x IN TYPE65400 \# 3 abcdef
`

// TestAXFR transfers a zone from the nameserver that Slipway itself runs.
func TestAXFR(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "example.org.zone"), []byte(served), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := nameserver.Start(t.Context(), nameserver.Options{
		Dir: dir, KeyDir: filepath.Join(t.TempDir(), "keys"), Internal: "127.0.0.1:0", Poll: -1,
		Zones: func(context.Context) ([]nameserver.Zone, error) {
			return []nameserver.Zone{{Name: "example.org", Signed: true}}, nil
		},
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	got, err := exchange.ReadAXFR(t.Context(), exchange.Transfer{Server: s.Internal()}, []zone.Name{"example.org"})
	if err != nil {
		t.Fatal(err)
	}
	_, want, err := zone.ReadMaster(strings.NewReader(served), "example.org", "x")
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Zones) != 1 || got.Zones[0].SOA == nil || len(got.Zones[0].Sets) != len(want) {
		t.Fatalf("got %+v\nwant %+v", got.Zones, want)
	}
	for i, r := range got.Zones[0].Sets {
		if !r.Equal(want[i]) {
			t.Errorf("got %+v\nwant %+v", r, want[i])
		}
	}
	if _, err := exchange.ReadAXFR(t.Context(), exchange.Transfer{Server: s.Internal()}, []zone.Name{"example.com"}); err == nil || !strings.Contains(err.Error(), "example.com") {
		t.Errorf("a zone that is not served: %v", err)
	}
}

// TestAXFRWithTSIG asks a server that answers only to whoever signs with the right key.
func TestAXFRWithTSIG(t *testing.T) {
	const secret = "c2VjcmV0IG9mIHRoZSB0ZXN0IG9ubHk="
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{
		Listener: listener, TsigSecret: map[string]string{"mirror.": secret},
		MsgAcceptFunc: func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept },
		Handler: dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
			if r.IsTsig() == nil || w.TsigStatus() != nil {
				m := new(dns.Msg)
				m.SetRcode(r, dns.RcodeRefused)
				w.WriteMsg(m)
				return
			}
			var rrs []dns.RR
			zp := dns.NewZoneParser(strings.NewReader(served), "", "")
			for rr, ok := zp.Next(); ok; rr, ok = zp.Next() {
				rrs = append(rrs, rr)
			}
			ch := make(chan *dns.Envelope, 1)
			ch <- &dns.Envelope{RR: append(rrs, rrs[0])}
			close(ch)
			(&dns.Transfer{TsigSecret: map[string]string{"mirror.": secret}}).Out(w, r, ch)
		}),
	}
	go server.ActivateAndServe()
	defer server.Shutdown()

	key, err := exchange.ParseTSIG([]byte("key \"mirror\" {\n\talgorithm hmac-sha256;\n\tsecret \""+secret+"\";\n};\n"), "", "")
	if err != nil {
		t.Fatal(err)
	}
	if s := fmt.Sprintf("%v %+v %#v %s", key, key, *key, key); strings.Contains(s, secret) {
		t.Error("the key prints its secret")
	}
	o := exchange.Transfer{Server: listener.Addr().String(), TSIG: key, Timeout: 10 * time.Second}
	got, err := exchange.ReadAXFR(t.Context(), o, []zone.Name{"example.org"})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(got.Zones[0].Sets); n != 6 {
		t.Errorf("%d record sets", n)
	}
	wrong, err := exchange.ParseTSIG([]byte("d3Jvbmc="), "mirror", "hmac-sha256")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []*exchange.TSIG{nil, wrong} {
		o.TSIG = k
		if _, err := exchange.ReadAXFR(t.Context(), o, []zone.Name{"example.org"}); err == nil {
			t.Error("a transfer without the right key works")
		} else if strings.Contains(err.Error(), "d3Jvbmc=") || strings.Contains(err.Error(), secret) {
			t.Errorf("the error tells a secret: %v", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := exchange.ReadAXFR(ctx, o, []zone.Name{"example.org"}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled transfer: %v", err)
	}
}

func TestParseTSIG(t *testing.T) {
	for name, tt := range map[string]struct{ src, key, algorithm, fault string }{
		"no name":       {"c2VjcmV0", "", "", "has no name"},
		"not base 64":   {"§§§", "k", "", "not base 64"},
		"empty":         {"", "k", "", "not base 64"},
		"old algorithm": {"c2VjcmV0", "k", "hmac-md5", "hmac-sha256"},
		"no secret":     {"key k { algorithm hmac-sha256; };", "", "", "not base 64"},
		"too large":     {string(bytes.Repeat([]byte("a"), 1<<17)), "k", "", "too large"},
	} {
		_, err := exchange.ParseTSIG([]byte(tt.src), tt.key, tt.algorithm)
		if err == nil || !strings.Contains(err.Error(), tt.fault) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
