package cache

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

func TestKeeps(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	d := Open(dir, DefaultLimit)
	if _, ok := d.Get("k"); ok {
		t.Fatal("something is there before anything was put")
	}
	if _, err := os.Stat(dir); err == nil {
		t.Fatal("asking made the folder")
	}
	for _, value := range []string{"one", "", "two"} {
		d.Put("k", []byte(value))
		if got, ok := Open(dir, DefaultLimit).Get("k"); !ok || string(got) != value {
			t.Fatalf("%q, %t; want %q", got, ok, value)
		}
	}
	if _, ok := d.Get("other"); ok {
		t.Error("another key has a value")
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, ok := d.Get("k"); ok {
		t.Error("there is a value although the folder was deleted")
	}
	d.Put("k", []byte("again"))
	if got, ok := d.Get("k"); !ok || string(got) != "again" {
		t.Error("a deleted folder is not made again")
	}
	d.Put("large", make([]byte, MaxValue+1))
	if _, ok := d.Get("large"); ok {
		t.Error("too large a value was kept")
	}
}

// Whatever is in a file, it is what was put there or nothing.
func TestDamaged(t *testing.T) {
	d := Open(t.TempDir(), DefaultLimit)
	if err := os.Chmod(d.Path(), 0o700); err != nil {
		t.Fatal(err)
	}
	value := bytes.Repeat([]byte("value "), 20)
	d.Put("k", value)
	whole, err := os.ReadFile(d.file("k"))
	if err != nil {
		t.Fatal(err)
	}
	damaged := func(name string, src []byte) {
		t.Helper()
		if err := os.WriteFile(d.file("k"), src, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, ok := d.Get("k"); ok || got != nil {
			t.Errorf("%s: %q counts", name, got)
		}
	}
	for n := range whole {
		damaged(fmt.Sprint("cut after ", n), whole[:n])
		flipped := bytes.Clone(whole)
		flipped[n] ^= 1
		damaged(fmt.Sprint("bit turned in ", n), flipped)
	}
	damaged("one byte more", append(bytes.Clone(whole), 0))
	damaged("of another key", seal("other", value))
	if err := os.Truncate(d.file("k"), 1<<40); err == nil {
		if _, ok := d.Get("k"); ok {
			t.Error("a huge file counts")
		}
	}
	d.Put("k", value)
	if got, ok := d.Get("k"); !ok || !bytes.Equal(got, value) {
		t.Error("a damaged file is not replaced")
	}
}

func TestUnusable(t *testing.T) {
	shared := filepath.Join(t.TempDir(), "shared")
	if err := os.Mkdir(shared, 0o700); err != nil {
		t.Fatal(err)
	}
	Open(shared, DefaultLimit).Put("k", []byte("v"))
	if err := os.Chmod(shared, 0o777); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	if err := Open(filepath.Join(file, "..", "later"), 1).Fault(); err != nil {
		t.Error(err)
	}
	for _, path := range []string{shared, file, link} {
		if Open(path, 1).Fault() == nil {
			t.Errorf("nothing is wrong with %s", path)
		}
	}
	for name, d := range map[string]*Dir{
		"off": nil, "zero": {}, "others may write": Open(shared, DefaultLimit), "a file": Open(file, DefaultLimit),
		"below a file": Open(filepath.Join(file, "x"), DefaultLimit), "a link": Open(link, DefaultLimit),
	} {
		d.Put("k", []byte("v"))
		if _, ok := d.Get("k"); ok {
			t.Errorf("%s: used", name)
		}
	}
}

func TestBounded(t *testing.T) {
	d := Open(filepath.Join(t.TempDir(), "c"), 100_000)
	value := make([]byte, 9_000)
	for i := range 50 {
		d.Put(fmt.Sprint(i), value)
		// Files of one test have the same age otherwise.
		old := time.Now().Add(time.Duration(i-1000) * time.Minute)
		if err := os.Chtimes(d.file(fmt.Sprint(i)), old, old); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if _, ok := d.Get("0"); !ok && i > 0 {
			t.Fatalf("what is read all the time went after %d", i)
		}
	}
	left := d.file("dead") + ".0011"
	if err := os.WriteFile(left, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(left, time.Time{}, time.Now().Add(-2*abandoned)); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		d.Put(fmt.Sprint("more", i), value)
	}
	var size int64
	entries, err := os.ReadDir(d.Path())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			size += info.Size()
		}
	}
	if size > 130_000 {
		t.Errorf("%d bytes are kept", size)
	}
	if _, err := os.Stat(left); err == nil {
		t.Error("what was left unfinished is still there")
	}
}

func TestConcurrent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c")
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			d := Open(path, 20_000)
			for i := range 200 {
				key := fmt.Sprint(i % 7)
				want := bytes.Repeat([]byte(key), 1000)
				if got, ok := d.Get(key); ok && !bytes.Equal(got, want) {
					t.Errorf("%d: a value of %s is %.20q", w, key, got)
				}
				d.Put(key, want)
			}
		})
	}
	wg.Wait()
}

func FuzzOpen(f *testing.F) {
	f.Add("k", seal("k", []byte("v")))
	f.Add("k", []byte{})
	f.Add("", seal("k", nil))
	f.Fuzz(func(t *testing.T, key string, src []byte) {
		if value, ok := open(key, src); ok && !bytes.Equal(seal(key, value), src) {
			t.Fatalf("%q counts for %q", src, key)
		}
	})
}
