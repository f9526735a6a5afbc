package audit

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/client"
	"golang.org/x/mod/sumdb/note"

	"slipway/audit/witness"
)

func TestHandler(t *testing.T) {
	t.Parallel()
	o := options(t)
	l := openLog(t, o)
	add(t, l, submitted("c1"))
	if err := os.WriteFile(filepath.Join(o.Dir, "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(CosignedDir(o.Dir), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(CosignedDir(o.Dir), witness.File), []byte("cosigned"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(l.Handler())
	defer server.Close()
	for _, tt := range []struct {
		method, path, cache string
		status              int
	}{
		{"GET", "/checkpoint", "no-cache", 200},
		{"HEAD", "/checkpoint", "no-cache", 200},
		{"GET", "/cosigned", "no-cache", 200},
		{"GET", "/cosigned/checkpoint", "", 404},
		{"GET", "/tile/entries/000.p/2", "public, max-age=31536000, immutable", 200},
		{"GET", "/tile/0/000.p/2", "public, max-age=31536000, immutable", 200},
		{"GET", "/tile/0/000", "", 404}, // not full yet
		{"GET", "/tile/0/000.p", "", 404},
		{"GET", "/tile/", "", 404},
		{"GET", "/", "", 404},
		{"GET", "/.state/treeState", "", 404},
		{"GET", "/../secret", "", 404},
		{"GET", "/tile/0/%2e%2e/%2e%2e/%2e%2e/secret", "", 404},
		{"GET", "/tile/entries/..%2f..%2f..%2fsecret", "", 404},
		{"POST", "/checkpoint", "", 405},
		{"DELETE", "/tile/0/000.p/2", "", 405},
	} {
		request, err := http.NewRequest(tt.method, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.URL.Opaque = tt.path // as it stands, without cleaning
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != tt.status || response.Header.Get("Cache-Control") != tt.cache {
			t.Errorf("%s %s: %d, %q", tt.method, tt.path, response.StatusCode, response.Header.Get("Cache-Control"))
		}
		if bytes.Contains(body, []byte("secret")) && tt.status == 200 {
			t.Errorf("%s %s: %s", tt.method, tt.path, body)
		}
	}
}

// A client that knows nothing of this package proves that an event is in the log.
func TestAnotherClientProvesInclusion(t *testing.T) {
	t.Parallel()
	o := options(t)
	l := openLog(t, o)
	fill(t, l, 300)
	closeLog(t, l)
	server := httptest.NewServer(l.Handler())
	defer server.Close()
	base, err := url.Parse(server.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	fetcher, err := client.NewHTTPFetcher(base, nil)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(l.PublicKeys().Log)
	if err != nil {
		t.Fatal(err)
	}
	cp, _, _, err := client.FetchCheckpoint(t.Context(), fetcher.ReadCheckpoint, verifier, o.Origin)
	if err != nil {
		t.Fatal(err)
	}
	builder, err := client.NewProofBuilder(t.Context(), cp.Size, fetcher.ReadTile)
	if err != nil {
		t.Fatal(err)
	}
	for e, err := range entries(t.Context(), filepath.Join(o.Dir, logDir), 0, cp.Size) {
		if err != nil {
			t.Fatal(err)
		}
		inclusion, err := builder.InclusionProof(t.Context(), e.index)
		if err != nil {
			t.Fatal(err)
		}
		leaf := rfc6962.DefaultHasher.HashLeaf(e.raw)
		if err := proof.VerifyInclusion(rfc6962.DefaultHasher, e.index, cp.Size, leaf, inclusion, cp.Hash); err != nil {
			t.Fatalf("entry %d: %v", e.index, err)
		}
	}
	if cp.Size != 301 {
		t.Errorf("size %d", cp.Size)
	}
}
