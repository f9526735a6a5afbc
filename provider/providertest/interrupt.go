package providertest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"slipway/provider"
	"slipway/zone"
)

func cancelled(t *testing.T, s *subject) {
	s.apply(s.plan(z, "first", s.a("expenses", "192.0.2.10")))
	p := s.plan(z, "second", s.a("expenses", "192.0.2.11"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.p.Apply(ctx, p); !errors.Is(err, context.Canceled) {
		t.Errorf("apply: %v", err)
	}
	if _, err := s.p.Read(ctx, z); !errors.Is(err, context.Canceled) {
		t.Errorf("read: %v", err)
	}
	if live := s.read(z); live.Digest != p.Expect {
		t.Errorf("a cancelled apply changed the zone")
	}
	s.apply(p) // and left nothing behind that hinders the next
}

// interrupted ends the context of an apply at one moment after the other, and runs it
// again: it ends where it should, and is applied once.
func interrupted(t *testing.T, s *subject) {
	s.apply(s.plan(z, "first", s.a("menu", "192.0.2.20")))
	before := s.read(z)
	for i := range 12 {
		p := s.plan(z, fmt.Sprintf("change-%d", i), s.a("expenses", fmt.Sprintf("192.0.2.%d", i)), s.a("menu", "192.0.2.20"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i*i)*100*time.Microsecond)
		first, err := s.p.Apply(ctx, p)
		cancel()
		// Once, not by s.read: what was sent may still be on its way.
		live, readErr := s.p.Read(t.Context(), z)
		if readErr != nil {
			t.Fatal(readErr)
		}
		if live.Digest != before.Digest && live.Digest != provider.Digest(live.WithTTLs(p.Desired)) {
			t.Fatalf("run %d left the zone half-way: %+v", i, live)
		}
		s.p = s.open()
		r := s.apply(p)
		if !r.Applied || r.Before != before.Digest || int32(r.Serial-before.Serial) <= 0 && r.Serial != 0 {
			t.Errorf("run %d, interrupted with %v and run again: %+v after %+v", i, err, r, before)
		}
		if err == nil && (first.Serial != r.Serial || first.ProviderChange != r.ProviderChange) {
			t.Errorf("run %d was applied twice: %+v, then %+v", i, first, r)
		}
		before = s.read(z)
	}
}

func differentZones(t *testing.T, s *subject) {
	const zones, steps = 8, 5
	var wg sync.WaitGroup
	for i := range zones {
		z := zone.Name(fmt.Sprintf("zone%d.example", i))
		s.prepare(z)
		wg.Go(func() {
			for j := range steps {
				live, err := s.p.Read(t.Context(), z)
				if err != nil {
					t.Error(err)
					return
				}
				desired := []zone.RRSet{{Name: "a." + z, Type: "A", TTL: 300, Values: []string{fmt.Sprintf("192.0.2.%d", j)}}}
				if r, err := s.p.Apply(t.Context(), provider.NewPlan(z, desired, live, fmt.Sprint(j), "commit")); err != nil || !r.Applied {
					t.Errorf("zone %s step %d: %+v, %v", z, j, r, err)
				}
			}
		})
	}
	wg.Wait()
}

func oneZoneAtATime(t *testing.T, s *subject) {
	const rivals = 8
	plans := make([]provider.Plan, rivals)
	for i := range plans {
		plans[i] = s.plan(z, fmt.Sprintf("rival-%d", i), s.a("expenses", fmt.Sprintf("192.0.2.%d", i)))
	}
	won := make([]bool, rivals)
	var wg sync.WaitGroup
	for i, p := range plans {
		wg.Go(func() {
			r, err := s.open().Apply(t.Context(), p) // as another process would
			switch {
			case err == nil && r.Applied:
				won[i] = true
			case !errors.Is(err, provider.ErrDrifted):
				t.Errorf("rival %d: %+v, %v", i, r, err)
			}
		})
	}
	wg.Wait()
	winners := 0
	for i, w := range won {
		if w {
			winners++
			if live := s.read(z); live.Digest != provider.Digest(live.WithTTLs(plans[i].Desired)) {
				t.Errorf("rival %d was told that it won, and another's zone is live", i)
			}
		}
	}
	if winners != 1 {
		t.Errorf("%d of %d plans against one version of a zone were applied", winners, rivals)
	}
}
