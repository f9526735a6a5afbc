package repo

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
)

func FuzzParseTree(f *testing.F) {
	oid := strings.Repeat("\x01", 20)
	f.Add([]byte("100644 a\x00" + oid + "40000 b\x00" + oid))
	f.Add([]byte("100644 a"))
	f.Add([]byte(" a\x00" + oid))
	f.Fuzz(func(t *testing.T, raw []byte) {
		entries, err := parseTree(raw, 20)
		if err != nil {
			return
		}
		var back bytes.Buffer
		for _, e := range entries {
			id, err := hex.DecodeString(e.oid)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&back, "%s %s\x00%s", e.mode, e.name, id)
		}
		if !bytes.Equal(back.Bytes(), raw) {
			t.Errorf("read %q, wrote %q", raw, back.Bytes())
		}
	})
}

// A reader survives wrong questions, wanted too much, and the death of its git.
func TestObjectsRecover(t *testing.T) {
	ctx := t.Context()
	r := newRepo(t, kit(t))
	e, err := tree(t, r, "main").lookup(ctx, "slipway.yaml")
	if err != nil {
		t.Fatal(err)
	}
	absent := strings.Repeat("1", 40)
	faults := map[string]func() error{
		"absent": func() error { _, err := r.objects.read(ctx, absent, "blob", 1<<20); return err },
		"absent in batch": func() error {
			return r.objects.readAll(ctx, []string{e.oid, absent, e.oid}, 1<<20, func(int, []byte) error { return nil })
		},
		"too large": func() error { _, err := r.objects.read(ctx, e.oid, "blob", 1); return err },
		"too large in batch": func() error {
			return r.objects.readAll(ctx, []string{e.oid, e.oid}, 1, func(int, []byte) error { return nil })
		},
		"another kind": func() error { _, err := r.objects.read(ctx, e.oid, "tree", 1<<20); return err },
		"unwanted": func() error {
			return r.objects.readAll(ctx, []string{e.oid, e.oid}, 1<<20, func(int, []byte) error { return errors.New("enough") })
		},
		"a second question": func() error { _, _, _, err := r.objects.info(ctx, "main\ncontents main"); return err },
		"killed": func() error {
			if err := r.objects.cmd.Process.Kill(); err != nil {
				return err
			}
			_, _, _, err := r.objects.info(ctx, absent)
			return err
		},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			if err := fault(); err == nil {
				t.Error("no error")
			}
			if src, err := r.objects.read(ctx, e.oid, "blob", 1<<20); err != nil || !bytes.Contains(src, []byte("organisation:")) {
				t.Errorf("the next read: %q, %v", src, err)
			}
		})
	}
}

func TestReadsAtOnce(t *testing.T) {
	r := newRepo(t, kit(t))
	main := tree(t, r, "main")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if _, err := main.Served(t.Context(), "apps.finmicro.example"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := main.ReadFile(t.Context(), "slipway.yaml"); err == nil {
		t.Error("a closed repository is read")
	}
}
