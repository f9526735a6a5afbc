package cert

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"testing"
	"time"
)

func tlsConfig(pool *x509.CertPool) *tls.Config { return &tls.Config{RootCAs: pool} }

func TestIssue(t *testing.T) {
	z := newTestZone(t)
	p := startPebble(t, z, pebbleOptions{strict: true})
	a := connect(t, p.config(inStore{newKey(t)}))
	w := newTestWorld(z)

	r := Request{ID: "c-1/expenses", App: "expenses", Names: names("expenses.finmicro.example", "*.expenses.finmicro.example", "www.finmicro.example"), Signer: inStore{newKey(t)}}
	issued, err := a.Issue(t.Context(), r, nil, w)
	if err != nil {
		t.Fatal(err)
	}
	if z.seen != 2 {
		t.Errorf("the wildcard and its parent had %d values at one name, want 2", z.seen)
	}
	if z.left() != 0 {
		t.Errorf("%d challenge records were left behind", z.left())
	}
	c, err := Describe(issued.Chain)
	if err != nil {
		t.Fatal(err)
	}
	if !sameNames(c.Names, r.Names) || c.KeyKind != "ecdsa-p256" || len(c.ID) != 64 {
		t.Errorf("described as %+v", c)
	}
	if issued.Order.Account != a.Account() || issued.Order.Request != r.ID {
		t.Errorf("order %+v", issued.Order)
	}

	again, err := a.Issue(t.Context(), r, w.prior(r.ID), w)
	if err != nil {
		t.Fatal(err)
	}
	if ID(again.Chain[0]) != c.ID || p.certificates() != 1 {
		t.Errorf("issuing again gave another certificate; Pebble has %d", p.certificates())
	}

	win, err := a.RenewalInfo(t.Context(), issued.Chain[0])
	if err != nil {
		t.Fatal(err)
	}
	if !win.Start.After(c.NotBefore) || !win.End.Before(c.NotAfter) || win.Again.Before(time.Now()) {
		t.Errorf("window %+v of a certificate from %s to %s", win, c.NotBefore, c.NotAfter)
	}

	second := connect(t, p.config(a.config.AccountKey))
	if second.Account() != a.Account() {
		t.Errorf("the same key found %s and %s", a.Account(), second.Account())
	}
	if err := second.Revoke(t.Context(), issued.Chain[0], 4); err != nil {
		t.Fatal(err)
	}
	if err := second.Revoke(t.Context(), issued.Chain[0], 4); err != nil {
		t.Errorf("revoking again: %v", err)
	}
	_, err = a.Issue(t.Context(), Request{ID: "c-2", Names: names("www.blocked.example"), Signer: newKey(t)}, nil, w)
	if !errors.Is(err, ErrRefused) {
		t.Errorf("a blocked name: %v", err)
	}
	t.Log(err)
}
