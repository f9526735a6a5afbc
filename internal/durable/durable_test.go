package durable

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestWriteAndRead(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if _, err := Read(path, 10); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	for _, content := range [][]byte{[]byte("first"), []byte("second"), {}} {
		if err := Write(path, content, 0o640); err != nil {
			t.Fatal(err)
		}
		raw, err := Read(path, 6)
		if err != nil || !bytes.Equal(raw, content) {
			t.Errorf("%q, %v", raw, err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := Write(path, []byte("1234567"), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path, 6); err == nil {
		t.Error("a file that is too large was read")
	}
	if err := Write(filepath.Join(dir, "none", "f"), nil, 0o600); err == nil {
		t.Error("a file in a directory that is not there was written")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
