package portal_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// Previews write into the repository, so nobody has them without end; asking is not held up by that.
func TestPreviewsAreRationed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const body = `{"app":{"name":"shop","purpose":"Sells things","team":"web","exposure":"external","data":["none"],"hostname":"shop.finmicro-apps.example","records":[{"name":"shop.finmicro-apps.example","type":"A","values":["192.0.2.1"]}]}}`
	allowed := 0
	for ; allowed < 1000; allowed++ {
		w := b.call(ana, "POST", "/api/v1/preview", body)
		if w.Code == http.StatusOK {
			continue
		}
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "many previews") {
			t.Fatalf("preview %d: %d %s", allowed, w.Code, w.Body)
		}
		break
	}
	if allowed != 60 {
		t.Errorf("%d previews at once", allowed)
	}
	if page := b.do(ana, "POST", "/apps/preview", filled()); page.Code != http.StatusOK || !strings.Contains(page.Body.String(), "many previews") {
		t.Errorf("the form does not say why there is no preview: %d", page.Code)
	}
	if w := b.call(bob, "POST", "/api/v1/preview", body); w.Code != http.StatusOK {
		t.Errorf("somebody else's preview: %d", w.Code)
	}
	b.ask(ana, filled())
	b.pass(time.Second)
	if w := b.call(ana, "POST", "/api/v1/preview", body); w.Code != http.StatusOK {
		t.Errorf("a second later: %d %s", w.Code, w.Body)
	}
}
