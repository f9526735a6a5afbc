package partial_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"slipway/provider"
	"slipway/provider/partial"
	"slipway/provider/providertest/servers"
	"slipway/provider/zonefile"
	"slipway/zone"
)

// writer adds one record after the other to a zone, and takes every third out again.
type writer func(ctx context.Context, set zone.RRSet, remove bool) error

// busy has Slipway apply change after change while somebody else writes all the time. Every apply is made, nothing that the
// other has written is lost, and nothing that it has taken out comes back. journal: the provider remembers its receipts
// apart from the zone.
func busy(t *testing.T, whole provider.Provider, journal bool, write writer) {
	const least = 30 // applies, and half as many records of the other
	mine := func(i int) []zone.RRSet {
		sets := []zone.RRSet{set("app", "A", fmt.Sprintf("192.0.2.%d", i%256)), set("fixed", "A", "192.0.2.1")}
		if i%2 == 0 {
			sets = append(sets, set("now-and-then", "TXT", fmt.Sprint(i)))
		}
		return sets
	}
	p := partial.New(whole, fixed(partial.Claims{Applied: partial.KeysOf(mine(0))}))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	written, failed := map[zone.Key]zone.RRSet{}, make(chan error, 1)
	gone := map[zone.Key]bool{}
	var wrote atomic.Int64
	go func() {
		for i := 0; ctx.Err() == nil; i++ {
			one := set(fmt.Sprintf("other-%d", i), "A", fmt.Sprintf("203.0.113.%d", i%256))
			// Not stopped in the middle: whether it was made must be known.
			if err := write(t.Context(), one, false); err != nil {
				failed <- fmt.Errorf("the other, adding %s: %w", one.Name, err)
				return
			}
			written[one.Key()] = one
			wrote.Add(1)
			if i%3 == 0 {
				if err := write(t.Context(), one, true); err != nil {
					failed <- fmt.Errorf("the other, removing %s: %w", one.Name, err)
					return
				}
				delete(written, one.Key())
				gone[one.Key()] = true
			}
		}
		failed <- nil
	}()
	applies := 0
	for i := 0; i < least || wrote.Load() < least/2 && t.Context().Err() == nil; i++ {
		applies++
		live, err := p.Read(t.Context(), z)
		if err != nil {
			t.Fatal(err)
		}
		plan := provider.NewPlan(z, mine(i), live, fmt.Sprint("change-", i), "commit")
		r, err := p.Apply(t.Context(), plan)
		if err != nil || !r.Applied || r.Before != live.Digest || r.After != provider.Digest(mine(i)) {
			t.Fatalf("apply %d: %+v, %v", i, r, err)
		}
		// Run again, as after a kill: whatever others did since, it was this apply.
		if again, err := p.Apply(t.Context(), plan); err != nil || journal && !reflect.DeepEqual(again, r) {
			t.Fatalf("apply %d, run again: %+v, then %+v, %v", i, r, again, err)
		}
	}
	stop()
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	live := read(t, whole)
	has := map[zone.Key]zone.RRSet{}
	for _, set := range live.Sets {
		has[set.Key()] = set
	}
	for _, want := range mine(applies - 1) {
		if !has[want.Key()].Equal(want) {
			t.Errorf("Slipway's %s is %+v", want.Name, has[want.Key()])
		}
	}
	for k, want := range written {
		if !has[k].Equal(want) {
			t.Errorf("the other's %s is lost: %+v", k.Name, has[k])
		}
	}
	for k := range gone {
		if _, back := has[k]; back {
			t.Errorf("%s, which the other took out, is back", k.Name)
		}
	}
	t.Logf("%d applies; the other wrote %d record sets meanwhile and took %d of them out", applies, len(written)+len(gone), len(gone))
}

func TestBusyBIND(t *testing.T) {
	s := servers.StartBIND(t)
	if !s.Reset(z) {
		t.Fatal("no zone")
	}
	busy(t, update(t, s.Server, t.TempDir()), true, func(ctx context.Context, set zone.RRSet, remove bool) error {
		m := new(dns.Msg)
		m.SetUpdate(z.FQDN())
		rr, err := dns.NewRR(fmt.Sprintf("%s %d IN %s %s", set.Name.FQDN(), set.TTL, set.Type, set.Values[0]))
		if err != nil {
			return err
		}
		if remove {
			m.Remove([]dns.RR{rr})
		} else {
			m.Insert([]dns.RR{rr})
		}
		key := s.TSIG.Name.FQDN()
		m.SetTsig(key, s.TSIG.Algorithm+".", 300, time.Now().Unix())
		c := dns.Client{Net: "tcp", TsigSecret: map[string]string{key: s.TSIG.Secret.Reveal()}}
		answer, _, err := c.ExchangeContext(ctx, m, s.Address)
		if err == nil && answer.Rcode != dns.RcodeSuccess {
			err = errors.New(dns.RcodeToString[answer.Rcode])
		}
		return err
	})
}

func TestBusyZoneFiles(t *testing.T) {
	busyFiles(t, func(p *zonefile.Provider) provider.Provider { return p })
}

func TestBusyWholeZones(t *testing.T) {
	busyFiles(t, func(p *zonefile.Provider) provider.Provider { return wholeZones{p} })
}

func busyFiles(t *testing.T, as func(*zonefile.Provider) provider.Provider) {
	t.Helper()
	dir := t.TempDir()
	whole := files(t, dir)
	if _, err := whole.Apply(t.Context(), provider.NewPlan(z, others(), nil, "fill", "")); err != nil {
		t.Fatal(err)
	}
	other := files(t, dir) // as another process would
	busy(t, as(whole), false, func(ctx context.Context, set zone.RRSet, remove bool) error {
		time.Sleep(time.Millisecond) // as nobody writes without a pause
		for {
			live, err := other.Read(ctx, z)
			if err != nil {
				return err
			}
			desired := append(live.Sets[:len(live.Sets):len(live.Sets)], set)
			if remove {
				desired = nil
				for _, s := range live.Sets {
					if s.Key() != set.Key() {
						desired = append(desired, s)
					}
				}
			}
			if _, err = other.Apply(ctx, provider.NewPlan(z, desired, live, "other", "")); !errors.Is(err, provider.ErrDrifted) {
				return err
			}
		}
	})
}
