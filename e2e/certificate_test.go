//go:build integration

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"slipway/audit"
	"slipway/key/keytest"
	"slipway/lifecycle"
)

// TestCertificate takes an app from request to approval to a page over TLS: once with its key in a file store, once in
// SoftHSM. openssl and a browser that trust the embedded root judge what the gateway serves.
func TestCertificate(t *testing.T) {
	t.Run("file", func(t *testing.T) { certificateJourney(t, "file:", "file:") })
	t.Run("softhsm", func(t *testing.T) {
		token := keytest.SoftHSM(t)
		pin := filepath.Join(t.TempDir(), "pin")
		if err := os.WriteFile(pin, []byte(token.PIN), 0o600); err != nil {
			t.Fatal(err)
		}
		store := fmt.Sprintf("pkcs11:module-path=%s;token=%s?pin-source=file:%s", token.Module, token.Label, pin)
		certificateJourney(t, store, "pkcs11:")
	})
}

func certificateJourney(t *testing.T, store, scheme string) {
	const (
		cora = "cora@finmicro.example"
		ivy  = "ivy@finmicro.example"
	)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, "<!doctype html><html lang=en><title>Feedback</title><h1>Feedback</h1><p id=secure></p><script>document.getElementById('secure').textContent = window.isSecureContext ? 'secure' : 'insecure'</script></html>")
	}))
	defer app.Close()

	repository := filepath.Join(t.TempDir(), "zones")
	run(t, exec.Command(filepath.Join(binaries, "slipway"), "init", repository))
	settings := filepath.Join(repository, "slipway.yaml")
	raw, err := os.ReadFile(settings)
	if err != nil {
		t.Fatal(err)
	}
	write(t, settings, string(raw)+fmt.Sprintf("certificates:\n  keys: {store: %q}\n", store))
	git(t, repository, "commit", "-qam", "Say where keys are kept")
	w := newWorld(t, "--repository", repository)
	w.token(cora)
	w.token(ivy)

	hostname := "feedback.finmicro-apps.example"
	var made answer
	w.api(w.tokens[cora], "POST", "/api/v1/changes", map[string]any{"title": "Feedback", "app": map[string]any{
		"name": "feedback", "owner": cora, "team": "testing", "purpose": "Takes feedback", "certificate": true, "upstream": app.URL,
		"exposure": "external", "data": []string{"none"}, "expires": time.Now().AddDate(0, 6, 0).Format(time.DateOnly), "hostname": hostname,
		"records": []map[string]any{{"name": hostname, "type": "A", "ttl": 300, "values": []string{"198.51.100.77"}}},
	}}, &made)
	deadline := time.Now().Add(time.Minute)
	for a := w.changeAs(cora, made.Change.ID); a.Change.Phase != lifecycle.Live; a = w.changeAs(cora, made.Change.ID) {
		if a.Change.Phase == lifecycle.Waiting {
			w.vote(ivy, a)
		}
		if a.Change.Phase == lifecycle.Denied || time.Now().After(deadline) {
			t.Fatalf("%s: %s\n%s", a.Change.Phase, a.Change.Problem, w.lines.tail(40))
		}
		time.Sleep(50 * time.Millisecond)
	}
	issued := w.certificates(t, ivy, "feedback")
	if len(issued) != 1 || !strings.HasPrefix(issued[0].KeyRef, scheme) || len(issued[0].Approved) != 1 || issued[0].Approved[0] != ivy {
		t.Fatalf("certificates: %+v", issued)
	}

	gateway := startGateway(t, w.data)
	root := filepath.Join(t.TempDir(), "root.pem")
	_, pem := w.rawAPI("", "GET", "/ca/root.pem", nil)
	write(t, root, string(pem))

	t.Run("openssl", func(t *testing.T) {
		openssl, err := exec.LookPath("openssl")
		if err != nil {
			t.Skip("openssl is not installed")
		}
		cmd := exec.Command(openssl, "s_client", "-connect", gateway, "-servername", hostname, "-verify_hostname", hostname, "-CAfile", root, "-verify_return_error")
		cmd.Stdin = strings.NewReader("")
		r := run(t, cmd)
		if r.code != 0 || !strings.Contains(r.stdout, "Verify return code: 0 (ok)") || !strings.Contains(r.stdout, "Fin Micro Ltd") {
			t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
		}
	})
	t.Run("browser", func(t *testing.T) { browserTrusts(t, root, gateway, hostname) })

	// The record has the chain and no key.
	var events struct{ Events []audit.Receipt }
	code, body := w.rawAPI(w.tokens[ivy], "GET", "/api/v1/events?app=feedback&action=issue-certificate", nil)
	if err := json.Unmarshal(body, &events); code != 200 || err != nil || len(events.Events) != 1 || events.Events[0].Event.ArtifactRefs["certificate"] != issued[0].Chain {
		t.Errorf("events: %d %v %s", code, err, body)
	}
	t.Run("no key in the clear", func(t *testing.T) { w.showsNoKey(t, ivy, issued[0].ID, made.Change.ID) })
	if r := w.verify(); r.code != 0 {
		t.Errorf("verify: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// showsNoKey looks for private keys in whatever the server writes or says: its files, its log, the API and the pages.
func (w *world) showsNoKey(t *testing.T, by, certificate, change string) {
	t.Helper()
	said := t.TempDir()
	keep := func(name string, raw []byte) { write(t, filepath.Join(said, name), string(raw)) }
	for i, path := range []string{
		"/api/v1/certificates", "/api/v1/certificates/" + certificate, "/api/v1/apps/feedback", "/api/v1/changes/" + change, "/api/v1/events", "/ca/root.pem", "/ca/crl", "/keys.json",
	} {
		code, raw := w.rawAPI(w.tokens[by], "GET", path, nil)
		if code != 200 {
			t.Errorf("%s: %d", path, code)
		}
		keep(fmt.Sprintf("api-%d", i), raw)
	}
	var link struct{ URL string }
	w.api(w.token("admin@finmicro.example"), "POST", "/api/v1/links", map[string]string{"person": by}, &link)
	jar, _ := cookiejar.New(nil)
	person := &http.Client{Jar: jar}
	r, err := person.Post(link.URL, "application/x-www-form-urlencoded", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	for i, path := range []string{"/", "/certificates", "/certificates/" + certificate, "/apps/feedback", "/changes/" + change, "/ca", "/account"} {
		r, err := person.Get(w.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil || r.StatusCode != 200 || r.Request.URL.Path != path {
			t.Errorf("%s: %s at %s, %v", path, r.Status, r.Request.URL.Path, err)
		}
		keep(fmt.Sprintf("page-%d", i), raw)
	}
	keep("server-log", []byte(w.lines.tail(100_000)))
	keytest.NoneIn(t, said)
	keytest.NoneIn(t, w.data)
}

// startGateway runs the gateway as a process of its own on a server's data and returns its address.
func startGateway(t *testing.T, data string) string {
	t.Helper()
	address := freeAddress(t)
	cmd := exec.Command(filepath.Join(binaries, "slipwayd"), "gateway", "--data", data, "--gateway-listen", address)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGINT)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the gateway did not stop cleanly: %v", err)
		}
	})
	for range 200 {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return address
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("the gateway does not listen")
	return ""
}

// browserTrusts opens the app's page in a browser that trusts the root as a person's would, by the certificate store of
// their account, and in one that does not.
func browserTrusts(t *testing.T, root, gateway, hostname string) {
	program := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	certutil, err := exec.LookPath("certutil")
	if program == "" || err != nil {
		t.Skip("chromium and certutil are needed (Debian packages chromium, libnss3-tools)")
	}
	_, port, _ := net.SplitHostPort(gateway)
	open := func(home string) (title, text string, err error) {
		options := append(chromedp.DefaultExecAllocatorOptions[:],
			chromedp.ExecPath(program), chromedp.UserDataDir(filepath.Join(home, "profile")), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
			chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-dev-shm-usage", true),
			chromedp.Flag("host-resolver-rules", "MAP "+hostname+" 127.0.0.1"), chromedp.Env("HOME="+home),
		)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
		defer cancel()
		ctx, cancel = chromedp.NewContext(ctx)
		defer cancel()
		if err := chromedp.Do(ctx, chromedp.Navigate("https://"+hostname+":"+port+"/")); err != nil {
			return "", "", err
		}
		if title, err = chromedp.Run(ctx, chromedp.Title()); err != nil {
			return "", "", err
		}
		text, err = chromedp.Run(ctx, chromedp.Text("#secure"))
		return title, text, err
	}

	if title, _, err := open(t.TempDir()); err == nil {
		t.Errorf("a browser that does not trust the root shows the page %q without a warning", title)
	}
	home := t.TempDir()
	nss := filepath.Join(home, ".pki", "nssdb")
	if err := os.MkdirAll(nss, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"-N", "--empty-password"}, {"-A", "-t", "C,,", "-n", "Fin Micro", "-i", root}} {
		if r := run(t, exec.Command(certutil, append([]string{"-d", "sql:" + nss}, args...)...)); r.code != 0 {
			t.Fatalf("certutil %v: %s%s", args, r.stdout, r.stderr)
		}
	}
	title, text, err := open(home)
	if err != nil || title != "Feedback" || text != "secure" {
		t.Errorf("with the root trusted: title %q, context %q, %v", title, text, err)
	}
}
