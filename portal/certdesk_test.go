package portal_test

import (
	"context"
	"slices"
	"strings"
	"time"

	"slipway/cert"
	"slipway/flow"
	"slipway/identity"
)

// The desk's certificates: those of ana's app expense-tracker, others in every other state, and strays in a log.
const (
	certificateID = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0bb822cd15d6c15b0f00a8"
	ownKeyID      = "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"
	revokedID     = "fd61a03af4f77d870fc21e05e7e80678095c92d808cfb3b5c279ee04c74aca13"
	expiredID     = "a4e624d686e03ed2767c0abd85c14426b0b1157d2ce81d27bb4fe4f6f01d688a"
	strayID       = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
	chainPEM      = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
)

func (d *desk) certificate() cert.Certificate {
	return cert.Certificate{
		ID: certificateID, App: "expense-tracker", Names: []string{"expenses.apps.finmicro.example"}, Serial: "3fa9c1", Issuer: "CN=Fin Micro Ltd Intermediate CA",
		Authority: "internal", KeyRef: "file:expense-tracker-1a2b3c", KeyKind: "ecdsa-p256", Chain: digest("chain"),
		NotBefore: d.now().Add(-24 * time.Hour), NotAfter: d.now().Add(29 * 24 * time.Hour), Issued: d.now().Add(-24 * time.Hour), RenewAt: d.now().Add(20 * 24 * time.Hour),
	}
}

// certificates are all of them: the first is certificate.
func (d *desk) certificates() []cert.Certificate {
	own, revoked, expired := d.certificate(), d.certificate(), d.certificate()
	own.ID, own.App, own.Names, own.KeyRef, own.KeyKind, own.Approved = ownKeyID, "stuck", []string{"stuck.finmicro-apps.example", "www.stuck.finmicro-apps.example"}, "", "rsa-3072", []string{tess}
	own.NotAfter, own.Authority, own.SCTs = d.now().Add(5*time.Hour), "public", []cert.SCT{{LogID: "pLkJkLQYWBSHuxOizGdwCjw1mAT5G9+443fNDsgN3BA=", At: d.now()}}
	revoked.ID, revoked.Revoked, revoked.Reason, revoked.ReplacedBy, revoked.KeyDestroyed = revokedID, d.now().Add(-time.Hour), "key-compromise", certificateID, true
	expired.ID, expired.App, expired.Names, expired.NotAfter, expired.KeyRef = expiredID, "kiosk", []string{"kiosk.finmicro-apps.example"}, d.now().Add(-50*time.Hour), "pkcs11:id=01;object=kiosk"
	expired.Problem, expired.Change = "The authority could not be reached.", "c-06h0vljqtph6cvkn"
	return []cert.Certificate{d.certificate(), own, revoked, expired}
}

func (d *desk) manages(by identity.Person) bool {
	return by.ID == ana || slices.ContainsFunc(d.settings.GroupsOf(by.ID), func(g string) bool { return slices.Contains(d.settings.Certificates.Managers, g) })
}

func (d *desk) Certificates(_ context.Context, q cert.Query) []cert.Certificate {
	return slices.DeleteFunc(d.certificates(), func(c cert.Certificate) bool {
		return q.App != "" && q.App != c.App || q.Status != "" && q.Status != c.Status(d.now()) || q.Name != "" && !slices.Contains(c.Names, q.Name)
	})
}

func (d *desk) Certificate(_ context.Context, id string) (cert.Certificate, []byte, error) {
	for _, c := range d.certificates() {
		if id != "" && strings.HasPrefix(c.ID, id) {
			return c, []byte(chainPEM), nil
		}
	}
	return cert.Certificate{}, nil, &flow.Error{Code: flow.NotFound, Message: "There is no such certificate."}
}

func (d *desk) RenewCertificate(_ context.Context, by identity.Person, _ string) (cert.Certificate, error) {
	if !d.manages(by) {
		return cert.Certificate{}, &flow.Error{Code: flow.Forbidden, Message: "This certificate belongs to an app that is not yours."}
	}
	return d.certificate(), nil
}

func (d *desk) RevokeCertificate(ctx context.Context, by identity.Person, id, reason, why string) (cert.Certificate, error) {
	if _, err := cert.ReasonNamed(reason); err != nil {
		return cert.Certificate{}, &flow.Error{Code: flow.Invalid, Message: err.Error()}
	}
	if len(why) < 5 {
		return cert.Certificate{}, &flow.Error{Code: flow.Invalid, Message: "Revoking a certificate takes an explanation of 5 to 1000 characters.", Help: "Say in a sentence what happened."}
	}
	return d.RenewCertificate(ctx, by, id)
}

func (d *desk) SignRequest(_ context.Context, by identity.Person, _ string, _ []byte) (cert.Certificate, []byte, error) {
	if by.ID != ana {
		return cert.Certificate{}, nil, &flow.Error{Code: flow.Forbidden, Message: "Only the owner may get certificates."}
	}
	return d.certificate(), []byte(chainPEM), nil
}

func (d *desk) Strays(context.Context) ([]cert.Stray, error) {
	return []cert.Stray{
		{Seen: cert.Seen{ID: strayID, Names: []string{"shop.finmicro.example"}, Serial: "77", Issuer: "CN=Some CA", Log: "example-2026h2", Index: 4711, NotBefore: d.now(), NotAfter: d.now().Add(time.Hour)}, At: d.now()},
		{Seen: cert.Seen{ID: "ff", Names: []string{"mail.finmicro.example"}, Serial: "78", Issuer: "CN=Some CA", Log: "example-2026h2", Index: 4712}, At: d.now(), Accepted: d.now().Format(time.RFC3339), By: ivy, Reason: "The mail provider's own."},
	}, nil
}

func (d *desk) AcceptStray(_ context.Context, by identity.Person, id, reason string) error {
	if by.ID == ana || !d.manages(by) {
		return &flow.Error{Code: flow.Forbidden, Message: "Only those who manage certificates may accept one from elsewhere."}
	}
	if len(reason) < 5 {
		return &flow.Error{Code: flow.Invalid, Message: "Accepting a certificate takes an explanation of 5 to 1000 characters.", Help: "Say in a sentence whose certificate it is."}
	}
	if id != strayID {
		return &flow.Error{Code: flow.NotFound, Message: "No such certificate was found in a log."}
	}
	return nil
}

func (d *desk) CertificateWarnings(context.Context) ([]cert.WarnDetails, error) {
	return []cert.WarnDetails{{ID: certificateID, Kind: "expiring", Text: "The certificate of expense-tracker expires soon, and it could not be renewed."}}, nil
}
