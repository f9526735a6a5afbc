package drift_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"slipway/drift"
	"slipway/provider"
	"slipway/provider/powerdns"
	"slipway/provider/providertest/servers"
	"slipway/provider/rfc2136"
	"slipway/repo"
	"slipway/zone"
)

// live is one real server with its zones, as Slipway and as somebody else reaches it.
type live struct {
	name  string
	p     provider.Provider
	zones []zone.Name
	// edit makes one record set what after says, past Slipway.
	edit func(t *testing.T, z zone.Name, before, after *zone.RRSet)
}

// nsupdate is what somebody with nsupdate does.
func nsupdate(s servers.Server) func(t *testing.T, z zone.Name, before, after *zone.RRSet) {
	return func(t *testing.T, z zone.Name, before, after *zone.RRSet) {
		t.Helper()
		m := new(dns.Msg)
		m.SetUpdate(z.FQDN())
		if before != nil {
			rr, err := dns.NewRR(fmt.Sprintf("%s 0 IN %s %s", before.Name.FQDN(), before.Type, before.Values[0]))
			if err != nil {
				t.Fatal(err)
			}
			m.RemoveRRset([]dns.RR{rr})
		}
		if after != nil {
			for _, v := range after.Values {
				rr, err := dns.NewRR(fmt.Sprintf("%s %d IN %s %s", after.Name.FQDN(), after.TTL, after.Type, v))
				if err != nil {
					t.Fatal(err)
				}
				m.Insert([]dns.RR{rr})
			}
		}
		name := s.TSIG.Name.FQDN()
		m.SetTsig(name, dns.HmacSHA256, 300, time.Now().Unix())
		client := dns.Client{Net: "tcp", TsigSecret: map[string]string{name: s.TSIG.Secret.Reveal()}, Timeout: 20 * time.Second}
		answer, _, err := client.ExchangeContext(t.Context(), m, s.Address)
		if err != nil || answer.Rcode != dns.RcodeSuccess {
			t.Fatalf("update of %s: %v, %v", z, answer, err)
		}
	}
}

// patch is what somebody with a console of PowerDNS does.
func patch(s *servers.PowerDNS) func(t *testing.T, z zone.Name, before, after *zone.RRSet) {
	return func(t *testing.T, z zone.Name, before, after *zone.RRSet) {
		t.Helper()
		set, change := after, "REPLACE"
		if after == nil {
			set, change = before, "DELETE"
		}
		var records []string
		for _, v := range set.Values {
			records = append(records, fmt.Sprintf(`{"content":%q,"disabled":false}`, v))
		}
		s.Call("PATCH", "/zones/"+z.FQDN(), fmt.Sprintf(`{"rrsets":[{"name":%q,"type":%q,"ttl":%d,"changetype":%q,"records":[%s]}]}`,
			set.Name.FQDN(), set.Type, set.TTL, change, strings.Join(records, ",")))
	}
}

// threeServers starts the three servers with empty zones, n each.
func threeServers(t *testing.T, n int) []live {
	t.Helper()
	names := func(server string) (out []zone.Name) {
		for i := range n {
			out = append(out, zone.Name(fmt.Sprintf("zone%d.%s.example", i, server)))
		}
		return out
	}
	bind, knot, pdns := servers.StartBIND(t, names("bind")...), servers.StartKnot(t, names("knot")...), servers.StartPowerDNS(t, names("pdns")...)
	transfer := func(s servers.Server) provider.Provider {
		p, err := rfc2136.New(t.Context(), rfc2136.Settings{Server: s.Address, KeyName: s.TSIG.Name, KeySecret: s.TSIG.Secret})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	api, err := powerdns.New(t.Context(), powerdns.Settings{URL: pdns.URL, APIKey: pdns.APIKey, DNS: pdns.Address})
	if err != nil {
		t.Fatal(err)
	}
	return []live{
		{"BIND", transfer(bind.Server), names("bind"), nsupdate(bind.Server)},
		{"Knot", transfer(knot.Server), names("knot"), nsupdate(knot.Server)},
		{"PowerDNS", api, names("pdns"), patch(pdns)},
	}
}

// varied is a zone of n record sets of several types.
func varied(z zone.Name, n int) []zone.RRSet {
	sets := make([]zone.RRSet, n)
	for i := range sets {
		name := zone.Name(fmt.Sprintf("n%05d.", i)) + z
		set := zone.RRSet{Name: name, Type: "A", TTL: 300 + i%3*300, Values: []string{fmt.Sprintf("192.0.2.%d", i%256)}}
		switch i % 5 {
		case 1:
			set.Type, set.Values = "TXT", []string{fmt.Sprintf(`"record %d; of \"many\""`, i)}
		case 2:
			set.Type, set.Values = "AAAA", []string{fmt.Sprintf("2001:db8::%x", i+1)}
		case 3:
			set.Type, set.Values = "MX", []string{fmt.Sprintf("10 mail%d.example.net.", i)}
		case 4:
			set.Type, set.Values = "CNAME", []string{fmt.Sprintf("host%d.example.net.", i)}
		}
		sets[i] = set
	}
	return sets
}

// Of 200 edits past Slipway, in zones of more than 10,000 record sets on BIND, Knot and
// PowerDNS, one pass finds and names each, and nothing else.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three servers and fills them")
	}
	const zonesEach, setsEach, edits = 4, 850, 200
	all := threeServers(t, zonesEach)
	approved := map[zone.Name][]zone.RRSet{}
	files := map[string]string{}
	var config strings.Builder
	config.WriteString("organisation: Fin Micro Ltd\nproviders:\n  dns: {type: zonefile}\nzones:\n  directory: zones\n")
	total := 0
	for _, s := range all {
		for _, z := range s.zones {
			approved[z] = varied(z, setsEach)
			total += setsEach
			var b bytes.Buffer
			if err := zone.WriteYAML(&b, z, approved[z]); err != nil {
				t.Fatal(err)
			}
			files["zones/"+string(z)+".yaml"] = b.String()
			fmt.Fprintf(&config, "  %s: {provider: dns}\n", z)
			found, err := s.p.Read(t.Context(), z)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.p.Apply(t.Context(), provider.NewPlan(z, approved[z], found, "first", "commit")); err != nil {
				t.Fatal(err)
			}
		}
	}
	files[repo.SettingsPath] = config.String()
	tr := tree(t, files)
	pass := func() (found []drift.Difference) {
		t.Helper()
		for _, s := range all {
			for _, z := range s.zones {
				r, err := drift.Compare(t.Context(), tr, z, s.p, noon)
				if err != nil {
					t.Fatalf("%s: %v", s.name, err)
				}
				found = append(found, r.Differences...)
			}
		}
		return found
	}
	if found := pass(); len(found) != 0 {
		t.Fatalf("%d differences before anybody has edited anything, the first: %s", len(found), found[0].Sentence())
	}

	random := rand.New(rand.NewPCG(7, 11))
	want := map[zone.Key]drift.Kind{}
	for len(want) < edits {
		s := all[random.IntN(len(all))]
		z := s.zones[random.IntN(len(s.zones))]
		before := approved[z][random.IntN(setsEach)]
		if _, done := want[before.Key()]; done {
			continue
		}
		after := before
		kind := drift.Changed
		switch random.IntN(4) {
		case 0:
			after.TTL += 1 + random.IntN(1000)
		case 1:
			switch i := random.IntN(250); before.Type {
			case "A":
				after.Values = []string{fmt.Sprintf("198.51.100.%d", i), "203.0.113.1"}
			case "AAAA":
				after.Values = []string{fmt.Sprintf("2001:db8:bad::%x", i)}
			case "TXT":
				after.Values = []string{fmt.Sprintf(`"edited by hand %d"`, i)}
			case "MX":
				after.Values = []string{fmt.Sprintf("5 elsewhere%d.example.net.", i)}
			case "CNAME":
				after.Values = []string{fmt.Sprintf("elsewhere%d.example.net.", i)}
			}
		case 2:
			kind = drift.Missing
			want[before.Key()] = kind
			s.edit(t, z, &before, nil)
			continue
		case 3:
			kind = drift.Extra
			after = zone.RRSet{Name: zone.Name(fmt.Sprintf("extra%d.", len(want))) + z, Type: "A", TTL: 60, Values: []string{"203.0.113.66"}}
			want[after.Key()] = kind
			s.edit(t, z, nil, &after)
			continue
		}
		want[after.Key()] = kind
		s.edit(t, z, &before, &after)
	}
	// Edits that end where they began move a serial, and are no drift.
	for _, s := range all {
		z := s.zones[0]
		set := zone.RRSet{Name: "passing." + z, Type: "A", TTL: 60, Values: []string{"203.0.113.66"}}
		s.edit(t, z, nil, &set)
		s.edit(t, z, &set, nil)
	}

	began := time.Now()
	found := pass()
	took := time.Since(began)
	for _, d := range found {
		key := zone.Key{Name: d.Name, Type: d.Type}
		if want[key] != d.Kind {
			t.Errorf("invented or misnamed, %q wanted: %s", want[key], d.Sentence())
		}
		if !strings.Contains(d.Sentence(), string(d.Name)) {
			t.Errorf("it is not named in %q", d.Sentence())
		}
		delete(want, key)
	}
	for key, kind := range want {
		t.Errorf("not found: %s %s %s", kind, key.Type, key.Name)
	}
	if again := pass(); len(again) != len(found) {
		t.Errorf("the next pass finds %d differences, the first %d", len(again), len(found))
	}
	t.Logf("%d edits among %d record sets found in one pass of %v, %d invented", edits, total, took.Round(time.Millisecond), len(found)-edits)
}
