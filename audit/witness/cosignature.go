// Package witness owns what witnesses do for the audit log: they sign that a checkpoint
// goes on from the one that they saw before, so that whoever has the log's key and the
// server still cannot show two histories. It has the policy that says whose cosignatures
// are needed (C2SP tlog-policy and tlog-cosignature), the protocol (C2SP tlog-witness)
// from both ends, and the cosigned checkpoints that the log's side keeps. It never reads
// an event and never decides what the record does about a problem. Read policy.go and
// cosignature.go for verifying, keeper.go and client.go for the log's side, and server.go
// and memory.go for a witness.
package witness

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/transparency-dev/formats/log"
	cosign "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"slipway/key"
)

const (
	// MaxCheckpoint bounds a checkpoint with all its signatures, in bytes.
	MaxCheckpoint = 256 << 10

	algEd25519Cosignature = 4 // C2SP tlog-cosignature
	algMLDSA44Cosignature = 6
)

// ErrQuorum is that a checkpoint does not have the cosignatures that a policy asks for.
var ErrQuorum = errors.New("the checkpoint does not have the cosignatures that the policy asks for")

// Cosignature is one witness's word on a checkpoint.
type Cosignature struct {
	Witness string    `json:"witness"`       // as the policy names it
	Time    time.Time `json:"time,omitzero"` // when it signed, by its clock; zero when it says nothing about that
}

// Cosignatures finds the valid cosignatures of the policy's witnesses. It says nothing
// about the log's own signature.
func (p *Policy) Cosignatures(checkpoint []byte) ([]Cosignature, error) {
	if len(checkpoint) > MaxCheckpoint {
		return nil, fmt.Errorf("the checkpoint has %d bytes, and at most %d are read", len(checkpoint), MaxCheckpoint)
	}
	var found []Cosignature
	for _, w := range p.witnesses {
		// One at a time, so that a broken signature of one does not hide the others'.
		n, err := note.Open(checkpoint, note.VerifierList(w.verifier))
		var unverified *note.UnverifiedNoteError
		var invalid *note.InvalidSignatureError
		switch {
		case errors.As(err, &unverified), errors.As(err, &invalid):
			continue
		case err != nil:
			return nil, fmt.Errorf("the checkpoint: %w", err)
		}
		if at, err := timeOf(n.Sigs[0]); err == nil {
			found = append(found, Cosignature{w.Name, at})
		}
	}
	return found, nil
}

// timeOf reads the time in a cosignature: after the four bytes of the key ID, eight bytes
// with seconds, which must fit a signed number (C2SP tlog-cosignature, "Format").
func timeOf(s note.Signature) (time.Time, error) {
	raw, err := decode(s.Base64)
	if err != nil || len(raw) < 12 {
		return time.Time{}, errors.New("not a timestamped signature")
	}
	seconds := int64(binary.BigEndian.Uint64(raw[4:]))
	switch {
	case seconds < 0:
		return time.Time{}, errors.New("the time is out of range")
	case seconds == 0:
		return time.Time{}, nil
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// Verify says which witnesses of the policy have cosigned a checkpoint and which have
// not. The error wraps ErrQuorum when those who have are not enough. The log's own
// signature is the caller's to check, except that a policy which names logs takes only
// checkpoints that one of them signed.
func (p *Policy) Verify(checkpoint []byte) (who, missing []string, err error) {
	found, err := p.Cosignatures(checkpoint)
	if err != nil {
		return nil, nil, err
	}
	if len(p.verifiers) > 0 {
		if _, err := openSigned(checkpoint, p.verifiers...); err != nil {
			return nil, nil, fmt.Errorf("no log of the policy signed the checkpoint: %w", err)
		}
	}
	cosigned := map[string]bool{}
	for _, c := range found {
		cosigned[c.Witness] = true
	}
	for _, w := range p.witnesses {
		if cosigned[w.Name] {
			who = append(who, w.Name)
		} else {
			missing = append(missing, w.Name)
		}
	}
	if !p.met(p.quorum, cosigned) {
		return who, missing, fmt.Errorf("%w: missing: %s", ErrQuorum, strings.Join(missing, ", "))
	}
	return who, missing, nil
}

// NewVerifier checks cosignatures by one witness. Only verifier keys of the types for
// cosignatures are taken, with the key ID that belongs to them: a key of a log would
// otherwise pass for one of a witness.
func NewVerifier(vkey string) (note.Verifier, error) {
	name, rest, _ := strings.Cut(vkey, "+")
	id, encoded, _ := strings.Cut(rest, "+")
	raw, err := decode(encoded)
	if err != nil || len(raw) < 1 || raw[0] != algEd25519Cosignature && raw[0] != algMLDSA44Cosignature {
		return nil, fmt.Errorf("%.200q is not a witness's verifier key: NAME+ID+KEY, with a key for cosignatures (what `slipway witness key` prints)", vkey)
	}
	v, err := cosign.NewVerifierForCosignatureV1(vkey)
	if err != nil {
		return nil, fmt.Errorf("the verifier key of %.200q: %w", name, err)
	}
	if fmt.Sprintf("%08x", v.KeyHash()) != id {
		return nil, fmt.Errorf("the verifier key of %.200q was altered: its ID is not that of the key", name)
	}
	return v, nil
}

// signer cosigns with an Ed25519 key that stays where it is.
type signer struct {
	vkey     string
	verifier note.Verifier
	key      *key.Signer
}

// VerifierKey is what others check cosignatures by that key and name with.
func VerifierKey(name string, k *key.Signer) (string, error) {
	s, err := newSigner(name, k)
	if err != nil {
		return "", err
	}
	return s.vkey, nil
}

func newSigner(name string, k *key.Signer) (*signer, error) {
	public, ok := k.Public().(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%s is not an Ed25519 key, and a witness signs with one", k)
	}
	plain, err := note.NewEd25519VerifierKey(name, public)
	if err != nil {
		return nil, fmt.Errorf("the witness's name %q: %w", name, err)
	}
	vkey, err := cosign.VKeyToCosignatureV1(plain)
	if err != nil {
		return nil, fmt.Errorf("the witness's name %q may have neither spaces nor a plus sign: %w", name, err)
	}
	verifier, err := NewVerifier(vkey)
	return &signer{vkey, verifier, k}, err
}

// cosign makes the signature line for a checkpoint's body (C2SP tlog-cosignature,
// "Ed25519 signed message").
func (s *signer) cosign(body string, at time.Time) (string, error) {
	seconds := uint64(max(at.Unix(), 0))
	signature, err := s.key.Sign(fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", seconds, body))
	if err != nil {
		return "", err
	}
	raw := binary.BigEndian.AppendUint32(nil, s.verifier.KeyHash())
	raw = binary.BigEndian.AppendUint64(raw, seconds)
	return fmt.Sprintf("— %s %s\n", s.verifier.Name(), base64.StdEncoding.EncodeToString(append(raw, signature...))), nil
}

// openSigned opens a note that one of the verifiers signed, whatever the others did.
func openSigned(raw []byte, verifiers ...note.Verifier) (*note.Note, error) {
	err := errors.New("there is no key to verify with")
	for _, v := range verifiers {
		var n *note.Note
		if n, err = note.Open(raw, note.VerifierList(v)); err == nil {
			return n, nil
		}
	}
	return nil, err
}

// head is what a checkpoint says of a log.
type head struct {
	origin string
	size   uint64
	root   []byte
}

// parseHead reads a checkpoint's body (C2SP tlog-checkpoint), in the one spelling that
// each of its lines has.
func parseHead(body string) (head, error) {
	var cp log.Checkpoint
	if _, err := cp.Unmarshal([]byte(body)); err != nil {
		return head{}, err
	}
	lines := strings.SplitN(body, "\n", 4)
	if len(cp.Hash) != 32 || len(lines) < 4 || lines[1] != strconv.FormatUint(cp.Size, 10) || lines[2] != base64.StdEncoding.EncodeToString(cp.Hash) {
		return head{}, errors.New("not in the form of a checkpoint")
	}
	return head{cp.Origin, cp.Size, cp.Hash}, nil
}

// split parts a note into its body and its signature lines, without verifying any.
func split(raw []byte) (body string, signatures []string, err error) {
	if len(raw) > MaxCheckpoint {
		return "", nil, fmt.Errorf("the checkpoint has more than %d bytes", MaxCheckpoint)
	}
	i := bytes.LastIndex(raw, []byte("\n\n"))
	if i < 0 || raw[len(raw)-1] != '\n' {
		return "", nil, errors.New("not a signed note")
	}
	text, rest := string(raw[:i+1]), string(raw[i+2:])
	for line := range strings.Lines(rest) {
		signatures = append(signatures, line)
	}
	return text, signatures, nil
}

// join adds signature lines to a note, one of each key: the first, which says the most
// about when the checkpoint was there.
func join(raw []byte, lines ...string) ([]byte, error) {
	body, signatures, err := split(raw)
	if err != nil {
		return nil, err
	}
	for _, l := range lines {
		if !slices.ContainsFunc(signatures, func(have string) bool { return signedBy(have) == signedBy(l) }) {
			signatures = append(signatures, l)
		}
	}
	return []byte(body + "\n" + strings.Join(signatures, "")), nil
}

// signedBy is what a signature line begins with: the name and the ID of its key. A line
// that is none is only like itself.
func signedBy(line string) string {
	name, encoded, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(line, "— "), "\n"), " ")
	raw, err := decode(encoded)
	if err != nil || len(raw) < 4 {
		return line
	}
	return name + " " + string(raw[:4])
}

// decode is base64 of the one spelling that bytes have.
func decode(s string) ([]byte, error) { return base64.StdEncoding.Strict().DecodeString(s) }
