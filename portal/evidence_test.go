package portal_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"slipway/audit"
	"slipway/evidence"
)

// TestWhoTakesEvidenceOut holds every kind of person to what they may have, and what they get to the log's key.
func TestWhoTakesEvidenceOut(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.ask(ana, filled())
	shop := b.ask(ana, external("shop"))
	b.ask(tess, external("stand"))
	b.decide(ivy, shop, "approve", "")
	const period = "from=2026-01-01"
	for _, c := range []struct {
		who, query string
		code       int
	}{
		{"", "app=shop", http.StatusUnauthorized},
		{ana, "app=shop", http.StatusOK},
		{ana, "change=" + shop, http.StatusOK},
		{ana, "app=shop&complete=1", http.StatusForbidden}, // it has the events of others
		{ana, "app=stand", http.StatusNotFound},            // not live yet
		{ana, "zone=finmicro-apps.example", http.StatusForbidden},
		{ana, period, http.StatusForbidden},
		{ana, "app=shop&" + period, http.StatusForbidden},
		{ana, "app=shop&zone=finmicro-apps.example", http.StatusForbidden},
		{bob, "app=shop", http.StatusForbidden},
		{bob, "change=" + shop, http.StatusForbidden},
		{tess, "app=shop", http.StatusNotFound},
		{tess, "change=" + shop, http.StatusNotFound},
		{tess, period, http.StatusForbidden},
		{audrey, "app=shop", http.StatusOK},
		{ivy, "change=" + shop, http.StatusOK},
		{admin, period, http.StatusOK},
		{audrey, "app=shop&complete=1", http.StatusOK},
		{audrey, "app=nobodys", http.StatusNotFound},
		{audrey, "", http.StatusBadRequest},
		{audrey, "app=shop&change=" + shop, http.StatusBadRequest},
		{audrey, "app=../../etc", http.StatusBadRequest},
		{audrey, "from=yesterday", http.StatusBadRequest},
	} {
		before := len(b.exports(t))
		w := b.call(c.who, "GET", "/api/v1/evidence?"+c.query, "")
		if w.Code != c.code {
			t.Errorf("%s asks for %s: %d %s", c.who, c.query, w.Code, w.Body)
			continue
		}
		exports := b.exports(t)
		if c.code != http.StatusOK {
			if len(exports) != before {
				t.Errorf("%s asks for %s: refused, and on record as taken", c.who, c.query)
			}
			continue
		}
		if len(exports) != before+1 || exports[before].Event.Actor.ID != c.who {
			t.Errorf("%s asks for %s: not on record as theirs", c.who, c.query)
		}
		keys := b.log.PublicKeys()
		r, err := evidence.Verify(t.Context(), bytes.NewReader(w.Body.Bytes()), int64(w.Body.Len()), evidence.VerifyOptions{Trust: &evidence.Trust{Log: keys.Log}})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range r.Problems {
			// The desk keeps no documents, and merges without Git.
			if p.Check != evidence.CheckDocument && p.Check != evidence.CheckApproval && p.Check != evidence.CheckLifecycle {
				t.Errorf("%s asks for %s: %s: %s", c.who, c.query, p.Check, p.What)
			}
		}
	}
}

func (b *bench) exports(t *testing.T) []audit.Receipt {
	t.Helper()
	found, err := b.log.Index().Events(t.Context(), audit.Query{Action: audit.ExportEvidence})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestEvidenceByTheButton(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	shop := b.ask(ana, external("shop"))
	b.decide(ivy, shop, "approve", "")
	for page, people := range map[string]map[string]bool{
		"/apps/shop":       {ana: true, bob: false, audrey: true},
		"/changes/" + shop: {ana: false, bob: false, audrey: true},
	} {
		for who, offered := range people {
			if body := b.do(who, "GET", page, nil).Body.String(); strings.Contains(body, "Download the evidence") != offered {
				t.Errorf("%s shows the button to %s: %t", page, who, !offered)
			}
		}
	}
	w := b.do(ana, "POST", "/evidence", url.Values{"app": {"shop"}})
	if h := w.Header(); w.Code != http.StatusOK || h.Get("Content-Type") != "application/zip" || h.Get("Content-Disposition") != `attachment; filename="evidence-shop.zip"` || !bytes.HasPrefix(w.Body.Bytes(), []byte("PK")) {
		t.Errorf("%d %v", w.Code, h)
	}
	// A page elsewhere cannot have it taken in a visitor's name.
	r := httptest.NewRequest("GET", "/api/v1/evidence?app=shop", nil)
	r.AddCookie(b.cookie(ana))
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	w = httptest.NewRecorder()
	before := len(b.exports(t))
	b.handler.ServeHTTP(w, r)
	if w.Code != http.StatusForbidden || len(b.exports(t)) != before {
		t.Errorf("from another site: %d", w.Code)
	}
}
