package ctwatch

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	ct "github.com/google/certificate-transparency-go"
	cttls "github.com/google/certificate-transparency-go/tls"
	"golang.org/x/mod/sumdb/note"
)

// Head is a tree head that a log has signed: it had these entries, and no others, at this
// time. Two heads that contradict each other are proof that the log has lied.
type Head struct {
	Size uint64    `json:"size"`
	Root []byte    `json:"root"`
	Time time.Time `json:"time"`

	// Signed is the head as the log gave it, with the signature: the JSON of get-sth
	// or a checkpoint.
	Signed string `json:"signed"`
}

const maxHead = 64 << 10

// errSignature is of a head that reads well and that the log's key has not signed.
var errSignature = errors.New("the tree head is not signed with the log's key")

// parseSTH reads an answer of get-sth (RFC 6962 section 4.3) and checks its signature.
func (o *opened) parseSTH(src []byte) (Head, error) {
	var r ct.GetSTHResponse
	if err := json.Unmarshal(src, &r); err != nil {
		return Head{}, fmt.Errorf("tree head: %w", err)
	}
	if len(r.SHA256RootHash) != sha256.Size {
		return Head{}, fmt.Errorf("tree head: the root hash has %d bytes", len(r.SHA256RootHash))
	}
	return o.verify(r.TreeSize, r.SHA256RootHash, r.Timestamp, r.TreeHeadSignature, src)
}

// parseCheckpoint reads a checkpoint (c2sp.org/tlog-checkpoint) with the signature that
// static-ct-api calls for: of the same structure as an STH, so that a log can move from the
// one API to the other.
func (o *opened) parseCheckpoint(src []byte) (Head, error) {
	origin := o.Origin
	if origin == "" {
		first, _, _ := strings.Cut(string(src), "\n")
		origin = first
	}
	v := &checkpointKey{log: o, origin: origin}
	n, err := note.Open(src, note.VerifierList(v))
	var unverified *note.UnverifiedNoteError
	var invalid *note.InvalidSignatureError
	if errors.As(err, &unverified) || errors.As(err, &invalid) {
		return Head{}, errSignature
	}
	if err != nil {
		return Head{}, fmt.Errorf("checkpoint: %w", err)
	}
	c, err := parseCheckpointText(n.Text)
	if err != nil {
		return Head{}, err
	}
	return Head{Size: c.size, Root: c.root, Time: milliseconds(v.timestamp), Signed: string(src)}, nil
}

func (o *opened) verify(size uint64, root []byte, timestamp uint64, signature, src []byte) (Head, error) {
	var signed cttls.DigitallySigned
	if rest, err := cttls.Unmarshal(signature, &signed); err != nil || len(rest) > 0 {
		return Head{}, fmt.Errorf("tree head: the signature cannot be read (%v, %d bytes too many)", err, len(rest))
	}
	sth := ct.SignedTreeHead{Version: ct.V1, TreeSize: size, Timestamp: timestamp, TreeHeadSignature: ct.DigitallySigned(signed)}
	copy(sth.SHA256RootHash[:], root)
	if err := o.key.VerifySTHSignature(sth); err != nil {
		return Head{}, errSignature
	}
	return Head{Size: size, Root: root, Time: milliseconds(timestamp), Signed: string(src)}, nil
}

// checkpointKey is a log's key as the note format knows keys: by the checkpoint's origin
// and the four bytes that follow from origin and log ID.
type checkpointKey struct {
	log       *opened
	origin    string
	timestamp uint64 // of the signature that held
}

func (k *checkpointKey) Name() string { return k.origin }

// KeyHash is of the signature type 0x05 (static-ct-api, Checkpoints).
func (k *checkpointKey) KeyHash() uint32 {
	h := sha256.New()
	h.Write([]byte(k.origin))
	h.Write([]byte{'\n', 0x05})
	h.Write(k.log.id[:])
	return binary.BigEndian.Uint32(h.Sum(nil))
}

// Verify reads a timestamp and a DigitallySigned, the signature of the STH with that timestamp.
func (k *checkpointKey) Verify(msg, sig []byte) bool {
	c, err := parseCheckpointText(string(msg))
	if err != nil || c.origin != k.origin || len(sig) < 8 {
		return false
	}
	k.timestamp = binary.BigEndian.Uint64(sig)
	_, err = k.log.verify(c.size, c.root, k.timestamp, sig[8:], nil)
	return err == nil
}

type checkpointText struct {
	origin string
	size   uint64
	root   []byte
}

// parseCheckpointText reads the three lines; static-ct-api allows no extension lines,
// since the signature would not cover them.
func parseCheckpointText(text string) (checkpointText, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return checkpointText{}, fmt.Errorf("checkpoint: it must have three lines: origin, size, root hash")
	}
	size, err := strconv.ParseUint(lines[1], 10, 63)
	if err != nil || strconv.FormatUint(size, 10) != lines[1] {
		return checkpointText{}, fmt.Errorf("checkpoint: the size %.40q is not a number", lines[1])
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != sha256.Size {
		return checkpointText{}, fmt.Errorf("checkpoint: the root hash %.60q is not 32 bytes in base64", lines[2])
	}
	return checkpointText{origin: lines[0], size: size, root: root}, nil
}

// milliseconds is a log's time (RFC 6962 section 3.2), held to years that RFC 3339 can write.
func milliseconds(ms uint64) time.Time {
	const last = 253402300799999 // the end of the year 9999
	return time.UnixMilli(int64(min(ms, last))).UTC()
}
