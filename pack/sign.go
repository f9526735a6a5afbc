package pack

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/util"
)

// Key is a public key whose signature on a pack counts.
type Key struct {
	Name   string // the "kid" of signatures
	Public string // PEM, SubjectPublicKeyInfo
}

const minRSABits = 2048

// algorithms are the JWS algorithms (RFC 7518 section 3.1) that a public key may be
// used with, the one to sign with first. The key decides, never the signature (RFC
// 8725 section 3.1). What OPA supports is RSA and the NIST curves; shared secrets
// (HS256) cannot stand in a repository.
func (k Key) algorithms() ([]string, error) {
	block, rest := pem.Decode([]byte(k.Public))
	if block == nil || block.Type != "PUBLIC KEY" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("it is not one public key in PEM form (-----BEGIN PUBLIC KEY-----)")
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("it is not a public key: %w", err)
	}
	switch public := public.(type) {
	case *ecdsa.PublicKey:
		switch public.Curve {
		case elliptic.P256():
			return []string{"ES256"}, nil
		case elliptic.P384():
			return []string{"ES384"}, nil
		case elliptic.P521():
			return []string{"ES512"}, nil
		}
	case *rsa.PublicKey:
		if bits := public.N.BitLen(); bits < minRSABits {
			return nil, fmt.Errorf("it is an RSA key of %d bits; %d are the least", bits, minRSABits)
		}
		return []string{"PS256", "RS256"}, nil // "opa sign" makes RS256
	}
	return nil, errors.New("it is of a kind that bundles are not signed with; use ECDSA P-256, P-384 or P-521, or RSA")
}

// NewKey makes a key pair for signing packs: a private key (PKCS #8) and its public half, both PEM.
func NewKey(random io.Reader) (private, public []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	if public, err = publicHalf(key.Public()); err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), public, nil
}

func publicHalf(public any) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// PublicKey returns the public half of a private key in PEM form (PKCS #8 or SEC 1).
// Its errors never quote the key.
func PublicKey(private []byte) ([]byte, error) {
	bad := errors.New("the signing key is not an ECDSA or RSA private key in PEM form")
	block, _ := pem.Decode(private)
	if block == nil {
		return nil, bad
	}
	if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
		return publicHalf(key.Public())
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, bad
	}
	switch key := key.(type) {
	case *ecdsa.PrivateKey:
		return publicHalf(key.Public())
	case *rsa.PrivateKey:
		return publicHalf(key.Public())
	}
	return nil, bad
}

// Sign returns the bundle src with a signature under the key's name, as OPA writes
// it: a JWT over the digest of every file, in .signatures.json. A signature that is
// there is replaced.
func Sign(src []byte, keyName string, private []byte) ([]byte, error) {
	if !namePattern.MatchString(keyName) {
		return nil, fmt.Errorf("key name %q: use lower-case letters, digits and hyphens", keyName)
	}
	public, err := PublicKey(private)
	if err != nil {
		return nil, err
	}
	algorithms, err := Key{Name: keyName, Public: string(public)}.algorithms()
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	if _, err := Open(src, nil); err != nil {
		return nil, err
	}
	files, err := unpack(src)
	if err != nil {
		return nil, err
	}
	files = slices.DeleteFunc(files, func(f File) bool { return f.Path == signaturesFile })
	digests, err := fileDigests(files)
	if err != nil {
		return nil, err
	}
	token, err := bundle.GenerateSignedToken(digests, bundle.NewSigningConfig(string(bytes.TrimSpace(private)), algorithms[0], ""), keyName)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	signatures, err := json.MarshalIndent(bundle.SignaturesConfig{Signatures: []string{token}}, "", "  ")
	if err != nil {
		return nil, err
	}
	if files, err = ordered(append(files, File{Path: signaturesFile, Src: signatures})); err != nil {
		return nil, err
	}
	return archive(files), nil
}

func fileDigests(files []File) ([]bundle.FileInfo, error) {
	hasher, err := bundle.NewSignatureHasher(bundle.SHA256)
	if err != nil {
		return nil, err
	}
	var digests []bundle.FileInfo
	for _, f := range files {
		// OPA signs the content of JSON documents, not their spaces.
		var value any = f.Src
		if bundle.IsStructuredDoc(f.Path) {
			if err := util.Unmarshal(f.Src, &value); err != nil {
				return nil, &Fault{Pack: "bundle", What: fmt.Sprintf("%s is not valid JSON: %v", f.Path, err)}
			}
		}
		sum, err := hasher.HashFile(value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Path, err)
		}
		digests = append(digests, bundle.NewFile(f.Path, hex.EncodeToString(sum), bundle.SHA256.String()))
	}
	return digests, nil
}

// verify checks a bundle's signature against keys and returns the name of the key
// that signed. "" stands for a bundle without signature, and for no keys to hold it against.
func verify(name string, files []File, keys []Key) (signer string, err error) {
	i := slices.IndexFunc(files, func(f File) bool { return f.Path == signaturesFile })
	if i < 0 || len(keys) == 0 {
		return "", nil
	}
	untrusted := func(why string) error {
		return &Fault{Pack: name, What: "its signature does not hold: " + why, Help: "Do not use it. If its maker has a new key, add that key to policies/packs.lock once you know that it is theirs."}
	}
	var signatures bundle.SignaturesConfig
	if err := json.Unmarshal(files[i].Src, &signatures); err != nil {
		return "", untrusted(".signatures.json is not valid JSON")
	}
	// A plug-in named by the bundle itself must not decide how it is verified.
	signatures.Plugin = ""
	for _, k := range keys {
		signed, err := k.verify(signatures)
		if err != nil {
			return "", err
		}
		if signed == nil {
			continue // by another key, or by none
		}
		for _, f := range files {
			if f.Path == signaturesFile {
				continue
			}
			if a := signed[f.Path].Algorithm; a != bundle.SHA256.String() && a != bundle.SHA512.String() {
				return "", untrusted(fmt.Sprintf("%s is signed by a digest (%q) that can be forged, or not at all", f.Path, a))
			}
			// Also takes f out of signed.
			if err := bundle.VerifyBundleFile(f.Path, *bytes.NewBuffer(f.Src), signed); err != nil {
				return "", untrusted(err.Error())
			}
		}
		for missing := range signed {
			return "", untrusted(missing + " was signed and is not there")
		}
		return k.Name, nil
	}
	return "", untrusted("none of the keys that count made it")
}

// verify returns the files that signatures speak of if k made them, else nil.
func (k Key) verify(signatures bundle.SignaturesConfig) (map[string]bundle.FileInfo, error) {
	algorithms, err := k.algorithms()
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", k.Name, err)
	}
	for _, algorithm := range algorithms {
		config := bundle.NewVerificationConfig(map[string]*bundle.KeyConfig{k.Name: {Key: k.Public, Algorithm: algorithm}}, k.Name, "", nil)
		if signed, err := bundle.VerifyBundleSignature(signatures, config); err == nil {
			return signed, nil
		}
	}
	return nil, nil
}
