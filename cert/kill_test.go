package cert

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// killed is what a strike panics with: the process ends there, and nothing after
// it happens, no clean-up either.
type killed struct{ where string }

// strikes kills at the n-th point that is passed.
type strikes struct {
	n      int
	passed int
}

func (s *strikes) strike(where string) {
	s.passed++
	if s.passed == s.n {
		panic(killed{where})
	}
}

// TestKilledEverywhere ends an issuance before and after each request to the
// authority and each call of the World in turn, once more while it is taken up
// again, and then lets it finish: there is one certificate, and no record is left.
func TestKilledEverywhere(t *testing.T) {
	t.Run("Pebble", func(t *testing.T) {
		z := newTestZone(t)
		p := startPebble(t, z, pebbleOptions{})
		killEverywhere(t, z, p.config(newKey(t)), 1, p.certificates)
	})
	t.Run("step-ca", func(t *testing.T) {
		z := newTestZone(t)
		directory, roots, _ := startStepCA(t, z)
		killEverywhere(t, z, Config{Name: "internal", Directory: directory, RootsPEM: roots, AccountKey: newKey(t), Sleep: quick}, 3, nil)
	})
}

// killEverywhere strikes at every step-th point, and counts certificates by the authority's own account of them, or by
// the finalizations that it took.
func killEverywhere(t *testing.T, z *testZone, config Config, step int, certificates func() int) {
	leaf, finalized := newKey(t), 0
	if certificates == nil {
		certificates = func() int { return finalized }
	}

	// process is one process's life: it knows what is on record, and no more.
	process := func(r Request, w *testWorld, n int) (id, where string) {
		s := &strikes{n: n}
		defer func() {
			switch k := recover().(type) {
			case nil:
			case killed:
				where = k.where
			default:
				panic(k)
			}
		}()
		w.strike = s.strike
		a, err := through(t.Context(), config, func(rt http.RoundTripper) http.RoundTripper {
			return roundTrip(func(q *http.Request) (*http.Response, error) {
				s.strike(fmt.Sprintf("before request %s %s", q.Method, q.URL.Path))
				resp, err := rt.RoundTrip(q)
				if err != nil {
					return nil, err
				}
				if strings.Contains(q.URL.Path, "finalize") && resp.StatusCode == http.StatusOK {
					finalized++
				}
				s.strike(fmt.Sprintf("after request %s %s", q.Method, q.URL.Path))
				return resp, nil
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		issued, err := a.Issue(t.Context(), r, w.prior(r.ID), w)
		if err != nil {
			t.Fatalf("killed at %d: %v", n, err)
		}
		return ID(issued.Chain[0]), ""
	}

	for n := 1; ; n += step {
		w := newTestWorld(z)
		r := Request{ID: fmt.Sprintf("c-%d", n), Names: names(fmt.Sprintf("a%d.example", n), fmt.Sprintf("*.a%d.example", n)), Signer: leaf}
		before := certificates()
		_, first := process(r, w, n)
		_, second := process(r, w, 1+n/2)
		id, _ := process(r, w, 0)
		if got := certificates() - before; got != 1 || id == "" {
			t.Errorf("killed %q, then %q: %d certificates", first, second, got)
		}
		if z.left() != 0 {
			t.Fatalf("killed %q, then %q: %d challenge records are left", first, second, z.left())
		}
		if again, _ := process(r, w, 0); again != id {
			t.Errorf("killed %q, then %q: taken up again, the certificate is another", first, second)
		}
		if first == "" {
			if n < 30 {
				t.Errorf("there were %d points only; is every request one?", n)
			}
			t.Logf("killed at every %d. of %d points", step, n-1)
			return
		}
	}
}
