package present_test

import (
	"archive/zip"
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/fstest"

	"slipway/evidence"
	"slipway/evidence/evidencetest"
	"slipway/evidence/present"
	"slipway/repo"
)

// A real bundle of a real log: its reports are in it, and it verifies with them.
func TestReportsInABundle(t *testing.T) {
	t.Parallel()
	w, _ := evidencetest.Sample(t)
	keys := w.Log.PublicKeys()
	log, err := w.Log.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	src := evidence.Source{Log: log, Keys: keys, Repo: w.Repo, AllowedSigners: w.Signers()}
	var bundle bytes.Buffer
	if _, err := evidence.Export(t.Context(), &bundle, src, evidence.Options{Subject: evidence.Subject{App: evidencetest.App}, Extra: present.Extra(w.Repo)}); err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(bundle.Bytes()), int64(bundle.Len()))
	if err != nil {
		t.Fatal(err)
	}
	inside := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		inside[f.Name] = string(raw)
	}
	page := inside[present.HTMLFile]
	for _, want := range []string{"Evidence: the app expense-tracker", "Request for erasure of personal data, ticket 1234.", "Yearly change of keys.", "SOC2:CC8.1", "Rejected"} {
		if !strings.Contains(page, want) {
			t.Errorf("the report does not say %q", want)
		}
	}
	for _, name := range []string{present.PDFFile, present.OSCALFile, present.ControlsFile} {
		if len(inside[name]) == 0 {
			t.Errorf("%s is not there", name)
		}
	}
	// What OSCAL leads to is in the bundle.
	for _, part := range strings.Split(inside[present.OSCALFile], `"href": "../`)[1:] {
		if name, _, _ := strings.Cut(part, `"`); inside[name] == "" && name != present.ControlsFile {
			t.Errorf("OSCAL leads to %s, which is not there", name)
		}
	}
	report, err := evidence.Verify(t.Context(), bytes.NewReader(bundle.Bytes()), int64(bundle.Len()), evidence.VerifyOptions{Trust: &evidence.Trust{Log: keys.Log, Events: keys.Events}})
	if err != nil || len(report.Problems) > 0 {
		t.Errorf("%v %+v", err, report)
	}
}

func TestAMappingThatCannotBeRead(t *testing.T) {
	t.Parallel()
	w := evidencetest.New(t)
	r, err := repo.Create(t.Context(), t.TempDir()+"/zones.git", fstest.MapFS{
		"slipway.yaml": {Data: []byte("organisation: Fin Micro Ltd\ndomain: finmicro.example\n")}, "controls.yaml": {Data: []byte("controls:\n  SOC2:CC8.1: {titel: x}\n")},
	}, repo.Person{Name: "Slipway", Email: "slipway@finmicro.example"}, w.Now, w.Signer)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	f, err := present.Extra(r)(t.Context(), stories["green"](t))
	if err != nil || !bytes.Contains(f[present.HTMLFile], []byte("controls.yaml, line 2")) {
		t.Errorf("the report does not say that the mapping could not be read: %v", err)
	}
}
