// Package cache keeps what is costly to find out about content that never changes, in
// files below one folder. A value is only ever a shortcut: whoever asks can find
// it out again, and gets the same. So every fault here is a miss and never an
// error, and the folder may be deleted at any time. The package knows nothing of
// what it keeps, and takes no locks: a file is written under another name and
// then renamed, so that any number of processes may read and write at once.
package cache

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Limits.
const (
	// DefaultLimit is what the files of one folder may take together.
	DefaultLimit = 256 << 20
	// MaxValue is the length of one value.
	MaxValue = 16 << 20

	// recheck is how much may be written before the folder's size is looked at again.
	recheck = 8 << 20
	// fresh is how old a file's time may be before reading it renews it: what is read is kept longest.
	fresh = time.Hour
	// abandoned is the age at which an unfinished file was left by a process that died.
	abandoned = time.Hour
)

const suffix = ".entry"

// magic begins every file. Another layout of files has another.
var magic = []byte("slipway cache 1\n")

// Dir is one folder of values. The zero value, and nil, keep nothing. Safe for concurrent use.
type Dir struct {
	path  string
	limit int64

	mu      sync.Mutex
	written int64 // since the folder was looked at; below zero: never looked at
	refused bool  // the folder cannot be used; not tried again
}

// Open returns the cache at a folder, which is made when something is first put there.
func Open(path string, limit int64) *Dir {
	return &Dir{path: path, limit: limit, written: -1}
}

// Path returns the folder, "" for a cache that keeps nothing.
func (d *Dir) Path() string {
	if d == nil {
		return ""
	}
	return d.path
}

// Get returns what was put under key, if it is there and whole. The key must name
// everything that the value depends on, the version of whatever made it included.
func (d *Dir) Get(key string) ([]byte, bool) {
	if !d.usable(false) {
		return nil, false
	}
	f, err := os.Open(d.file(key))
	if err != nil {
		return nil, false
	}
	defer f.Close()
	info, err := f.Stat()
	most := int64(len(magic) + sha256.Size + MaxValue)
	if err != nil || !info.Mode().IsRegular() || info.Size() > most {
		return nil, false
	}
	src := make([]byte, info.Size())
	if _, err := io.ReadFull(f, src); err != nil {
		return nil, false
	}
	value, ok := open(key, src)
	if now := time.Now(); ok && now.Sub(info.ModTime()) > fresh {
		_ = os.Chtimes(f.Name(), now, now)
	}
	return value, ok
}

// Put keeps value under key if it can. The value may be gone at any later time.
func (d *Dir) Put(key string, value []byte) {
	if len(value) > MaxValue || !d.usable(true) {
		return
	}
	name := d.file(key)
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		return
	}
	unfinished := name + "." + hex.EncodeToString(random[:])
	if err := os.WriteFile(unfinished, seal(key, value), 0o600); err != nil {
		_ = os.Remove(unfinished)
		return
	}
	if err := os.Rename(unfinished, name); err != nil {
		_ = os.Remove(unfinished)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.written += int64(len(value)); d.written < 0 || d.written > min(recheck, d.limit/4) {
		d.written = 0
		d.evict()
	}
}

// seal puts a checksum of key and value before the value: a file that was cut short,
// mixed up or written by something else does not pass for one that was meant.
func seal(key string, value []byte) []byte {
	sum := checksum(key, value)
	return slices.Concat(magic, sum[:], value)
}

func open(key string, src []byte) (value []byte, ok bool) {
	rest, ok := bytes.CutPrefix(src, magic)
	if !ok || len(rest) < sha256.Size {
		return nil, false
	}
	value = rest[sha256.Size:]
	if sum := checksum(key, value); !bytes.Equal(rest[:sha256.Size], sum[:]) {
		return nil, false
	}
	return value, true
}

func checksum(key string, value []byte) [sha256.Size]byte {
	h := sha256.New()
	fmt.Fprintf(h, "%d %s\n", len(key), key)
	h.Write(value)
	return [sha256.Size]byte(h.Sum(nil))
}

// file is where a key's value is. Keys do not show in names, so that they may hold anything.
func (d *Dir) file(key string) string {
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(d.path, hex.EncodeToString(sum[:16])+suffix)
}

// usable says whether the folder is there, or can be made, and nobody but its owner can write to
// it: in a folder that others write to, anybody could have left a value that is whole and not true.
func (d *Dir) usable(create bool) bool {
	if d == nil || d.path == "" {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.refused {
		return false
	}
	if _, err := os.Lstat(d.path); os.IsNotExist(err) {
		if !create {
			return false
		}
		if err := os.MkdirAll(d.path, 0o700); err != nil {
			d.refused = true
			return false
		}
	}
	d.refused = d.Fault() != nil
	return !d.refused
}

// Fault says why the folder cannot be used. A folder that is not there yet can.
func (d *Dir) Fault() error {
	info, err := os.Lstat(d.path)
	switch {
	case os.IsNotExist(err):
		return nil
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is not a folder", d.path)
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("other users may write to the folder %s, so what is in it cannot be trusted", d.path)
	}
	return nil
}

// evict removes what has not been read for longest until three quarters of the limit are left, and
// what processes left unfinished. Others may do so at the same time.
func (d *Dir) evict() {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return
	}
	var kept []fs.FileInfo
	var size int64
	for _, e := range entries {
		info, err := e.Info()
		switch {
		case err != nil || !info.Mode().IsRegular():
		case strings.HasSuffix(e.Name(), suffix):
			kept = append(kept, info)
			size += info.Size()
		case strings.Contains(e.Name(), suffix+".") && time.Since(info.ModTime()) > abandoned:
			_ = os.Remove(filepath.Join(d.path, e.Name()))
		}
	}
	if size <= d.limit {
		return
	}
	slices.SortFunc(kept, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, info := range kept {
		if size <= d.limit/4*3 {
			return
		}
		if os.Remove(filepath.Join(d.path, info.Name())) == nil {
			size -= info.Size()
		}
	}
}
