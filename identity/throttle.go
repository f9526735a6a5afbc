package identity

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// How many failures an address may have at once, and how soon one is forgiven.
const (
	throttleBurst  = 20
	throttleRefill = 6 * time.Second
	throttleSize   = 10_000 // addresses remembered
)

// Throttle slows down those who guess secrets. It counts failures only, so
// that nobody who has the right secret notices it, and remembers a bounded
// number of addresses, the most recent ones.
type Throttle struct {
	now func() time.Time

	mu     sync.Mutex
	recent *list.List // of *offender, most recent failure first
	byKey  map[string]*list.Element
}

type offender struct {
	key     string
	limiter *rate.Limiter
}

// NewThrottle returns one that has seen nothing.
func NewThrottle(now func() time.Time) *Throttle {
	return &Throttle{now: now, recent: list.New(), byKey: map[string]*list.Element{}}
}

// Wait returns how long an address has to wait before it may try again; 0 is at once.
func (t *Throttle) Wait(address string) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	el := t.byKey[networkOf(address)]
	if el == nil {
		return 0
	}
	missing := 1 - el.Value.(*offender).limiter.TokensAt(t.now())
	if missing <= 0 {
		return 0
	}
	return time.Duration(missing * float64(throttleRefill))
}

// Failed counts one failure.
func (t *Throttle) Failed(address string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := networkOf(address)
	el := t.byKey[key]
	if el == nil {
		if t.recent.Len() >= throttleSize {
			last := t.recent.Back()
			delete(t.byKey, last.Value.(*offender).key)
			t.recent.Remove(last)
		}
		el = t.recent.PushFront(&offender{key, rate.NewLimiter(rate.Every(throttleRefill), throttleBurst)})
		t.byKey[key] = el
	}
	t.recent.MoveToFront(el)
	el.Value.(*offender).limiter.AllowN(t.now(), 1)
}

// networkOf takes a /64 of IPv6 for one address: it is what one subscriber has.
func networkOf(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	a = a.Unmap().WithZone("")
	if a.Is6() {
		p, _ := a.Prefix(64) // 64 is within the range that Prefix accepts
		return p.String()
	}
	return a.String()
}
