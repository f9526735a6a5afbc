package cert

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/go-acme/lego/v5/acme"
)

// Reason is why a certificate is revoked.
type Reason struct {
	Code int    // RFC 5280 section 5.3.1
	Name string // as commands and events have it
	Text string // for people who choose one
}

// Reasons are those that a person may give. The others of RFC 5280 are for
// authorities (RFC 8555 section 7.6 lets them refuse any).
func Reasons() []Reason {
	return []Reason{
		{0, "unspecified", "None of the others"},
		{1, "key-compromise", "Somebody else has, or may have, the private key"},
		{3, "affiliation-changed", "The organisation's name or ownership has changed"},
		{4, "superseded", "Another certificate serves in its place"},
		{5, "cessation-of-operation", "The app, or its name, is no longer used"},
	}
}

// ReasonNamed finds one of Reasons.
func ReasonNamed(name string) (Reason, error) {
	names := make([]string, 0, 5)
	for _, r := range Reasons() {
		if r.Name == name {
			return r, nil
		}
		names = append(names, r.Name)
	}
	return Reason{}, fmt.Errorf("%.60q is no reason for a revocation. Use one of these: %s", name, joined(names))
}

// Revoke with a reason code of RFC 5280 section 5.3.1. Revoking what is revoked is no error.
func (a *Authority) Revoke(ctx context.Context, leaf []byte, reason int) error {
	c, err := x509.ParseCertificate(leaf)
	if err != nil {
		return fmt.Errorf("revocation: the certificate cannot be read: %w", err)
	}
	if reason < 0 || reason > 10 || reason == 7 { // RFC 5280: 7 is not used
		return fmt.Errorf("revocation of certificate %s: %d is no reason code (RFC 5280 section 5.3.1)", serial(c), reason)
	}
	code := uint(reason)
	_, err = a.post(ctx, a.dir.RevokeCertURL, acme.RevokeCertMessage{Certificate: base64.RawURLEncoding.EncodeToString(leaf), Reason: &code}, nil)
	var p *Problem
	if errors.As(err, &p) && p.Type == "alreadyRevoked" {
		return nil
	}
	if err != nil {
		return fmt.Errorf("revocation of certificate %s: %w", serial(c), err)
	}
	return nil
}
