package drift_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"slipway/drift"
	"slipway/provider"
	"slipway/provider/providertest/servers"
	"slipway/provider/rfc2136"
	"slipway/zone"
)

const (
	child  = zone.Name("fin.example")
	parent = zone.Name("example")
)

// outside is a small part of the internet: a parent's name server at 192.0.2.1, a child's at
// 192.0.2.2, and nobody at 192.0.2.3. The parent's is asked as the resolver, too.
type outside struct {
	t       *testing.T
	up, low *servers.BIND
	p       drift.Parents
}

func newOutside(t *testing.T) *outside {
	t.Helper()
	o := &outside{t: t, up: servers.StartBIND(t), low: servers.StartBIND(t)}
	at := map[string]string{"192.0.2.1:53": o.up.Address, "192.0.2.2:53": o.low.Address}
	o.p = drift.Parents{Resolver: "192.0.2.1:53", Timeout: 5 * time.Second, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		real, ok := at[address]
		if !ok {
			return nil, fmt.Errorf("nobody is at %s", address)
		}
		return new(net.Dialer).DialContext(ctx, network, real)
	}}
	return o
}

// above loads the parent with what it says of the child.
func (o *outside) above(lines ...string) {
	o.t.Helper()
	text := "example. 60 IN SOA ns.example. hostmaster.example. 1 3600 600 1209600 60\nexample. 60 IN NS ns.example.\nns.example. 60 IN A 192.0.2.1\n" + strings.Join(lines, "\n") + "\n"
	if !o.up.Load(parent, text) {
		o.t.Fatal("BIND does not load the parent")
	}
}

// below loads the child.
func (o *outside) below(lines ...string) {
	o.t.Helper()
	text := "fin.example. 60 IN SOA ns1.fin.example. hostmaster.example. 1 3600 600 1209600 60\n" + strings.Join(lines, "\n") + "\n"
	if !o.low.Load(child, text) {
		o.t.Fatal("BIND does not load the child")
	}
}

func (o *outside) found(signed bool) []string {
	o.t.Helper()
	d, err := o.p.Look(o.t.Context(), child, drift.Above{})
	if err != nil {
		o.t.Fatal(err)
	}
	return kinds(o.t, d.Differences(signed))
}

// kinds names findings by kind, name, type and a part of what they say.
func kinds(t *testing.T, differences []drift.Difference) (out []string) {
	t.Helper()
	for _, d := range differences {
		out = append(out, fmt.Sprintf("%s %s %s", d.Kind, d.Name, d.Type))
		if d.Sentence() == "" || d.Zone != child || strings.Contains(d.Sentence(), "%!") {
			t.Errorf("%+v says %q", d, d.Sentence())
		}
	}
	return out
}

func TestDelegation(t *testing.T) {
	o := newOutside(t)
	good := []string{"fin.example. 60 IN NS ns1.fin.example.", "ns1.fin.example. 60 IN A 192.0.2.2"}
	for _, tt := range []struct {
		name         string
		above, below []string
		want         []string
	}{
		{"as it should be", good, good, nil},
		{"not delegated", nil, good, []string{"delegation fin.example NS"}},
		{"a name server too many, and dead", append(slices.Clone(good), "fin.example. 60 IN NS ns2.fin.example.", "ns2.fin.example. 60 IN A 192.0.2.3"), good,
			[]string{"delegation fin.example NS", "delegation ns2.fin.example NS"}},
		{"a name server that the parent has not heard of", good, append(slices.Clone(good), "fin.example. 60 IN NS ns2.fin.example.", "ns2.fin.example. 60 IN A 192.0.2.2"),
			[]string{"delegation fin.example NS"}},
		{"a name server without the zone", append(slices.Clone(good), "fin.example. 60 IN NS ns.example."), append(slices.Clone(good), "fin.example. 60 IN NS ns.example."),
			[]string{"delegation ns.example NS"}},
		{"a name server without an address", append(slices.Clone(good), "fin.example. 60 IN NS ns.elsewhere.test."), append(slices.Clone(good), "fin.example. 60 IN NS ns.elsewhere.test."),
			[]string{"delegation ns.elsewhere.test NS"}},
		{"old glue", good, []string{"fin.example. 60 IN NS ns1.fin.example.", "ns1.fin.example. 60 IN A 198.51.100.9"}, []string{"glue ns1.fin.example A"}},
		{"glue of six", append(slices.Clone(good), "ns1.fin.example. 60 IN AAAA 2001:db8::1"), good, []string{"delegation ns1.fin.example NS", "glue ns1.fin.example AAAA"}},
		{"a DS of an unsigned zone", append(slices.Clone(good), "fin.example. 60 IN DS 12345 13 2 d4b7d520e7bb5f0f67674a0cceb1e3e0614b93c4f9e99b8383f6a1e4469da50a"), good,
			[]string{"ds fin.example DS"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o.above(tt.above...)
			o.below(tt.below...)
			if got := o.found(false); !slices.Equal(got, tt.want) {
				t.Errorf("found %q, want %q", got, tt.want)
			}
		})
	}
	t.Run("it has to be signed", func(t *testing.T) {
		o.above(good...)
		o.below(good...)
		if got := o.found(true); !slices.Equal(got, []string{"ds fin.example DS"}) {
			t.Errorf("found %q", got)
		}
	})
	t.Run("one server for both", func(t *testing.T) {
		o.above(good...)
		o.up.Load(child, "fin.example. 60 IN SOA ns.example. hostmaster.example. 1 3600 600 1209600 60\nfin.example. 60 IN NS ns.example.\n")
		if got := o.found(false); len(got) != 0 {
			t.Errorf("found %q", got)
		}
	})
	t.Run("the parent is ours", func(t *testing.T) {
		o.up.Load(child, "x") // gone from the upper server
		o.above(good...)
		o.p.Resolver = ""
		if _, err := o.p.Look(t.Context(), child, drift.Above{}); !errors.Is(err, drift.ErrNoParent) {
			t.Errorf("a parent was found without a resolver: %v", err)
		}
		d, err := o.p.Look(t.Context(), child, drift.Above{Zone: parent, Servers: []string{"192.0.2.1:53"}})
		if err != nil || len(d.Differences(false)) != 0 || d.Parent != parent || !d.Found {
			t.Errorf("%+v, %v", d, err)
		}
		if _, err := o.p.Look(t.Context(), child, drift.Above{Zone: parent, Servers: []string{"192.0.2.3:53"}}); err == nil {
			t.Error("a parent that does not answer is no finding about the child, and was taken for one")
		}
	})
}

// A zone that BIND signs, and a parent that vouches for the right key, another one, or none.
func TestDelegationSigned(t *testing.T) {
	o := newOutside(t)
	if !o.low.LoadSigned(child) {
		t.Fatal("BIND does not sign the child")
	}
	p, err := rfc2136.New(t.Context(), rfc2136.Settings{Server: o.low.Address, KeyName: o.low.TSIG.Name, KeySecret: o.low.TSIG.Secret})
	if err != nil {
		t.Fatal(err)
	}
	live, err := p.Read(t.Context(), child)
	if err != nil {
		t.Fatal(err)
	}
	want := sets(t, "fin.example 60 NS ns1.fin.example.", "ns1.fin.example 60 A 192.0.2.2")
	if _, err := p.Apply(t.Context(), provider.NewPlan(child, want, live, "first", "commit")); err != nil {
		t.Fatal(err)
	}
	good := []string{"fin.example. 60 IN NS ns1.fin.example.", "ns1.fin.example. 60 IN A 192.0.2.2"}
	o.above(good...)
	var key *dns.DNSKEY
	for key == nil { // it has a key once it is signed, a moment later
		if t.Context().Err() != nil {
			t.Fatal("the child gets no key")
		}
		d, err := o.p.Look(t.Context(), child, drift.Above{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range d.Keys {
			if d.Keys[i].Flags&dns.SEP != 0 {
				key = &d.Keys[i]
			}
		}
	}
	ds := func(k *dns.DNSKEY, digest uint8) string {
		return "fin.example. 60 IN DS " + strings.TrimPrefix(k.ToDS(digest).String(), k.ToDS(digest).Header().String())
	}
	other := *key
	other.PublicKey = "mdsswUyr3DPW132mOi8V9xESWE8jTo0dxCjjnopKl+GqJxpVXckHAeF+KkxLbxILfDLUT0rAK9iUzy1L53eKGQ=="
	for _, tt := range []struct {
		name   string
		ds     []string
		signed bool
		want   int
		says   string
	}{
		{"the right one", []string{ds(key, dns.SHA256)}, true, 0, ""},
		{"with another digest", []string{ds(key, dns.SHA384)}, true, 0, ""},
		{"none, though it has to be signed", nil, true, 1, "nobody checks the signatures"},
		{"that of another key", []string{ds(&other, dns.SHA256)}, false, 1, "for forged"},
		{"one too many", []string{ds(key, dns.SHA256), ds(&other, dns.SHA256)}, false, 1, "fits none of its keys"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o.above(slices.Concat(good, tt.ds)...)
			d, err := o.p.Look(t.Context(), child, drift.Above{})
			if err != nil {
				t.Fatal(err)
			}
			got := d.Differences(tt.signed)
			if len(got) != tt.want || tt.want == 1 && (got[0].Kind != drift.DS || !strings.Contains(got[0].Sentence(), tt.says)) {
				t.Errorf("%+v", got)
			}
		})
	}
}

// What a zone asks of its parent by CDS records (RFC 7344, RFC 8078).
func TestCDS(t *testing.T) {
	key := dns.DNSKEY{Hdr: dns.RR_Header{Name: "fin.example.", Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET}, Flags: 257, Protocol: 3, Algorithm: 13,
		PublicKey: "mdsswUyr3DPW132mOi8V9xESWE8jTo0dxCjjnopKl+GqJxpVXckHAeF+KkxLbxILfDLUT0rAK9iUzy1L53eKGQ=="}
	next := key
	next.PublicKey = "oJMRESz5E4gYzS/q6XDrvU1qMPYIjCWzJaOau8XNEZeqCYKD5ar0IRd8KqXXFJkqmVfRvMGPmM1x8fGAa2XhSA=="
	now, coming := *key.ToDS(dns.SHA256), *next.ToDS(dns.SHA256)
	for name, tt := range map[string]struct {
		ds   []dns.DS
		keys []dns.DNSKEY
		cds  []dns.CDS
		says string // "" for no finding
	}{
		"in order":                {[]dns.DS{now}, []dns.DNSKEY{key}, []dns.CDS{{DS: now}}, ""},
		"a new key waits":         {[]dns.DS{now}, []dns.DNSKEY{key, next}, []dns.CDS{{DS: coming}}, "change of keys waits"},
		"the first DS is awaited": {nil, []dns.DNSKEY{key}, []dns.CDS{{DS: now}}, "no DS record"},
		"none is wanted":          {nil, []dns.DNSKEY{key}, []dns.CDS{{DS: dns.DS{Algorithm: 0}}}, ""},
		"to be taken out":         {[]dns.DS{now}, []dns.DNSKEY{key}, []dns.CDS{{DS: dns.DS{Algorithm: 0}}}, "be taken out"},
		"signed for nobody":       {nil, []dns.DNSKEY{key}, nil, ""},
	} {
		d := &drift.Delegated{Zone: child, Parent: parent, Found: true, NS: []zone.Name{"ns.example"}, OwnNS: []zone.Name{"ns.example"}, DS: tt.ds, Keys: tt.keys, CDS: tt.cds}
		got := d.Differences(false)
		if tt.says == "" && len(got) != 0 || tt.says != "" && (len(got) != 1 || !strings.Contains(got[0].Sentence(), tt.says)) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
