package mirror_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"slipway/audit/mirror"
)

func TestDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d, err := mirror.OpenDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	put := func(content string) error { return d.Put(t.Context(), "tile/0/000", []byte(content)) }
	get := func() (string, error) {
		c, err := d.Get(t.Context(), mirror.Object{Name: "tile/0/000"}, 100)
		return string(c.Raw), err
	}
	file := filepath.Join(dir, "tile/0/000")
	if err := put("whole"); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o444 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := put("whole"); err != nil {
		t.Errorf("again: %v", err)
	}
	var c *mirror.Contradiction
	for _, other := range []string{"", "who", "whole2", "WHOLE"} {
		if err := put(other); !errors.As(err, &c) {
			t.Errorf("%q over it: %v", other, err)
		}
	}
	if got, err := get(); err != nil || got != "whole" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := d.Get(t.Context(), mirror.Object{Name: "tile/0/000"}, 4); !errors.As(err, &c) {
		t.Errorf("a file that is too large: %v", err)
	}

	// What a crash has left is no part of the mirror, and is finished.
	for _, torn := range []string{"", "wh", "\x00\x00\x00\x00\x00", "whole and more"} {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(torn), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := get(); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("read what was not finished: %v", err)
		}
		if names := list(t, d); len(names) != 0 {
			t.Errorf("listed: %v", names)
		}
		if err := put("whole"); err != nil {
			t.Errorf("%q is not finished: %v", torn, err)
		}
		if got, err := get(); err != nil || got != "whole" {
			t.Errorf("%q, %v", got, err)
		}
	}

	if err := os.Symlink(file, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := d.Put(t.Context(), "link", []byte("whole")); !errors.As(err, &c) {
		t.Errorf("a link was taken for an object: %v", err)
	}
	for _, name := range []string{"../out", "/etc/passwd", "", ".", "a//b"} {
		if err := d.Put(t.Context(), name, nil); err == nil {
			t.Errorf("%q was taken as a name", name)
		}
	}
	if _, err := mirror.OpenDirectory(filepath.Join(dir, "none")); err == nil {
		t.Error("a mount that is not there was made")
	}
	if _, err := mirror.OpenDirectory(file); err == nil {
		t.Error("a file was taken for a directory")
	}
}

// Settings of slipway.yaml, and places of the command line.
func TestOpen(t *testing.T) {
	t.Setenv("MIRROR_KEY", "hunter2hunter2")
	dir := t.TempDir()
	for _, c := range []struct {
		typ    string
		params map[string]string
		ok     bool
	}{
		{"directory", map[string]string{"path": dir, "documents": "verdict, receipt", "checkpoint-every": "6h"}, true},
		{"directory", map[string]string{"path": dir, "retention": "7d"}, false},
		{"directory", map[string]string{"path": filepath.Join(dir, "none")}, false},
		{"directory", map[string]string{"path": dir, "documents": "all none"}, false},
		{"directory", map[string]string{"path": dir, "checkpoint-every": "1s"}, false},
		{"s3", map[string]string{"bucket": "b", "region": "eu-central-1", "retention": "2555d", "access-key": "env:MIRROR_KEY", "secret-key": "env:MIRROR_KEY"}, true},
		{"s3", map[string]string{"bucket": "b", "retention": "2555d", "access-key": "env:MIRROR_KEY"}, false},
		{"s3", map[string]string{"bucket": "b", "retention": "2555d", "access-key": "hunter2hunter2", "secret-key": "env:MIRROR_KEY"}, false},
		{"s3", map[string]string{"bucket": "b", "endpoint": "http://s3.example.org"}, false},
		{"s3", map[string]string{"retention": "2555d"}, false},
		{"tape", map[string]string{}, false},
	} {
		s, err := mirror.Open(t.Context(), "vault", c.typ, c.params, nil)
		if (err == nil) != c.ok || err == nil && s.Store == nil {
			t.Errorf("%s %v: %v", c.typ, c.params, err)
		}
	}
	typ, params, err := mirror.ParsePlace("s3://b/a/c/?region=eu-central-1&access-key=env:MIRROR_KEY")
	if err != nil || typ != "s3" || params["bucket"] != "b" || params["prefix"] != "a/c" || params["region"] != "eu-central-1" {
		t.Errorf("%s %v %v", typ, params, err)
	}
}
