package nameserver_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/nameserver"
	"slipway/zone"
)

func set(t testing.TB, name zone.Name, typ string, ttl int, values ...string) zone.RRSet {
	t.Helper()
	s, err := zone.NewRRSet(name, typ, ttl, values)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestVerify(t *testing.T) {
	const z = zone.Name("apps.finmicro.example")
	long := strings.Repeat("0123456789", 60)
	records := fmt.Sprintf("big 300 IN TXT %q %q %q\n", long[:255], long[255:510], long[510:])
	for _, signed := range []bool{false, true} {
		t.Run(fmt.Sprintf("signed=%v", signed), func(t *testing.T) {
			w := newWorld(t, nameserver.Zone{Name: z, Signed: signed})
			w.write(z, fmt.Sprintf(apps, 7)+records)
			w.start()
			for _, tt := range []struct {
				what    string
				set     zone.RRSet
				skipped bool
				wrong   string // part of the error; "" when it verifies
			}{
				{"two addresses", set(t, "expenses.apps.finmicro.example", "A", 300, "192.0.2.11", "192.0.2.10"), false, ""},
				{"any TTL", set(t, "expenses.apps.finmicro.example", "A", zone.NoTTL, "192.0.2.11", "192.0.2.10"), false, ""},
				{"TXT with quotes", set(t, "expenses.apps.finmicro.example", "TXT", 300, `"owner=ana; cost \"low\""`), false, ""},
				{"long TXT over TCP", set(t, "big.apps.finmicro.example", "TXT", 300, long), false, ""},
				{"CNAME", set(t, "menu.apps.finmicro.example", "CNAME", 300, "expenses.apps.finmicro.example."), false, ""},
				{"CNAME out of the zone", set(t, "out.apps.finmicro.example", "CNAME", 300, "www.example.net."), false, ""},
				{"wildcard", set(t, "*.apps.finmicro.example", "A", 300, "192.0.2.99"), false, ""},
				{"escaped name", set(t, `has\.dot.apps.finmicro.example`, "A", 300, "192.0.2.14"), false, ""},
				{"apex MX", set(t, z, "MX", 300, "10 expenses.apps.finmicro.example."), false, ""},
				{"apex NS", set(t, z, "NS", 300, "ns1.finmicro.example."), false, ""},
				{"delegation", set(t, "team.apps.finmicro.example", "NS", 300, "ns.team.apps.finmicro.example."), false, ""},
				{"glue", set(t, "ns.team.apps.finmicro.example", "A", 300, "192.0.2.13"), false, ""},
				{"hidden below a cut", set(t, "x.team.apps.finmicro.example", "A", 300, "192.0.2.13"), true, ""},
				{"apex ALIAS", set(t, z, "ALIAS", 300, "app.example.net."), true, ""},
				{"provider's own type", zone.RRSet{Name: z, Type: "Route53Provider/ALIAS", TTL: 300, Values: []string{"{}"}}, true, ""},
				{"other value", set(t, "expenses.apps.finmicro.example", "A", 300, "192.0.2.10"), false, "wanted 192.0.2.10, got 192.0.2.10, 192.0.2.11"},
				{"other TTL", set(t, "expenses.apps.finmicro.example", "A", 60, "192.0.2.11", "192.0.2.10"), false, "TTL is 300"},
				{"missing", set(t, "expenses.apps.finmicro.example", "MX", 300, "10 a.example."), false, "does not exist"},
				{"address of an alias", set(t, "menu.apps.finmicro.example", "A", 300, "192.0.2.10", "192.0.2.11"), false, "does not exist"},
				{"other delegation", set(t, "team.apps.finmicro.example", "NS", 300, "ns2.team.apps.finmicro.example."), false, "other values"},
				{"other zone", set(t, "www.example.net", "A", 300, "192.0.2.1"), false, "REFUSED"},
			} {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				if tt.wrong != "" {
					cancel()
					ctx, cancel = context.WithTimeout(t.Context(), 60*time.Millisecond)
				}
				skipped, err := nameserver.Verify(ctx, w.Internal(), []zone.RRSet{tt.set}, nil)
				cancel()
				switch {
				case tt.wrong == "" && err != nil:
					t.Errorf("%s: %v", tt.what, err)
				case tt.wrong != "" && (err == nil || !strings.Contains(err.Error(), tt.wrong) || !errors.Is(err, context.DeadlineExceeded)):
					t.Errorf("%s: error %v, want %q and the end of the time", tt.what, err, tt.wrong)
				case tt.skipped != (len(skipped) == 1):
					t.Errorf("%s: skipped %v, want %v", tt.what, skipped, tt.skipped)
				}
			}
		})
	}
}

func TestVerifyGone(t *testing.T) {
	const z = zone.Name("apps.finmicro.example")
	w := newWorld(t, nameserver.Zone{Name: z})
	w.write(z, fmt.Sprintf(apps, 7))
	w.start()
	for key, gone := range map[zone.Key]bool{
		{Name: "expenses.apps.finmicro.example", Type: "A"}:     false,
		{Name: "expenses.apps.finmicro.example", Type: "AAAA"}:  true,
		{Name: "deleted.apps.finmicro.example", Type: "A"}:      true, // the wildcard answers instead
		{Name: "a.b.deleted.apps.finmicro.example", Type: "A"}:  true,
		{Name: "menu.apps.finmicro.example", Type: "A"}:         true, // the alias answers instead
		{Name: "team.apps.finmicro.example", Type: "NS"}:        false,
		{Name: "*.apps.finmicro.example", Type: "A"}:            false,
		{Name: "apps.finmicro.example", Type: "NS"}:             true, // every zone has some: cannot be asked for
		{Name: "gone.ent.apps.finmicro.example", Type: "CNAME"}: true,
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		if !gone {
			cancel()
			ctx, cancel = context.WithTimeout(t.Context(), 60*time.Millisecond)
		}
		if _, err := nameserver.Verify(ctx, w.Internal(), nil, []zone.Key{key}); (err == nil) != gone {
			t.Errorf("%v: %v, want gone %v", key, err, gone)
		}
		cancel()
	}
}

// Verify waits for a change that is on its way, and names what it waits for.
func TestVerifyWaits(t *testing.T) {
	const z = zone.Name("apps.finmicro.example")
	w := newWorld(t, nameserver.Zone{Name: z})
	w.write(z, minimal(z, 1, ""))
	w.start()
	done := make(chan error, 1)
	want := []zone.RRSet{set(t, "a.apps.finmicro.example", "A", 60, "192.0.2.1"), set(t, "b.apps.finmicro.example", "A", 60, "192.0.2.2")}
	go func() {
		_, err := nameserver.Verify(t.Context(), w.Internal(), want, nil)
		done <- err
	}()
	w.write(z, minimal(z, 2, "a A 192.0.2.1\nb A 192.0.2.2\n"))
	w.Reload(z)
	if err := <-done; err != nil {
		t.Error(err)
	}
	want = append(want, set(t, "c.apps.finmicro.example", "A", 60, "192.0.2.3"), set(t, "d.apps.finmicro.example", "A", 60, "192.0.2.4"))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := nameserver.Verify(ctx, w.Internal(), want, nil)
	var m *nameserver.Mismatch
	if !errors.As(err, &m) || m.Key.Name != "c.apps.finmicro.example" || !slices.Equal(m.Want, []string{"192.0.2.3"}) || !strings.Contains(err.Error(), "1 more") {
		t.Errorf("error: %v", err)
	}
}

// The delegation of a zone that the same server has cannot be asked for: the zone
// below answers. That must not hold a change up for ever.
func TestVerifyDelegationToOwnZone(t *testing.T) {
	w := newWorld(t, nameserver.Zone{Name: "finmicro.example"}, nameserver.Zone{Name: "apps.finmicro.example"})
	w.write("finmicro.example", minimal("finmicro.example", 1, "apps NS ns1\nns1 A 192.0.2.53\n"))
	w.write("apps.finmicro.example", minimal("apps.finmicro.example", 1, ""))
	w.start()
	skipped, err := nameserver.Verify(t.Context(), w.Internal(), []zone.RRSet{set(t, "apps.finmicro.example", "NS", 60, "ns1.finmicro.example.")}, nil)
	if err != nil || len(skipped) != 1 {
		t.Errorf("skipped %v, error %v", skipped, err)
	}
}

func TestResolveErrors(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if _, err := nameserver.Resolve(t.Context(), silent.LocalAddr().String(), "a.example", "A", 50*time.Millisecond); err == nil {
		t.Error("a server that says nothing: no error")
	}
	if _, err := nameserver.Resolve(t.Context(), "127.0.0.1:1", "a.example", "Route53Provider/ALIAS", time.Second); err == nil {
		t.Error("a type that is no DNS type: no error")
	}
	w := newWorld(t, nameserver.Zone{Name: "apps.finmicro.example"}).start()
	if _, err := nameserver.Resolve(t.Context(), w.Internal(), "a.example", "A", time.Second); err == nil || !strings.Contains(err.Error(), "REFUSED") {
		t.Errorf("a zone that is not served: %v", err)
	}
}
