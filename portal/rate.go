package portal

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"slipway/check"
	"slipway/identity"
)

// How many previews a person may have at once and after that. Somebody who types makes fewer; a
// program that wants more has no use for them. Each one writes objects into the repository, which are
// pruned only weeks later.
const (
	previewBurst = 60
	previewEvery = time.Second
	maxPreviewed = 10_000 // people remembered
)

// tooManyError is a refusal that ends by itself.
type tooManyError struct{ wait time.Duration }

func (e *tooManyError) Error() string {
	return fmt.Sprintf("too many previews; the next one in %s", e.wait)
}

// previewRates count the previews of each person.
type previewRates struct {
	now func() time.Time

	mu sync.Mutex // held for map operations
	by map[string]*rate.Limiter
}

// take counts one preview, or says how long to wait for the next.
func (p *previewRates) take(person string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	l := p.by[person]
	if l == nil {
		if len(p.by) >= maxPreviewed {
			for id, other := range p.by { // those who would not be refused anyway
				if other.TokensAt(now) >= previewBurst {
					delete(p.by, id)
				}
			}
		}
		l = rate.NewLimiter(rate.Every(previewEvery), previewBurst)
		p.by[person] = l
	}
	if l.AllowN(now, 1) {
		return nil
	}
	missing := max(0, 1-l.TokensAt(now))
	return &tooManyError{time.Duration(missing * float64(previewEvery))}
}

// tryOut judges files without asking for anything, as often as a person may and as many at once as the machine should.
func (s *server) tryOut(ctx context.Context, by identity.Person, files map[string][]byte) (*check.Verdict, error) {
	if err := s.rates.take(by.ID); err != nil {
		return nil, err
	}
	select {
	case s.previews <- struct{}{}:
		defer func() { <-s.previews }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return s.Service.Preview(ctx, by, files)
}
