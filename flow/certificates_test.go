package flow

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	"slipway/audit"
	"slipway/cert"
	"slipway/identity"
)

func TestCertificatePermissions(t *testing.T) {
	w := newCertifiedWorld(t)
	ctx := context.Background()
	w.live(certified("books", "192.0.2.40"))
	c := w.one("books")
	outsider := identity.Person{ID: "nobody@finmicro.example", Role: "analyst"}
	csr := certificateRequest(t, "books.apps.finmicro.example")
	refused := func(what string, err error) {
		t.Helper()
		var e *Error
		if !errors.As(err, &e) || e.Code != Forbidden {
			t.Errorf("%s: %v, want it forbidden", what, err)
		}
	}
	for _, by := range []identity.Person{{}, outsider, lena, admin} {
		_, err := w.flow.RenewCertificate(ctx, by, c.ID)
		refused("renew by "+by.ID, err)
		_, err = w.flow.RevokeCertificate(ctx, by, c.ID, "superseded", "just to see")
		refused("revoke by "+by.ID, err)
		refused("accept by "+by.ID, w.flow.AcceptStray(ctx, by, "x", "just to see"))
	}
	for _, by := range []identity.Person{{}, outsider, lena, admin, ivy, omar} {
		_, _, err := w.flow.SignRequest(ctx, by, "books", csr)
		refused("sign by "+by.ID, err)
	}
	if w.one("books").ID != c.ID || w.recorded(audit.RevokeCertificate) != 0 {
		t.Fatal("a refused act had an effect")
	}
	// Those who may.
	fresh, err := w.flow.RenewCertificate(ctx, ana, c.ID)
	w.must(err)
	if again, err := w.flow.RenewCertificate(ctx, ana, c.ID); err == nil {
		t.Errorf("renewed what is replaced: %+v", again)
	}
	revoked, err := w.flow.RevokeCertificate(ctx, omar, fresh.ID, "key-compromise", "The laptop was stolen.")
	w.must(err)
	if revoked.Status(w.now()) != cert.Revoked {
		t.Errorf("%+v", revoked)
	}
	if now := w.one("books"); now.ID == fresh.ID || now.KeyRef == fresh.KeyRef {
		t.Error("the app has no other certificate in the place of the revoked one")
	}
}

func TestSignRequest(t *testing.T) {
	w := newCertifiedWorld(t)
	ctx := context.Background()
	w.live(certified("own", "192.0.2.50"))
	served := w.one("own")
	csr := certificateRequest(t, "own.apps.finmicro.example")
	c, chain, err := w.flow.SignRequest(ctx, ana, "own", csr)
	w.must(err)
	if c.KeyRef != "" || c.NotAfter.Sub(c.NotBefore) > 25*time.Hour || !strings.Contains(string(chain), "BEGIN CERTIFICATE") {
		t.Errorf("%+v", c)
	}
	again, _, err := w.flow.SignRequest(ctx, ana, "own", csr)
	w.must(err)
	if again.ID != c.ID {
		t.Error("the same request asked twice gave two certificates")
	}
	if w.one("own").ID != served.ID {
		t.Error("the app's own key took the gateway's certificate away")
	}
	for what, bad := range map[string][]byte{
		"another name": certificateRequest(t, "books.apps.finmicro.example"),
		"rubbish":      []byte("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"),
		"too large":    make([]byte, maxCSR+1),
	} {
		var e *Error
		if _, _, err := w.flow.SignRequest(ctx, ana, "own", bad); !errors.As(err, &e) || e.Code != Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func certificateRequest(t *testing.T, names ...string) []byte {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: names}, k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

func TestStrays(t *testing.T) {
	w := newCertifiedWorld(t)
	ctx := context.Background()
	w.live(certified("ours", "192.0.2.60"))
	c := w.one("ours")
	w.issuer.set(func() {
		w.issuer.seen = []cert.Seen{
			{ID: "a", Names: c.Names, Serial: c.Serial, Issuer: c.Issuer, Log: "l", Index: 1, DER: []byte{1}},
			{ID: "b", Names: []string{"shop.finmicro.example"}, Serial: "77", Issuer: "CN=Some CA", Log: "l", Index: 2, DER: []byte{2}},
		}
	})
	for range 2 {
		w.must(w.flow.watchLogs(ctx))
	}
	strays, err := w.flow.Strays(ctx)
	w.must(err)
	if len(strays) != 1 || strays[0].ID != "b" || strays[0].Accepted != "" {
		t.Fatalf("found %+v", strays)
	}
	w.must(w.flow.AcceptStray(ctx, ivy, "b", "The shop provider's own, ticket 12."))
	strays, err = w.flow.Strays(ctx)
	w.must(err)
	if strays[0].By != ivy.ID || strays[0].Reason == "" {
		t.Errorf("accepted: %+v", strays[0])
	}
}
