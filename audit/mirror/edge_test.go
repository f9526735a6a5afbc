package mirror

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/transparency-dev/merkle/rfc6962"
)

// The edge has the root that hashing everything gives, and gives each full tile once, in
// order, also where three levels become full at once.
func TestEdge(t *testing.T) {
	t.Parallel()
	const size = 66_000
	e, whole := &edge{}, ranges.NewEmptyRange(0)
	next := [levels]uint64{}
	for i := range uint64(size) {
		leaf := rfc6962.DefaultHasher.HashLeaf(binary.BigEndian.AppendUint64(nil, i))
		full, err := e.add(leaf)
		if err == nil {
			err = whole.Append(leaf, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, tile := range full {
			if tile.n != next[tile.level] || len(tile.hashes) != width*hashSize {
				t.Fatalf("after %d: tile %d of level %d, %d bytes", i+1, tile.n, tile.level, len(tile.hashes))
			}
			next[tile.level]++
		}
		if i%509 != 0 && i+1 != 65_536 && i+1 != size {
			continue
		}
		want, err := whole.GetRootHash(nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := e.clone().root()
		if err != nil || !bytes.Equal(got, want) || e.size() != i+1 {
			t.Fatalf("after %d: root %x of %d (%v), want %x", i+1, got, e.size(), err, want)
		}
	}
	if next[0] != size/256 || next[1] != 1 || next[2] != 0 {
		t.Errorf("full tiles %v", next)
	}
	if got, err := (&edge{}).root(); err != nil || !bytes.Equal(got, rfc6962.DefaultHasher.EmptyRoot()) {
		t.Errorf("empty: %x, %v", got, err)
	}
}

func FuzzParseVersioned(f *testing.F) {
	for _, seed := range []string{"checkpoints/00000000000000004711-0123456789abcdef", "keys/4711-0123456789abcdef", "", "/", "a/1-", "scope/00000000000000000000-0123456789ABCDEF"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		folder, size, digest, ok := parseVersioned(name)
		if ok && versionedName(folder, size, digest) != name {
			t.Errorf("%q is %s %d %s", name, folder, size, digest)
		}
	})
}

func FuzzParsePlace(f *testing.F) {
	for _, seed := range []string{"s3://b/p?region=eu-central-1&endpoint=http://127.0.0.1:1", "/mnt/worm", "s3://", "s3://u:p@b", "s3://b?secret-key=hunter2", "s3://b?x=1&x=2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, place string) {
		typ, params, err := ParsePlace(place)
		if err == nil && typ == TypeS3 && params["bucket"] == "" {
			t.Errorf("%q has no bucket", place)
		}
	})
}
