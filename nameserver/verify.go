package nameserver

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"

	"slipway/provider"
	"slipway/zone"
)

// How often Verify asks again: at first as soon as a server that reloads at once
// can have done so, later no oftener than a person would.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = 250 * time.Millisecond
)

// together is how many record sets are asked for at a time.
const together = 8

// Mismatch is a record set that a server does not answer as wanted.
type Mismatch struct {
	Server    string
	Key       zone.Key
	Want, Got []string // values; both are empty when the difference is elsewhere
	Why       string   // in plain words
}

func (m *Mismatch) Error() string {
	s := fmt.Sprintf("%s %s is not yet as it should be at %s: %s", m.Key.Type, m.Key.Name, m.Server, m.Why)
	if len(m.Want)+len(m.Got) > 0 {
		s += fmt.Sprintf(" (wanted %s, got %s)", provider.Listing(m.Want), provider.Listing(m.Got))
	}
	return s
}

// Verify asks server until every set in sets answers as wanted (and every key in
// gone does not), or ctx ends. In a signed zone the answers must carry signatures
// that the zone's own keys made. Sets that no DNS question can be asked about are
// skipped and returned: types that are a provider's own, and what a zone cut hides
// (see above.go). The error is the first set that is not so, and how many more there are.
func Verify(ctx context.Context, server string, sets []zone.RRSet, gone []zone.Key) (skipped []zone.Key, err error) {
	v := &verifier{server: server, chain: &chain{server: server, zones: map[string]*apex{}}, above: &above{server: server, zones: map[string]*transferred{}}}
	var open []check
	for _, set := range sets {
		t, ok := wireType(set.Type)
		if !ok {
			skipped = append(skipped, set.Key())
			continue
		}
		want, err := records(set, t)
		if err != nil {
			return skipped, fmt.Errorf("%s %s cannot be answered by any DNS server: %w", set.Type, set.Name, err)
		}
		open = append(open, check{key: set.Key(), qtype: t, set: &set, want: want})
	}
	for _, key := range gone {
		t, ok := wireType(key.Type)
		if !ok {
			skipped = append(skipped, key)
			continue
		}
		open = append(open, check{key: key, qtype: t})
	}
	var wrong error // what the last whole round found
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		var found error
		if open, found = v.round(ctx, open); len(open) == 0 {
			return append(skipped, v.hidden...), nil
		}
		// A round that the end of ctx cut short says nothing about the server.
		if wrong == nil || ctx.Err() == nil {
			wrong = found
			if more := len(open) - 1; more > 0 {
				wrong = fmt.Errorf("%w; and %d more record sets", found, more)
			}
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return append(skipped, v.hidden...), fmt.Errorf("%w (%w)", wrong, context.Cause(ctx))
		case <-timer.C:
		}
	}
}

// check is one record set to be seen (set) or not to be seen (set is nil).
type check struct {
	key   zone.Key
	qtype uint16
	set   *zone.RRSet
	want  []dns.RR
}

type verifier struct {
	server string
	chain  *chain
	above  *above

	mu     sync.Mutex // guards hidden
	hidden []zone.Key
}

// round asks for every open set once and returns those still open, with what is
// wrong with the first of them.
func (v *verifier) round(ctx context.Context, open []check) ([]check, error) {
	errs := make([]error, len(open))
	var g errgroup.Group
	g.SetLimit(together)
	for i, c := range open {
		g.Go(func() error {
			if c.set != nil {
				errs[i] = v.seen(ctx, c)
			} else {
				errs[i] = v.unseen(ctx, c)
			}
			return nil
		})
	}
	g.Wait()
	v.chain.forget()
	v.above.forget()
	var left []check
	var first error
	for i, err := range errs {
		if err == nil {
			continue
		}
		if first == nil {
			first = err
		}
		left = append(left, open[i])
	}
	return left, first
}

func (v *verifier) seen(ctx context.Context, c check) error {
	name := c.key.Name.FQDN()
	m, err := ask(ctx, v.server, name, c.qtype, true)
	if err != nil {
		return err
	}
	got, signed := pick(m.Answer, name, c.qtype), true
	if len(got) == 0 && delegated(m) {
		signed = false // RFC 4035 section 2.2: neither NS sets at a zone cut nor glue are signed
		if got = referral(m, name, c.qtype); len(got) == 0 {
			v.hide(c.key)
			return nil
		}
	}
	if why := c.differs(got); why != "" {
		if under, err := v.under(ctx, c, m); err != nil || under {
			return err
		}
		return &Mismatch{Server: v.server, Key: c.key, Why: why, Want: values(c.key.Name, c.key.Type, c.want), Got: values(c.key.Name, c.key.Type, got)}
	}
	if signed {
		if err := v.chain.check(ctx, m, name, c.qtype, got); err != nil {
			return &Mismatch{Server: v.server, Key: c.key, Why: err.Error()}
		}
	}
	return nil
}

// differs says in what the records found are not those wanted; "" when they are.
func (c check) differs(got []dns.RR) string {
	switch {
	case len(got) == 0:
		return "it does not exist there"
	case !sameRecords(c.want, got):
		return "it has other values"
	case c.set.TTL != zone.NoTTL && got[0].Header().Ttl != uint32(c.set.TTL):
		return fmt.Sprintf("its TTL is %d seconds where %d are wanted", got[0].Header().Ttl, c.set.TTL)
	}
	return ""
}

func (v *verifier) unseen(ctx context.Context, c check) error {
	name := c.key.Name.FQDN()
	m, err := ask(ctx, v.server, name, c.qtype, true)
	if err != nil {
		return err
	}
	got := pick(m.Answer, name, c.qtype)
	if len(got) == 0 {
		got = referral(m, name, c.qtype)
	}
	if len(got) == 0 {
		return nil
	}
	if wild, err := v.fromWildcard(ctx, c, got); err != nil || wild {
		return err
	}
	if c.qtype == dns.TypeNS && len(pick(m.Answer, name, dns.TypeNS)) > 0 && m.Authoritative {
		// A zone begins here, and every zone has NS records at its beginning: those of
		// the zone above, or of the approved zone, may be gone all the same.
		v.hide(c.key)
		return nil
	}
	return &Mismatch{Server: v.server, Key: c.key, Why: "it was deleted and is still answered", Got: values(c.key.Name, c.key.Type, got)}
}

// fromWildcard reports whether the records of a deleted set are those of a wildcard
// above it, which takes its place at once (RFC 4592 section 3.3.1).
func (v *verifier) fromWildcard(ctx context.Context, c check, got []dns.RR) (bool, error) {
	if c.key.Name.Wildcard() {
		return false, nil
	}
	for above := c.key.Name.Parent(); above != "."; above = above.Parent() {
		wildcard := "*." + above.FQDN()
		m, err := ask(ctx, v.server, wildcard, c.qtype, false)
		if err != nil {
			return false, nil // outside the zones served: nothing above it can be the source
		}
		if rrs := pick(m.Answer, wildcard, c.qtype); len(rrs) > 0 {
			for _, rr := range rrs {
				rr.Header().Name = got[0].Header().Name
			}
			return sameRecords(rrs, got), nil
		}
	}
	return false, nil
}

func (v *verifier) hide(k zone.Key) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.hidden = append(v.hidden, k)
}

// records turns a set into the records that a message would hold.
func records(set zone.RRSet, t uint16) ([]dns.RR, error) {
	ttl := max(set.TTL, 0)
	out := make([]dns.RR, 0, len(set.Values))
	for _, value := range set.Values {
		rr, err := dns.NewRR(fmt.Sprintf("%s %d IN %s %s", set.Name.FQDN(), ttl, set.Type, value))
		if err != nil {
			return nil, err
		}
		if rr == nil || rr.Header().Rrtype != t {
			return nil, fmt.Errorf("%q is not the data of one record", value)
		}
		// Through wire form, so that escapes are spelled as in an answer.
		buf := make([]byte, dns.MaxMsgSize)
		n, err := dns.PackRR(rr, buf, 0, nil, false)
		if err != nil {
			return nil, err
		}
		if rr, _, err = dns.UnpackRR(buf[:n], 0); err != nil {
			return nil, err
		}
		out = append(out, rr)
	}
	return out, nil
}

// sameRecords reports whether two lists hold the same data, in whatever order; TTLs
// apart, and names in whatever case, as DNS compares them (RFC 4343).
func sameRecords(want, got []dns.RR) bool {
	if len(want) != len(got) {
		return false
	}
	rest := slices.Clone(got)
	for _, w := range want {
		i := slices.IndexFunc(rest, func(g dns.RR) bool { return dns.IsDuplicate(w, g) })
		if i < 0 {
			return false
		}
		rest = slices.Delete(rest, i, i+1)
	}
	return true
}
