//go:build cgo

package pkcs11

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"slipway/key"
	"slipway/key/keytest"
)

// A gateway in a process of its own uses keys that the server makes while both run, and
// stops using those that the server destroys.
func TestTwoProcesses(t *testing.T) {
	token := keytest.SoftHSM(t)
	m := open(t, options(token))
	server := func(what string) string {
		t.Helper()
		cmd := exec.Command(os.Args[0], "-test.run", "^TestAsTheServer$")
		cmd.Env = append(os.Environ(), "SLIPWAY_TEST_MODULE="+token.Module, "SLIPWAY_TEST_DO="+what)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		_, after, _ := strings.Cut(string(out), "ref ")
		ref, _, _ := strings.Cut(after, "\n")
		return ref
	}
	ref := server("create")
	signer, err := m.Signer(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	keytest.Certificate(t, signer, "expenses.apps.finmicro.example")
	server(ref)
	if _, err := m.Signer(t.Context(), ref); err == nil {
		t.Error("a key that the other process destroyed is opened")
	}
}

func TestAsTheServer(t *testing.T) {
	what := os.Getenv("SLIPWAY_TEST_DO")
	if what == "" {
		t.Skip("this is the other process of TestTwoProcesses")
	}
	m := open(t, options(keytest.Token{Module: os.Getenv("SLIPWAY_TEST_MODULE"), Label: "slipway", PIN: "98765432"}))
	if what != "create" {
		if err := m.Destroy(t.Context(), what); err != nil {
			t.Fatal(err)
		}
		return
	}
	ref, _, err := m.Create(t.Context(), "app", key.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	os.Stdout.WriteString("ref " + ref + "\n")
}
