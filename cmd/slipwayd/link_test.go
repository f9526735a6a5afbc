package main

import (
	"bytes"
	"errors"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"slipway/audit"
	"slipway/starter"
)

func TestTheServersOwnLink(t *testing.T) {
	ctx := t.Context()
	s := settings{data: filepath.Join(t.TempDir(), "data"), listen: "127.0.0.1:8470", logFormat: "text", logLevel: "error", organisation: starter.Sample()}
	var out bytes.Buffer
	var unusable usageError
	if err := link(ctx, s, "bea@finmicro.example", "", &out); !errors.As(err, &unusable) {
		t.Fatalf("without data: %v", err)
	}
	srv := &server{settings: s}
	for _, step := range []func() error{
		func() error { return srv.lock(ctx) }, func() error { return srv.openKeys(ctx) },
		func() error { return srv.openRecord(ctx) }, func() error { return srv.openZones(ctx) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	if err := link(ctx, s, "bea@finmicro.example", "administrator", &out); err == nil {
		t.Error("a link was made beside a running server")
	}
	if err := srv.close(ctx); err != nil {
		t.Fatal(err)
	}
	if err := link(ctx, s, "bea@finmicro.example", "administrator", &out); err != nil {
		t.Fatal(err)
	}
	secret := regexp.MustCompile(`http://127\.0\.0\.1:8470/sign-in/(\S+)`).FindStringSubmatch(out.String())
	if secret == nil {
		t.Fatalf("no link in %q", out.String())
	}
	for _, step := range []func() error{
		func() error { return srv.lock(ctx) }, func() error { return srv.openRecord(ctx) },
		func() error { return srv.openZones(ctx) }, func() error { return srv.openPeople(ctx) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	defer srv.close(ctx)
	_, p, err := srv.people.RedeemLink(ctx, secret[1])
	if err != nil || p.ID != "bea@finmicro.example" || strings.Join(p.Vouched, " ") != "slipway" {
		t.Errorf("signed in as %+v, %v", p, err)
	}
	events, err := srv.record.Index().Events(ctx, audit.Query{Action: audit.IssueLink})
	if err != nil || len(events) != 1 || events[0].Event.Actor.ID != "slipway" {
		t.Errorf("%d links on record, %v", len(events), err)
	}
}
