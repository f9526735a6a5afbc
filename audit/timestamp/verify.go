package timestamp

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// Verify says when an authority signed that content existed, and the certificate that it
// signed with. It holds the token to RFC 3161 (sections 2.3 and 2.4.2) and RFC 5816: it is
// of this content, the signature is good, the certificate is the one that was meant, is
// for timestamps and nothing else, and led to one of the roots at that time. It needs no
// network and no clock; whether the authority has revoked its certificate since is not
// looked at.
func Verify(raw, content []byte, roots *x509.CertPool) (at time.Time, signer *x509.Certificate, err error) {
	t, err := parse(raw)
	if err == nil {
		err = t.of(content)
	}
	if err == nil {
		signer, err = t.verify(roots)
	}
	if err != nil {
		return time.Time{}, nil, fmt.Errorf("timestamp: %w", err)
	}
	return t.info.Time.UTC(), signer, nil
}

// of says whether the token is of that content.
func (t *token) of(content []byte) error {
	h, err := hashOf(t.info.Imprint.Algorithm.Algorithm)
	if err != nil {
		return err
	}
	if !bytes.Equal(digest(h, content), t.info.Imprint.Digest) {
		return errors.New("it is of other content")
	}
	return nil
}

func (t *token) verify(roots *x509.CertPool) (*x509.Certificate, error) {
	c, err := t.certificate()
	if err != nil {
		return nil, err
	}
	if err := t.signed(c); err != nil {
		return nil, err
	}
	if err := forTimestamps(c); err != nil {
		return nil, fmt.Errorf("the certificate of %s: %w", c.Subject, err)
	}
	if roots == nil {
		return nil, errors.New("no root certificate is given to trust") // nil would mean those of this machine
	}
	between := x509.NewCertPool()
	for _, other := range t.certificates {
		between.AddCert(other)
	}
	_, err = c.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: t.info.Time,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping},
	})
	if err != nil {
		return nil, fmt.Errorf("the certificate of %s: %w", c.Subject, err)
	}
	return c, nil
}

// signed checks the signature, and that it is over this content by this certificate.
func (t *token) signed(c *x509.Certificate) error {
	var contentType asn1.ObjectIdentifier
	if found, err := t.attribute(oidContentType, &contentType); err != nil || !found || !contentType.Equal(oidTSTInfo) {
		return errors.Join(errors.New("it was not signed as a timestamp"), err)
	}
	h, err := hashOf(t.signer.Digest.Algorithm)
	if err != nil {
		return err
	}
	var sum []byte
	if found, err := t.attribute(oidMessageDigest, &sum); err != nil || !found || !bytes.Equal(sum, digest(h, t.content)) {
		return errors.Join(errors.New("its content was altered"), err)
	}
	if err := t.meant(c); err != nil {
		return err
	}
	algorithm, err := signatureAlgorithm(t.signer.Algorithm.Algorithm, h)
	if err != nil {
		return err
	}
	if err := c.CheckSignature(algorithm, t.signer.Attributes.FullBytes, t.signer.Signature); err != nil {
		return fmt.Errorf("the signature does not fit: %w", err)
	}
	return nil
}

// meant says whether the signer's certificate is the one that the signature names (RFC
// 3161 section 2.4.2, with the digests of RFC 5816).
func (t *token) meant(c *x509.Certificate) error {
	var v2 signingCertificateV2
	found, err := t.attribute(oidSigningCertificateV2, &v2)
	if err != nil {
		return err
	}
	if found && len(v2.Certs) > 0 {
		h := crypto.SHA256 // the default, which DER leaves out
		if oid := v2.Certs[0].Algorithm.Algorithm; len(oid) > 0 {
			if h, err = hashOf(oid); err != nil {
				return err
			}
		}
		if bytes.Equal(digest(h, c.Raw), v2.Certs[0].Hash) {
			return nil
		}
		return errors.New("the certificate is not the one that was signed with")
	}
	var v1 signingCertificate
	if found, err = t.attribute(oidSigningCertificate, &v1); err != nil {
		return err
	}
	if !found || len(v1.Certs) == 0 {
		return errors.New("it does not say which certificate was signed with")
	}
	// SHA-1 here names a certificate among those that lead to a trusted root.
	if !bytes.Equal(digest(crypto.SHA1, c.Raw), v1.Certs[0].Hash) {
		return errors.New("the certificate is not the one that was signed with")
	}
	return nil
}

// forTimestamps is RFC 3161 section 2.3: one extended key usage, and critical.
func forTimestamps(c *x509.Certificate) error {
	for _, e := range c.Extensions {
		if e.Id.Equal(oidExtendedKeyUsage) && e.Critical &&
			len(c.ExtKeyUsage) == 1 && c.ExtKeyUsage[0] == x509.ExtKeyUsageTimeStamping && len(c.UnknownExtKeyUsage) == 0 {
			return nil
		}
	}
	return errors.New("it is not one for timestamps and nothing else")
}

// signatureAlgorithm is what a signer's algorithm means with its digest. Some name the key's kind only
// (RFC 3370 section 3.2), others the digest as well.
func signatureAlgorithm(oid asn1.ObjectIdentifier, h crypto.Hash) (x509.SignatureAlgorithm, error) {
	type pair struct {
		oid string
		h   crypto.Hash
	}
	const rsa, pss, ecdsa, ed25519 = "1.2.840.113549.1.1.1", "1.2.840.113549.1.1.10", "1.2.840.10045.2.1", "1.3.101.112"
	algorithm, ok := map[pair]x509.SignatureAlgorithm{
		{rsa, crypto.SHA256}: x509.SHA256WithRSA, {"1.2.840.113549.1.1.11", crypto.SHA256}: x509.SHA256WithRSA,
		{rsa, crypto.SHA384}: x509.SHA384WithRSA, {"1.2.840.113549.1.1.12", crypto.SHA384}: x509.SHA384WithRSA,
		{rsa, crypto.SHA512}: x509.SHA512WithRSA, {"1.2.840.113549.1.1.13", crypto.SHA512}: x509.SHA512WithRSA,
		{pss, crypto.SHA256}: x509.SHA256WithRSAPSS, {pss, crypto.SHA384}: x509.SHA384WithRSAPSS, {pss, crypto.SHA512}: x509.SHA512WithRSAPSS,
		{ecdsa, crypto.SHA256}: x509.ECDSAWithSHA256, {"1.2.840.10045.4.3.2", crypto.SHA256}: x509.ECDSAWithSHA256,
		{ecdsa, crypto.SHA384}: x509.ECDSAWithSHA384, {"1.2.840.10045.4.3.3", crypto.SHA384}: x509.ECDSAWithSHA384,
		{ecdsa, crypto.SHA512}: x509.ECDSAWithSHA512, {"1.2.840.10045.4.3.4", crypto.SHA512}: x509.ECDSAWithSHA512,
		{ed25519, crypto.SHA512}: x509.PureEd25519, // RFC 8419 section 2.3
	}[pair{oid.String(), h}]
	if !ok {
		return 0, fmt.Errorf("the signature algorithm %s with %s is not one that is trusted", oid, h)
	}
	return algorithm, nil
}

// maxRoots bounds the root certificates that are read.
const maxRoots = 64

// ReadRoots reads the root certificates to trust, one PEM block each.
func ReadRoots(raw []byte) (*x509.CertPool, error) {
	pool, n := x509.NewCertPool(), 0
	for block, rest := pem.Decode(raw); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("root certificates: a block %q is not a CERTIFICATE", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("root certificates: number %d: %w", n+1, err)
		}
		if n++; n > maxRoots {
			return nil, fmt.Errorf("root certificates: at most %d are read", maxRoots)
		}
		pool.AddCert(c)
	}
	if n == 0 {
		return nil, errors.New("root certificates: there is no PEM block with a certificate")
	}
	return pool, nil
}
