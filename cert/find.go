package cert

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// Query selects certificates. Zero fields do not select.
type Query struct {
	App, Name, Serial, Issuer, Authority, Change string // Name matches exactly, by wildcard certificate, and by "*.suffix"
	Status                                       Status
	Before                                       time.Time // not after is before
	Limit                                        int       // 0: all
}

// Find lists certificates, the one that expires first in front.
func (r *Registry) Find(q Query, now time.Time) []Certificate {
	q.Name = strings.ToLower(strings.TrimSuffix(q.Name, "."))
	q.Serial = strings.ToLower(strings.ReplaceAll(q.Serial, ":", ""))
	r.mu.RLock()
	var found []*entry
	if q.App != "" {
		found = filter(slices.Values(r.byApp[q.App]), q, now)
	} else {
		found = filter(maps.Values(r.certs), q, now)
	}
	list := top(found, q.Limit, func(a, b *entry) int {
		return cmp.Or(a.NotAfter.Compare(b.NotAfter), cmp.Compare(a.ID, b.ID))
	})
	r.mu.RUnlock()
	return list
}

func filter(all func(func(*entry) bool), q Query, now time.Time) []*entry {
	var found []*entry
	for n := range all {
		if n.known && q.selects(n, now) {
			found = append(found, n)
		}
	}
	return found
}

func (q Query) selects(n *entry, now time.Time) bool {
	return (q.App == "" || n.App == q.App) &&
		(q.Serial == "" || n.Serial == q.Serial) &&
		(q.Authority == "" || n.Authority == q.Authority) &&
		(q.Change == "" || n.Change == q.Change) &&
		(q.Issuer == "" || strings.Contains(strings.ToLower(n.Issuer), strings.ToLower(q.Issuer))) &&
		(q.Before.IsZero() || n.NotAfter.Before(q.Before)) &&
		(q.Status == "" || n.status(now) == q.Status) &&
		(q.Name == "" || slices.ContainsFunc(n.Names, q.named))
}

func (q Query) named(name string) bool {
	if name == q.Name {
		return true
	}
	if suffix, ok := strings.CutPrefix(q.Name, "*"); ok {
		return strings.HasSuffix(name, suffix)
	}
	parent, wild := strings.CutPrefix(name, "*")
	_, rest, dot := strings.Cut(q.Name, ".")
	return wild && dot && parent == "."+rest // RFC 6125: it stands for one label
}

func (n *entry) status(now time.Time) Status {
	c := Certificate{NotAfter: n.NotAfter, Revoked: n.revoked, ReplacedBy: n.replaced}
	return c.Status(now)
}

// graceful is for how long after it has expired a certificate is still renewed: the
// app is down, or it is gone.
const graceful = 30 * 24 * time.Hour

// Due lists certificates whose renewal time has come, the most urgent first. RenewAt spreads a fleet evenly
// inside each certificate's window (w, or the first half of the last third of its life), by the certificate's ID, so that no burst comes of certificates issued together.
// Certificates whose key is an app's own are not among them: nobody here can renew those.
// Certificates that have expired come last, the latest first: nothing is saved by
// haste any more, and those that still can be saved do not wait behind them.
func (r *Registry) Due(now time.Time, limit int) []Certificate {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var found []*entry
	for _, n := range r.live {
		if n.KeyRef != "" && !n.due.After(now) && n.NotAfter.Add(graceful).After(now) {
			found = append(found, n)
		}
	}
	return top(found, limit, func(a, b *entry) int {
		ea, eb := !now.Before(a.NotAfter), !now.Before(b.NotAfter)
		switch {
		case ea != eb:
			if ea {
				return 1
			}
			return -1
		case ea:
			return cmp.Or(b.NotAfter.Compare(a.NotAfter), cmp.Compare(a.ID, b.ID))
		}
		return cmp.Or(a.NotAfter.Compare(b.NotAfter), cmp.Compare(a.ID, b.ID))
	})
}

// top sorts and views the first limit of list, all of them when limit is 0.
func top(list []*entry, limit int, order func(a, b *entry) int) []Certificate {
	slices.SortFunc(list, order)
	if limit > 0 && len(list) > limit {
		list = list[:limit]
	}
	out := make([]Certificate, len(list))
	for i, n := range list {
		out[i] = n.view()
	}
	return out
}

// Unasked lists certificates in use whose authority has not been asked for a window since the start, or asked to be
// asked again by now; those that expire first in front.
func (r *Registry) Unasked(now time.Time, limit int) []Certificate {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var found []*entry
	for _, n := range r.certs {
		if n.known && n.KeyRef != "" && n.status(now) == Valid && (n.window == nil || !now.Before(n.window.Again)) {
			found = append(found, n)
		}
	}
	return top(found, limit, func(a, b *entry) int {
		return cmp.Or(a.NotAfter.Compare(b.NotAfter), cmp.Compare(a.ID, b.ID))
	})
}

// OnOrder reports whether a certificate for just these names is on order since no longer than within: what a
// log shows of them may be ours.
func (r *Registry) OnOrder(names []string, now time.Time, within time.Duration) bool {
	want := slices.Sorted(slices.Values(names))
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, q := range r.requests {
		if q.cert == nil && q.order != nil && now.Sub(q.order.At) < within && slices.Equal(slices.Sorted(slices.Values(q.order.Names)), want) {
			return true
		}
	}
	return false
}
