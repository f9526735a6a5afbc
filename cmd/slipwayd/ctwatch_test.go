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

	"slipway/audit"
	"slipway/audit/audittest"
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

// A log that breaks its promises is on record, once for as long as it does.
func TestLogsThatBreakTheirPromises(t *testing.T) {
	ctx := t.Context()
	liar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"tree_size":1,"timestamp":%d,"sha256_root_hash":%q,"tree_head_signature":"BAMABAAAAAA="}`, time.Now().UnixMilli(), base64.StdEncoding.EncodeToString(make([]byte, 32)))
	}))
	defer liar.Close()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	tree := committed(t, fstest.MapFS{repo.SettingsPath: {Data: fmt.Appendf(nil, "organisation: Fin Micro Ltd\nzones:\n  finmicro.example: {visibility: external}\ncertificates:\n  logs:\n    - {name: liar, type: rfc6962, url: %q, key: %q}\n", liar.URL+"/", base64.StdEncoding.EncodeToString(der))}})
	srv := &server{settings: settings{data: audittest.TempDir(t)}, log: slog.New(slog.DiscardHandler)}
	srv.settings.organisation.Domain = "finmicro.example"
	if err := srv.openKeys(ctx); err != nil {
		t.Fatal(err)
	}
	if err := srv.openRecord(ctx); err != nil {
		t.Fatal(err)
	}
	defer srv.close(context.WithoutCancel(ctx))
	w := &logWatch{srv: srv}
	for range 2 {
		if err := w.pass(ctx, tree, []zone.Name{"finmicro.example"}, func(context.Context, cert.Seen) error { return nil }); err != nil {
			t.Errorf("a problem that was told of is an error, too: %v", err)
		}
	}
	got, err := srv.record.Index().Events(ctx, audit.Query{Action: audit.WarnRecord})
	if err != nil || len(got) != 1 || got[0].Event.Resource.Name != "certificate-logs/liar" {
		t.Errorf("%+v, %v", got, err)
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
