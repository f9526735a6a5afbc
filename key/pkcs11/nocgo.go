//go:build !cgo

package pkcs11

import (
	"context"
	"crypto"
	"errors"
	"fmt"

	"slipway/key"
)

// Manager cannot come into being in a build without cgo.
type Manager struct{}

var errNoCgo = fmt.Errorf("this build of Slipway cannot load a PKCS #11 library. Build it with CGO_ENABLED=1 and a C compiler: %w", errors.ErrUnsupported)

// Open always fails in a build without cgo.
func Open(o Options) (*Manager, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("PKCS #11: %w", err)
	}
	return nil, errNoCgo
}

func (*Manager) Create(context.Context, string, key.Kind) (string, crypto.Signer, error) {
	return "", nil, errNoCgo
}
func (*Manager) Signer(context.Context, string) (crypto.Signer, error) { return nil, errNoCgo }
func (*Manager) Destroy(context.Context, string) error                 { return errNoCgo }
func (*Manager) Close() error                                          { return nil }
