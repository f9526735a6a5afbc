package zone

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var testSOA = SOA{MName: "ns1.example", RName: `host\.master.example`, Serial: 2026112401, Refresh: 7200, Retry: 900, Expire: 1209600, Minimum: 300}

func masterOf(t *testing.T, zone Name, sets []RRSet) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := WriteMaster(&b, zone, testSOA, sets, 3600); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRealZonesSurviveMasterFiles(t *testing.T) {
	for _, f := range realZones(t) {
		sets, err := f.RRSets()
		if err != nil {
			t.Fatal(err)
		}
		soa, got, err := ReadMaster(bytes.NewReader(masterOf(t, f.Zone(), sets)), f.Zone(), "x.zone")
		if err != nil {
			t.Fatal(err)
		}
		if *soa != testSOA {
			t.Errorf("%s: SOA %+v", f.Zone(), soa)
		}
		for i := range sets {
			if sets[i].TTL == NoTTL && inMaster(sets[i].Type) {
				sets[i].TTL = 3600
			}
		}
		if d := Diff(f.Zone(), sets, got); len(d) > 0 {
			t.Errorf("%s: %d record sets did not survive, the first: %+v → %+v", f.Zone(), len(d), d[0].Before, d[0].After)
		}
	}
}

// everyType is one valid record set of each type that a zone file can hold.
func everyType(t *testing.T) []RRSet {
	t.Helper()
	var sets []RRSet
	add := func(name, typ string, values ...string) {
		r, err := NewRRSet(Name(name+".types.example"), typ, 300, values)
		if err != nil {
			t.Fatal(err)
		}
		sets = append(sets, r)
	}
	add("a", "A", "192.0.2.1", "192.0.2.2")
	add("aaaa", "AAAA", "2001:DB8:0:0::1")
	add("caa", "CAA", "0 issue letsencrypt.org", `128 iodef "mailto:x@example.com"`, `0 issue ";"`)
	add("cname", "CNAME", "Target.Example.NET")
	add("dname", "DNAME", "example.net.")
	add("ds", "DS", "60485 13 2 D4B7D520E7BB5F0F67674A0CCEB1E3E0614B93C4F9E99B8383F6A1E4469DA50A")
	add("ds", "NS", "ns1.example.net")
	add("loc", "LOC", "51 30 12.748 N 0 7 39.611 W 0.00m 1m 10m 10m")
	add("mx", "MX", "10 mail.example.com", "20 mail2.example.com.")
	add("naptr", "NAPTR", `100 50 "s" "SIP+D2U" "" _sip._udp.example.com.`, `100 50 u E2U+sip "!^.*$!sip:info@example.com!" .`)
	add("pgp", "OPENPGPKEY", "mQINBFit2ioBEADhWpZZ/wvZ6hUTiXOwQHXMAlaFHcPH9hAtr4F1y2+OYdbt")
	add("ptr", "PTR", "host.example.com")
	add("_sip._tcp.srv", "SRV", "10 60 5060 sip.example.com")
	add("sshfp", "SSHFP", "4 2 A87F1B687AC0E57D2A081A2F282672334D90ED316D2B818CA9580EA384D92401")
	add("svcb", "SVCB", `1 svc.example.com. alpn=h2,h3 port=8443 ipv4hint=192.0.2.1,192.0.2.2`)
	add("https", "HTTPS", `1 . alpn="h2,h3" no-default-alpn`, "2 pool.example.net")
	add("tlsa", "TLSA", "3 1 1 0D6FCE3B2F3A9E0B3F6B2B1E9B6F3A4B5C6D7E8F90A1B2C3D4E5F60718293A4B")
	add("txt", "TXT", "v=spf1 -all", `"quoted; text" " in two"`, `back\slash`, "café", strings.Repeat("x", 700))
	add("spf", "SPF", "v=spf1 -all")
	add("_https._tcp.uri", "URI", `10 1 "https://www.example.com/path"`)
	add("cert", "CERT", "PGP 0 0 mQINBFit2ioBEADhWpZZ/wvZ6hUTiXOwQHXMAlaFHcPH9hAtr4F1y2+OYdbt")
	add("unknown", "TYPE65280", `\# 4 0A000001`)
	add("*", "A", "192.0.2.9")
	return sets
}

// others are what only a comment in a zone file can hold.
func others(t *testing.T) []RRSet {
	t.Helper()
	alias, err := NewRRSet("types.example", "ALIAS", 60, []string{"lb.example.net"})
	if err != nil {
		t.Fatal(err)
	}
	route53, err := NewRRSet("lb.types.example", "Route53Provider/ALIAS", NoTTL, []string{`{"type":"A","name":"x.example.net.", "evaluate-target-health":false}`})
	if err != nil {
		t.Fatal(err)
	}
	forward, err := NewRRSet("go.types.example", "URLFWD", 300, []string{`{"path":"/","target":"https://example.net/","code":302,"masking":2,"query":0}`})
	if err != nil {
		t.Fatal(err)
	}
	pools, err := NewRRSet("pools.types.example", "A", 60, []string{"192.0.2.5"})
	if err != nil {
		t.Fatal(err)
	}
	pools.Extra = `{"dynamic":{"pools":{"one":{"values":[{"value":"192.0.2.5","weight":2}]}},"rules":[{"pool":"one"}]},"octodns":{"healthcheck":{"path":"/_ok"},"lenient":true}}`
	return []RRSet{alias, route53, forward, pools}
}

func TestEveryTypeRoundTrips(t *testing.T) {
	sets := append(everyType(t), others(t)...)
	sortSets(sets)
	text := masterOf(t, "types.example", sets)
	_, got, err := ReadMaster(bytes.NewReader(text), "types.example", "types.zone")
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for _, e := range Diff("types.example", sets, got) {
		t.Errorf("by a zone file: %s %s: %+v → %+v", e.Name, e.Type, e.Before, e.After)
	}

	f, err := ParseYAML("types.example", "types.yaml", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range sets {
		if err := f.Put(r); err != nil {
			t.Error(err)
		}
	}
	checkFile(t, "by YAML", f, sets)
	golden(t, "types.example.yaml", f.Bytes())
	golden(t, "types.example.zone", text)
}

// TestBindLoadsWhatIsWritten has BIND judge the files.
func TestBindLoadsWhatIsWritten(t *testing.T) {
	tool, err := exec.LookPath("named-checkzone")
	if err != nil {
		t.Skip("named-checkzone (Debian bind9-utils) is not installed")
	}
	check := func(zone Name, sets []RRSet) {
		t.Helper()
		if !slices.ContainsFunc(sets, func(r RRSet) bool { return r.Name == zone && r.Type == "NS" }) {
			ns, err := NewRRSet(zone, "NS", 300, []string{"ns1.example."})
			if err != nil {
				t.Fatal(err)
			}
			sets = append(slices.Clone(sets), ns)
		}
		path := filepath.Join(t.TempDir(), "zone")
		if err := os.WriteFile(path, masterOf(t, zone, sets), 0o600); err != nil {
			t.Fatal(err)
		}
		// Only the form is judged here, not whether targets exist.
		out, err := exec.Command(tool, "-i", "none", "-k", "ignore", "-n", "ignore", "-m", "ignore", "-M", "ignore", "-S", "ignore", string(zone), path).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", zone, err, out)
		}
	}
	check("types.example", append(everyType(t), others(t)...))
	for i, f := range realZones(t) {
		sets, err := f.RRSets()
		if err != nil {
			t.Fatal(err)
		}
		if len(sets) > 10 || i%8 == 0 { // most others differ only in their name
			check(f.Zone(), sets)
		}
	}
}

func TestReadMasterFaults(t *testing.T) {
	for _, tt := range []struct{ name, src, want string }{
		{"include", "$INCLUDE /etc/passwd\n", "x.zone:1: this is not a zone file that can be read: $INCLUDE"},
		{"syntax", "$TTL 300\n@ IN A 192.0.2.1\nwww IN A nonsense\n", "x.zone:3: "},
		{"outside", "$TTL 300\nwww.example.net. IN A 192.0.2.1\n", "x.zone:2: www.example.net is not in the zone example.com"},
		{"two SOA", "@ 300 IN SOA a. b. 1 2 3 4 5\n@ 300 IN SOA a. b. 1 2 3 4 5\n", "x.zone:2: the zone has two SOA records"},
		{"SOA below", "www 300 IN SOA a. b. 1 2 3 4 5\n", "x.zone:1: www.example.com has a SOA record"},
		{"class", "@ 300 CH TXT x\n", "x.zone:1: example.com has a record of a class other than IN"},
		{"comment", "; slipway:{\n", "x.zone:1: this comment of Slipway's cannot be read"},
		{"smuggled", `; slipway:{"name":"www.example.com","type":"A","ttl":1,"values":["192.0.2.1"]}` + "\n", "x.zone:1: A of www.example.com stands in a comment"},
		{"smuggled outside", `; slipway:{"name":"example.net","type":"ALIAS","ttl":1,"values":["a."]}` + "\n", "x.zone:1: \"example.net\" is not a name of the zone"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := ReadMaster(strings.NewReader(tt.src), "example.com", "x.zone")
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestReadMasterDropsWhatSigningMakes(t *testing.T) {
	const src = `$ORIGIN example.com.
$TTL 300
@ IN SOA ns1 hostmaster 1 2 3 4 5
@ IN DNSKEY 257 3 13 mdsswUyr3DPW132mOi8V9xESWE8jTo0dxCjjnopKl+GqJxpVXckHAeF+KkxLbxILfDLUT0rAK9iUzy1L53eKGQ==
@ IN NSEC www A NS
www 600 IN A 192.0.2.1
www 60 IN A 192.0.2.1
www 60 IN A 192.0.2.2 ; slipway: is no mark of ours here
`
	soa, sets, err := ReadMaster(strings.NewReader(src), "example.com", "x.zone")
	if err != nil {
		t.Fatal(err)
	}
	if soa == nil || soa.RName != "hostmaster.example.com" {
		t.Errorf("SOA %+v", soa)
	}
	want := RRSet{Name: "www.example.com", Type: "A", TTL: 60, Values: []string{"192.0.2.1", "192.0.2.2"}}
	if len(sets) != 1 || !sets[0].Equal(want) || sets[0].Place.Line != 6 {
		t.Errorf("got %+v", sets)
	}
}
