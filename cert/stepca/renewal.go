package stepca

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/smallstep/certificates/acme/api"
)

// How long clients are to keep an answer. Renewals are not urgent, revocations are.
const askAgain = 6 * time.Hour

// directory is step-ca's, and where renewal information is to be had (RFC 9773
// section 3), which step-ca has none of.
type directory struct {
	api.Directory
	RenewalInfo string `json:"renewalInfo"`
}

func (ca *CA) serveDirectory(w http.ResponseWriter, _ *http.Request) {
	base := ca.base()
	answer(w, directory{
		Directory: api.Directory{
			NewNonce: base + "new-nonce", NewAccount: base + "new-account", NewOrder: base + "new-order",
			RevokeCert: base + "revoke-cert", KeyChange: base + "key-change",
		},
		RenewalInfo: base + renewalPath,
	})
}

// window is RFC 9773 section 4.2's answer.
type window struct {
	Suggested struct {
		Start time.Time `json:"start"`
		End   time.Time `json:"end"`
	} `json:"suggestedWindow"`
}

func (ca *CA) serveRenewalInfo(w http.ResponseWriter, r *http.Request, id string) {
	c := ca.named(r, id)
	if c == nil {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		json.NewEncoder(w).Encode(map[string]string{"type": "urn:ietf:params:acme:error:malformed", "detail": "there is no certificate of this authority by that name"})
		return
	}
	revoked, err := ca.authority.IsRevoked(c.SerialNumber.String())
	if err != nil {
		http.Error(w, "the authority's database cannot be read", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Retry-After", strconv.Itoa(int(askAgain.Seconds())))
	answer(w, suggest(c, revoked))
}

// suggest leaves a sixth of a certificate's life for failures. For a revoked one the
// window is over, which means at once.
func suggest(c *x509.Certificate, revoked bool) (s window) {
	life := c.NotAfter.Sub(c.NotBefore)
	s.Suggested.Start, s.Suggested.End = c.NotBefore.Add(life/3*2), c.NotBefore.Add(life/6*5)
	if revoked {
		s.Suggested.Start, s.Suggested.End = c.NotBefore, c.NotBefore.Add(time.Second)
	}
	return s
}

// named finds a certificate by the name that RFC 9773 section 4.1 gives it: who
// issued it, and its serial number.
func (ca *CA) named(r *http.Request, id string) *x509.Certificate {
	issuer, serial, ok := strings.Cut(id, ".")
	if !ok || len(id) > 200 {
		return nil
	}
	keyID, err := base64.RawURLEncoding.DecodeString(issuer)
	if err != nil || !bytes.Equal(keyID, ca.issuer.SubjectKeyId) {
		return nil
	}
	number, err := base64.RawURLEncoding.DecodeString(serial)
	if err != nil {
		return nil
	}
	c, err := ca.ledger.acme.GetCertificateBySerial(r.Context(), new(big.Int).SetBytes(number).String())
	if err != nil {
		return nil
	}
	return c.Leaf
}

func answer(w http.ResponseWriter, content any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(content)
}
