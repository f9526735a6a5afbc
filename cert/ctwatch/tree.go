package ctwatch

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
)

// errProof is of a log whose proof does not prove what it should.
var errProof = errors.New("the log's proof does not hold")

// maxProof is how many hashes a proof in a tree of 2^64 leaves can have.
const maxProof = 2 * 64

var ranges = &compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}

// prefix is what is known of the first leaves of a tree: the roots of the perfect subtrees
// that they fill, at most 64 hashes. From these and the leaves that follow, the root of every
// later tree is computed, so a leaf that was left out, put in or changed gives another root.
type prefix struct{ *compact.Range }

func emptyPrefix() prefix { return prefix{ranges.NewEmptyRange(0)} }

func newPrefix(size uint64, hashes [][]byte) (prefix, error) {
	for _, h := range hashes {
		if len(h) != sha256.Size {
			return prefix{}, fmt.Errorf("a hash has %d bytes", len(h))
		}
	}
	r, err := ranges.NewRange(0, size, hashes)
	return prefix{r}, err
}

// grown returns the prefix with the leaves that follow; p stays as it is.
func (p prefix) grown(leaves [][]byte) (prefix, error) {
	out, err := newPrefix(p.End(), p.Hashes())
	if err != nil {
		return prefix{}, err
	}
	for _, h := range leaves {
		if err := out.Append(h, nil); err != nil {
			return prefix{}, err
		}
	}
	return out, nil
}

func (p prefix) root() ([]byte, error) {
	if p.End() == 0 {
		return rfc6962.DefaultHasher.EmptyRoot(), nil
	}
	return p.GetRootHash(nil)
}

// consistent checks that a tree is the beginning of a later one (RFC 6962 section 2.1.2).
func consistent(size1 uint64, root1 []byte, size2 uint64, root2 []byte, hashes [][]byte) error {
	switch {
	case size1 > size2:
		return fmt.Errorf("%w: %d entries cannot be the beginning of %d", errProof, size1, size2)
	case size1 == size2:
		if !bytes.Equal(root1, root2) {
			return fmt.Errorf("%w: two trees of %d entries differ", errProof, size1)
		}
		return nil
	case size1 == 0:
		return nil // everything begins with nothing
	}
	if err := proof.VerifyConsistency(rfc6962.DefaultHasher, size1, size2, hashes, root1, root2); err != nil {
		return fmt.Errorf("%w: %w", errProof, err)
	}
	return nil
}

// prefixOf takes the prefix of size1 leaves out of the proof that their tree, with root1, is
// the beginning of one with size2 leaves: the proof holds every subtree that size1 leaves fill,
// since that is how it shows root1. So a log can be followed from the middle without
// the leaves before, and without asking it for more than its proofs.
func prefixOf(size1 uint64, root1 []byte, size2 uint64, hashes [][]byte) (prefix, error) {
	if size1 == 0 {
		return emptyPrefix(), nil
	}
	want := compact.RangeNodes(0, size1, nil)
	if len(want) == 1 {
		return newPrefix(size1, [][]byte{root1}) // a perfect tree: its root is all of it
	}
	nodes, err := proof.Consistency(size1, size2)
	if err != nil {
		return prefix{}, err
	}
	// A node that is not in the tree itself stands in the proof as one hash, in the place
	// of its parts.
	_, begin, end := nodes.Ephem()
	known := map[compact.NodeID][]byte{}
	at := 0
	for i, id := range nodes.IDs {
		if i >= begin && i < end {
			if i == begin {
				at++
			}
			continue
		}
		if at >= len(hashes) {
			return prefix{}, fmt.Errorf("%w: it is too short", errProof)
		}
		known[id] = hashes[at]
		at++
	}
	own := make([][]byte, len(want))
	for i, id := range want {
		if own[i] = known[id]; own[i] == nil {
			return prefix{}, fmt.Errorf("%w: it lacks a part", errProof)
		}
	}
	p, err := newPrefix(size1, own)
	if err != nil {
		return prefix{}, err
	}
	if root, err := p.root(); err != nil || !bytes.Equal(root, root1) {
		return prefix{}, fmt.Errorf("%w: its parts do not make the tree of %d entries", errProof, size1)
	}
	return p, nil
}
