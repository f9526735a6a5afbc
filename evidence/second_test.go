package evidence_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"slipway/evidence"
	"slipway/evidence/evidencetest"
)

const second = "../examples/verify-evidence"

// TestSecondVerifier holds the verifier of examples/ to the same answers, about good bundles and about
// every tampered one, and to what is said of it.
func TestSecondVerifier(t *testing.T) {
	t.Parallel()
	src, err := os.ReadFile(filepath.Join(second, "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(src, []byte("\n")); n >= 300 {
		t.Errorf("it has %d lines", n)
	}
	if bytes.Contains(src, []byte(`"slipway/`)) {
		t.Error("it uses a package of Slipway's")
	}
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("ssh-keygen is not installed (Debian: apt install openssh-client), so git cannot verify signatures here")
	}
	dir := t.TempDir()
	binary := filepath.Join(dir, "verify-evidence")
	if out, err := exec.Command("go", "build", "-o", binary, second).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	bundle, o, list, keys := worlds(t)
	w, app := evidencetest.Sample(t)
	src2 := source(t, w)
	trusted := filepath.Join(dir, "keys.json")
	pub := filepath.Join(dir, "keys.pub")
	if err := os.WriteFile(trusted, keys, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(pub, []byte("# of Fin Micro\n"+src2.Keys.Log+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	answer := func(bundle []byte, keys string) (bool, string) {
		t.Helper()
		file := filepath.Join(dir, "bundle.zip")
		if err := os.WriteFile(file, bundle, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(binary, file, keys).CombinedOutput()
		if exit, no := err.(*exec.ExitError); err != nil && (!no || exit.ExitCode() != 1) {
			t.Fatalf("%v\n%s", err, out)
		}
		return err == nil, string(out)
	}
	for name, s := range subjects(app) {
		good, _ := export(t, src2, evidence.Options{Subject: s})
		if ok, out := answer(good, pub); !ok {
			t.Errorf("%s: %s", name, out)
		}
		if ok, out := answer(good, trusted); ok || !strings.Contains(out, "checkpoint: ") {
			t.Errorf("%s, with another log's key: %s", name, out)
		}
	}
	if ok, out := answer(bundle, trusted); !ok {
		t.Errorf("not tampered with: %s", out)
	}
	for _, c := range list {
		forged := rewrite(t, bundle, func(files map[string][]byte) { c.edit(t, files) })
		first := verify(t, forged, o).OK()
		if ok, out := answer(forged, trusted); ok != first && !c.aside {
			t.Errorf("%s: the first says %t, the second %t:\n%s", c.name, first, ok, out)
		}
	}
	files, _ := unzip(t, bundle)
	for _, name := range []string{"checkpoint", "events.jsonl", "proofs.jsonl", "data.json", "git/zones.bundle"} {
		was := files[name]
		files[name] = append(bytes.Clone(was), ' ')
		if ok, out := answer(pack(t, files), trusted); ok {
			t.Errorf("altered %s: %s", name, out)
		}
		files[name] = was
	}
}
