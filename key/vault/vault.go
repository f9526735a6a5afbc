// Package vault keeps certificates' keys in the transit engine of HashiCorp Vault or
// OpenBao: they are made there, and only signatures come back. It uses a key that is
// marked exportable or open to plaintext backups as little as one that was imported.
// Read vault.go for the keys and client.go for the way to the server.
package vault

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"slipway/key"
)

const scheme = "vault:"

// signTimeout bounds one signature, since crypto.Signer takes no context.
const signTimeout = 15 * time.Second

// Manager is a key.Manager over one transit mount.
type Manager struct{ client *client }

// Open connects to the server, and fetches the token.
func Open(ctx context.Context, o Options) (*Manager, error) {
	c, err := connect(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	return &Manager{c}, nil
}

// Close forgets the connections that are open.
func (m *Manager) Close() error {
	m.client.api.CloneConfig().HttpClient.CloseIdleConnections()
	return nil
}

// Create is key.Manager's. The server makes a key unless there is one, in one step.
func (m *Manager) Create(ctx context.Context, name string, kind key.Kind) (string, crypto.Signer, error) {
	if err := key.ValidateName(name); err != nil {
		return "", nil, err
	}
	// The engine's names for the types of keys are ours.
	if !slices.Contains(key.Kinds(), kind) {
		return "", nil, fmt.Errorf("key %s: %.40q is not a kind of key: %w", name, kind, errors.ErrUnsupported)
	}
	_, err := m.client.write(ctx, "keys/"+name, map[string]any{"type": string(kind), "exportable": false, "allow_plaintext_backup": false})
	if err != nil {
		return "", nil, fmt.Errorf("key %s: make it in the vault: %w", name, err)
	}
	k, err := m.read(ctx, name)
	if err != nil {
		return "", nil, fmt.Errorf("key %s: %w", name, err)
	}
	// Should somebody rotate the key in the vault, its first version stays the one.
	version := slices.Min(k.versions())
	pub := k.public[version]
	if err := key.SameKind(name, pub, kind); err != nil {
		return "", nil, err
	}
	ref, err := key.PinnedRef(scheme+m.client.mount+"/"+name, pub)
	if err != nil {
		return "", nil, fmt.Errorf("key %s: %w", name, err)
	}
	return ref, m.signer(ref, name, version, pub), nil
}

// Signer is key.Manager's.
func (m *Manager) Signer(ctx context.Context, ref string) (crypto.Signer, error) {
	name, version, pub, err := m.find(ctx, ref)
	if err != nil {
		return nil, err
	}
	return m.signer(ref, name, version, pub), nil
}

// Destroy is key.Manager's. The vault deletes the key with all its versions.
func (m *Manager) Destroy(ctx context.Context, ref string) error {
	name, _, _, err := m.find(ctx, ref)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if _, err := m.client.write(ctx, "keys/"+name+"/config", map[string]any{"deletion_allowed": true}); err != nil {
		return fmt.Errorf("key %s: allow its deletion: %w", ref, err)
	}
	if err := m.client.delete(ctx, "keys/"+name); err != nil {
		return fmt.Errorf("key %s: destroy: %w", ref, err)
	}
	return nil
}

// find reads which version of which key a ref is of.
func (m *Manager) find(ctx context.Context, ref string) (name string, version int, pub crypto.PublicKey, err error) {
	name, err = m.parseRef(ref)
	if err != nil {
		return "", 0, nil, err
	}
	k, err := m.read(ctx, name)
	if err != nil {
		return "", 0, nil, fmt.Errorf("key %s: %w", ref, err)
	}
	for version, pub := range k.public {
		if key.CheckPin(ref, pub) == nil {
			return name, version, pub, nil
		}
	}
	return "", 0, nil, fmt.Errorf("key %s: under this name the vault has another key than the one that was asked for: %w", ref, fs.ErrNotExist)
}

func (m *Manager) parseRef(ref string) (string, error) {
	rest, ok := strings.CutPrefix(ref, scheme+m.client.mount+"/")
	name, pin, pinned := strings.Cut(rest, "?pin=")
	if !ok || !pinned || pin == "" {
		return "", fmt.Errorf("%.200q does not name a key in this vault, which looks like %s%s/NAME?pin=PIN", ref, scheme, m.client.mount)
	}
	return name, key.ValidateName(name)
}

// transitKey is a key as the engine shows it.
type transitKey struct{ public map[int]crypto.PublicKey }

func (k transitKey) versions() []int {
	var all []int
	for version := range k.public {
		all = append(all, version)
	}
	return all
}

func (m *Manager) read(ctx context.Context, name string) (transitKey, error) {
	data, err := m.client.read(ctx, "keys/"+name)
	if err != nil {
		return transitKey{}, fmt.Errorf("look for it in the vault: %w", err)
	}
	if data == nil {
		return transitKey{}, fmt.Errorf("the vault has no such key: %w", fs.ErrNotExist)
	}
	return parseKey(data)
}

func parseKey(data json.RawMessage) (transitKey, error) {
	var form struct {
		Exportable bool `json:"exportable"`
		Plaintext  bool `json:"allow_plaintext_backup"`
		Imported   bool `json:"imported_key"`
		Derived    bool `json:"derived"`
		Keys       map[string]struct {
			PublicKey string `json:"public_key"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(data, &form); err != nil {
		return transitKey{}, fmt.Errorf("the vault's description of it cannot be read, so it may not be a signing key: %w", err)
	}
	switch {
	case form.Exportable, form.Plaintext:
		return transitKey{}, errors.New("the vault would give it out (exportable or allow_plaintext_backup is set, which cannot be undone), so it may not be secret. Make another one under a new name")
	case form.Imported:
		return transitKey{}, errors.New("it was brought into the vault from outside, so it may not be secret. Make another one under a new name")
	case form.Derived:
		return transitKey{}, errors.New("it is derived from a context for each use, which a certificate's key cannot be")
	}
	k := transitKey{map[int]crypto.PublicKey{}}
	for number, entry := range form.Keys {
		version, err := strconv.Atoi(number)
		if err != nil {
			return transitKey{}, fmt.Errorf("the vault gave it a version %.20q, which is no number", number)
		}
		if k.public[version], err = parsePublic(entry.PublicKey); err != nil {
			return transitKey{}, fmt.Errorf("its public half: %w", err)
		}
	}
	if len(k.public) == 0 {
		return transitKey{}, errors.New("the vault shows no version of it")
	}
	return k, nil
}

// parsePublic reads SubjectPublicKeyInfo in PEM, or an Ed25519 key, which the engine
// writes as base64 of its bytes.
func parsePublic(text string) (crypto.PublicKey, error) {
	if raw, err := base64.StdEncoding.DecodeString(text); err == nil && len(raw) == ed25519.PublicKeySize {
		return ed25519.PublicKey(raw), nil
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("the vault did not show one that could be read")
	}
	return x509.ParsePKIXPublicKey(block.Bytes)
}

func (m *Manager) signer(ref, name string, version int, pub crypto.PublicKey) crypto.Signer {
	return key.Guard(ref, &signer{m.client, name, version, pub})
}

// signer is behind key.Guard, which has looked at what it is asked for.
type signer struct {
	client  *client
	name    string
	version int
	pub     crypto.PublicKey
}

func (s *signer) Public() crypto.PublicKey { return s.pub }

var hashNames = map[crypto.Hash]string{crypto.SHA256: "sha2-256", crypto.SHA384: "sha2-384", crypto.SHA512: "sha2-512"}

func (s *signer) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), signTimeout)
	defer cancel()
	request := map[string]any{"input": base64.StdEncoding.EncodeToString(digest), "key_version": s.version, "marshaling_algorithm": "asn1"}
	if hash := opts.HashFunc(); hash != 0 {
		request["prehashed"], request["hash_algorithm"] = true, hashNames[hash]
	}
	if _, isRSA := s.pub.(*rsa.PublicKey); isRSA {
		request["signature_algorithm"] = "pkcs1v15"
		if _, pss := opts.(*rsa.PSSOptions); pss {
			request["signature_algorithm"], request["salt_length"] = "pss", "hash"
		}
	}
	data, err := s.client.write(ctx, "sign/"+s.name, request)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Signature string `json:"signature"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return nil, fmt.Errorf("the vault's answer cannot be read: %w", err)
	}
	// "vault:v1:" and the signature.
	encoded, ok := strings.CutPrefix(answer.Signature, "vault:v"+strconv.Itoa(s.version)+":")
	if !ok {
		return nil, fmt.Errorf("the vault did not sign with version %d of the key", s.version)
	}
	return base64.StdEncoding.DecodeString(encoded)
}
