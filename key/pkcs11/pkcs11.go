//go:build cgo

package pkcs11

import (
	"context"
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/ThalesIgnite/crypto11"

	"slipway/key"
)

// poolWait bounds how long a signature waits for a session, when all are busy.
const poolWait = 15 * time.Second

// Manager is a key.Manager over one token.
type Manager struct {
	token *crypto11.Context

	// Held over a whole Create or Destroy: PKCS #11 has no "make unless it is there", so two
	// makers of one name in this process wait for each other. Two processes must not
	// make keys in one token; the server is one process.
	mu sync.Mutex
}

// Open opens a token, and logs into it.
func Open(o Options) (*Manager, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("PKCS #11: %w", err)
	}
	token, err := crypto11.Configure(&crypto11.Config{
		Path: o.Module, TokenLabel: o.Token, TokenSerial: o.Serial, Pin: o.PIN.Reveal(),
		MaxSessions: o.MaxSessions, PoolWaitTimeout: poolWait, LoginNotSupported: o.PIN.Empty(),
	})
	if err != nil {
		return nil, fmt.Errorf("PKCS #11 module %s, token %q: %w", o.Module, o.Token+o.Serial, err)
	}
	return &Manager{token: token}, nil
}

// Close logs out. No signer of this Manager works afterwards.
func (m *Manager) Close() error {
	if err := m.token.Close(); err != nil {
		return fmt.Errorf("PKCS #11: close: %w", err)
	}
	return nil
}

// Create is key.Manager's.
func (m *Manager) Create(ctx context.Context, name string, kind key.Kind) (string, crypto.Signer, error) {
	if err := key.ValidateName(name); err != nil {
		return "", nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return "", nil, err
	}
	found, err := m.token.FindKeyPairs(nil, []byte(name))
	switch {
	case err != nil:
		return "", nil, fmt.Errorf("key %s: look for it: %w", name, err)
	case len(found) > 1:
		return "", nil, fmt.Errorf("key %s: the token has %d keys with this label, and it is not clear which is meant. Remove the ones that no certificate uses", name, len(found))
	case len(found) == 0:
		made, err := m.generate(name, kind)
		if err != nil {
			return "", nil, fmt.Errorf("key %s: %w", name, err)
		}
		found = []crypto11.Signer{made}
	}
	if err := key.SameKind(name, found[0].Public(), kind); err != nil {
		return "", nil, err
	}
	id, err := m.token.GetAttribute(found[0], crypto11.CkaId)
	if err != nil {
		return "", nil, fmt.Errorf("key %s: its ID: %w", name, err)
	}
	ref := formatRef(name, id.Value)
	signer, err := m.guard(ref, found[0])
	return ref, signer, err
}

func (m *Manager) generate(name string, kind key.Kind) (crypto11.Signer, error) {
	var curve elliptic.Curve
	var bits int
	switch kind {
	case key.ECDSAP256:
		curve = elliptic.P256()
	case key.ECDSAP384:
		curve = elliptic.P384()
	case key.RSA2048:
		bits = 2048
	case key.RSA3072:
		bits = 3072
	case key.RSA4096:
		bits = 4096
	default:
		return nil, fmt.Errorf("keys of kind %.40q are not made in a PKCS #11 token: %w", kind, errors.ErrUnsupported)
	}
	id := make([]byte, idSize)
	rand.Read(id) // never fails
	public, err := crypto11.NewAttributeSetWithIDAndLabel(id, []byte(name))
	if err != nil {
		return nil, err
	}
	private := public.Copy()
	for attribute, value := range map[crypto11.AttributeType]bool{
		crypto11.CkaPrivate: true, crypto11.CkaSensitive: true, crypto11.CkaExtractable: false,
		crypto11.CkaSign: true, crypto11.CkaDecrypt: false, crypto11.CkaUnwrap: false, crypto11.CkaDerive: false,
	} {
		if err := private.Set(attribute, value); err != nil {
			return nil, err
		}
	}
	if curve != nil {
		return m.token.GenerateECDSAKeyPairWithAttributes(public, private, curve)
	}
	return m.token.GenerateRSAKeyPairWithAttributes(public, private, bits)
}

// Signer is key.Manager's.
func (m *Manager) Signer(ctx context.Context, ref string) (crypto.Signer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	pair, err := m.find(ref)
	if err != nil {
		return nil, err
	}
	return m.guard(ref, pair)
}

// Destroy is key.Manager's.
func (m *Manager) Destroy(ctx context.Context, ref string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	pair, err := m.find(ref)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if err := pair.Delete(); err != nil {
		return fmt.Errorf("key %s: destroy: %w", ref, err)
	}
	return nil
}

func (m *Manager) find(ref string) (crypto11.Signer, error) {
	name, id, err := parseRef(ref)
	if err != nil {
		return nil, err
	}
	pair, err := m.token.FindKeyPair(id, []byte(name))
	if err != nil {
		return nil, fmt.Errorf("key %s: look for it: %w", ref, err)
	}
	if pair == nil {
		return nil, fmt.Errorf("key %s: the token has no such key: %w", ref, fs.ErrNotExist)
	}
	return pair, nil
}

// guard hands out a key only if the token vouches that it was made there, has always
// been secret and cannot be taken out (PKCS #11 v2.40 section 4.9).
func (m *Manager) guard(ref string, pair crypto11.Signer) (crypto.Signer, error) {
	attributes, err := m.token.GetAttributes(pair, []crypto11.AttributeType{crypto11.CkaAlwaysSensitive, crypto11.CkaNeverExtractable})
	if err != nil {
		return nil, fmt.Errorf("key %s: whether it can be taken out of the token: %w", ref, err)
	}
	for _, attribute := range attributes {
		if len(attribute.Value) != 1 || attribute.Value[0] != 1 {
			return nil, fmt.Errorf("key %s: it was brought into the token from outside or can be taken out of it, so it may not be secret. Make another one in the token", ref)
		}
	}
	return key.Guard(ref, pair), nil
}

// A ref is an RFC 7512 URI with the two attributes that name the key. Which token and
// module it is, is for whoever opens it to know.
func formatRef(name string, id []byte) string {
	return "pkcs11:id=" + percent(id) + ";object=" + name
}

// percent encodes every byte, as RFC 7512 section 2.3 recommends for "id".
func percent(raw []byte) string {
	var b strings.Builder
	for _, c := range raw {
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

func parseRef(ref string) (name string, id []byte, err error) {
	rest, ok := strings.CutPrefix(ref, "pkcs11:id=")
	encoded, name, found := strings.Cut(rest, ";object=")
	if ok && found && len(encoded) == 3*idSize {
		id, err = hex.DecodeString(strings.ReplaceAll(encoded, "%", ""))
	}
	if err != nil || len(id) != idSize || formatRef(name, id) != ref {
		return "", nil, fmt.Errorf("%.200q does not name a key in a PKCS #11 token, which looks like pkcs11:id=ID;object=NAME", ref)
	}
	return name, id, key.ValidateName(name)
}
