package libdns

import (
	"testing"
	"time"

	lib "github.com/libdns/libdns"

	"slipway/provider"
)

// FuzzRecord reads whatever a libdns package may give. What becomes a record set is
// written in libdns's form and comes back as the same.
func FuzzRecord(f *testing.F) {
	f.Add("www", "A", "192.0.2.1", 300)
	f.Add("@", "TXT", `say "hi" \ there`, 0)
	f.Add("", "MX", "10 mail.example.net", 300)
	f.Add("_sip._tcp", "SRV", "10 60 5060 sip.example.net.", 300)
	f.Add("x.finmicro.example.", "CAA", `0 issue "letsencrypt.org"`, 300)
	f.Add("svc", "HTTPS", `1 . alpn="h2,h3"`, 300)
	f.Fuzz(func(t *testing.T, name, typ, data string, ttl int) {
		s := &state{p: &Provider{s: Settings{DefaultTTL: provider.DefaultTTL}}, zone: "finmicro.example"}
		set, err := s.recordSet(lib.RR{Name: name, Type: typ, Data: data, TTL: time.Duration(ttl) * time.Second})
		if err != nil {
			return
		}
		if err := set.Validate(); err != nil {
			t.Fatalf("%q %q %q became a set that is not valid: %v", name, typ, data, err)
		}
		out, err := s.libRecords(set, set.Values)
		if err != nil || len(out) != 1 {
			t.Fatalf("%+v: %v", set, err)
		}
		again, err := s.recordSet(out[0].RR())
		if err != nil || !again.Equal(set) {
			t.Fatalf("%+v came back as %+v by way of %+v: %v", set, again, out[0], err)
		}
	})
}
