package main

import (
	"errors"
	"strings"
	"testing"
)

// What --index cannot mean is refused as a mistake in the command, and no password is
// repeated.
func TestIndexSettings(t *testing.T) {
	t.Setenv("INDEX_PASSWORD", "hunter2")
	for _, c := range []struct{ url, password, want string }{
		{"", "", ""},
		{"postgres://slipway@db.example/slipway", "", ""},
		{"postgres://slipway@db.example/slipway?sslmode=verify-full", "env:INDEX_PASSWORD", ""},
		{"postgres://slipway:hunter2@db.example/slipway", "", "must not have a password"},
		{"postgres://slipway@db.example/slipway", "hunter2", "--index-password: this must say where"},
		{"", "env:INDEX_PASSWORD", "of no use without --index"},
		{"sqlite:index.db", "", "postgres://USER@HOST/DATABASE"},
	} {
		srv := &server{settings: settings{index: indexPlace{c.url, c.password}}}
		db, err := srv.index(t.Context())
		switch {
		case c.want == "":
			if err != nil || (db == nil) != (c.url == "") {
				t.Errorf("%+v: %v, %v", c, db, err)
			}
		default:
			var usage usageError
			if !errors.As(err, &usage) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%+v: %v", c, err)
			}
		}
	}
}
