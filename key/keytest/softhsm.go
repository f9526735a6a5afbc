package keytest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Token is a PKCS #11 token to test with.
type Token struct {
	Module, Label, PIN string

	dir string
}

// URI is the token as slipway/key/kms opens it. The PIN lies in a file.
func (k Token) URI() string {
	return "pkcs11:module-path=" + k.Module + ";token=" + k.Label + "?pin-source=" + filepath.Join(k.dir, "pin")
}

// Dir is where the token's files lie.
func (k Token) Dir() string { return k.dir }

var modules = []string{
	"/usr/lib/softhsm/libsofthsm2.so",
	"/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
	"/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
	"/usr/lib64/pkcs11/libsofthsm2.so",
}

// SoftHSM makes a token of SoftHSM (Debian's softhsm2) in the test's directory, and skips
// the test where SoftHSM is not installed. SoftHSM reads its configuration's name from
// the environment when it is loaded, so such tests do not run in parallel. A server
// that the test starts as a process inherits it.
func SoftHSM(t testing.TB) Token {
	t.Helper()
	tool, err := exec.LookPath("softhsm2-util")
	if err != nil {
		t.Skip("softhsm2-util is not installed, so there is no token to test with: apt-get install softhsm2")
	}
	k := Token{Label: "slipway", PIN: "98765432", dir: t.TempDir()}
	for _, path := range modules {
		if _, err := os.Stat(path); err == nil {
			k.Module = path
			break
		}
	}
	if k.Module == "" {
		t.Skip("softhsm2-util is installed, but libsofthsm2.so is in none of the places where it usually is")
	}
	tokens, config := filepath.Join(k.dir, "tokens"), filepath.Join(k.dir, "softhsm2.conf")
	if err := os.Mkdir(tokens, 0o700); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		config:                      "directories.tokendir = " + tokens + "\nlog.level = ERROR\n",
		filepath.Join(k.dir, "pin"): k.PIN + "\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("SOFTHSM2_CONF", config)
	out, err := exec.Command(tool, "--init-token", "--free", "--label", k.Label, "--pin", k.PIN, "--so-pin", "12345678").CombinedOutput()
	if err != nil {
		t.Fatalf("softhsm2-util: %v\n%s", err, out)
	}
	return k
}
