package evidence_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"slipway/evidence"
	"slipway/evidence/evidencetest"
)

// pack writes files as they are into a zip file.
func pack(t testing.TB, files map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write(files[name])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// rewrite does what a forger does who knows the format: alters files, and makes the manifest fit.
func rewrite(t testing.TB, bundle []byte, edit func(files map[string][]byte)) []byte {
	t.Helper()
	files, _ := unzip(t, bundle)
	edit(files)
	var m evidence.Manifest
	if err := json.Unmarshal(files["manifest.json"], &m); err != nil {
		t.Fatal(err)
	}
	m.Files = nil
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if name == "manifest.json" || name == "seal" {
			continue
		}
		sum := sha256.Sum256(files[name])
		m.Files = append(m.Files, evidence.File{Path: name, SHA256: hex.EncodeToString(sum[:]), Size: int64(len(files[name]))})
	}
	raw, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	files["manifest.json"] = raw
	return pack(t, files)
}

// TestTamperFiles alters, removes, swaps and adds every file of a bundle, by somebody who does
// not know the format: the manifest gives each away.
func TestTamperFiles(t *testing.T) {
	t.Parallel()
	w, _ := evidencetest.Sample(t)
	src := source(t, w)
	bundle, _ := export(t, src, evidence.Options{Subject: evidence.Subject{App: evidencetest.App}})
	o := evidence.VerifyOptions{Trust: trust(src.Keys)}
	_, names := unzip(t, bundle)
	detect := func(what string, edit func(files map[string][]byte)) {
		t.Helper()
		files, _ := unzip(t, bundle)
		edit(files)
		r := verify(t, pack(t, files), o)
		if r.OK() || len(r.Problems) == 0 || r.Problems[0].Check != evidence.CheckManifest {
			t.Errorf("%s: %+v", what, r.Problems)
		}
	}
	for i, name := range names {
		if name != "manifest.json" {
			detect("altered "+name, func(files map[string][]byte) { files[name] = append(files[name], ' ') })
			detect("flipped a bit of "+name, func(files map[string][]byte) {
				altered := bytes.Clone(files[name])
				altered[len(altered)/2] ^= 1
				files[name] = altered
			})
		}
		detect("removed "+name, func(files map[string][]byte) { delete(files, name) })
		if other := names[(i+1)%len(names)]; name != "manifest.json" && other != "manifest.json" {
			detect("swapped "+name+" and "+other, func(files map[string][]byte) { files[name], files[other] = files[other], files[name] })
		}
		if name != "manifest.json" {
			detect("added a copy of "+name, func(files map[string][]byte) { files[name+".old"] = files[name] })
		}
	}
	files, _ := unzip(t, bundle)
	files["manifest.json"] = append(files["manifest.json"], "{}"...)
	if r := verify(t, pack(t, files), o); r.OK() {
		t.Error("a manifest with something after its end")
	}
}

// tampering is what a forger does who makes the manifest fit.
type tampering struct {
	name  string
	edit  func(t *testing.T, files map[string][]byte)
	check evidence.Check
	file  string
	// aside says that the verifier of examples/ does not look there, and that its answer is none.
	aside bool
}

func lines(raw []byte) [][]byte {
	return bytes.SplitAfter(bytes.TrimSuffix(raw, []byte("\n")), []byte("\n"))
}

// line finds the event with all these texts in it.
func line(t *testing.T, files map[string][]byte, texts ...string) int {
	t.Helper()
	for i, l := range lines(files["events.jsonl"]) {
		if !slices.ContainsFunc(texts, func(s string) bool { return !bytes.Contains(l, []byte(s)) }) {
			return i
		}
	}
	t.Fatalf("no event with %q", texts)
	return 0
}

// without takes an event and its proof out.
func without(t *testing.T, files map[string][]byte, texts ...string) {
	t.Helper()
	i := line(t, files, texts...)
	for _, name := range []string{"events.jsonl", "proofs.jsonl"} {
		all := lines(files[name])
		files[name] = bytes.Join(slices.Delete(all, i, i+1), nil)
		if !bytes.HasSuffix(files[name], []byte("\n")) {
			files[name] = append(files[name], '\n')
		}
	}
	var m evidence.Manifest
	if err := json.Unmarshal(files["manifest.json"], &m); err != nil {
		t.Fatal(err)
	}
	m.Events--
	raw, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	files["manifest.json"] = raw
}

func replace(name, old, with string) func(t *testing.T, files map[string][]byte) {
	return func(t *testing.T, files map[string][]byte) {
		t.Helper()
		if !bytes.Contains(files[name], []byte(old)) {
			t.Fatalf("%s has no %q", name, old)
		}
		files[name] = bytes.Replace(files[name], []byte(old), []byte(with), 1)
	}
}

// tamperings need a bundle of the sample's app, another log's bundle of the same app, and an older one of this log.
func tamperings(foreign, older map[string][]byte) []tampering {
	left := func(texts ...string) func(t *testing.T, files map[string][]byte) {
		return func(t *testing.T, files map[string][]byte) { without(t, files, texts...) }
	}
	document := func(files map[string][]byte) string {
		for _, name := range slices.Sorted(maps.Keys(files)) {
			if strings.HasPrefix(name, "documents/") {
				return name
			}
		}
		return ""
	}
	from := func(other map[string][]byte, names ...string) func(t *testing.T, files map[string][]byte) {
		return func(_ *testing.T, files map[string][]byte) {
			for _, name := range names {
				files[name] = other[name]
			}
		}
	}
	return []tampering{
		{"an approver's name altered", replace("events.jsonl", "ivy@finmicro.example", "eve@finmicro.example"), evidence.CheckInclusion, "events.jsonl", false},
		{"a time altered", replace("events.jsonl", `"timestamp":"2026`, `"timestamp":"2025`), evidence.CheckInclusion, "events.jsonl", false},
		{"an index altered", replace("proofs.jsonl", `{"index":4,`, `{"index":5,`), evidence.CheckInclusion, "events.jsonl", false},
		{"a proof of another tree", from(foreign, "proofs.jsonl"), evidence.CheckInclusion, "", false},
		{"the checkpoint of another log", from(foreign, "checkpoint"), evidence.CheckCheckpoint, "checkpoint", false},
		{"an older checkpoint", from(older, "checkpoint"), evidence.CheckCheckpoint, "checkpoint", false},
		{"all of the log from another", from(foreign, "checkpoint", "events.jsonl", "proofs.jsonl", "keys.json"), evidence.CheckCheckpoint, "checkpoint", false},
		{"two events in the other order", func(_ *testing.T, files map[string][]byte) {
			for _, name := range []string{"events.jsonl", "proofs.jsonl"} {
				all := lines(files[name])
				all[len(all)-3], all[len(all)-2] = all[len(all)-2], all[len(all)-3]
				files[name] = append(bytes.TrimSuffix(bytes.Join(all, nil), []byte("\n")), '\n')
			}
		}, evidence.CheckOrder, "events.jsonl", false},
		{"an event twice", func(t *testing.T, files map[string][]byte) {
			for _, name := range []string{"events.jsonl", "proofs.jsonl"} {
				all := lines(files[name])
				files[name] = append(bytes.Join(all, nil), '\n')
				files[name] = append(files[name], all[len(all)-1]...)
				files[name] = append(files[name], '\n')
			}
		}, evidence.CheckOrder, "events.jsonl", false},
		{"the first event left out", left(`"start-log"`), evidence.CheckKeyHistory, "events.jsonl", false},
		{"the change of keys left out", left(`"rotate-key"`), evidence.CheckSignature, "events.jsonl", false},
		{"the approval left out", left(`"action":"approve-change"`), evidence.CheckApproval, "events.jsonl", false},
		{"the approval by rule left out", left(`"action":"approve-by-rule"`), evidence.CheckApproval, "events.jsonl", false},
		{"the checks left out", left(`"action":"check-change"`), evidence.CheckApproval, "events.jsonl", false},
		{"a record set left out", left(`"action":"create-dns-record"`), evidence.CheckLifecycle, "events.jsonl", false},
		{"a receipt left out", left(`"action":"apply-zone"`), evidence.CheckLifecycle, "events.jsonl", false},
		{"a certificate left out", left(`"action":"issue-certificate"`), evidence.CheckLifecycle, "events.jsonl", false},
		{"an erasure left out", left(`"action":"erase-document"`), evidence.CheckDocument, "", false},
		{"a document altered", func(_ *testing.T, files map[string][]byte) { files[document(files)] = []byte("altered") }, evidence.CheckDocument, "", false},
		{"a document removed", func(_ *testing.T, files map[string][]byte) { delete(files, document(files)) }, evidence.CheckDocument, "", false},
		{"a document added", func(_ *testing.T, files map[string][]byte) {
			sum := sha256.Sum256([]byte("added"))
			files["documents/"+hex.EncodeToString(sum[:])] = []byte("added")
		}, evidence.CheckDocument, "", false},
		{"two documents swapped", func(_ *testing.T, files map[string][]byte) {
			a := document(files)
			for _, b := range slices.Sorted(maps.Keys(files)) {
				if strings.HasPrefix(b, "documents/") && b != a {
					files[a], files[b] = files[b], files[a]
					return
				}
			}
		}, evidence.CheckDocument, "", false},
		{"a commit's object altered", func(t *testing.T, files map[string][]byte) {
			raw := bytes.Clone(files["git/zones.bundle"])
			raw[bytes.Index(raw, []byte("PACK"))+20] ^= 0xff
			files["git/zones.bundle"] = raw
		}, evidence.CheckGit, "git/zones.bundle", false},
		{"the commits from elsewhere", from(foreign, "git/zones.bundle"), evidence.CheckGit, "git/zones.bundle", false},
		{"the policies altered", func(_ *testing.T, files map[string][]byte) {
			for name := range files {
				if strings.HasPrefix(name, "policy/") && strings.HasSuffix(name, "/slipway.yaml") {
					files[name] = append(files[name], "# altered\n"...)
				}
			}
		}, evidence.CheckGit, "", false},
		{"a policy added", func(_ *testing.T, files map[string][]byte) {
			files["policy/0123/policies/x.rego"] = []byte("package x")
		}, evidence.CheckGit, "", false},
		{"who signs commits replaced", from(foreign, "git/allowed_signers"), evidence.CheckGitSigner, "git/zones.bundle", false},
		{"the list of keys replaced", from(foreign, "keys.json"), evidence.CheckKeyHistory, "keys.json", true},
		{"the data altered", replace("data.json", "ivy@finmicro.example", "eve@finmicro.example"), evidence.CheckData, "data.json", true},
		{"another subject", replace("manifest.json", `"app": "expense-tracker"`, `"app": "holiday-planner"`), evidence.CheckSubject, "events.jsonl", false},
		{"said to be complete", replace("manifest.json", `"app": "expense-tracker"`, `"app": "expense-tracker", "complete": true`), evidence.CheckSubject, "events.jsonl", false},
		{"another format", replace("manifest.json", evidence.Format, "slipway-evidence/9"), evidence.CheckManifest, "manifest.json", false},
	}
}

// worlds are a bundle to tamper with, and what a forger has besides.
func worlds(t *testing.T) (bundle []byte, o evidence.VerifyOptions, list []tampering, keys []byte) {
	t.Helper()
	w, _ := evidencetest.Sample(t)
	subject := evidence.Options{Subject: evidence.Subject{App: evidencetest.App}}
	old, _ := export(t, sourceOf(t, w), subject)
	w.Noise(1)
	other, _ := evidencetest.Sample(t)
	otherBundle, _ := export(t, source(t, other), subject)
	foreign, _ := unzip(t, otherBundle)
	older, _ := unzip(t, old)
	src := source(t, w)
	bundle, _ = export(t, src, subject)
	var b bytes.Buffer
	if err := src.Keys.Write(&b); err != nil {
		t.Fatal(err)
	}
	return bundle, evidence.VerifyOptions{Trust: trust(src.Keys)}, tamperings(foreign, older), b.Bytes()
}

func TestTamperKnowingly(t *testing.T) {
	t.Parallel()
	bundle, o, list, _ := worlds(t)
	if r := verify(t, rewrite(t, bundle, func(map[string][]byte) {}), o); !r.OK() {
		t.Fatalf("not tampered with: %+v", r.Problems)
	}
	for _, c := range list {
		t.Run(c.name, func(t *testing.T) {
			forged := rewrite(t, bundle, func(files map[string][]byte) { c.edit(t, files) })
			r := verify(t, forged, o)
			if r.OK() || !slices.ContainsFunc(r.Problems, func(p evidence.Problem) bool { return p.Check == c.check && (c.file == "" || p.File == c.file) }) {
				t.Errorf("%+v", r.Problems)
			}
		})
	}
}

// TestForge makes a bundle of a log of one's own, with keys to fit: it hangs together, and is
// worth nothing to whoever knows the true key.
func TestForge(t *testing.T) {
	t.Parallel()
	w, _ := evidencetest.Sample(t)
	forger, _ := evidencetest.Sample(t)
	forged, _ := export(t, source(t, forger), evidence.Options{Subject: evidence.Subject{App: evidencetest.App}})
	if r := verify(t, forged, evidence.VerifyOptions{}); r.OK() || len(r.Problems) > 0 {
		t.Errorf("without keys: %+v", r)
	}
	if r := verify(t, forged, evidence.VerifyOptions{Trust: trust(w.Log.PublicKeys())}); r.OK() || r.Problems[0].Check != evidence.CheckCheckpoint {
		t.Errorf("with the true key: %+v", r.Problems)
	}
}

// TestHostile opens what is made to harm its reader.
func TestHostile(t *testing.T) {
	t.Parallel()
	entry := func(names ...string) []byte {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		for _, name := range names {
			w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate})
			if err == nil && !strings.HasSuffix(name, "/") {
				_, err = w.Write([]byte("x"))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	raw := func(edit func(h *zip.FileHeader)) []byte {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		h := &zip.FileHeader{Name: "manifest.json", Method: zip.Store, UncompressedSize64: 1, CompressedSize64: 1}
		edit(h)
		w, err := z.CreateRaw(h)
		if err == nil {
			_, err = w.Write([]byte("x"))
		}
		if err == nil {
			err = z.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	many := make([]string, 3000)
	for i := range many {
		many[i] = fmt.Sprintf("%0500d", i)
	}
	for name, bundle := range map[string][]byte{
		"nothing":         nil,
		"no zip":          []byte("PK\x03\x04"),
		"up":              entry("../manifest.json"),
		"up in between":   entry("a/../../manifest.json"),
		"absolute":        entry("/manifest.json"),
		"backslash":       entry(`..\manifest.json`),
		"drive":           entry("C:/manifest.json"),
		"twice":           entry("manifest.json", "manifest.json"),
		"a folder":        entry("documents/"),
		"long names":      entry(strings.Repeat("a", 600)),
		"control":         entry("a\x1b[31mb"),
		"huge":            raw(func(h *zip.FileHeader) { h.UncompressedSize64 = 1 << 40; h.Method = zip.Deflate }),
		"a link":          raw(func(h *zip.FileHeader) { h.SetMode(0o777 | 1<<27) }),
		"other packing":   raw(func(h *zip.FileHeader) { h.Method = 99 }),
		"no manifest":     entry(many...),
		"a bomb":          bomb(t),
		"a long manifest": pack(t, map[string][]byte{"manifest.json": append(bytes.Repeat([]byte("["), 1<<20), 'x')}),
	} {
		t.Run(name, func(t *testing.T) {
			r := verify(t, bundle, evidence.VerifyOptions{})
			if r.OK() || len(r.Problems) == 0 {
				t.Errorf("%+v", r)
			}
		})
	}
}

// bomb is small and unpacks to more than a manifest may have.
func bomb(t *testing.T) []byte {
	t.Helper()
	return pack(t, map[string][]byte{"manifest.json": bytes.Repeat([]byte(" "), 65<<20)})
}
