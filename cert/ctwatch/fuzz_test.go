package ctwatch

import (
	"encoding/base64"
	"encoding/json"
	"testing"

	ct "github.com/google/certificate-transparency-go"
	"golang.org/x/crypto/cryptobyte"
)

func FuzzParseLogList(f *testing.F) {
	f.Add(logList(f, nil))
	f.Add([]byte(`{"operators":[{"logs":[{"url":"https://x","key":"AAAA"}]}]}`))
	f.Fuzz(func(t *testing.T, src []byte) {
		logs, err := ParseLogList(src)
		for _, l := range logs {
			if err := l.Validate(); err != nil {
				t.Fatalf("a log of a list that was taken does not hold: %v", err)
			}
		}
		if err != nil && logs != nil {
			t.Fatal("logs with an error")
		}
	})
}

func fuzzLog(f *testing.F) *opened {
	s := &signer{t: f, key: newKey(f)}
	o, err := Log{Name: "x", Type: StaticCT, URL: "https://ct.example", Key: base64.StdEncoding.EncodeToString(s.spki())}.open()
	if err != nil {
		f.Fatal(err)
	}
	return o
}

func FuzzParseTreeHead(f *testing.F) {
	f.Add([]byte(`{"tree_size":5,"timestamp":1,"sha256_root_hash":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","tree_head_signature":"BAMAAA=="}`))
	f.Add([]byte(`{"tree_size":-1}`))
	o := fuzzLog(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		if _, err := o.parseSTH(src); err == nil {
			t.Fatal("a head that nobody signed")
		}
	})
}

func FuzzParseCheckpoint(f *testing.F) {
	f.Add([]byte("ct.example\n5\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n\u2014 ct.example AAAAAAAA\n"))
	f.Add([]byte("\n\n"))
	o := fuzzLog(f)
	k := &checkpointKey{log: o, origin: "ct.example"}
	f.Fuzz(func(t *testing.T, src []byte) {
		if _, err := o.parseCheckpoint(src); err == nil {
			t.Fatal("a checkpoint that nobody signed")
		}
		// The signature itself, however it is named.
		if k.Verify([]byte("ct.example\n5\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"), src) {
			t.Fatal("a signature that nobody made")
		}
	})
}

func FuzzParseEntries(f *testing.F) {
	a := newAuthority(f)
	w := watch(zonesOf("finmicro.example"))
	for _, der := range [][]byte{a.certificate(1, nil, "a.finmicro.example"), a.precertificate(2, "a.finmicro.example")} {
		src, err := json.Marshal(ct.GetEntriesResponse{Entries: []ct.LeafEntry{{LeafInput: marshal(f, *a.leafOf(der, 5, nil)), ExtraData: []byte{0, 0, 1, 7}}}})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		entries, err := parseEntries(src, 10, 4)
		if err == nil && (len(entries) == 0 || len(entries) > 4) {
			t.Fatalf("%d entries", len(entries))
		}
		read(t, w, entries)
	})
}

func FuzzDataTile(f *testing.F) {
	a := newAuthority(f)
	w := watch(zonesOf("finmicro.example"))
	for _, der := range [][]byte{a.certificate(1, nil, "a.finmicro.example"), a.precertificate(2, "a.finmicro.example")} {
		leaf := marshal(f, *a.leafOf(der, 5, leafIndexExtension(256)))[2:]
		b := cryptobyte.NewBuilder(leaf)
		if leaf[9] == 1 {
			b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(der) })
		}
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(make([]byte, 32)) })
		src := b.BytesOrPanic()
		if _, err := dataTile(src, 256, 256); err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		entries, err := dataTile(src, 256, 256)
		if err == nil {
			read(t, w, entries)
		}
	})
}

// read does with entries what a pass does.
func read(t *testing.T, w *watched, entries []entry) {
	for i := range entries {
		e := &entries[i]
		may, _ := w.mayMatch(e.signed, nil)
		c, err := e.parse()
		if err != nil {
			continue
		}
		names, _ := w.ours(c)
		if len(names) > 0 && !may {
			t.Fatalf("the quick look passes over %v", names)
		}
		e.tbs(c)
		e.der()
	}
}

func FuzzParseConsistency(f *testing.F) {
	f.Add([]byte(`{"consistency":["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]}`), uint64(3), uint64(9))
	f.Fuzz(func(t *testing.T, src []byte, size1, size2 uint64) {
		hashes, err := parseConsistency(src)
		if err != nil {
			return
		}
		root := make([]byte, 32)
		if consistent(size1, root, size2, root, hashes) == nil && size1 > size2 {
			t.Fatal("a smaller tree continues a larger one")
		}
		if size1 <= size2 {
			if p, err := prefixOf(size1, root, size2, hashes); err == nil && p.End() != size1 {
				t.Fatal("another size")
			}
		}
	})
}

func FuzzParsePosition(f *testing.F) {
	f.Add([]byte(`{"version":1,"log":"x","name":"x","position":5,"head":{"size":5,"root":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","time":"2026-11-01T00:00:00Z","signed":""},"subtrees":null}`))
	f.Add([]byte(`{"version":1,"log":"x","name":"x","position":1,"head":{"size":5,"root":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},"subtrees":["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]}`))
	f.Fuzz(func(t *testing.T, src []byte) {
		p, err := parsePosition(src)
		if err != nil {
			return
		}
		if p.Position > p.Head.Size || p.prefix.Range != nil && p.prefix.End() != p.Position {
			t.Fatalf("position %d of %d", p.Position, p.Head.Size)
		}
	})
}

func FuzzSCTs(f *testing.F) {
	a := newAuthority(f)
	l := &signer{t: f, key: newKey(f)}
	log := Log{Name: "x", Type: RFC6962, URL: "https://ct.example", Key: base64.StdEncoding.EncodeToString(l.spki())}
	leaf := a.leafOf(a.precertificate(7, "a.finmicro.example"), 5, nil)
	f.Add(a.withSCTs(7, []*ct.SignedCertificateTimestamp{l.sct(leaf)}, "a.finmicro.example"))
	f.Add(a.certificate(8, nil, "a.finmicro.example"))
	f.Fuzz(func(t *testing.T, src []byte) {
		if _, err := SCTs([][]byte{src, a.cert.Raw}, []Log{log}); err == nil && len(src) == 0 {
			t.Fatal("nothing is a certificate")
		}
		if _, err := ID(src); err == nil && len(src) == 0 {
			t.Fatal("nothing has an ID")
		}
	})
}
