// Package pkcs11 keeps certificates' keys in a hardware security module, or in whatever
// else speaks PKCS #11 (v2.40). Keys are made in the token, and one that did not
// come into being there or could leave it is not used. It needs cgo: without, Open
// says so. Read options.go for what it is opened with, then pkcs11.go.
package pkcs11

import (
	"errors"

	"slipway/secret"
)

// Options say which token it is.
type Options struct {
	Module      string       // the PKCS #11 library's file, from the HSM's vendor
	Token       string       // the token's label, or
	Serial      string       // its serial number
	PIN         secret.Value // the user PIN; none for a token without login
	MaxSessions int          // sessions at once; 0 is the library's 1024, or what the token allows
}

const idSize = 16 // bytes of a key's random CKA_ID

func (o Options) validate() error {
	switch {
	case o.Module == "":
		return errors.New("no module is given: name the library of the HSM's vendor, for example module-path=/usr/lib/softhsm/libsofthsm2.so")
	case (o.Token == "") == (o.Serial == ""):
		return errors.New("a token is named by its label or by its serial number, one of the two")
	case o.MaxSessions < 0 || o.MaxSessions == 1:
		return errors.New("max-sessions must be at least 2: one session stays open to keep the login")
	}
	return nil
}
