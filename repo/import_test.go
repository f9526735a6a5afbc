package repo

import (
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

func TestImport(t *testing.T) {
	ctx := t.Context()
	by, when := Person{Name: "Ana", Email: "ana@finmicro.example"}, time.Unix(1_800_000_000, 0)
	source := filepath.Join(t.TempDir(), "source")
	kit := fstest.MapFS{
		"slipway.yaml":                     {Data: []byte("organisation: Fin Micro Ltd\ndomain: finmicro.example\n")},
		"zones/apps.finmicro.example.yaml": {Data: []byte("---\nwww:\n  ttl: 300\n  type: A\n  value: 192.0.2.1\n")},
	}
	if _, err := InitWorkTree(ctx, source, kit, by, when); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "zones.git")
	if err := Import(ctx, dir, source); err != nil {
		t.Fatal(err)
	}
	r, err := Open(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	old, err := Open(ctx, source)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	want, err := old.Resolve(ctx, Main)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.Resolve(ctx, Main); err != nil || got != want {
		t.Errorf("main is %s (%v), want %s", got, err, want)
	}
	if err := Import(ctx, dir, source); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("a second import over the first: %v", err)
	}

	bare := filepath.Join(t.TempDir(), "bare")
	delete(kit, "slipway.yaml")
	kit["README"] = &fstest.MapFile{Data: []byte("no settings here\n")}
	if _, err := InitWorkTree(ctx, bare, kit, by, when); err != nil {
		t.Fatal(err)
	}
	into := filepath.Join(t.TempDir(), "refused.git")
	if err := Import(ctx, into, bare); err == nil || !strings.Contains(err.Error(), "slipway init") {
		t.Errorf("a repository without settings: %v", err)
	}
	if _, err := Open(ctx, into); err == nil {
		t.Error("a refused import left a repository")
	}
}
