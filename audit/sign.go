package audit

import (
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/note"

	"slipway/key"
)

// eventSigner makes detached JWS (RFC 7515 appendix F) with EdDSA (RFC 8037) or ES256
// (RFC 7518 section 3.4), as the key is, naming the key in the protected header.
type eventSigner struct {
	k      *key.Signer
	header string // encoded
}

func newEventSigner(k *key.Signer) (*eventSigner, error) {
	header, err := jwsHeader(k.ID(), k.Public())
	if err != nil {
		return nil, err
	}
	return &eventSigner{k: k, header: header}, nil
}

// detached is the compact form of a signature without what it is over.
func (s *eventSigner) detached(payload []byte) (string, error) {
	signature, err := s.k.Sign(signingInput(s.header, payload))
	if err != nil {
		return "", err
	}
	return s.header + ".." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// jwsHeader is the one header that the log's signatures have.
func jwsHeader(keyID string, pub crypto.PublicKey) (string, error) {
	algorithm, err := key.Algorithm(pub)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"` + algorithm + `","kid":"` + keyID + `"}`)), nil
}

// signingInput is what a signature is over (RFC 7515 section 5.1).
func signingInput(header string, payload []byte) []byte {
	input := make([]byte, 0, len(header)+1+base64.RawURLEncoding.EncodedLen(len(payload)))
	input = append(input, header...)
	input = append(input, '.')
	return base64.RawURLEncoding.AppendEncode(input, payload)
}

// maxSignature is the encoded length of a signature: 64 bytes with either algorithm.
const maxSignature = 86

// usualEvent is room for an event of the usual size.
const usualEvent = 1 << 10

// sign completes an event: its signature, and the bytes that go into the log.
func sign(signer *eventSigner, e *Event) ([]byte, error) {
	payload, place, err := canonicalEvent(make([]byte, 0, usualEvent), e)
	if err != nil {
		return nil, err
	}
	const member = `,"signature":"`
	if length := len(payload) + len(member) + len(signer.header) + len("..") + maxSignature + len(`"`); length > MaxEvent {
		return nil, fmt.Errorf("the event has %d bytes, and at most %d are allowed: put what is large into a document and refer to it by digest", length, MaxEvent)
	}
	if e.Signature, err = signer.detached(payload); err != nil {
		return nil, err
	}
	raw := make([]byte, 0, len(payload)+len(member)+len(e.Signature)+1)
	raw = append(raw, payload[:place]...)
	raw = append(raw, member...) // base64url and dots need no escapes
	raw = append(raw, e.Signature...)
	raw = append(raw, '"')
	return append(raw, payload[place:]...), nil
}

// verifySignature accepts one spelling only: the header that newEventSigner makes
// for this key, and base64url without spare bits. The key says which algorithm it is;
// nothing in the header is obeyed, so none can be smuggled in through it.
func verifySignature(signature string, payload []byte, keyID string, pub crypto.PublicKey) error {
	header, err := jwsHeader(keyID, pub)
	if err != nil {
		return err
	}
	encoded, ok := strings.CutPrefix(signature, header+"..")
	if !ok {
		algorithm, _ := key.Algorithm(pub) // it has one: there is a header
		return fmt.Errorf("the signature is not a detached %s JWS by the event's key_id", algorithm)
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return errors.New("the signature is not base64url")
	}
	if !key.Verify(pub, signingInput(header, payload), raw) {
		return errors.New("the signature does not fit the event: one of the two was altered")
	}
	return nil
}

// noteSigner signs checkpoints as C2SP signed-note wants it, with a key that stays
// where it is.
type noteSigner struct {
	name string
	hash uint32
	k    *key.Signer
}

func newNoteSigner(origin string, k *key.Signer) (note.Signer, error) {
	verifier, err := newNoteVerifier(origin, k)
	if err != nil {
		return nil, err
	}
	return noteSigner{name: origin, hash: verifier.KeyHash(), k: k}, nil
}

func newNoteVerifier(origin string, k *key.Signer) (note.Verifier, error) {
	vkey, err := verifierKey(origin, k)
	if err != nil {
		return nil, err
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, fmt.Errorf("the origin %q cannot name a log (it may hold neither spaces nor a plus sign): %w", origin, err)
	}
	return verifier, nil
}

func verifierKey(origin string, k *key.Signer) (string, error) {
	pub, ok := k.Public().(ed25519.PublicKey)
	if !ok {
		return "", fmt.Errorf("%s is not an Ed25519 key", k)
	}
	vkey, err := note.NewEd25519VerifierKey(origin, pub)
	if err != nil {
		return "", fmt.Errorf("origin %q: %w", origin, err)
	}
	return vkey, nil
}

func (s noteSigner) Name() string                    { return s.name }
func (s noteSigner) KeyHash() uint32                 { return s.hash }
func (s noteSigner) Sign(msg []byte) ([]byte, error) { return s.k.Sign(msg) }

// newEventID is a UUID version 7 (RFC 9562 section 5.7): when the event was
// recorded, in milliseconds, and 74 random bits.
func newEventID(now time.Time, random io.Reader) (string, error) {
	var id uuid.UUID
	if _, err := io.ReadFull(random, id[6:]); err != nil {
		return "", err
	}
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(now.UnixMilli()))
	copy(id[:6], ms[2:])
	id[6] = id[6]&0x0f | 0x70
	id[8] = id[8]&0x3f | 0x80
	return id.String(), nil
}

// parseEventID gives back an event ID's bytes and time. Only the usual spelling of a
// version 7 UUID is one.
func parseEventID(s string) (uuid.UUID, time.Time, error) {
	id, err := uuid.Parse(s)
	if err != nil || id.String() != s || id.Version() != 7 || id.Variant() != uuid.RFC4122 {
		return id, time.Time{}, fmt.Errorf("%q is not a UUID version 7", s)
	}
	ms := binary.BigEndian.Uint64(append([]byte{0, 0}, id[:6]...))
	return id, time.UnixMilli(int64(ms)).UTC(), nil
}
