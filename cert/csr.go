package cert

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"slipway/key"
	"slipway/zone"

	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"
)

const (
	maxCSR   = 16 << 10
	maxNames = 100 // as the public authorities have it

	// maxCommonName is ub-common-name of RFC 5280 appendix A.
	maxCommonName = 64
)

// checkNames refuses what no certificate can be for.
func checkNames(names []zone.Name) error {
	if len(names) == 0 || len(names) > maxNames {
		return fmt.Errorf("a certificate is for 1 to %d names, not for %d", maxNames, len(names))
	}
	seen := map[zone.Name]bool{}
	for _, n := range names {
		labels := n.Labels()
		host := strings.TrimPrefix(string(n), "*.")
		switch parsed, err := zone.ParseName(string(n)); {
		case err != nil:
			return err
		case parsed != n:
			return fmt.Errorf("the name %.255q is not written in its canonical form, %s", n, parsed)
		case len(labels) < 2 || strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "":
			return fmt.Errorf("no certificate can be had for the name %.255q: letters, digits and hyphens are allowed, and one * as the first part", n)
		case seen[n]:
			return fmt.Errorf("the name %s is there twice", n)
		}
		seen[n] = true
	}
	return nil
}

// csr is what the authority is sent: the one that the platform brought, or one that
// the signer signs now.
func (r Request) csr() ([]byte, error) {
	if r.CSR != nil {
		return r.CSR, nil
	}
	template := &x509.CertificateRequest{}
	for _, n := range r.Names {
		template.DNSNames = append(template.DNSNames, string(n))
	}
	if first := template.DNSNames[0]; len(first) <= maxCommonName {
		template.Subject = pkix.Name{CommonName: first}
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, r.Signer)
	if err != nil {
		return nil, fmt.Errorf("certificate request: the key cannot sign: %w", err)
	}
	return der, nil
}

// validate says what is wrong with a request, before an authority hears of it.
func (r Request) validate() error {
	if r.ID == "" {
		return errors.New("the request for a certificate has no ID, so it could not be taken up again")
	}
	if err := checkNames(r.Names); err != nil {
		return err
	}
	if (r.Signer == nil) == (r.CSR == nil) {
		return errors.New("a certificate is for a key or for a certificate request (CSR), one of the two")
	}
	if r.Validity < 0 {
		return errors.New("a certificate cannot end before it begins")
	}
	if r.CSR == nil {
		return nil
	}
	if _, err := ParseCSR(r.CSR, r.Names, key.Kinds()); err != nil {
		return err
	}
	csr, err := x509.ParseCertificateRequest(r.CSR)
	if err != nil {
		return err
	}
	for _, n := range r.Names {
		if !slices.Contains(csr.DNSNames, string(n)) && csr.Subject.CommonName != string(n) {
			return fmt.Errorf("the certificate request (CSR) does not ask for %s. Make one for exactly the names of the certificate", n)
		}
	}
	return nil
}

var (
	oidSAN               = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidChallengePassword = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 7}
)

// harmless are the extensions that tools put into every CSR, and that an authority
// sets as it sees fit: key usage, extended key usage, key identifier, basic
// constraints (looked at below).
var harmless = []asn1.ObjectIdentifier{oidSAN, {2, 5, 29, 15}, {2, 5, 29, 37}, {2, 5, 29, 14}, oidBasicConstraints}

var oidBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}

// ParseCSR reads a CSR in PEM or DER and proves possession: its signature is by its own key. It must ask for no more than names.
func ParseCSR(raw []byte, names []zone.Name, kinds []key.Kind) (der []byte, err error) {
	if len(raw) > maxCSR {
		return nil, fmt.Errorf("the certificate request is larger than %d bytes, which no real one is", maxCSR)
	}
	der = raw
	if block, rest := pem.Decode(raw); block != nil {
		if block.Type != "CERTIFICATE REQUEST" && block.Type != "NEW CERTIFICATE REQUEST" {
			if strings.Contains(block.Type, "PRIVATE KEY") {
				return nil, errors.New("this is a private key. Nobody but its app may have it: make a new key, keep it where it is, and send a certificate request (CSR) for it")
			}
			return nil, fmt.Errorf("this is a %.40q, not a certificate request (CSR)", block.Type)
		}
		if len(strings.TrimSpace(string(rest))) != 0 {
			return nil, errors.New("there is something after the certificate request. Send the one request alone")
		}
		der = block.Bytes
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("this is not a certificate request (CSR, PKCS #10) in PEM or DER: %w", err)
	}
	switch csr.SignatureAlgorithm {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.DSAWithSHA256, x509.ECDSAWithSHA1, x509.UnknownSignatureAlgorithm:
		return nil, errors.New("the certificate request is signed in a way that is not safe any more. Sign it with SHA-256")
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, errors.New("the certificate request is not signed by its own key, so it does not prove that whoever made it has the key. Make it anew with the key")
	}
	kind, err := key.KindOf(csr.PublicKey)
	if err != nil || !slices.Contains(kinds, kind) {
		return nil, fmt.Errorf("the certificate request has a key of another kind than is allowed here. Use one of these: %s", joined(kinds))
	}
	if err := onlyNames(csr, names); err != nil {
		return nil, fmt.Errorf("the certificate request asks for too much: %w", err)
	}
	return der, nil
}

// onlyNames refuses whatever a CSR has beyond the names that its app may have.
func onlyNames(csr *x509.CertificateRequest, names []zone.Name) error {
	asked := slices.Clone(csr.DNSNames)
	if csr.Subject.CommonName != "" {
		asked = append(asked, csr.Subject.CommonName)
	}
	if len(asked) == 0 {
		return errors.New("it has no name at all")
	}
	for _, n := range asked {
		if !slices.Contains(names, zone.Name(n)) {
			return fmt.Errorf("the name %.255q is not one of the app's (%s)", n, joined(names))
		}
	}
	if len(csr.IPAddresses)+len(csr.EmailAddresses)+len(csr.URIs) > 0 {
		return errors.New("it has addresses beside DNS names. Take them out")
	}
	for _, e := range csr.Extensions {
		if !slices.ContainsFunc(harmless, e.Id.Equal) {
			return fmt.Errorf("it has the extension %s. Take it out", e.Id)
		}
		if e.Id.Equal(oidSAN) && !onlyDNS(e.Value) {
			return errors.New("it has other names beside DNS names. Take them out")
		}
		if e.Id.Equal(oidBasicConstraints) {
			if ca, err := basicConstraintsCA(e.Value); ca || err != nil {
				return errors.New("it is for a certificate authority, not for a server. Take the CA flag out")
			}
		}
	}
	//lint:ignore SA1019 nothing else shows attributes that are no extensions
	for _, attribute := range csr.Attributes {
		if attribute.Type.Equal(oidChallengePassword) {
			return errors.New("it has a password in it, which would be kept with it. Make it without one")
		}
	}
	return nil
}

// onlyDNS says whether every general name is a dNSName (RFC 5280 section 4.2.1.6):
// package x509 leaves out those of other kinds.
func onlyDNS(san []byte) bool {
	in, names := cryptobyte.String(san), cryptobyte.String(nil)
	if !in.ReadASN1(&names, cryptobyte_asn1.SEQUENCE) || !in.Empty() {
		return false
	}
	for !names.Empty() {
		var name cryptobyte.String
		if !names.ReadASN1(&name, cryptobyte_asn1.Tag(2).ContextSpecific()) {
			return false
		}
	}
	return true
}

func basicConstraintsCA(value []byte) (bool, error) {
	in, inner := cryptobyte.String(value), cryptobyte.String(nil)
	if !in.ReadASN1(&inner, cryptobyte_asn1.SEQUENCE) || !in.Empty() {
		return false, errors.New("basic constraints cannot be read")
	}
	if inner.Empty() {
		return false, nil
	}
	var ca bool
	if !inner.ReadASN1Boolean(&ca) {
		return false, errors.New("basic constraints cannot be read")
	}
	return ca, nil
}

func joined[T ~string](list []T) string {
	var b strings.Builder
	for i, s := range list {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(string(s))
	}
	return b.String()
}
