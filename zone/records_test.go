package zone

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// Records give the same sets as the text that they were written as.
func TestFromRecords(t *testing.T) {
	const z = Name("finmicro.example")
	text := `@ 3600 IN SOA ns.invalid. hostmaster 1 2 3 4 5
@ 300 IN MX 10 MAIL.Finmicro.example.
@ 300 IN TXT "v=spf1 " "-all"
@ 300 IN CAA 0 ISSUE "ca.example"
WWW 60 IN A 192.0.2.2
www 30 IN A 192.0.2.1
www 30 IN A 192.0.2.1
six 60 IN AAAA 2001:DB8:0:0::1
odd 60 IN TYPE65400 \# 2 0a0b
svc 60 IN HTTPS 1 . alpn=h2 port=8443
@ 60 IN DNSKEY 257 3 13 mdsswUyr3DPW132mOi8V9xESWE8jTo0dxCjjnopKl+GqJxpVXckHAeF+KkxLbxILfDLUT0rAK9iUzy1L53eKGQ==
`
	same := func(t *testing.T, z Name, text string) {
		t.Helper()
		wantSOA, want, err := ReadMaster(strings.NewReader(text), z, "zone")
		if err != nil {
			t.Fatal(err)
		}
		var records []dns.RR
		p := dns.NewZoneParser(strings.NewReader(text), z.FQDN(), "")
		for rr, ok := p.Next(); ok; rr, ok = p.Next() {
			// As they come over the network.
			wire := make([]byte, dns.MaxMsgSize)
			n, err := dns.PackRR(rr, wire, 0, nil, false)
			if err != nil {
				t.Fatal(err)
			}
			if rr, _, err = dns.UnpackRR(wire[:n], 0); err != nil {
				t.Fatal(err)
			}
			records = append(records, rr)
		}
		soa, got, err := FromRecords(records, z, "transfer")
		if err != nil {
			t.Fatal(err)
		}
		if *soa != *wantSOA || !slices.EqualFunc(got, want, RRSet.Equal) {
			t.Errorf("got\n%v\nwant\n%v", got, want)
		}
	}
	same(t, z, text)

	for _, bad := range []string{"www.other.example. 60 IN A 192.0.2.1", "www.finmicro.example. 60 CH A 192.0.2.1", "www.finmicro.example. 60 IN SOA a. b. 1 2 3 4 5"} {
		rr, err := dns.NewRR(bad)
		if err != nil {
			continue
		}
		if _, _, err := FromRecords([]dns.RR{rr}, z, "transfer"); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}

	files, _ := filepath.Glob("../../shared/data/octodns-zones/*.yaml")
	for _, file := range files[:min(len(files), 40)] {
		name := Name(strings.TrimSuffix(filepath.Base(file), ".yaml"))
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		f, err := ParseYAML(name, file, src)
		if err != nil {
			continue
		}
		sets, err := f.RRSets()
		if err != nil {
			continue
		}
		var out bytes.Buffer
		if WriteMaster(&out, name, SOA{MName: "ns.invalid", RName: "hostmaster.invalid"}, sets, 3600) != nil {
			continue
		}
		plain := ""
		for line := range strings.Lines(out.String()) {
			if !strings.HasPrefix(line, masterMark) {
				plain += line
			}
		}
		same(t, name, plain)
	}
}
