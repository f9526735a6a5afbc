package awskms

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"slipway/internal/peer"
	"slipway/key"
	"slipway/key/keytest"
)

// localKMS answers as AWS KMS does, by its authors' reading of AWS's documentation; it
// is not AWS.
func localKMS(t testing.TB) Options {
	t.Helper()
	cmd := exec.Command(peer.Find(t, "local-kms"))
	dir := t.TempDir()
	cmd.Env = []string{"PORT=0", "KMS_REGION=eu-central-1", "KMS_DATA_PATH=" + dir, "KMS_SEED_PATH=" + filepath.Join(dir, "none.yaml")}
	started := &watch{port: make(chan string, 1)}
	cmd.Stdout, cmd.Stderr = started, started
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	select {
	case port := <-started.port:
		return Options{Region: "eu-central-1", Endpoint: "http://127.0.0.1:" + port, Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")}
	case <-time.After(30 * time.Second):
		t.Fatalf("local-kms did not start:\n%s", started)
	}
	return Options{}
}

// watch waits for the port in what the server says.
type watch struct {
	mu   sync.Mutex
	said bytes.Buffer
	port chan string
}

var running = regexp.MustCompile(`started on 0\.0\.0\.0:(\d+)`)

func (w *watch) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said.Write(p)
	if at := running.FindSubmatch(w.said.Bytes()); at != nil {
		select {
		case w.port <- string(at[1]):
		default:
		}
	}
	return len(p), nil
}

func (w *watch) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.said.String()
}

func open(t testing.TB, o Options) *Manager {
	t.Helper()
	m, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Local KMS knows the states of keys better than other servers to test with, but makes
// RSA-PSS signatures with another salt than AWS documents, so it is asked for ECDSA.
func TestLocalKMS(t *testing.T) {
	o := localKMS(t)
	keytest.Run(t, keytest.Store{
		Open:  func(t testing.TB) key.Manager { return ecdsaOnly{open(t, o)} },
		Kinds: []key.Kind{key.ECDSAP256, key.ECDSAP384},
	})
}

type ecdsaOnly struct{ *Manager }

func (m ecdsaOnly) Create(ctx context.Context, name string, kind key.Kind) (string, crypto.Signer, error) {
	if strings.HasPrefix(string(kind), "rsa-") {
		return "", nil, errors.ErrUnsupported
	}
	return m.Manager.Create(ctx, name, kind)
}

func TestFake(t *testing.T) {
	_, o := fakeService(t)
	keytest.Run(t, keytest.Store{
		Open:  func(t testing.TB) key.Manager { return open(t, o) },
		Kinds: []key.Kind{key.ECDSAP256, key.ECDSAP384, key.RSA2048, key.RSA3072, key.RSA4096},
	})
}

// As Destroy leaves a key when it is killed half-way.
func TestAnAliasThatLeadsToADestroyedKey(t *testing.T) {
	_, o := fakeService(t)
	m := open(t, o)
	first, _, err := m.Create(t.Context(), "killed", key.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.schedule(t.Context(), strings.TrimPrefix(first, scheme)); err != nil {
		t.Fatal(err)
	}
	second, _, err := m.Create(t.Context(), "killed", key.ECDSAP256)
	if err != nil || second == first {
		t.Errorf("Create: %q, %v", second, err)
	}
	if again, _, err := m.Create(t.Context(), "killed", key.ECDSAP256); err != nil || again != second {
		t.Errorf("Create again: %q, not %q (%v)", again, second, err)
	}
}

// Whoever comes second to a name takes the first one's key and leaves none behind.
func TestTheSecondMakerLeavesNoKey(t *testing.T) {
	service, o := fakeService(t)
	m := open(t, o)
	ref, _, err := m.Create(t.Context(), "app", key.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	alias := aliasPrefix + "app"
	found, err := m.make(t.Context(), "app", &alias, types.KeySpecEccNistP256, nil)
	if err != nil || scheme+*found.KeyId != ref {
		t.Fatalf("got %v (%v), not %s", found, err, ref)
	}
	service.mu.Lock()
	defer service.mu.Unlock()
	for id, k := range service.keys {
		if enabled := k.KeyState == "Enabled"; enabled != (scheme+id == ref) {
			t.Errorf("key %s is %s", id, k.KeyState)
		}
	}
}

func TestKeysThatAreNotInOrder(t *testing.T) {
	_, o := fakeService(t)
	m := open(t, o)
	for want, input := range map[string]*kms.CreateKeyInput{
		"not for signing": {KeyUsage: types.KeyUsageTypeEncryptDecrypt, KeySpec: types.KeySpecRsa2048},
		"from outside":    {KeyUsage: types.KeyUsageTypeSignVerify, KeySpec: types.KeySpecEccNistP256, Origin: types.OriginTypeExternal},
		"enable it":       {KeyUsage: types.KeyUsageTypeSignVerify, KeySpec: types.KeySpecEccNistP256},
	} {
		made, err := m.client.CreateKey(t.Context(), input)
		if err != nil {
			t.Fatalf("%s: %v", want, err)
		}
		if want == "enable it" {
			if _, err := m.client.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: made.KeyMetadata.KeyId}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := m.Signer(t.Context(), scheme+*made.KeyMetadata.KeyId); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	if _, err := Open(t.Context(), Options{}); err == nil || !strings.Contains(err.Error(), "region=") {
		t.Errorf("got %v", err)
	}
}

// A service that is away is an error, and not that the key is gone.
func TestAway(t *testing.T) {
	m := open(t, Options{Region: "eu-central-1", Endpoint: "http://127.0.0.1:1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")})
	m.client = kms.New(m.client.Options(), func(o *kms.Options) { o.RetryMaxAttempts = 1; o.HTTPClient = http.DefaultClient })
	if err := m.Destroy(t.Context(), scheme+"00000000-0000-0000-0000-000000000000"); err == nil {
		t.Error("a key was destroyed where nothing answers")
	}
}

func FuzzParseRef(f *testing.F) {
	f.Add(scheme + "00000000-0000-0000-0000-000000000000")
	f.Add(scheme + "mrk-00000000000000000000000000000000")
	f.Fuzz(func(t *testing.T, ref string) {
		if id, err := parseRef(ref); err == nil && scheme+id != ref {
			t.Errorf("%q is read as %q", ref, id)
		}
	})
}
