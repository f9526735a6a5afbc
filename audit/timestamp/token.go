// Package timestamp owns timestamps of RFC 3161: it asks a time-stamping authority to sign
// that a checkpoint of the audit log existed, and verifies what came back, then and years
// later, from the token, the checkpoint and the authority's root certificate alone. It
// never reads an event, and never decides how often a checkpoint is stamped. Read
// verify.go for what makes a token good, token.go for its form and authority.go for
// asking.
package timestamp

import (
	"bytes"
	"crypto"
	_ "crypto/sha1" // RFC 2634 names the signer's certificate by it
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// MaxToken bounds a token or a response, in bytes. One with a chain of certificates has
// about six thousand.
const MaxToken = 256 << 10

const maxCertificates = 16 // in a token

// CMS (RFC 5652), as far as a token has it. Only DER is read: a token is kept for years,
// and what it says must not depend on who parses it.
type (
	contentInfo struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"explicit,tag:0"`
	}
	signedData struct {
		Version      int
		Digests      []pkix.AlgorithmIdentifier `asn1:"set"`
		Encapsulated struct {
			Type    asn1.ObjectIdentifier
			Content []byte `asn1:"explicit,tag:0"`
		}
		Certificates asn1.RawValue `asn1:"optional,tag:0"`
		CRLs         asn1.RawValue `asn1:"optional,tag:1"`
		Signers      []signerInfo  `asn1:"set"`
	}
	signerInfo struct {
		Version    int
		ID         asn1.RawValue // issuer and serial number, or a key identifier
		Digest     pkix.AlgorithmIdentifier
		Attributes asn1.RawValue `asn1:"optional,tag:0"`
		Algorithm  pkix.AlgorithmIdentifier
		Signature  []byte
		Unsigned   asn1.RawValue `asn1:"optional,tag:1"`
	}
	issuerAndSerial struct {
		Issuer asn1.RawValue
		Serial *big.Int
	}
	attribute struct {
		Type   asn1.ObjectIdentifier
		Values []asn1.RawValue `asn1:"set"`
	}
)

// RFC 3161 section 2.4.2.
type (
	tstInfo struct {
		Version    int
		Policy     asn1.ObjectIdentifier
		Imprint    imprint
		Serial     *big.Int
		Time       time.Time        `asn1:"generalized"`
		Accuracy   accuracy         `asn1:"optional"`
		Ordering   bool             `asn1:"optional"`
		Nonce      *big.Int         `asn1:"optional"`
		TSA        asn1.RawValue    `asn1:"optional,tag:0"`
		Extensions []pkix.Extension `asn1:"optional,tag:1"`
	}
	imprint struct {
		Algorithm pkix.AlgorithmIdentifier
		Digest    []byte
	}
	accuracy struct {
		Seconds int `asn1:"optional"`
		Millis  int `asn1:"optional,tag:0"`
		Micros  int `asn1:"optional,tag:1"`
	}
)

// ESSCertID and ESSCertIDv2 (RFC 5035 section 5.4) name the certificate of the signer, so
// that another one for the same key cannot be put in its place.
type (
	signingCertificate struct {
		Certs    []essCertID
		Policies asn1.RawValue `asn1:"optional"`
	}
	essCertID struct {
		Hash         []byte
		IssuerSerial asn1.RawValue `asn1:"optional"`
	}
	signingCertificateV2 struct {
		Certs    []essCertIDv2
		Policies asn1.RawValue `asn1:"optional"`
	}
	essCertIDv2 struct {
		Algorithm    pkix.AlgorithmIdentifier `asn1:"optional"`
		Hash         []byte
		IssuerSerial asn1.RawValue `asn1:"optional"`
	}
)

var (
	oidSignedData           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidTSTInfo              = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
	oidContentType          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSigningCertificate   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 12}
	oidSigningCertificateV2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}
	oidExtendedKeyUsage     = asn1.ObjectIdentifier{2, 5, 29, 37}
)

// hashes are those whose digests still stand for content. A signature over another one is
// refused, however it came about.
var hashes = []struct {
	oid  asn1.ObjectIdentifier
	hash crypto.Hash
}{
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}, crypto.SHA256},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}, crypto.SHA384},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}, crypto.SHA512},
}

func hashOf(oid asn1.ObjectIdentifier) (crypto.Hash, error) {
	for _, h := range hashes {
		if h.oid.Equal(oid) {
			return h.hash, nil
		}
	}
	return 0, fmt.Errorf("the digest algorithm %s is not SHA-256, SHA-384 or SHA-512", oid)
}

func digest(h crypto.Hash, content []byte) []byte {
	w := h.New()
	w.Write(content)
	return w.Sum(nil)
}

// token is one that was parsed; nothing in it was verified.
type token struct {
	info         tstInfo
	content      []byte // info as it was signed
	signer       signerInfo
	attributes   []attribute
	certificates []*x509.Certificate
}

func parse(raw []byte) (*token, error) {
	if len(raw) > MaxToken {
		return nil, fmt.Errorf("it has %d bytes, and at most %d are read", len(raw), MaxToken)
	}
	var outer contentInfo
	if err := unmarshal(raw, &outer, ""); err != nil {
		return nil, err
	}
	if !outer.Type.Equal(oidSignedData) {
		return nil, fmt.Errorf("its content type is %s and not signed data", outer.Type)
	}
	var signed signedData
	if err := unmarshal(outer.Content.Bytes, &signed, ""); err != nil {
		return nil, fmt.Errorf("signed data: %w", err)
	}
	if !signed.Encapsulated.Type.Equal(oidTSTInfo) {
		return nil, fmt.Errorf("what was signed is of type %s and no timestamp", signed.Encapsulated.Type)
	}
	if len(signed.Signers) != 1 { // RFC 3161 section 2.4.2
		return nil, fmt.Errorf("it has %d signers, and a timestamp has one", len(signed.Signers))
	}
	t := &token{content: signed.Encapsulated.Content, signer: signed.Signers[0]}
	if err := unmarshal(t.content, &t.info, ""); err != nil {
		return nil, fmt.Errorf("timestamp information: %w", err)
	}
	if t.info.Version != 1 {
		return nil, fmt.Errorf("timestamp information of version %d is not known", t.info.Version)
	}
	for _, e := range t.info.Extensions {
		if e.Critical {
			return nil, fmt.Errorf("it has an extension that must be understood and is not known: %s", e.Id)
		}
	}
	// With the tag that DER gives to what is signed (RFC 5652 section 5.4).
	if len(t.signer.Attributes.FullBytes) == 0 {
		return nil, errors.New("it has no signed attributes")
	}
	t.signer.Attributes.FullBytes = append([]byte{0x31}, t.signer.Attributes.FullBytes[1:]...)
	if err := unmarshal(t.signer.Attributes.FullBytes, &t.attributes, "set"); err != nil {
		return nil, fmt.Errorf("signed attributes: %w", err)
	}
	var err error
	if t.certificates, err = x509.ParseCertificates(signed.Certificates.Bytes); err != nil {
		return nil, fmt.Errorf("certificates: %w", err)
	}
	if len(t.certificates) > maxCertificates {
		return nil, fmt.Errorf("it has %d certificates, and at most %d are read", len(t.certificates), maxCertificates)
	}
	return t, nil
}

// attribute finds the one value of an attribute that is there once (RFC 5652 section 11).
func (t *token) attribute(oid asn1.ObjectIdentifier, into any) (found bool, err error) {
	for _, a := range t.attributes {
		if !a.Type.Equal(oid) {
			continue
		}
		if found || len(a.Values) != 1 {
			return true, fmt.Errorf("the signed attribute %s is there more than once", oid)
		}
		found = true
		if err := unmarshal(a.Values[0].FullBytes, into, ""); err != nil {
			return true, fmt.Errorf("the signed attribute %s: %w", oid, err)
		}
	}
	return found, nil
}

// certificate is the one that the signer names (RFC 5652 section 5.3).
func (t *token) certificate() (*x509.Certificate, error) {
	id := t.signer.ID
	for _, c := range t.certificates {
		if id.Class == asn1.ClassContextSpecific && id.Tag == 0 {
			if len(c.SubjectKeyId) > 0 && bytes.Equal(c.SubjectKeyId, id.Bytes) {
				return c, nil
			}
			continue
		}
		var name issuerAndSerial
		if err := unmarshal(id.FullBytes, &name, ""); err != nil {
			return nil, fmt.Errorf("the signer's name: %w", err)
		}
		if c.SerialNumber.Cmp(name.Serial) == 0 && bytes.Equal(c.RawIssuer, name.Issuer.FullBytes) {
			return c, nil
		}
	}
	return nil, errors.New("the signer's certificate is not in it; ask the authority for tokens with certificates")
}

// unmarshal takes the whole of raw.
func unmarshal(raw []byte, into any, params string) error {
	rest, err := asn1.UnmarshalWithParams(raw, into, params)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes follow that do not belong to it", len(rest))
	}
	return err
}
