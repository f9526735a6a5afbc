package evidence_test

import (
	"bytes"
	"testing"

	"slipway/evidence"
	"slipway/evidence/evidencetest"
)

// FuzzVerify gives Verify what anybody may have made. It must neither panic nor believe it.
func FuzzVerify(f *testing.F) {
	w, _ := evidencetest.Sample(f)
	src := source(f, w)
	good, _ := export(f, src, evidence.Options{Subject: evidence.Subject{App: evidencetest.App}})
	files, _ := unzip(f, good)
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add(pack(f, map[string][]byte{"manifest.json": files["manifest.json"]}))
	f.Add([]byte("PK\x05\x06" + string(make([]byte, 18))))
	o := evidence.VerifyOptions{Trust: trust(src.Keys)}
	f.Fuzz(func(t *testing.T, bundle []byte) {
		r, err := evidence.Verify(t.Context(), bytes.NewReader(bundle), int64(len(bundle)), o)
		if err != nil {
			t.Fatal(err)
		}
		if r.OK() && !same(t, bundle, files) {
			t.Error("another content was verified")
		}
	})
}

// FuzzFiles puts other content into the files of a bundle, with a manifest to fit.
func FuzzFiles(f *testing.F) {
	w, _ := evidencetest.Sample(f)
	src := source(f, w)
	good, _ := export(f, src, evidence.Options{Subject: evidence.Subject{App: evidencetest.App}})
	files, _ := unzip(f, good)
	for _, name := range []string{"events.jsonl", "proofs.jsonl", "checkpoint", "git/zones.bundle", "git/allowed_signers", "keys.json", "data.json", "seal"} {
		f.Add(name, files[name])
		f.Add(name, []byte("{}\n"))
	}
	o := evidence.VerifyOptions{Trust: trust(src.Keys)}
	f.Fuzz(func(t *testing.T, name string, content []byte) {
		if name == "manifest.json" {
			return
		}
		forged := rewrite(t, good, func(files map[string][]byte) { files[name] = content })
		r, err := evidence.Verify(t.Context(), bytes.NewReader(forged), int64(len(forged)), o)
		if err != nil {
			t.Fatal(err)
		}
		// Without trusting a list of signers one may be replaced by another that has the same key, and what
		// nobody vouches for by anything.
		if r.OK() && !bytes.Equal(content, files[name]) && name != "git/allowed_signers" && name != "keys.json" && name != "git/zones.bundle" && !forPeople(name) {
			t.Errorf("%s was verified with other content", name)
		}
	})
}

func forPeople(name string) bool {
	return bytes.HasPrefix([]byte(name), []byte("reports/")) || bytes.HasPrefix([]byte(name), []byte("controls/")) || name == "README.txt"
}

// same reports whether a bundle that can be read has just these files.
func same(t *testing.T, bundle []byte, want map[string][]byte) bool {
	got, _ := unzip(t, bundle)
	for name, content := range got {
		if !bytes.Equal(content, want[name]) {
			return false
		}
	}
	return len(got) == len(want)
}

// FuzzTrust reads files of keys.
func FuzzTrust(f *testing.F) {
	f.Add([]byte("slipway.finmicro.example/log+b72592b4+AYTnGrFWQlOvLBjwj2GMbQEBxBSfYYGcOQqu4uh8JX4u\n"))
	f.Add([]byte(`{"origin":"x","log":"","events":{"keys":[]}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if trust, err := evidence.ReadTrust(bytes.NewReader(raw)); err == nil && trust.Log == "" {
			t.Error("nobody is trusted")
		}
	})
}
