package ctwatch

import (
	"bytes"
	"testing"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
)

// merkle is a whole tree in memory, to compare with what is computed from parts.
type merkle struct{ levels [][][]byte } // [level][index]: perfect subtrees

func (m *merkle) add(leaf []byte) {
	for level := 0; ; level++ {
		if level == len(m.levels) {
			m.levels = append(m.levels, nil)
		}
		m.levels[level] = append(m.levels[level], leaf)
		n := len(m.levels[level])
		if n%2 == 1 {
			return
		}
		leaf = rfc6962.DefaultHasher.HashChildren(m.levels[level][n-2], m.levels[level][n-1])
	}
}

func (m *merkle) node(id compact.NodeID) []byte { return m.levels[id.Level][id.Index] }

func (m *merkle) root(size uint64) []byte {
	var hashes [][]byte
	for _, id := range compact.RangeNodes(0, size, nil) {
		hashes = append(hashes, m.node(id))
	}
	p, err := newPrefix(size, hashes)
	if err != nil {
		panic(err)
	}
	root, err := p.root()
	if err != nil {
		panic(err)
	}
	return root
}

func (m *merkle) rehash(n proof.Nodes, err error) ([][]byte, error) {
	if err != nil {
		return nil, err
	}
	var hashes [][]byte
	for _, id := range n.IDs {
		hashes = append(hashes, m.node(id))
	}
	return n.Rehash(hashes, rfc6962.DefaultHasher.HashChildren)
}

func (m *merkle) consistency(from, to uint64) ([][]byte, error) {
	return m.rehash(proof.Consistency(from, to))
}

func (m *merkle) inclusion(index, size uint64) ([][]byte, error) {
	return m.rehash(proof.Inclusion(index, size))
}

// Every prefix of every small tree comes out of its consistency proof, and grows into the later tree.
func TestPrefixComesOutOfConsistencyProofs(t *testing.T) {
	const most = 70
	tree := &merkle{}
	var leaves [][]byte
	for i := range byte(most) {
		leaf := rfc6962.DefaultHasher.HashLeaf([]byte{i})
		leaves = append(leaves, leaf)
		tree.add(leaf)
	}
	for size2 := uint64(1); size2 <= most; size2++ {
		for size1 := uint64(0); size1 < size2; size1++ {
			root1, root2 := tree.root(size1), tree.root(size2)
			var hashes [][]byte
			if size1 > 0 {
				var err error
				if hashes, err = tree.consistency(size1, size2); err != nil {
					t.Fatal(err)
				}
			}
			if err := consistent(size1, root1, size2, root2, hashes); err != nil {
				t.Fatalf("%d → %d: %v", size1, size2, err)
			}
			p, err := prefixOf(size1, root1, size2, hashes)
			if err != nil {
				t.Fatalf("%d → %d: %v", size1, size2, err)
			}
			p, err = p.grown(leaves[size1:size2])
			if err != nil {
				t.Fatal(err)
			}
			if root, err := p.root(); err != nil || !bytes.Equal(root, root2) {
				t.Fatalf("%d → %d: the grown tree is another (%v)", size1, size2, err)
			}
		}
	}
}

func TestBadProofs(t *testing.T) {
	tree := &merkle{}
	for i := range byte(20) {
		tree.add(rfc6962.DefaultHasher.HashLeaf([]byte{i}))
	}
	good, err := tree.consistency(7, 20)
	if err != nil {
		t.Fatal(err)
	}
	wrong := append([][]byte{}, good...)
	wrong[0] = make([]byte, 32)
	short := make([][]byte, len(good))
	copy(short, good)
	short[0] = short[0][:31]
	for name, hashes := range map[string][][]byte{"none": nil, "cut": good[:1], "wrong": wrong, "short hash": short} {
		if err := consistent(7, tree.root(7), 20, tree.root(20), hashes); err == nil {
			t.Errorf("%s: taken", name)
		}
		if _, err := prefixOf(7, tree.root(7), 20, hashes); err == nil {
			t.Errorf("%s: a prefix came out", name)
		}
	}
	if err := consistent(20, tree.root(20), 7, tree.root(7), nil); err == nil {
		t.Error("a smaller tree was taken for a later one")
	}
}
