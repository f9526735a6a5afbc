package cert

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"slipway/key"

	"golang.org/x/crypto/cryptobyte"
)

// Bounds on a chain.
const (
	maxChain       = 10
	maxCertificate = 64 << 10
	maxSCTs        = 20

	// clockSkew is by how much an authority's clock may be ahead of ours.
	clockSkew = time.Hour
)

// PEM is the chain as servers read it and as the document "certificate" holds it.
func PEM(chain [][]byte) []byte {
	var b bytes.Buffer
	for _, der := range chain {
		pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der}) // a bytes.Buffer takes everything
	}
	return b.Bytes()
}

// ParsePEM reads what PEM wrote.
func ParsePEM(raw []byte) (chain [][]byte, err error) {
	for len(bytes.TrimSpace(raw)) > 0 {
		var block *pem.Block
		if block, raw = pem.Decode(raw); block == nil {
			return nil, errors.New("it is not a list of certificates in PEM")
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("it holds a %.40q beside certificates", block.Type)
		}
		if len(chain) == maxChain || len(block.Bytes) > maxCertificate {
			return nil, fmt.Errorf("it is longer than %d certificates of %d bytes", maxChain, maxCertificate)
		}
		chain = append(chain, block.Bytes)
	}
	if len(chain) == 0 {
		return nil, errors.New("it holds no certificate")
	}
	return chain, nil
}

// parseChain reads an authority's chain (RFC 8555 section 9.1), and leaves its root
// out: whoever trusts it has it.
func parseChain(raw []byte) ([][]byte, error) {
	chain, err := ParsePEM(raw)
	if err != nil {
		return nil, err
	}
	last, err := x509.ParseCertificate(chain[len(chain)-1])
	if err == nil && len(chain) > 1 && bytes.Equal(last.RawIssuer, last.RawSubject) {
		chain = chain[:len(chain)-1]
	}
	return chain, nil
}

func parseAll(chain [][]byte) ([]*x509.Certificate, error) {
	if len(chain) == 0 || len(chain) > maxChain {
		return nil, fmt.Errorf("a chain has 1 to %d certificates, not %d", maxChain, len(chain))
	}
	all := make([]*x509.Certificate, len(chain))
	for i, der := range chain {
		if len(der) > maxCertificate {
			return nil, fmt.Errorf("certificate %d of the chain is larger than %d bytes", i+1, maxCertificate)
		}
		var err error
		if all[i], err = x509.ParseCertificate(der); err != nil {
			return nil, fmt.Errorf("certificate %d of the chain cannot be read: %w", i+1, err)
		}
	}
	return all, nil
}

// ID names a certificate by its content: SHA-256 of the leaf's DER, in hex.
func ID(leaf []byte) string {
	sum := sha256.Sum256(leaf)
	return hex.EncodeToString(sum[:])
}

// Describe reads a chain into a registry entry: names, serial, issuer, key kind, dates, SCTs.
func Describe(chain [][]byte) (Certificate, error) {
	all, err := parseAll(chain)
	if err != nil {
		return Certificate{}, err
	}
	leaf := all[0]
	if len(leaf.DNSNames) > maxNames {
		return Certificate{}, fmt.Errorf("the certificate has %d names; at most %d are read", len(leaf.DNSNames), maxNames)
	}
	kind, err := key.KindOf(leaf.PublicKey)
	if err != nil {
		return Certificate{}, fmt.Errorf("the certificate is for %w", err)
	}
	scts, err := embeddedSCTs(leaf)
	if err != nil {
		return Certificate{}, fmt.Errorf("the certificate's list of CT promises cannot be read (RFC 6962 section 3.3): %w", err)
	}
	document := sha256.Sum256(PEM(chain))
	c := Certificate{
		ID:        ID(leaf.Raw),
		Names:     slices.Clone(leaf.DNSNames),
		Serial:    serial(leaf),
		Issuer:    plainText(leaf.Issuer.String()),
		KeyKind:   string(kind),
		NotBefore: leaf.NotBefore.UTC(),
		NotAfter:  leaf.NotAfter.UTC(),
		Chain:     "sha256:" + hex.EncodeToString(document[:]),
		SCTs:      scts,
	}
	c.RenewAt = RenewAt(c, nil)
	return c, nil
}

// serial is hex in whole octets, as openssl and browsers show it but for their colons.
func serial(c *x509.Certificate) string {
	s := c.SerialNumber.Text(16)
	if len(s)%2 == 1 && !strings.HasPrefix(s, "-") {
		s = "0" + s
	}
	return s
}

// embeddedSCTs reads the extension of RFC 6962 section 3.3. The signatures are
// looked at by whoever knows the logs.
func embeddedSCTs(leaf *x509.Certificate) ([]SCT, error) {
	var list []SCT
	for _, e := range leaf.Extensions {
		if e.Id.String() != "1.3.6.1.4.1.11129.2.4.2" {
			continue
		}
		var octets, scts cryptobyte.String
		in := cryptobyte.String(e.Value)
		if !in.ReadASN1(&octets, 4) || !in.Empty() || !octets.ReadUint16LengthPrefixed(&scts) || !octets.Empty() {
			return nil, errors.New("it is cut off")
		}
		for !scts.Empty() {
			var one cryptobyte.String
			var version uint8
			var log []byte
			var at uint64
			if !scts.ReadUint16LengthPrefixed(&one) || !one.ReadUint8(&version) {
				return nil, errors.New("it is cut off")
			}
			if version != 0 {
				continue // of a later version than RFC 6962's
			}
			if !one.ReadBytes(&log, 32) || !one.ReadUint64(&at) {
				return nil, errors.New("it is cut off")
			}
			if len(list) == maxSCTs || at > 1<<50 {
				return nil, errors.New("it is out of all bounds")
			}
			list = append(list, SCT{LogID: base64.StdEncoding.EncodeToString(log), At: time.UnixMilli(int64(at)).UTC()})
		}
	}
	return list, nil
}

// What is wrong with a certificate that asking for another one mends.
var (
	errOtherKey = errors.New("it is for another key than was asked for")
	errExpired  = errors.New("it has expired already")
)

// Check refuses a chain that is not what was asked for: other names, another key, a chain that does not hang together, dates that make no sense.
func Check(r Request, chain [][]byte, now time.Time) error {
	all, err := parseAll(chain)
	if err != nil {
		return err
	}
	leaf := all[0]
	if !sameNames(leaf.DNSNames, r.Names) || len(leaf.IPAddresses)+len(leaf.EmailAddresses)+len(leaf.URIs) > 0 {
		return fmt.Errorf("it is for other names (%.300s) than were asked for (%.300s)", strings.Join(leaf.DNSNames, ", "), joined(r.Names))
	}
	if err := checkKey(r, leaf); err != nil {
		return err
	}
	if leaf.IsCA {
		return errors.New("it is an authority's certificate, not a server's")
	}
	if len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) > 0 && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny) {
		return errors.New("it is not for servers (extended key usage)")
	}
	switch life := leaf.NotAfter.Sub(leaf.NotBefore); {
	case life <= 0:
		return fmt.Errorf("it ends (%s) before it begins (%s)", leaf.NotAfter, leaf.NotBefore)
	case now.Add(clockSkew).Before(leaf.NotBefore):
		return fmt.Errorf("it is valid from %s only. If that is not in the future, see that this machine's clock is right", leaf.NotBefore)
	case !now.Before(leaf.NotAfter):
		return fmt.Errorf("%w, at %s. If that is not in the past, see that this machine's clock is right", errExpired, leaf.NotAfter)
	case r.Validity > 0 && life > r.Validity+2*clockSkew: // authorities date back a little
		return fmt.Errorf("it is valid for %s, and %s were asked for", life, r.Validity)
	}
	for i, c := range all[1:] {
		if err := all[i].CheckSignatureFrom(c); err != nil {
			return fmt.Errorf("its chain does not hang together: certificate %d is not signed by the next: %w", i+1, err)
		}
	}
	return nil
}

func checkKey(r Request, leaf *x509.Certificate) error {
	var want crypto.PublicKey
	if r.CSR != nil {
		csr, err := x509.ParseCertificateRequest(r.CSR)
		if err != nil {
			return fmt.Errorf("certificate request: %w", err)
		}
		want = csr.PublicKey
	} else if r.Signer != nil {
		want = r.Signer.Public()
	}
	if have, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || want == nil || !have.Equal(want) {
		return errOtherKey
	}
	return nil
}
