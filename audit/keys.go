package audit

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/mod/sumdb/note"

	"slipway/audit/witness"
	"slipway/key"
)

// Keys is what a verifier must trust, and nothing else: the log's verifier key and the
// event keys. It has to come to the verifier by another way than the log.
type Keys struct {
	Origin string                      // the log's name, in every checkpoint
	Log    string                      // C2SP signed-note verifier key
	Events map[string]crypto.PublicKey // Ed25519 or ECDSA on P-256, by RFC 7638 thumbprint

	Witnesses  *Witnesses     // who else has to have signed; nil: nobody is asked for
	Timestamps *x509.CertPool // whose timestamps are believed; nil: they are not looked at
}

const maxKeys = 1 << 20 // bytes of a keys file

type keysForm struct {
	Origin string             `json:"origin"`
	Log    string             `json:"log"`
	Events jose.JSONWebKeySet `json:"events"` // RFC 7517 section 5

	Witnesses []string `json:"witnesses,omitempty"` // the lines of a policy (C2SP tlog-policy)
}

// ReadKeys reads the JSON form that Write makes.
func ReadKeys(r io.Reader) (Keys, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxKeys+1))
	if err != nil {
		return Keys{}, fmt.Errorf("keys: %w", err)
	}
	if len(raw) > maxKeys {
		return Keys{}, errors.New("keys: the file is larger than any keys file")
	}
	var form keysForm
	if err := json.Unmarshal(raw, &form); err != nil {
		return Keys{}, fmt.Errorf("keys: %w", err)
	}
	k := Keys{Origin: form.Origin, Log: form.Log, Events: map[string]crypto.PublicKey{}}
	for i, jwk := range form.Events.Keys {
		id, err := key.Thumbprint(jwk.Key)
		if err != nil {
			return Keys{}, fmt.Errorf("keys: event key %d: %w", i+1, err)
		}
		k.Events[id] = jwk.Key
	}
	if form.Witnesses != nil {
		policy, err := witness.ParsePolicy([]byte(strings.Join(form.Witnesses, "\n")))
		if err != nil {
			return Keys{}, fmt.Errorf("keys: %w", err)
		}
		k.Witnesses = &Witnesses{Policy: policy}
	}
	return k, k.validate()
}

func (k Keys) validate() error {
	verifier, err := note.NewVerifier(k.Log)
	switch {
	case err != nil:
		return fmt.Errorf("keys: the log's key: %w", err)
	case verifier.Name() != k.Origin:
		return fmt.Errorf("keys: the log's key is for %q, but the origin is %q", verifier.Name(), k.Origin)
	case len(k.Events) == 0:
		return errors.New("keys: no event key is given, so no event could be verified")
	case k.Witnesses != nil && k.Witnesses.Policy == nil:
		return errors.New("keys: witnesses are asked for without a policy")
	}
	for id, pub := range k.Events {
		thumbprint, err := key.Thumbprint(pub)
		if err != nil {
			return fmt.Errorf("keys: event key %.64q: %w", id, err)
		}
		if thumbprint != id {
			return fmt.Errorf("keys: %.64q is not the thumbprint of its event key", id)
		}
	}
	return nil
}

func (k Keys) form() (keysForm, error) {
	if err := k.validate(); err != nil {
		return keysForm{}, err
	}
	form := keysForm{Origin: k.Origin, Log: k.Log, Events: jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}}
	if k.Witnesses != nil {
		form.Witnesses = strings.Split(strings.TrimSuffix(k.Witnesses.Policy.String(), "\n"), "\n")
	}
	for _, id := range slices.Sorted(maps.Keys(k.Events)) {
		pub := k.Events[id]
		algorithm, err := key.Algorithm(pub)
		if err != nil {
			return form, fmt.Errorf("keys: event key %s: %w", id, err)
		}
		form.Events.Keys = append(form.Events.Keys, jose.JSONWebKey{Key: pub, KeyID: id, Algorithm: algorithm, Use: "sig"})
	}
	return form, nil
}

// Write writes the keys as JSON, the event keys as a JWK set.
func (k Keys) Write(w io.Writer) error {
	form, err := k.form()
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(form)
}

// MarshalJSON gives the form that Write writes.
func (k Keys) MarshalJSON() ([]byte, error) {
	form, err := k.form()
	if err != nil {
		return nil, err
	}
	return json.Marshal(form)
}
