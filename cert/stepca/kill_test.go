package stepca

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/smallstep/nosql"
	"golang.org/x/crypto/acme"

	"slipway/key"
)

// A kill after the signature and before the order knows of it is the one place where
// a second certificate could come of it.
func TestKilledWhileSigning(t *testing.T) {
	s := newSite(t)
	account, k := newKey(t), newKey(t)
	ca := s.start(t)
	c := client(t, ca.Directory(), ca.Root(), account)
	order := s.ready(t, c, "a.example")
	first, _, err := c.CreateOrderCert(t.Context(), order.FinalizeURL, csr(t, k, "a.example"), true)
	if err != nil {
		t.Fatal(err)
	}
	if err := ca.Close(); err != nil {
		t.Fatal(err)
	}
	// What the kill would have left: the chain as it was signed, and an order that does not know of it.
	l, err := openLedger(filepath.Join(s.options.Dir, "ca.db"))
	if err != nil {
		t.Fatal(err)
	}
	id := order.URI[strings.LastIndex(order.URI, "/")+1:]
	raw, err := l.Get([]byte("acme_orders"), []byte(id))
	if err != nil {
		t.Fatal(err)
	}
	raw = bytes.Replace(raw, []byte(`"status":"valid"`), []byte(`"status":"ready"`), 1)
	raw = regexp.MustCompile(`,"certificate":"[^"]+"`).ReplaceAll(raw, nil)
	if kept, err := l.Get(signedTable, []byte(id)); !nosql.IsErrNotFound(err) {
		t.Errorf("kept after the end of the order: %q, %v", kept, err)
	}
	var chain []byte
	for _, c := range parse(t, first) {
		chain = append(chain, toPEM(c)...)
	}
	if err := errors.Join(l.Set([]byte("acme_orders"), []byte(id), raw), l.Set(signedTable, []byte(id), chain), l.Shutdown()); err != nil {
		t.Fatal(err)
	}

	ca = s.start(t)
	again, err := c.GetOrder(t.Context(), order.URI)
	if err != nil || again.Status != acme.StatusReady {
		t.Fatalf("%+v, %v", again, err)
	}
	second, _, err := c.CreateOrderCert(t.Context(), order.FinalizeURL, csr(t, k, "a.example"), true)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first[0], second[0]) {
		t.Error("a second certificate was made for one order")
	}
	if n := signed(t, ca); n != 1 {
		t.Errorf("%d certificates were made", n)
	}
}

// signed is how many certificates the authority has made.
func signed(t *testing.T, ca *CA) int {
	t.Helper()
	all, err := ca.ledger.List([]byte("x509_certs"))
	if err != nil && !nosql.IsErrNotFound(err) {
		t.Fatal(err)
	}
	return len(all)
}

const (
	childDir = "STEPCA_TEST_DIR"
	password = "passphrase of the test"
)

// TestMain is the killed server as well: with childDir set, it starts an authority
// there and says so.
func TestMain(m *testing.M) {
	dir := os.Getenv(childDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	keys, err := key.OpenFiles(filepath.Join(dir, "keys"), []byte(password))
	if err == nil {
		var ca *CA
		ca, err = Start(context.Background(), Options{
			Dir: filepath.Join(dir, "ca"), Keys: keys, Name: "Fin Micro Ltd", Logger: slog.New(slog.DiscardHandler),
			// Whoever asks is believed: this is about kills.
			Resolve: func(_ context.Context, name string) ([]string, error) {
				raw, err := os.ReadFile(filepath.Join(dir, name))
				return []string{string(raw)}, err
			},
		})
		if err == nil {
			fmt.Println(ca.Directory())
			select {} // until it is killed
		}
	}
	fmt.Println(err)
	os.Exit(1)
}

// child starts an authority in another process, and returns its directory URL.
func child(t *testing.T, dir string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "https://") {
		t.Fatalf("the authority did not start: %s %v", line, err)
	}
	return cmd, strings.TrimSpace(line)
}

// Servers are killed while they answer; each order still comes to its end, with one certificate.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	cmd, directory := child(t, dir)
	root, err := os.ReadFile(filepath.Join(dir, "ca", rootFile))
	if err != nil {
		t.Fatal(err)
	}
	c := client(t, directory, root, newKey(t))
	k := newKey(t)
	for i := range 6 {
		name := fmt.Sprintf("n%d.example", i)
		order, err := c.AuthorizeOrder(t.Context(), acme.DomainIDs(name))
		if err != nil {
			t.Fatal(err)
		}
		authorization, err := c.GetAuthorization(t.Context(), order.AuthzURLs[0])
		if err != nil {
			t.Fatal(err)
		}
		value, err := c.DNS01ChallengeRecord(authorization.Challenges[0].Token)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "_acme-challenge."+name), []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Accept(t.Context(), authorization.Challenges[0]); err != nil {
			t.Fatal(err)
		}
		// The kill falls somewhere into the finalizing, later each time.
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.CreateOrderCert(ctx, order.FinalizeURL, csr(t, k, name), true)
		}()
		time.AfterFunc(time.Duration(i)*time.Millisecond, func() { cmd.Process.Kill() })
		cmd.Wait()
		cancel()
		<-done
		var again string
		if cmd, again = child(t, dir); again != directory {
			t.Fatalf("at %s, then at %s", directory, again)
		}
		order, err = c.WaitOrder(t.Context(), order.URI)
		if err != nil {
			t.Fatal(err)
		}
		if order.Status == acme.StatusReady {
			_, _, err = c.CreateOrderCert(t.Context(), order.FinalizeURL, csr(t, k, name), true)
		} else {
			_, err = c.FetchCert(t.Context(), order.CertURL, true)
		}
		if err != nil {
			t.Fatalf("%s after the kill: %v", name, err)
		}
	}
	cmd.Process.Kill()
	cmd.Wait()
	keys, err := key.OpenFiles(filepath.Join(dir, "keys"), []byte(password))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := Start(t.Context(), Options{Dir: filepath.Join(dir, "ca"), Keys: keys, Resolve: new(records).lookup, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer ca.Close()
	if n := signed(t, ca); n != 6 {
		t.Errorf("%d certificates were made for 6 orders", n)
	}
}

func TestSecondServerIsRefused(t *testing.T) {
	if testing.Short() {
		t.Skip("waits five seconds for the lock of the database")
	}
	t.Parallel()
	s := newSite(t)
	s.start(t)
	if _, err := Start(t.Context(), s.options); err == nil || !strings.Contains(err.Error(), "in use by another server") {
		t.Errorf("%v", err)
	}
}

func TestBrokenDirectories(t *testing.T) {
	for name, c := range map[string]struct {
		harm func(t *testing.T, dir string)
		want string
	}{
		"no record of the keys": {func(t *testing.T, dir string) { remove(t, dir, stateFile) }, "Restore it from a backup"},
		"a root of others":      {func(t *testing.T, dir string) { swap(t, dir, rootFile) }, "intermediate"},
		"an empty root":         {func(t *testing.T, dir string) { write(t, dir, rootFile, "") }, "no certificate"},
		"a record cut short":    {func(t *testing.T, dir string) { write(t, dir, stateFile, `{"version":1`) }, "unexpected end"},
		"a record of later":     {func(t *testing.T, dir string) { write(t, dir, stateFile, `{"version":2}`) }, "version 2"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.start(t).Close()
			c.harm(t, s.options.Dir)
			ca, err := Start(t.Context(), s.options)
			if err == nil {
				ca.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestIntermediateIsRenewedInTime(t *testing.T) {
	s := newSite(t)
	s.start(t).Close()
	state, err := readState(t.Context(), s.options)
	if err != nil {
		t.Fatal(err)
	}
	before, err := state.certificates(t.Context(), s.options, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	later := time.Now().AddDate(issuerYears-1, 0, 1)
	after, err := state.certificates(t.Context(), s.options, later)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before.root.Raw, after.root.Raw) || bytes.Equal(before.issuer.Raw, after.issuer.Raw) {
		t.Error("the intermediate, and it alone, is to be a new one")
	}
	if !samePublic(before.issuer.PublicKey, after.issuer.PublicKey) || after.issuer.NotAfter.Before(later.AddDate(issuerYears, 0, -1)) {
		t.Errorf("the new intermediate has another key, or ends on %s", after.issuer.NotAfter)
	}
}

func TestOptions(t *testing.T) {
	for want, change := range map[string]func(o *Options){
		"not one of this machine alone": func(o *Options) { o.Listen = "0.0.0.0:9443" },
		"lifetime":                      func(o *Options) { o.Lifetime = 10 * 365 * 24 * time.Hour },
		"not an http":                   func(o *Options) { o.CRLURL = "file:///etc/passwd" },
		"resolver":                      func(o *Options) { o.Resolve = nil },
	} {
		s := newSite(t)
		change(&s.options)
		if _, err := Start(t.Context(), s.options); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

// swap puts the file of another authority in its place.
func swap(t *testing.T, dir, name string) {
	t.Helper()
	other := newSite(t)
	other.start(t).Close()
	raw, err := os.ReadFile(filepath.Join(other.options.Dir, name))
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, name, string(raw))
}

func FuzzParseState(f *testing.F) {
	f.Add([]byte(`{"version":1,"root_key":"file:ca-root?pin=x","intermediate_key":"file:ca-intermediate?pin=y","address":"127.0.0.1:20001"}`))
	f.Add([]byte(`{"version":1}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if s, err := parseState(raw); err == nil && (s.Root == "" || s.Issuer == "") {
			t.Errorf("accepted %+v", s)
		}
	})
}
