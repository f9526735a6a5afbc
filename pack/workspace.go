package pack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"

	"slipway/check/policy"
	"slipway/starter"
)

// Workspace is the packs of a zones repository's work tree, to be looked at and
// changed. What it writes is in force only once it is merged.
type Workspace struct {
	Lock *Lock
	root *os.Root
}

// OpenWorkspace opens the work tree at dir.
func OpenWorkspace(dir string) (*Workspace, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	w := &Workspace{root: root, Lock: &Lock{}}
	src, err := w.read(LockPath, maxLock)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return w, nil
	case err == nil:
		w.Lock, err = ParseLock(LockPath, src)
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return w, nil
}

// Close ends the use of the work tree.
func (w *Workspace) Close() error { return w.root.Close() }

func (w *Workspace) read(name string, most int64) ([]byte, error) {
	f, err := w.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(src)) > most {
		err = &Fault{Pack: path.Base(name), What: fmt.Sprintf("the file is larger than %d bytes", most)}
	}
	return src, err
}

// Bundle reads the bundle of a pin, as it stands in the work tree.
func (w *Workspace) Bundle(pin Pin) ([]byte, error) {
	src, err := w.read(BundlePath(pin.Name), MaxBundle)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &Fault{Pack: pin.Name, What: "it is pinned, and its bundle is not in the repository", Help: "Put " + BundlePath(pin.Name) + " back, or add the pack again."}
	}
	return src, err
}

// Pack opens the bundle of a pin.
func (w *Workspace) Pack(pin Pin) (*Pack, error) {
	src, err := w.Bundle(pin)
	if err != nil {
		return nil, err
	}
	return w.Lock.Open(pin, src)
}

// Packs opens all pinned packs.
func (w *Workspace) Packs() ([]*Pack, error) {
	var packs []*Pack
	for _, pin := range w.Lock.Packs {
		p, err := w.Pack(pin)
		if err != nil {
			return nil, err
		}
		packs = append(packs, p)
	}
	return packs, Disjoint(packs)
}

// Trust adds a key whose signatures count from now on. A key that is there under
// the same name is not exchanged: packs that it signed would stop to count.
func (w *Workspace) Trust(k Key) error {
	if !namePattern.MatchString(k.Name) {
		return fmt.Errorf("key name %q: use lower-case letters, digits and hyphens", k.Name)
	}
	if _, err := k.algorithms(); err != nil {
		return fmt.Errorf("key %s: %w", k.Name, err)
	}
	for _, have := range w.Lock.Keys {
		if have.Name == k.Name && strings.TrimSpace(have.Public) != strings.TrimSpace(k.Public) {
			return fmt.Errorf("key %s: packs.lock has another key of this name; give the new one a new name", k.Name)
		}
		if have.Name == k.Name {
			return nil
		}
	}
	w.Lock.Keys = append(w.Lock.Keys, k)
	return nil
}

// Admit checks a bundle that came from source against the keys that count, and
// pins it in place of what has its name. unsigned is the reason why it counts without
// a signature; "" is none. Nothing is written before Save.
func (w *Workspace) Admit(ctx context.Context, src []byte, source, unsigned string) (*Pack, error) {
	keys := w.Lock.Keys
	if unsigned != "" {
		keys = nil
	}
	p, err := Open(src, keys)
	if err != nil {
		return nil, err
	}
	if p.SignedBy == "" && unsigned == "" {
		return nil, &Fault{Pack: p.Name, What: "nobody whose signature counts has signed it", Help: "Trust its maker's key with --trust NAME=FILE once you know that it is theirs, or say with --unsigned why it counts without."}
	}
	if unsigned != "" {
		p.SignedBy = ""
	}
	packs := []*Pack{p}
	for _, pin := range w.Lock.Packs {
		if pin.Name == p.Name {
			continue
		}
		other, err := w.Pack(pin)
		if err != nil {
			return nil, err
		}
		packs = append(packs, other)
	}
	if err := Check(ctx, packs); err != nil {
		return nil, err
	}
	w.Lock.Set(Pin{Name: p.Name, Version: p.Version, Source: source, Digest: p.Digest, Key: p.SignedBy, Unsigned: unsigned})
	return p, nil
}

// Check compiles packs together with the policies that come with Slipway.
func Check(ctx context.Context, packs []*Pack) error {
	if err := Disjoint(packs); err != nil {
		return err
	}
	base, err := policy.Starter(starter.Policies())
	if err != nil {
		return err
	}
	_, err = policy.Compile(ctx, append([]policy.Bundle{base}, Bundles(packs)...)...)
	return err
}

// Test runs a pack's own tests.
func (p *Pack) Test(ctx context.Context) (*policy.TestReport, error) {
	b := p.Bundle()
	b.Files = append(b.Files[:len(b.Files):len(b.Files)], p.Tests...)
	return policy.Test(ctx, p.Policies, b)
}

// Remove takes a pin out of the lock.
func (w *Workspace) Remove(name string) bool {
	for i, pin := range w.Lock.Packs {
		if pin.Name == name {
			w.Lock.Packs = append(w.Lock.Packs[:i:i], w.Lock.Packs[i+1:]...)
			return true
		}
	}
	return false
}

// Save writes the lock, after the bundles that came, by pack. Bundles that nothing
// pins any more are removed last: killed at any point, what is pinned is there.
func (w *Workspace) Save(bundles map[string][]byte) error {
	if err := w.root.MkdirAll(Directory, 0o755); err != nil {
		return err
	}
	for name, src := range bundles {
		if err := w.write(BundlePath(name), src); err != nil {
			return err
		}
	}
	lock, err := w.Lock.Marshal()
	if err != nil {
		return err
	}
	if err := w.write(LockPath, lock); err != nil {
		return err
	}
	entries, err := fs.ReadDir(w.root.FS(), Directory)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name, isBundle := strings.CutSuffix(e.Name(), ".tar.gz")
		if _, pinned := w.Lock.Pin(name); isBundle && !pinned {
			if err := w.root.Remove(Directory + "/" + e.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}

// write replaces a file in one step.
func (w *Workspace) write(name string, src []byte) error {
	next := name + ".new"
	if err := w.root.WriteFile(next, src, 0o644); err != nil {
		return err
	}
	return w.root.Rename(next, name)
}

// Older reports whether version a comes before b (semver.org section 11, with what
// follows a hyphen compared as text).
func Older(a, b string) bool {
	core := func(v string) ([3]int, string) {
		number, rest, pre := strings.Cut(v, "-")
		var out [3]int
		for i, s := range strings.SplitN(number, ".", 3) {
			out[i], _ = strconv.Atoi(s) // versionPattern holds: a number of nine digits at most
		}
		if !pre {
			rest = "\x7f" // a release comes after all its previews
		}
		return out, rest
	}
	x, xPre := core(a)
	y, yPre := core(b)
	for i := range x {
		if x[i] != y[i] {
			return x[i] < y[i]
		}
	}
	return xPre < yPre
}
