package evidence_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/audit"
	"slipway/evidence"
	"slipway/evidence/evidencetest"
)

// source reads a world's log from its files, as somebody without the server does.
func source(t testing.TB, w *evidencetest.World) evidence.Source {
	t.Helper()
	w.Close()
	r, err := audit.OpenReader(t.Context(), filepath.Join(w.Dir, "audit"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return evidence.Source{Log: r, Keys: w.PublicKeys, Repo: w.Repo, AllowedSigners: w.Signers()}
}

// export makes a bundle.
func export(t testing.TB, src evidence.Source, o evidence.Options) ([]byte, *evidence.Exported) {
	t.Helper()
	var b bytes.Buffer
	x, err := evidence.Export(t.Context(), &b, src, o)
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), x
}

func verify(t testing.TB, bundle []byte, o evidence.VerifyOptions) *evidence.Result {
	t.Helper()
	r, err := evidence.Verify(t.Context(), bytes.NewReader(bundle), int64(len(bundle)), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func trust(keys audit.Keys) *evidence.Trust {
	return &evidence.Trust{Log: keys.Log, Events: keys.Events}
}

// subjects are one of each kind.
func subjects(app *evidencetest.Change) map[string]evidence.Subject {
	day := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	return map[string]evidence.Subject{
		"app":             {App: evidencetest.App},
		"complete app":    {App: evidencetest.App, Complete: true},
		"change":          {Change: app.ID},
		"complete change": {Change: app.ID, Complete: true},
		"zone":            {Zone: "finmicro.example"},
		"complete zone":   {Zone: evidencetest.Zone, Complete: true},
		"whole period":    {From: day},
		"a minute":        {From: day.Add(9*time.Hour + 5*time.Second), To: day.Add(9*time.Hour + 25*time.Second)},
	}
}

func TestExportAndVerify(t *testing.T) {
	t.Parallel()
	w, app := evidencetest.Sample(t)
	src := source(t, w)
	for name, s := range subjects(app) {
		t.Run(name, func(t *testing.T) {
			bundle, x := export(t, src, evidence.Options{Subject: s})
			again, _ := export(t, src, evidence.Options{Subject: s})
			if !bytes.Equal(bundle, again) {
				t.Error("the same subject gave other bytes")
			}
			r := verify(t, bundle, evidence.VerifyOptions{Trust: trust(src.Keys), AllowedSigners: w.Signers()})
			for _, p := range r.Problems {
				t.Errorf("%s: %s: %s", p.Check, p.File, p.What)
			}
			if !r.OK() || r.Events != x.Events || r.Documents != x.Documents || r.Events == 0 {
				t.Errorf("verified %+v of %+v", r, x)
			}
			if t.Failed() || testing.Verbose() {
				for _, s := range r.Proven {
					t.Log("proven: ", s.Text)
				}
				for _, s := range r.NotProven {
					t.Log("not proven: ", s.Text)
				}
			}
		})
	}
}

// TestTrust says what is known of a bundle by whom the verifier trusts.
func TestTrust(t *testing.T) {
	t.Parallel()
	w, _ := evidencetest.Sample(t)
	src := source(t, w)
	bundle, _ := export(t, src, evidence.Options{Subject: evidence.Subject{App: evidencetest.App}})
	first := audit.Keys{}
	began := evidence.Trust{}
	for r, err := range audit.Read(t.Context(), filepath.Join(w.Dir, "audit"), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if first, err = audit.ReadKeys(bytes.NewReader(r.Event.Details)); err != nil {
			t.Fatal(err)
		}
		break
	}
	began.Log = first.Log
	other, _ := evidencetest.Sample(t)
	foreign := other.Log.PublicKeys()
	for _, c := range []struct {
		name  string
		trust *evidence.Trust
		check evidence.Check // of the problem; "" for none
		ok    bool
	}{
		{"all keys", trust(src.Keys), "", true},
		{"the keys at the beginning", trust(first), "", true},
		{"the log's key alone", &began, "", true},
		{"nobody", nil, "", false},
		{"another log", trust(foreign), evidence.CheckCheckpoint, false},
		{"another event key", &evidence.Trust{Log: first.Log, Events: foreign.Events}, evidence.CheckKeyHistory, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := verify(t, bundle, evidence.VerifyOptions{Trust: c.trust})
			if r.OK() != c.ok {
				t.Errorf("ok is %t: %+v", r.OK(), r.Problems)
			}
			if found := slices.ContainsFunc(r.Problems, func(p evidence.Problem) bool { return p.Check == c.check }); found != (c.check != "") {
				t.Errorf("problems: %+v", r.Problems)
			}
			if c.trust == nil && !slices.ContainsFunc(r.NotProven, func(s evidence.Statement) bool { return strings.Contains(s.Text, "Who made this bundle") }) {
				t.Errorf("it does not say that its keys prove nothing: %+v", r.NotProven)
			}
		})
	}
}

func TestExportRefuses(t *testing.T) {
	t.Parallel()
	w, app := evidencetest.Sample(t)
	src := source(t, w)
	for name, s := range map[string]evidence.Subject{
		"nothing":             {},
		"two things":          {App: evidencetest.App, Change: app.ID},
		"a thing in a period": {App: evidencetest.App, From: time.Now()},
		"no period":           {From: time.Unix(2, 0), To: time.Unix(1, 0)},
		"a complete period":   {From: time.Unix(1, 0), Complete: true},
		"a path":              {App: "../x"},
		"no zone":             {Zone: "a..b"},
	} {
		if _, err := evidence.Export(t.Context(), io.Discard, src, evidence.Options{Subject: s}); err == nil {
			t.Errorf("%s: exported", name)
		}
	}
	for _, s := range []evidence.Subject{{App: "nobodys"}, {Change: "c-9999"}, {Zone: "nowhere.example"}, {From: time.Now().Add(1e6 * time.Hour)}} {
		if _, err := evidence.Export(t.Context(), io.Discard, src, evidence.Options{Subject: s}); !errors.Is(err, evidence.ErrNothing) {
			t.Errorf("%s: %v", s, err)
		}
	}
}

// TestSeal takes a bundle out beside the writer, on record, and holds it to its seal.
func TestSeal(t *testing.T) {
	t.Parallel()
	w, _ := evidencetest.Sample(t)
	r, err := w.Log.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	src := evidence.Source{Log: r, Keys: w.Log.PublicKeys(), Repo: w.Repo, AllowedSigners: w.Signers()}
	alma := audit.Actor{ID: "alma@finmicro.example", Role: "auditor"}
	bundle, x := export(t, src, evidence.Options{Subject: evidence.Subject{App: evidencetest.App}, Seal: evidence.Sealer(w.Log, alma),
		Extra: func(_ context.Context, d *evidence.Data) (map[string][]byte, error) {
			return map[string][]byte{"reports/report.html": []byte("<p>" + d.Subject.App)}, nil
		}})
	result := verify(t, bundle, evidence.VerifyOptions{Trust: trust(src.Keys)})
	if !x.Sealed || !result.OK() || !slices.ContainsFunc(result.Proven, func(s evidence.Statement) bool {
		return s.Check == evidence.CheckSeal && strings.Contains(s.Text, alma.ID)
	}) {
		t.Errorf("%+v %+v", x, result)
	}
	found, err := w.Log.Index().Events(t.Context(), audit.Query{Action: audit.ExportEvidence})
	if err != nil || len(found) != 1 || !strings.Contains(string(found[0].Event.Details), x.Manifest) {
		t.Errorf("on record: %v, %v", found, err)
	}
	// A report that was altered afterwards, with the manifest to fit, is given away by the seal alone.
	forged := rewrite(t, bundle, func(files map[string][]byte) { files["reports/report.html"] = []byte("<p>All is well.") })
	result = verify(t, forged, evidence.VerifyOptions{Trust: trust(src.Keys)})
	if len(result.Problems) != 1 || result.Problems[0].Check != evidence.CheckSeal {
		t.Errorf("forged report: %+v", result.Problems)
	}
	// The next bundle tells that this one was taken out.
	again := verify(t, first(export(t, sourceOf(t, w), evidence.Options{Subject: evidence.Subject{App: evidencetest.App}})), evidence.VerifyOptions{Trust: trust(src.Keys)})
	if !again.OK() || again.Events != result.Events+1 {
		t.Errorf("again: %+v", again)
	}
}

func first[A, B any](a A, _ B) A { return a }

func sourceOf(t *testing.T, w *evidencetest.World) evidence.Source {
	t.Helper()
	r, err := w.Log.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return evidence.Source{Log: r, Keys: w.Log.PublicKeys(), Repo: w.Repo, AllowedSigners: w.Signers()}
}

// TestAltered makes bundles of a store in which documents were altered or are missing.
func TestAltered(t *testing.T) {
	t.Parallel()
	w, _ := evidencetest.Sample(t)
	src := source(t, w)
	documents, err := filepath.Glob(filepath.Join(w.Dir, "audit", "documents", "sha256", "*", "*"))
	if err != nil || len(documents) < 2 {
		t.Fatalf("%d documents, %v", len(documents), err)
	}
	if err := os.WriteFile(documents[0], []byte("altered"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(documents[1]); err != nil {
		t.Fatal(err)
	}
	bundle, x := export(t, src, evidence.Options{Subject: evidence.Subject{From: time.Unix(1, 0)}})
	missing := 0
	for _, g := range x.Missing {
		if strings.Contains(g.Why, "altered") || strings.Contains(g.Why, "not in the server's store") {
			missing++
		}
	}
	r := verify(t, bundle, evidence.VerifyOptions{Trust: trust(src.Keys)})
	if missing != 2 || r.OK() || len(r.Problems) != 2 || r.Problems[0].Check != evidence.CheckDocument {
		t.Errorf("%+v: %+v", x, r.Problems)
	}
}

// unzip reads a bundle's files, in their order.
func unzip(t testing.TB, bundle []byte) (map[string][]byte, []string) {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(bundle), int64(len(bundle)))
	if err != nil {
		t.Fatal(err)
	}
	files, names := map[string][]byte{}, []string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[f.Name] = content
		names = append(names, f.Name)
	}
	return files, names
}
