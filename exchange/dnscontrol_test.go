package exchange

import (
	"encoding/json"
	"slices"
	"testing"

	"slipway/zone"
)

// DNSControl takes a zone's own name servers as such, not as records, and wants a name that is its alone.
func TestDNSControlZone(t *testing.T) {
	sets := make([]zone.RRSet, 0, 3)
	for _, r := range []struct {
		name, typ string
		ttl       int
		values    []string
	}{
		{"example.org", "NS", 172800, []string{"ns1.host.test.", "ns2.host.test."}},
		{"lab.example.org", "NS", 3600, []string{"ns1.host.test."}},
		{"www.example.org", "A", 300, []string{"192.0.2.1"}},
	} {
		set, err := zone.NewRRSet(zone.Name(r.name), r.typ, r.ttl, r.values)
		if err != nil {
			t.Fatal(err)
		}
		sets = append(sets, set)
	}
	files, losses, err := WriteDNSControl([]Zone{{Name: "example.org", Sets: sets}})
	if err != nil || len(losses) > 0 || len(files) != 1 {
		t.Fatalf("%d files, %v, %v", len(files), losses, err)
	}
	var config controlConfig
	if err := json.Unmarshal(files[0].Content, &config); err != nil {
		t.Fatal(err)
	}
	d := config.Domains[0]
	if d.UniqueName != "example.org" || d.Meta["ns_ttl"] != "172800" || !slices.Equal(d.Nameservers, []controlNameserver{{"ns1.host.test."}, {"ns2.host.test."}}) {
		t.Errorf("%+v", d)
	}
	for _, r := range d.Records {
		if r.Type == "NS" && r.Name == "@" {
			t.Errorf("a record that DNSControl refuses: %+v", r)
		}
	}
	back, err := parseDNSControl("dnscontrol.json", files[0].Content)
	if err != nil || len(back.Zones) != 1 {
		t.Fatalf("%+v, %v", back, err)
	}
	for _, want := range sets {
		if !slices.ContainsFunc(back.Zones[0].Sets, func(r zone.RRSet) bool {
			return r.Key() == want.Key() && r.TTL == want.TTL && slices.Equal(r.Values, want.Values)
		}) {
			t.Errorf("%+v does not come back in %+v", want, back.Zones[0].Sets)
		}
	}
}
