package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"slipway/audit"
	"slipway/audit/audittest"
	"slipway/audit/mirror"
	"slipway/starter"
)

// A server copies its record to the mirror that slipway.yaml names, and says on record,
// once, when the mirror has something else than the record.
func TestMirrorOfTheRecord(t *testing.T) {
	vault := t.TempDir()
	dir := kitWith(t, func(text string) string {
		return text + fmt.Sprintf("\nrecord:\n  mirrors:\n    vault: {type: directory, path: %q, checkpoint-every: 1m}\n", vault)
	})
	s := settings{
		data: filepath.Join(audittest.TempDir(t), "data"), listen: "127.0.0.1:0", dns: "127.0.0.1:0", dnsExternal: "127.0.0.1:0", namespace: "slipway",
		logFormat: "text", logLevel: "error", repository: dir, organisation: starter.Sample(),
	}
	run := func(until func(srv *server) bool) {
		t.Helper()
		srv, err := start(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		defer srv.close(t.Context())
		for deadline := time.Now().Add(20 * time.Second); !until(srv); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("it did not happen")
			}
		}
	}
	store, err := mirror.OpenDirectory(vault)
	if err != nil {
		t.Fatal(err)
	}
	keys := func(srv *server) audit.Keys { return srv.record.PublicKeys() }
	run(func(srv *server) bool {
		status, err := mirror.Newest(t.Context(), store, keys(srv))
		return err == nil && status.Size > 0
	})
	public, err := mirror.Keys(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	report, err := mirror.Verify(t.Context(), mirror.VerifyOptions{Store: store, Keys: public, To: filepath.Join(t.TempDir(), "copy"), Log: s.path("audit")})
	if err != nil || len(report.Problems) > 0 {
		t.Errorf("%+v, %v", report, err)
	}

	// The mirror's tiles are exchanged for others.
	tiles, err := filepath.Glob(filepath.Join(vault, "tile/entries/*.p/*"))
	if err != nil || len(tiles) == 0 {
		t.Fatalf("%v, %v", tiles, err)
	}
	sizes, err := filepath.Glob(filepath.Join(vault, "checkpoints/*"))
	if err != nil || len(sizes) != 1 {
		t.Fatalf("%v, %v", sizes, err)
	}
	if err := os.Remove(sizes[0]); err != nil {
		t.Fatal(err)
	}
	for _, tile := range tiles {
		if err := os.Remove(tile); err != nil {
			t.Fatal(err)
		}
	}
	warned := func(srv *server) int {
		found, err := srv.record.Index().Events(t.Context(), audit.Query{Action: audit.WarnRecord})
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	// Whatever size the log has at its next pass, something else is there under that name.
	for size := 1; size < 256; size++ {
		file := filepath.Join(filepath.Dir(tiles[0]), fmt.Sprint(size))
		if err := os.WriteFile(file, []byte("something else"), 0o444); err != nil {
			t.Fatal(err)
		}
	}
	run(func(srv *server) bool { return warned(srv) == 1 })
}
