// Package cert gets certificates from central authorities by ACME (RFC 8555,
// dns-01 only) and keeps the registry of every certificate there is. It never
// makes, holds or sees a private key: it is given a crypto.Signer or a CSR. It
// writes no DNS record and no event itself either: the World that a caller gives
// does both, so that each step is recorded and can be taken up again after a
// kill. Read this file first, then issue.go for one issuance (authority.go and
// wire.go are what it speaks with), registry.go for what is on record and renew.go
// for when a certificate is due.
package cert

import (
	"context"
	"crypto"
	"time"

	"slipway/zone"
)

// Request is one certificate that is wanted.
type Request struct {
	ID       string        // names this issuance for ever: "<change>/<app>", "<app>/<serial of the certificate it replaces>"
	App      string        // "" for none
	Names    []zone.Name   // DNS names; the first is the subject's common name where a CA wants one
	Signer   crypto.Signer // signs the CSR; nil when CSR is given
	CSR      []byte        // DER (RFC 2986), brought by the app's platform; nil when Signer is given
	Profile  string        // of the authority (draft-ietf-acme-profiles); "" for its own choice
	Validity time.Duration // wanted; 0 for the authority's own choice (RFC 8555 section 7.4, notAfter)
	Replaces []byte        // DER of the leaf that this one replaces (RFC 9773 section 5); nil for none
}

// Order is how far an issuance has come at its authority: enough to go on with it
// in another process.
type Order struct {
	Request   string    `json:"request"`
	Authority string    `json:"authority"`
	URL       string    `json:"url"`
	Account   string    `json:"account"` // account URL
	Names     []string  `json:"names"`
	KeyRef    string    `json:"key_ref,omitempty"`
	At        time.Time `json:"at"`
}

// Challenge is one TXT record that proves control of a name (RFC 8555 section 8.4).
type Challenge struct {
	Request string    `json:"request"`
	Zone    zone.Name `json:"zone,omitempty"` // where the World has put it; empty in what an Authority hands over
	Name    zone.Name `json:"name"`           // "_acme-challenge.…", or where a CNAME there points
	Value   string    `json:"value"`          // of the TXT record; not secret
}

// World is what an issuance does outside the authority. Each call may be repeated
// with the same content and must then change nothing.
type World interface {
	// Ordered records the order durably. Nothing is asked of the order before it returns.
	Ordered(ctx context.Context, o Order) error
	// Present writes the challenge records, all of them, and returns when the servers of their zones answer with them.
	Present(ctx context.Context, all []Challenge) error
	// CleanUp removes them. It is called also when the issuance failed, and when it
	// is taken up again and nobody knows whether they are still there. When it fails,
	// so does Issue; issuing again removes them, and gives the same certificate.
	CleanUp(ctx context.Context, all []Challenge) error
}

// Issued is a certificate as it came from its authority.
type Issued struct {
	Order Order
	Chain [][]byte // DER, leaf first, without the root
	URL   string   // at the authority
}

// Certificate is one certificate as the registry keeps it.
type Certificate struct {
	ID        string    `json:"id"` // SHA-256 of the leaf's DER, 64 hex digits
	Request   string    `json:"request"`
	App       string    `json:"app,omitempty"`
	Change    string    `json:"change,omitempty"`   // that it was first issued for
	Approved  []string  `json:"approved,omitempty"` // people who approved that change; empty: by rule
	Names     []string  `json:"names"`
	Serial    string    `json:"serial"` // hex
	Issuer    string    `json:"issuer"` // distinguished name
	Authority string    `json:"authority"`
	KeyRef    string    `json:"key_ref,omitempty"` // "" when the app holds its own key
	KeyKind   string    `json:"key_kind"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	Chain     string    `json:"chain"` // digest of the document with the chain, PEM
	URL       string    `json:"url,omitempty"`
	SCTs      []SCT     `json:"scts,omitempty"` // embedded ones (RFC 6962 section 3.3)
	Replaces  string    `json:"replaces,omitempty"`
	Issued    time.Time `json:"issued"`

	ReplacedBy string    `json:"replaced_by,omitempty"`
	Revoked    time.Time `json:"revoked,omitzero"`
	Reason     string    `json:"reason,omitempty"` // of the revocation, RFC 5280 section 5.3.1 in words
	RenewAt    time.Time `json:"renew_at,omitzero"`
	Problem    string    `json:"problem,omitempty"` // why the last renewal failed, for people

	KeyDestroyed bool              `json:"key_destroyed,omitempty"`
	Proofs       map[string]string `json:"proofs,omitempty"` // of inclusion in CT logs: log ID (hex) -> digest of the document
}

// SCT names a promise of a CT log.
type SCT struct {
	LogID string    `json:"log_id"` // base64
	At    time.Time `json:"at"`
}

// Status is where a certificate stands.
type Status string

const (
	Valid    Status = "valid"
	Expired  Status = "expired"
	Revoked  Status = "revoked"
	Replaced Status = "replaced" // a newer one serves in its place
)

// Status is where c stands at that moment.
func (c Certificate) Status(now time.Time) Status {
	switch {
	case !c.Revoked.IsZero():
		return Revoked
	case c.ReplacedBy != "":
		return Replaced // also when it has expired since: nobody has to do anything about it
	case !now.Before(c.NotAfter):
		return Expired
	}
	return Valid
}

// Details of events. The chain is the document "certificate".

// OrderDetails goes with order-certificate.
type OrderDetails struct {
	Order Order `json:"order"`
}

// IssueDetails goes with issue-certificate.
type IssueDetails struct {
	Certificate Certificate `json:"certificate"`
}

// RevokeDetails goes with revoke-certificate.
type RevokeDetails struct {
	ID     string `json:"id"`
	Reason string `json:"reason"`
	Why    string `json:"why,omitempty"` // in the person's words
}

// FailDetails goes with fail-certificate: a renewal that did not succeed.
type FailDetails struct {
	ID      string    `json:"id"` // that was to be replaced
	Problem string    `json:"problem"`
	Next    time.Time `json:"next"`
}

// ChallengeDetails goes with write-challenge and remove-challenge.
type ChallengeDetails struct {
	Challenge Challenge `json:"challenge"`
	Serial    uint32    `json:"serial,omitempty"`  // of the zone that has it, or no longer has it
	Receipt   string    `json:"receipt,omitempty"` // the provider's change ID
}

// ProveDetails goes with prove-certificate. The proof is the document "ct-proof".
type ProveDetails struct {
	ID    string `json:"id"`
	Log   string `json:"log"`
	LogID string `json:"log_id"` // hex
	Index uint64 `json:"index"`
}

// DestroyDetails goes with destroy-key.
type DestroyDetails struct {
	KeyRef      string `json:"key_ref"`
	Certificate string `json:"certificate"` // ID
}

// WarnDetails goes with warn-certificate.
type WarnDetails struct {
	ID   string `json:"id"`
	Kind string `json:"kind"` // expiring | caa
	Text string `json:"text"`
}
