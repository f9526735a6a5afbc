package key

import (
	"crypto"
	"crypto/tls"
)

// schemes are what every store can sign with for TLS, by kind. In TLS 1.2 a client may
// ask an ECDSA key for a signature over another hash than its curve's (RFC 5246
// section 7.4.1.4.1), which AWS KMS, Azure Key Vault and Cloud KMS do not make.
var schemes = map[Kind][]tls.SignatureScheme{
	ECDSAP256: {tls.ECDSAWithP256AndSHA256},
	ECDSAP384: {tls.ECDSAWithP384AndSHA384},
	Ed25519:   {tls.Ed25519},
	RSA2048:   rsaSchemes,
	RSA3072:   rsaSchemes,
	RSA4096:   rsaSchemes,
}

var rsaSchemes = []tls.SignatureScheme{
	tls.PSSWithSHA256, tls.PSSWithSHA384, tls.PSSWithSHA512,
	tls.PKCS1WithSHA256, tls.PKCS1WithSHA384, tls.PKCS1WithSHA512,
}

// Certificate is a chain of certificates (DER, the leaf first) with the leaf's key, as
// crypto/tls takes it, held to the signatures that every store can make. Without
// that, a handshake of TLS 1.2 may ask the store for one that it refuses.
func Certificate(chain [][]byte, signer crypto.Signer) tls.Certificate {
	c := tls.Certificate{Certificate: chain, PrivateKey: signer}
	if kind, err := KindOf(signer.Public()); err == nil {
		c.SupportedSignatureAlgorithms = schemes[kind]
	}
	return c
}
