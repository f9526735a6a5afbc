package witness

import (
	"math"
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Rate is how many requests one address may make.
type Rate struct {
	PerSecond float64
	Burst     int
}

// DefaultRate is far more than a log needs, which asks once a second.
var DefaultRate = Rate{PerSecond: 20, Burst: 100}

const maxAddresses = 10_000 // remembered

// rates count the requests of each address. When there are too many addresses to remember,
// all of them are forgotten: a witness that is flooded from everywhere still answers, and
// needs no more memory.
type rates struct {
	r   Rate
	now func() time.Time

	mu sync.Mutex // held for map operations
	by map[string]*rate.Limiter
}

func newRates(r Rate, now func() time.Time) *rates {
	return &rates{r: r, now: now, by: map[string]*rate.Limiter{}}
}

// take counts one request, or says in how many seconds the next one may come.
func (r *rates) take(address string) (wait int, ok bool) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.by[host]
	if l == nil {
		if len(r.by) >= maxAddresses {
			clear(r.by)
		}
		l = rate.NewLimiter(rate.Limit(r.r.PerSecond), r.r.Burst)
		r.by[host] = l
	}
	now := r.now()
	if l.AllowN(now, 1) {
		return 0, true
	}
	return max(1, int(math.Ceil((1-l.TokensAt(now))/r.r.PerSecond))), false
}
