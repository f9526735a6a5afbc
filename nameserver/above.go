package nameserver

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/miekg/dns"

	"slipway/zone"
)

// maxTransfer bounds the records taken over by one transfer.
const maxTransfer = 5_000_000

// under reports whether a set that is not answered as wanted lies in a zone above the
// one that answers, when the server has both: the upper side of a delegation, or a
// record left behind below one. No question reaches it, so the upper zone is asked for
// as a whole. A server that does not hand it over leaves it unseen; the set is then
// taken for hidden too.
func (v *verifier) under(ctx context.Context, c check, m *dns.Msg) (bool, error) {
	if delegated(m) {
		return false, nil // the zone that refers is the one that holds the set
	}
	lower, err := v.chain.zoneOf(ctx, m, c.key.Name.FQDN(), c.qtype)
	if err != nil || lower == "" {
		return false, err
	}
	for name, err := zone.ParseName(lower); ; {
		if err != nil || name == "." {
			return false, err
		}
		soa, err := ask(ctx, v.server, name.Parent().FQDN(), dns.TypeSOA, false)
		if err != nil {
			return false, nil // no zone above is served here
		}
		upper, err := v.chain.zoneOf(ctx, soa, name.Parent().FQDN(), dns.TypeDS)
		if err != nil || upper == "" {
			return false, err
		}
		t := v.above.get(ctx, upper)
		if t.err != nil || c.differs(t.sets[setID{c.key.Name.FQDN(), c.qtype}]) == "" {
			v.hide(c.key)
			return true, nil
		}
		if name, err = zone.ParseName(upper); err != nil {
			return false, err
		}
	}
}

// above keeps the zones that were asked for as a whole in one round of questions.
type above struct {
	server string

	mu    sync.Mutex // guards zones, and is held during a transfer: one for all who need it
	zones map[string]*transferred
}

type setID struct {
	name string
	t    uint16
}

type transferred struct {
	sets map[setID][]dns.RR
	err  error
}

func (a *above) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.zones)
}

func (a *above) get(ctx context.Context, zone string) *transferred {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t := a.zones[zone]; t != nil {
		return t
	}
	t := transferZone(ctx, a.server, zone)
	a.zones[zone] = t
	return t
}

func transferZone(ctx context.Context, server, zone string) *transferred {
	t := &transferred{sets: map[setID][]dns.RR{}}
	q := new(dns.Msg)
	q.SetAxfr(zone)
	transfer := new(dns.Transfer)
	envelopes, err := transfer.In(q, server)
	if err != nil {
		return &transferred{err: fmt.Errorf("transfer zone %s from %s: %w", zone, server, err)}
	}
	stop := context.AfterFunc(ctx, func() { transfer.Close() })
	defer stop()
	records := 0
	for e := range envelopes {
		if e.Error != nil {
			t.err = errors.Join(t.err, e.Error)
			continue
		}
		for _, rr := range e.RR {
			if records++; records > maxTransfer {
				t.err = fmt.Errorf("zone %s has more than %d records", zone, maxTransfer)
				transfer.Close()
				break
			}
			id := setID{dns.CanonicalName(rr.Header().Name), rr.Header().Rrtype}
			t.sets[id] = append(t.sets[id], rr)
		}
	}
	return t
}
