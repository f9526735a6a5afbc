package cert

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
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

// TestBadNonces has every second request refused, and issues 100 certificates. One
// at a time: Pebble locks an authorization that is looked at before its store, and
// its store before all authorizations for a new order, and so can come to a stop
// for ever when both happen at once (v2.10.1, wfe.Authz and FindValidAuthorization).
func TestBadNonces(t *testing.T) {
	z := newTestZone(t)
	p := startPebble(t, z, pebbleOptions{env: []string{"PEBBLE_WFE_NONCEREJECT=50"}})
	a := connect(t, p.config(newKey(t)))
	const count = 100
	leaf := newKey(t)
	w := newTestWorld(z)
	ids := map[string]bool{}
	for i := range count {
		r := Request{ID: fmt.Sprint(i), Names: names(fmt.Sprintf("n%d.example", i)), Signer: leaf}
		issued, err := a.Issue(t.Context(), r, nil, w)
		if err != nil {
			t.Fatal(err)
		}
		ids[ID(issued.Chain[0])] = true
	}
	if len(ids) != count || p.certificates() != count {
		t.Errorf("%d certificates came, Pebble issued %d, want %d", len(ids), p.certificates(), count)
	}
}

func TestSlowAndReusedAuthorizations(t *testing.T) {
	z := newTestZone(t)
	p := startPebble(t, z, pebbleOptions{
		env:    []string{"PEBBLE_VA_NOSLEEP=0", "PEBBLE_VA_SLEEPTIME=2", "PEBBLE_AUTHZREUSE=100", "PEBBLE_CHAIN_LENGTH=3"},
		config: map[string]any{"retryAfter": map[string]int{"authz": 1, "order": 1}},
	})
	a := connect(t, p.config(newKey(t)))
	w := newTestWorld(z)
	var presented int
	w.strike = func(what string) {
		if what == "after Present" {
			presented++
		}
	}
	for i := range 2 {
		issued, err := a.Issue(t.Context(), Request{ID: fmt.Sprint(i), Names: names("slow.example"), Signer: newKey(t)}, nil, w)
		if err != nil {
			t.Fatal(err)
		}
		if len(issued.Chain) < 3 {
			t.Errorf("the chain has %d certificates", len(issued.Chain))
		}
	}
	if presented != 1 {
		t.Errorf("records were written %d times; the second order's authorizations were valid already", presented)
	}
}

func TestProfilesValidityAndReplacement(t *testing.T) {
	z := newTestZone(t)
	p := startPebble(t, z, pebbleOptions{})
	a := connect(t, p.config(newKey(t)))
	w := newTestWorld(z)
	issue := func(r Request) (*Issued, time.Duration) {
		t.Helper()
		r.Names, r.Signer = names("profile.example"), newKey(t)
		issued, err := a.Issue(t.Context(), r, nil, w)
		if err != nil {
			t.Fatal(err)
		}
		c, err := Describe(issued.Chain)
		if err != nil {
			t.Fatal(err)
		}
		return issued, c.NotAfter.Sub(c.NotBefore)
	}
	old, life := issue(Request{ID: "1", Profile: "shortlived"})
	if life > 7*24*time.Hour {
		t.Errorf("short-lived is %s", life)
	}
	if _, life := issue(Request{ID: "2", Profile: "default", Validity: 48 * time.Hour}); life < 47*time.Hour || life > 49*time.Hour {
		t.Errorf("48 hours were asked for, %s came", life)
	}
	_, err := a.Issue(t.Context(), Request{ID: "3", Names: names("a.example"), Signer: newKey(t), Profile: "none"}, nil, w)
	if !errors.Is(err, ErrRefused) {
		t.Errorf("an unknown profile: %v", err)
	}
	issue(Request{ID: "4", Replaces: old.Chain[0]})
	issue(Request{ID: "5", Replaces: old.Chain[0]}) // it has been replaced already
	foreign := selfSigned(t, newKey(t), "other.example")
	issue(Request{ID: "6", Replaces: foreign}) // and this one is not Pebble's
	p.mu.Lock()
	if p.ari != 1 {
		t.Errorf("Pebble took %d orders as replacements, want the first of three", p.ari)
	}
	p.mu.Unlock()

	if _, err := a.RenewalInfo(t.Context(), foreign); !errors.Is(err, ErrNoRenewalInfo) {
		t.Errorf("renewal information for another authority's certificate: %v", err)
	}
	if err := a.Revoke(t.Context(), foreign, 0); err == nil {
		t.Error("another authority's certificate was revoked")
	}
	if err := a.Revoke(t.Context(), old.Chain[0], 7); err == nil {
		t.Error("reason 7 was taken")
	}
}

func TestExternalAccountBinding(t *testing.T) {
	z := newTestZone(t)
	const hmac = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
	p := startPebble(t, z, pebbleOptions{strict: true, config: map[string]any{
		"externalAccountBindingRequired": true,
		"externalAccountMACKeys":         map[string]string{"kid-1": hmac},
	}})
	c := p.config(inStore{newKey(t)})
	if _, err := Connect(t.Context(), c); !errors.Is(err, ErrRefused) {
		t.Errorf("without a binding: %v", err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(hmac)
	if err != nil {
		t.Fatal(err)
	}
	wrong := c
	wrong.EABKeyID, wrong.EABHMAC = "kid-1", bytes.Repeat([]byte{1}, 48)
	if _, err := Connect(t.Context(), wrong); err == nil {
		t.Error("a wrong binding was taken")
	}
	c.EABKeyID, c.EABHMAC = "kid-1", raw
	first := connect(t, c)
	c.EABKeyID, c.EABHMAC = "", nil // the account is there: the binding is not needed again
	if second := connect(t, c); second.Account() != first.Account() {
		t.Errorf("accounts %s and %s", first.Account(), second.Account())
	}
}

// TestAuthorityRestarts stops Pebble, which keeps all it knows in memory, between
// an order and its certificate.
func TestAuthorityRestarts(t *testing.T) {
	z := newTestZone(t)
	p := startPebble(t, z, pebbleOptions{})
	a := connect(t, p.config(newKey(t)))
	w := newTestWorld(z)
	r := Request{ID: "c-1", Names: names("restart.example"), Signer: newKey(t)}
	w.strike = func(what string) {
		if what == "after Present" {
			p.stop()
		}
	}
	_, err := a.Issue(t.Context(), r, nil, w)
	if err == nil || errors.Is(err, ErrRefused) || z.left() != 0 {
		t.Fatalf("while the authority is down: %v, and %d records are left", err, z.left())
	}
	if _, err := Connect(t.Context(), a.config); err == nil {
		t.Error("connected to an authority that is down")
	}
	w.strike = func(string) {}
	p.start(t)
	if _, err := a.Issue(t.Context(), r, w.prior(r.ID), w); err != nil {
		t.Fatalf("after the restart: %v", err)
	}
	if p.certificates() != 1 || z.left() != 0 {
		t.Errorf("%d certificates, %d records left", p.certificates(), z.left())
	}
}

// TestNotProven has another value in DNS than the authority wants to see.
func TestNotProven(t *testing.T) {
	z := newTestZone(t)
	p := startPebble(t, z, pebbleOptions{})
	a := connect(t, p.config(newKey(t)))
	w := newTestWorld(z)
	r := Request{ID: "c-1", Names: names("wrong.example", "right.example"), Signer: newKey(t)}
	w.strike = func(what string) {
		if what == "after Present" {
			z.mu.Lock()
			z.txt["_acme-challenge.wrong.example"] = []string{"another"}
			z.mu.Unlock()
		}
	}
	_, err := a.Issue(t.Context(), r, nil, w)
	var problem *Problem
	if !errors.As(err, &problem) || errors.Is(err, ErrRefused) || problem.Name != "wrong.example" {
		t.Fatalf("not proven: %v", err)
	}
	t.Log(err)
	w.strike = func(string) {}
	z.txt = map[string][]string{}
	failed := w.prior(r.ID)
	if _, err := a.Issue(t.Context(), r, failed, w); err != nil {
		t.Fatal(err)
	}
	if w.prior(r.ID).URL == failed.URL {
		t.Error("an order that is invalid was used again")
	}
}

// TestRandomRejects has the zone's servers leave out every third answer, so that
// proofs fail, and tries until all is issued, as the workflow does.
func TestRandomRejects(t *testing.T) {
	z := newTestZone(t)
	random := rand.New(rand.NewPCG(5, 6))
	z.deaf = func() bool { return random.IntN(3) == 0 }
	p := startPebble(t, z, pebbleOptions{env: []string{"PEBBLE_WFE_NONCEREJECT=20", "PEBBLE_AUTHZREUSE=50"}})
	a := connect(t, p.config(newKey(t)))
	w := newTestWorld(z)
	const count = 15
	failures := 0
	for n := range count {
		r := Request{ID: fmt.Sprint(n), Names: names(fmt.Sprintf("a%d.example", n), "shared.example"), Signer: newKey(t)}
		for {
			_, err := a.Issue(t.Context(), r, w.prior(r.ID), w)
			if err == nil {
				break
			}
			var problem *Problem
			if !errors.As(err, &problem) || errors.Is(err, ErrRefused) {
				t.Fatal(err)
			}
			if failures++; failures > 50*count {
				t.Fatal("it never ends")
			}
		}
	}
	if p.certificates() != count || z.left() != 0 || failures == 0 {
		t.Errorf("%d certificates, %d records left, %d failures", p.certificates(), z.left(), failures)
	}
	t.Logf("%d certificates, %d proofs that failed on the way", count, failures)
}

// TestKeyIsGone goes on with an order whose certificate is for a key that nobody has.
func TestKeyIsGone(t *testing.T) {
	z := newTestZone(t)
	p := startPebble(t, z, pebbleOptions{})
	a := connect(t, p.config(newKey(t)))
	w := newTestWorld(z)
	r := Request{ID: "c-1", Names: names("gone.example"), Signer: newKey(t)}
	first, err := a.Issue(t.Context(), r, nil, w)
	if err != nil {
		t.Fatal(err)
	}
	r.Signer = newKey(t)
	second, err := a.Issue(t.Context(), r, w.prior(r.ID), w)
	if err != nil {
		t.Fatal(err)
	}
	if ID(first.Chain[0]) == ID(second.Chain[0]) || w.prior(r.ID).URL != second.Order.URL {
		t.Error("the certificate for the lost key came again")
	}
	other := r
	other.Names = names("other.example")
	if _, err := a.Issue(t.Context(), other, w.prior(r.ID), w); err == nil {
		t.Error("an order for other names was gone on with")
	}
	foreign := *w.prior(r.ID)
	foreign.Authority = "another"
	if _, err := a.Issue(t.Context(), r, &foreign, w); err != nil {
		t.Errorf("an order of another authority: %v", err)
	}
	forgotten := *w.prior(r.ID)
	forgotten.URL += "x"
	if _, err := a.Issue(t.Context(), r, &forgotten, w); err != nil {
		t.Errorf("an order that Pebble does not know: %v", err)
	}
}

// TestExpiredMeanwhile goes on with an order when its certificate is long of no use.
func TestExpiredMeanwhile(t *testing.T) {
	z := newTestZone(t)
	p := startPebble(t, z, pebbleOptions{})
	a := connect(t, p.config(newKey(t)))
	w := newTestWorld(z)
	r := Request{ID: "c-1", Names: names("late.example"), Signer: newKey(t), Validity: time.Hour}
	if _, err := a.Issue(t.Context(), r, nil, w); err != nil {
		t.Fatal(err)
	}
	a.config.Now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	issued, err := a.Issue(t.Context(), r, w.prior(r.ID), w)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := Describe(issued.Chain); err != nil || !c.NotAfter.After(a.config.Now()) {
		t.Errorf("the expired certificate came again (%v)", err)
	}
}

// TestCSR has the app's platform hold the key.
func TestCSR(t *testing.T) {
	z := newTestZone(t)
	p := startPebble(t, z, pebbleOptions{})
	a := connect(t, p.config(newKey(t)))
	list := []string{"a.example", "b.example"}
	r := Request{ID: "c-1", Names: names(list...), CSR: makeCSR(t, x509.CertificateRequest{DNSNames: list}, newKey(t))}
	if _, err := a.Issue(t.Context(), r, nil, newTestWorld(z)); err != nil {
		t.Fatal(err)
	}
}

// TestGivingUp ends the caller's patience while the authority is slow.
func TestGivingUp(t *testing.T) {
	z := newTestZone(t)
	p := startPebble(t, z, pebbleOptions{env: []string{"PEBBLE_VA_NOSLEEP=0", "PEBBLE_VA_SLEEPTIME=1"}})
	a := connect(t, p.config(newKey(t)))
	ctx, cancel := context.WithCancel(t.Context())
	w := newTestWorld(z)
	w.strike = func(what string) {
		if what == "after Present" {
			cancel()
		}
	}
	_, err := a.Issue(ctx, Request{ID: "c-1", Names: names("a.example"), Signer: newKey(t)}, nil, w)
	if !errors.Is(err, context.Canceled) || z.left() != 0 {
		t.Errorf("%v, and %d records are left", err, z.left())
	}
}

// One certificate from order to chain, at Pebble, without waiting for DNS.
func BenchmarkIssue(b *testing.B) {
	z := newTestZone(b)
	p := startPebble(b, z, pebbleOptions{})
	a := connect(b, p.config(newKey(b)))
	w, leaf := newTestWorld(z), newKey(b)
	n := 0
	for b.Loop() {
		n++
		if _, err := a.Issue(b.Context(), Request{ID: fmt.Sprint(n), Names: names(fmt.Sprintf("b%d.example", n)), Signer: leaf}, nil, w); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Minutes(), "certificates/min")
}
