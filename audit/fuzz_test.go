package audit

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

// An entry that is accepted has one spelling, and its payload is all but the signature.
func FuzzParseEntry(f *testing.F) {
	o := options(f)
	l := openLog(f, o)
	add(f, l, submitted("c1"))
	closeLog(f, l) // its background work would count as coverage
	for e, err := range entries(f.Context(), filepath.Join(o.Dir, logDir), 0, 2) {
		if err != nil {
			f.Fatal(err)
		}
		f.Add(e.raw)
	}
	f.Add([]byte(`{"details":{"a,\"signature\":\"x\"":1,"signature":"x"},"signature":"x","z":[{"signature":"x"}]}`))
	f.Add([]byte(`{"signature":""}`))
	f.Add([]byte(`{"\u0000\"":{},"signature":1}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := parseEntry(raw)
		if err != nil {
			return
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(raw, &members); err != nil {
			t.Fatal(err)
		}
		delete(members, "signature")
		want, err := Canonical(members)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(e.payload, want) {
			t.Errorf("payload %s, want %s", e.payload, want)
		}
	})
}

func FuzzParseBundle(f *testing.F) {
	f.Add([]byte{0, 1, 'a', 0, 0, 0, 2, 'b', 'c'})
	f.Add([]byte{0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, raw []byte) {
		list, err := parseBundle(raw)
		if err != nil {
			return
		}
		var again []byte
		for _, e := range list {
			again = append(again, byte(len(e)>>8), byte(len(e)))
			again = append(again, e...)
		}
		if !bytes.Equal(again, raw) {
			t.Errorf("%x was split into %x", raw, list)
		}
		if end := endOfEntry(raw, len(list)); end != len(raw) {
			t.Errorf("%d entries end at %d of %d", len(list), end, len(raw))
		}
	})
}

func FuzzOpenCheckpoint(f *testing.F) {
	o := options(f)
	closeLog(f, openLog(f, o))
	raw, err := readBounded(filepath.Join(o.Dir, logDir, checkpointFile), maxState)
	if err != nil {
		f.Fatal(err)
	}
	keys, err := publicKeys(o)
	if err != nil {
		f.Fatal(err)
	}
	verifier, err := note.NewVerifier(keys.Log)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte("slipway.finmicro.example/log\n1\nAAAA\n\n— slipway.finmicro.example/log AAAAAAAA\n"))
	f.Fuzz(func(t *testing.T, altered []byte) {
		cp, err := openCheckpoint(altered, o.Origin, verifier)
		if err == nil && !bytes.HasPrefix(altered, cp.Marshal()) {
			t.Errorf("%q was accepted as %+v", altered, cp)
		}
	})
}

func FuzzParseTreeState(f *testing.F) {
	f.Add([]byte(`{"size":1,"root":"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if s, err := parseTreeState(raw); err == nil && len(s.Root) != hashSize {
			t.Errorf("accepted %+v", s)
		}
	})
}

// A name is a tile's only in the one spelling that the log writes.
func FuzzParseTilePath(f *testing.F) {
	for _, name := range []string{"tile/0/000", "tile/entries/x001/x234/067.p/8", "tile/1/000.p/255", "tile/00/000", "tile/0/../entries/000", "tile/0/x000/001"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if _, _, _, ok := parseTilePath(name); ok && !filepath.IsLocal(name) {
			t.Errorf("%q leads out of the log", name)
		}
		classify(name, 1000)
	})
}
