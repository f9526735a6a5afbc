package keytest

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

const maxSearched = 16 << 20 // bytes of one text

var encoded = regexp.MustCompile(`[A-Za-z0-9+/_=-][A-Za-z0-9+/_=\r\n-]{30,}`)

// Find looks for private keys in the clear anywhere in what a system has written or
// answered: PKCS #8, SEC 1 and PKCS #1 structures, as they are and in base64 or hex,
// and PEM's words for them. It says where they are. A bare scalar looks like any other
// bytes and is not found; only who knows it can look for it.
func Find(text []byte) []string {
	if len(text) > maxSearched {
		return []string{fmt.Sprintf("%d bytes are too many to search", len(text))}
	}
	found := findDER(text, "DER")
	for _, label := range []string{"BEGIN PRIVATE KEY", "BEGIN EC PRIVATE KEY", "BEGIN RSA PRIVATE KEY", "BEGIN OPENSSH PRIVATE KEY"} {
		if i := bytes.Index(text, []byte(label)); i >= 0 {
			found = append(found, fmt.Sprintf("PEM at byte %d", i))
		}
	}
	for _, at := range encoded.FindAllIndex(text, -1) {
		run := bytes.Map(func(r rune) rune {
			switch r {
			case '\r', '\n', '=':
				return -1
			case '-':
				return '+'
			case '_':
				return '/'
			}
			return r
		}, text[at[0]:at[1]])
		// A key may begin within the run, at any of base64's four and hex's two phases.
		for phase := range min(4, len(run)) {
			part := run[phase:]
			raw := make([]byte, base64.RawStdEncoding.DecodedLen(len(part)))
			n, _ := base64.RawStdEncoding.Decode(raw, part)
			found = append(found, findDER(raw[:n], fmt.Sprintf("base64 at byte %d", at[0]))...)
		}
		for phase := range min(2, len(run)) {
			raw := make([]byte, hex.DecodedLen(len(run)-phase))
			n, _ := hex.Decode(raw, run[phase:])
			found = append(found, findDER(raw[:n], fmt.Sprintf("hex at byte %d", at[0]))...)
		}
	}
	return found
}

// findDER tries every place where a SEQUENCE of a length that is there begins.
func findDER(raw []byte, where string) []string {
	var found []string
	for i := 0; i+4 < len(raw); i++ {
		if raw[i] != 0x30 {
			continue
		}
		size := derSize(raw[i:])
		if size < 40 || size > len(raw)-i { // the shortest, an Ed25519 key, has 48 bytes
			continue
		}
		der := raw[i : i+size]
		_, pkcs8 := x509.ParsePKCS8PrivateKey(der)
		_, sec1 := x509.ParseECPrivateKey(der)
		_, pkcs1 := x509.ParsePKCS1PrivateKey(der)
		if pkcs8 == nil || sec1 == nil || pkcs1 == nil {
			found = append(found, fmt.Sprintf("%s, offset %d", where, i))
			i += size - 1
		}
	}
	return found
}

// derSize is the size of the element that begins here, header and all; 0 if its
// length is not in a form that DER has for keys.
func derSize(raw []byte) int {
	switch length := raw[1]; {
	case length < 0x80:
		return 2 + int(length)
	case length == 0x81:
		return 3 + int(raw[2])
	case length == 0x82:
		return 4 + int(raw[2])<<8 + int(raw[3])
	}
	return 0
}

// NoneIn fails the test if any file below dir holds a private key in the clear.
func NoneIn(t testing.TB, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if found := Find(raw); len(found) > 0 {
			t.Errorf("%s holds a private key in the clear: %v", path, found)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
