package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"slipway/cert"
	"slipway/repo"
	"slipway/zone"
)

// A log that is down is an error that names it, and is asked at the place and with the key that slipway.yaml gives. What the logs hold, and
// how they may lie, is tested where they are followed (package ctwatch).
func TestLogsAreAskedAsTheSettingsSay(t *testing.T) {
	ctx := t.Context()
	asked := make(chan string, 100)
	down := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path
		http.Error(w, "gone", http.StatusGone)
	}))
	defer down.Close()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	settingsText := fmt.Appendf(nil, "organisation: Fin Micro Ltd\nzones:\n  finmicro.example: {visibility: external}\n"+"certificates:\n  logs:\n    - {name: down, type: rfc6962, url: %q, key: %q}\n", down.URL+"/2026h2/", base64.StdEncoding.EncodeToString(der))
	tree := committed(t, fstest.MapFS{repo.SettingsPath: {Data: settingsText}})
	s := settings{data: t.TempDir()}
	w := &logWatch{srv: &server{settings: s, log: slog.New(slog.DiscardHandler)}}
	found := func(context.Context, cert.Seen) error { t.Error("found something"); return nil }

	if err := w.pass(ctx, tree, nil, found); err != nil {
		t.Errorf("no zones: %v", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	err = w.pass(ctx, tree, []zone.Name{"finmicro.example"}, found)
	if err == nil || !strings.Contains(err.Error(), "down") {
		t.Errorf("a log that is down: %v", err)
	}
	select {
	case path := <-asked:
		if path != "/2026h2/ct/v1/get-sth" {
			t.Errorf("asked for %s", path)
		}
	default:
		t.Error("the log was not asked")
	}
}

// committed is a zones repository's main with these files.
func committed(t *testing.T, files fs.FS) *repo.Tree {
	t.Helper()
	ctx := t.Context()
	srv := &server{settings: settings{data: t.TempDir()}}
	if err := srv.openKeys(ctx); err != nil {
		t.Fatal(err)
	}
	made, err := repo.Create(ctx, srv.settings.path("zones.git"), files, repo.Person{Name: "Slipway", Email: "slipway@finmicro.example"}, time.Now(), srv.commits)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { made.Close() })
	tree, err := made.Tree(ctx, repo.Main)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}
