package cloudflare

import (
	"encoding/json"
	"testing"
)

// FuzzRecord reads whatever Cloudflare may send. What becomes a record set is written in
// Cloudflare's form and comes back as the same.
func FuzzRecord(f *testing.F) {
	f.Add(`{"id":"1","name":"www.finmicro.example","type":"A","ttl":1,"content":"192.0.2.1","proxied":true}`)
	f.Add(`{"name":"finmicro.example","type":"MX","ttl":300,"content":"mail.example.net","priority":10}`)
	f.Add(`{"name":"_sip._tcp.finmicro.example","type":"SRV","ttl":300,"data":{"priority":10,"weight":60,"port":5060,"target":"sip.example.net"}}`)
	f.Add(`{"name":"x.finmicro.example","type":"HTTPS","ttl":300,"data":{"priority":1,"target":".","value":"alpn=\"h2,h3\""}}`)
	f.Add(`{"name":"x.finmicro.example","type":"CAA","ttl":300,"data":{"flags":0,"tag":"issue","value":"\"; letsencrypt.org"}}`)
	f.Add(`{"name":"x.finmicro.example","type":"TXT","ttl":300,"content":"\"a\" \"\\195\\188\""}`)
	f.Add(`{"name":"x.finmicro.example","type":"LOC","ttl":300,"data":{"lat_degrees":51,"lat_minutes":30,"lat_seconds":12.748,"lat_direction":"N","long_degrees":0,"long_minutes":7,"long_seconds":39.611,"long_direction":"W","altitude":0,"size":1,"precision_horz":10,"precision_vert":10}}`)
	f.Fuzz(func(t *testing.T, raw string) {
		r, err := decode(raw)
		if err != nil {
			return
		}
		s := &state{zone: "finmicro.example"}
		set, err := s.recordSet(r)
		if err != nil {
			return
		}
		if err := set.Validate(); err != nil {
			t.Fatalf("%s became a set that is not valid: %v", raw, err)
		}
		if check(s.zone, set) != nil {
			return
		}
		out, err := records(set)
		if err != nil || len(out) != 1 {
			t.Fatalf("%+v: %v", set, err)
		}
		text, err := json.Marshal(out[0])
		if err != nil {
			t.Fatal(err)
		}
		back, err := decode(string(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		again, err := s.recordSet(back)
		if err != nil || !again.Equal(set) {
			t.Fatalf("%+v came back as %+v by way of %s: %v", set, again, text, err)
		}
	})
}

func TestExtraOrder(t *testing.T) {
	var e extra
	e.OctoDNS.Cloudflare.AutoTTL, e.OctoDNS.Cloudflare.Proxied = true, true
	if got := e.String(); got != `{"octodns":{"cloudflare":{"auto-ttl":true,"proxied":true}}}` {
		t.Errorf("not in the form of RFC 8785: %s", got)
	}
}
