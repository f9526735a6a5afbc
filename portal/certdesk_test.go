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

// The desk's certificates: one of ana's app expense-tracker, and one stray in a log.
const (
	certificateID = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0bb822cd15d6c15b0f00a8"
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

func (d *desk) manages(by identity.Person) bool {
	return by.ID == ana || slices.ContainsFunc(d.settings.GroupsOf(by.ID), func(g string) bool { return slices.Contains(d.settings.Certificates.Managers, g) })
}

func (d *desk) Certificates(_ context.Context, q cert.Query) []cert.Certificate {
	c := d.certificate()
	if q.App != "" && q.App != c.App || q.Status != "" && q.Status != cert.Valid || q.Name != "" && !slices.Contains(c.Names, q.Name) {
		return nil
	}
	return []cert.Certificate{c}
}

func (d *desk) Certificate(_ context.Context, id string) (cert.Certificate, []byte, error) {
	if id == "" || !strings.HasPrefix(certificateID, id) {
		return cert.Certificate{}, nil, &flow.Error{Code: flow.NotFound, Message: "There is no such certificate."}
	}
	return d.certificate(), []byte(chainPEM), nil
}

func (d *desk) RenewCertificate(_ context.Context, by identity.Person, _ string) (cert.Certificate, error) {
	if !d.manages(by) {
		return cert.Certificate{}, &flow.Error{Code: flow.Forbidden, Message: "This certificate belongs to an app that is not yours."}
	}
	return d.certificate(), nil
}

func (d *desk) RevokeCertificate(ctx context.Context, by identity.Person, id, reason, _ string) (cert.Certificate, error) {
	if _, err := cert.ReasonNamed(reason); err != nil {
		return cert.Certificate{}, &flow.Error{Code: flow.Invalid, Message: err.Error()}
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
	return []cert.Stray{{Seen: cert.Seen{ID: strayID, Names: []string{"shop.finmicro.example"}, Serial: "77", Issuer: "CN=Some CA", Log: "example-2026h2", Index: 4711}, At: d.now()}}, nil
}

func (d *desk) AcceptStray(_ context.Context, by identity.Person, id, _ string) error {
	if by.ID == ana || !d.manages(by) {
		return &flow.Error{Code: flow.Forbidden, Message: "Only those who manage certificates may accept one from elsewhere."}
	}
	if id != strayID {
		return &flow.Error{Code: flow.NotFound, Message: "No such certificate was found in a log."}
	}
	return nil
}

func (d *desk) CertificateWarnings(context.Context) ([]cert.WarnDetails, error) {
	return []cert.WarnDetails{{ID: certificateID, Kind: "expiring", Text: "The certificate of expense-tracker expires soon, and it could not be renewed."}}, nil
}
