package ctwatch

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	ct "github.com/google/certificate-transparency-go"
	ctx509 "github.com/google/certificate-transparency-go/x509"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/crypto/cryptobyte"
)

// entry is one leaf of a log.
type entry struct {
	index     uint64
	timestamp uint64 // milliseconds since 1970
	precert   bool

	// signed is what the leaf's hash covers: the certificate, or the TBSCertificate of
	// the precertificate without its poison (RFC 6962 section 3.2).
	signed []byte

	// submitted is the precertificate as it was handed in. The leaf's hash does
	// not cover it, so nothing is believed of it that signed does not say as well.
	submitted []byte

	hash []byte // of the leaf
}

// size is what the entry takes in memory.
func (e *entry) size() int { return len(e.signed) + len(e.submitted) }

const (
	x509Entry    = 0
	precertEntry = 1
)

// errEntry is of an entry that no client of the log could read.
var errEntry = errors.New("the entry cannot be read")

// leafEntry reads an element of get-entries (RFC 6962 section 4.6): leaf_input is a
// MerkleTreeLeaf, extra_data the chain. A leaf that cannot be read, or of a type that is not known
// here, is in the tree all the same; then all of it counts as signed.
func leafEntry(index uint64, leaf ct.LeafEntry) entry {
	hash := rfc6962.DefaultHasher.HashLeaf(leaf.LeafInput)
	e := entry{index: index, hash: hash}
	s := cryptobyte.String(leaf.LeafInput)
	var version, leafType uint8
	if !s.ReadUint8(&version) || !s.ReadUint8(&leafType) || version != 0 || leafType != 0 {
		return entry{index: index, hash: hash, signed: leaf.LeafInput}
	}
	if _, err := e.readTimestamped(&s); err != nil || !s.Empty() {
		return entry{index: index, hash: hash, signed: leaf.LeafInput}
	}
	if e.precert {
		extra := cryptobyte.String(leaf.ExtraData)
		var submitted cryptobyte.String
		// The chain behind it is of no use here. What is wrong with extra_data is not
		// wrong with the leaf, so it is only not kept.
		if extra.ReadUint24LengthPrefixed(&submitted) {
			e.submitted = submitted
		}
	}
	return e
}

// readTimestamped reads a TimestampedEntry (RFC 6962 section 3.4) and returns its extensions.
func (e *entry) readTimestamped(s *cryptobyte.String) (extensions []byte, err error) {
	var kind uint16
	if !s.ReadUint64(&e.timestamp) || !s.ReadUint16(&kind) {
		return nil, fmt.Errorf("%w: it ends early", errEntry)
	}
	switch kind {
	case x509Entry:
	case precertEntry:
		var issuerKeyHash []byte
		if !s.ReadBytes(&issuerKeyHash, sha256.Size) {
			return nil, fmt.Errorf("%w: it ends early", errEntry)
		}
		e.precert = true
	default:
		return nil, fmt.Errorf("%w: its type %d is unknown", errEntry, kind)
	}
	var signed, ext cryptobyte.String
	if !s.ReadUint24LengthPrefixed(&signed) || !s.ReadUint16LengthPrefixed(&ext) || len(signed) == 0 {
		return nil, fmt.Errorf("%w: it ends early", errEntry)
	}
	e.signed = signed
	return ext, nil
}

// dataTile reads the TileLeaf structures of a data tile (static-ct-api, Log Entries), the
// first of which is the entry first.
func dataTile(src []byte, first uint64, most int) ([]entry, error) {
	s := cryptobyte.String(src)
	var out []entry
	for !s.Empty() && len(out) < most {
		e := entry{index: first + uint64(len(out))}
		start := s
		extensions, err := e.readTimestamped(&s)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", e.index, err)
		}
		// The leaf is the TimestampedEntry itself behind version and leaf type.
		timestamped := start[:len(start)-len(s)]
		e.hash = rfc6962.DefaultHasher.HashLeaf(append([]byte{0, 0}, timestamped...))
		if index, ok := leafIndex(extensions); !ok || index != e.index {
			return nil, fmt.Errorf("entry %d: %w: it does not say that it stands there", e.index, errEntry)
		}
		if e.precert {
			var submitted cryptobyte.String
			if !s.ReadUint24LengthPrefixed(&submitted) {
				return nil, fmt.Errorf("entry %d: %w: it ends early", e.index, errEntry)
			}
			e.submitted = submitted
		}
		var chain cryptobyte.String // fingerprints
		if !s.ReadUint16LengthPrefixed(&chain) || len(chain)%sha256.Size != 0 {
			return nil, fmt.Errorf("entry %d: %w: its chain ends early", e.index, errEntry)
		}
		out = append(out, e)
	}
	return out, nil
}

// leafIndex reads the extension leaf_index, 40 bits (static-ct-api, SCT Extension).
func leafIndex(src []byte) (uint64, bool) {
	s := cryptobyte.String(src)
	for !s.Empty() {
		var kind uint8
		var data cryptobyte.String
		if !s.ReadUint8(&kind) || !s.ReadUint16LengthPrefixed(&data) {
			return 0, false
		}
		if kind != 0 {
			continue
		}
		if len(data) != 5 {
			return 0, false
		}
		var index uint64
		for _, b := range data {
			index = index<<8 | uint64(b)
		}
		return index, true
	}
	return 0, false
}

// parse reads the certificate that the leaf commits to. A precertificate's has no
// signature and none of the fields that come with it.
func (e *entry) parse() (*ctx509.Certificate, error) {
	var c *ctx509.Certificate
	var err error
	if e.precert {
		c, err = ctx509.ParseTBSCertificate(e.signed)
	} else {
		c, err = ctx509.ParseCertificate(e.signed)
	}
	if ctx509.IsFatal(err) || c == nil {
		return nil, fmt.Errorf("%w: %w", errEntry, err)
	}
	return c, nil
}

// tbs returns what precertificate and certificate have in common: the TBSCertificate
// without the list of timestamps (RFC 6962 section 3.2).
func (e *entry) tbs(c *ctx509.Certificate) []byte {
	if e.precert {
		return e.signed
	}
	return commonTBS(c)
}

func commonTBS(c *ctx509.Certificate) []byte {
	if tbs, err := ctx509.RemoveSCTList(c.RawTBSCertificate); err == nil {
		return tbs
	}
	return c.RawTBSCertificate // a certificate without embedded timestamps
}

// der is the (pre)certificate to show: the submitted one if it is the one that the leaf
// commits to, else the leaf's own.
func (e *entry) der() []byte {
	if !e.precert || len(e.submitted) == 0 {
		return e.signed
	}
	c, err := ctx509.ParseCertificate(e.submitted)
	if ctx509.IsFatal(err) || c == nil {
		return e.signed
	}
	tbs, err := ctx509.RemoveCTPoison(c.RawTBSCertificate)
	if err != nil {
		return e.signed
	}
	if bytes.Equal(tbs, e.signed) {
		return e.submitted
	}
	return e.signed // one by a precertificate signing certificate has another issuer (RFC 6962 section 3.1)
}
