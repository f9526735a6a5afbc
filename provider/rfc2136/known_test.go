package rfc2136_test

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"

	"slipway/provider"
	"slipway/provider/providertest/servers"
	"slipway/provider/rfc2136"
	"slipway/zone"
)

// counted is a network that counts what is received.
type counted struct{ bytes atomic.Int64 }

func (n *counted) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	return &countedConn{c, n}, err
}

type countedConn struct {
	net.Conn
	n *counted
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.n.bytes.Add(int64(n))
	return n, err
}

// took returns how many bytes a look at the zone received.
func (n *counted) took(t *testing.T, look func(context.Context, zone.Name) (*provider.Live, error)) (*provider.Live, int64) {
	t.Helper()
	n.bytes.Store(0)
	live, err := look(t.Context(), z)
	if err != nil {
		t.Fatal(err)
	}
	return live, n.bytes.Load()
}

// A zone that is as it was costs one record, and one that was edited is transferred.
func TestUnchangedCostsOneRecord(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) servers.Server{
		"BIND": func(t *testing.T) servers.Server { return servers.StartBIND(t, z).Server },
		"Knot": func(t *testing.T) servers.Server { return servers.StartKnot(t, z).Server },
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			healthy := open(t, settings(s, t.TempDir()))
			apply(t, healthy, provider.NewPlan(z, hosts(200, 0), read(t, healthy), "first", "commit"))
			network := new(counted)
			set := settings(s, t.TempDir())
			set.Dial = network.dial
			p := open(t, set)

			first, whole := network.took(t, p.Summary)
			if whole < 200*250 || first.Digest != read(t, healthy).Digest {
				t.Fatalf("the first look received %d bytes and found %s", whole, first.Digest)
			}
			same, n := network.took(t, p.Summary)
			if n > 500 || same.Digest != first.Digest || same.Serial != first.Serial {
				t.Errorf("an unchanged zone received %d bytes: %+v", n, same)
			}
			if again, n := network.took(t, p.Whole); n < whole/2 || again.Digest != first.Digest {
				t.Errorf("the whole zone received %d bytes", n)
			}
			apply(t, healthy, provider.NewPlan(z, hosts(200, 1), read(t, healthy), "second", "commit"))
			if edited, _ := network.took(t, p.Summary); edited.Digest != read(t, healthy).Digest || edited.Digest == first.Digest {
				t.Errorf("an edit was not found: %+v", edited)
			}
			if _, n := network.took(t, p.Summary); n > 500 {
				t.Errorf("the edited zone received %d bytes when looked at again", n)
			}
		})
	}
}

// Somebody edits a zone's file and forgets the serial: whoever asks for the whole zone finds it, and
// everybody does an hour later.
func TestForgottenSerial(t *testing.T) {
	s := servers.StartBIND(t, z)
	content := func(address string) string {
		return servers.Empty(z) + fmt.Sprintf("www.%s 300 IN A %s\n", z.FQDN(), address)
	}
	s.Load(z, content("192.0.2.1"))
	p := open(t, settings(s.Server, t.TempDir()))
	first, err := p.Summary(t.Context(), z)
	if err != nil {
		t.Fatal(err)
	}
	s.Load(z, content("192.0.2.66"))
	if unseen, err := p.Summary(t.Context(), z); err != nil || unseen.Digest != first.Digest {
		t.Errorf("%+v, %v", unseen, err)
	}
	edited, err := p.Whole(t.Context(), z)
	if err != nil || edited.Digest == first.Digest || edited.Serial != first.Serial {
		t.Errorf("%+v, %v", edited, err)
	}
	if later, err := p.Summary(t.Context(), z); err != nil || later.Digest != edited.Digest {
		t.Errorf("%+v, %v", later, err)
	}
	s.Load(z, content("192.0.2.67"))
	p.Age(z, rfc2136.WholeEvery)
	if later, err := p.Summary(t.Context(), z); err != nil || later.Digest == edited.Digest {
		t.Errorf("not found after an hour: %+v, %v", later, err)
	}
}

// A process that starts anew knows what the same transfer said to the one before.
func TestTransfersAreKept(t *testing.T) {
	s := servers.StartBIND(t, z)
	dir := t.TempDir()
	p := open(t, settings(s.Server, dir))
	apply(t, p, provider.NewPlan(z, hosts(3, 0), read(t, p), "first", "commit"))
	before, err := p.Summary(t.Context(), z)
	if err != nil {
		t.Fatal(err)
	}
	for name, journal := range map[string]string{"the same directory": dir, "another": t.TempDir()} {
		after, err := open(t, settings(s.Server, journal)).Summary(t.Context(), z)
		if err != nil || after.Digest != before.Digest || after.Serial != before.Serial || after.DefaultTTL != before.DefaultTTL ||
			after.ApexNS == nil || !after.ApexNS.Equal(*before.ApexNS) || after.Sets != nil {
			t.Errorf("%s: %+v, %v, want %+v", name, after, err, before)
		}
	}
}
