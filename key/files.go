package key

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
)

// managedUse keeps the keys of a Files apart from those of a Store, also when somebody
// gives both the same directory.
const managedUse = "managed:"

const fileScheme = "file:"

// Files is the Manager over sealed files below one directory.
type Files struct {
	folder folder

	mu sync.Mutex // held over the opening, making or removing of one key
	// By ref. What was handed out must stop working when its key is destroyed, so each
	// key is in memory once.
	opened map[string]*fileKey
}

type fileKey struct {
	private   crypto.Signer // left to Sign alone
	signer    crypto.Signer // what callers get
	destroyed atomic.Bool
}

// OpenFiles is the Manager over sealed files below dir, sealed like those of a
// Store and with the same meaning of the passphrase. Refs are
// "file:NAME?pin=PIN"; which directory it is, is for whoever opens it to know.
func OpenFiles(dir string, passphrase []byte) (*Files, error) {
	folder, err := openFolder(dir, managedUse, passphrase)
	if err != nil {
		return nil, err
	}
	return &Files{folder: folder, opened: map[string]*fileKey{}}, nil
}

// Create is Manager's.
func (f *Files) Create(ctx context.Context, name string, kind Kind) (string, crypto.Signer, error) {
	if err := ctx.Err(); err != nil {
		return "", nil, err
	}
	if err := ValidateName(name); err != nil {
		return "", nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	private, err := f.folder.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		private, err = f.folder.create(name, kind)
	}
	if err != nil {
		return "", nil, fmt.Errorf("key %s: %w", name, err)
	}
	if err := SameKind(name, private.Public(), kind); err != nil {
		return "", nil, err
	}
	if err := f.folder.publish(name, private.Public()); err != nil {
		return "", nil, fmt.Errorf("key %s: public half: %w", name, err)
	}
	ref, err := PinnedRef(fileScheme+name, private.Public())
	if err != nil {
		return "", nil, fmt.Errorf("key %s: %w", name, err)
	}
	return ref, f.keep(ref, private), nil
}

// Signer is Manager's.
func (f *Files) Signer(ctx context.Context, ref string) (crypto.Signer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	name, err := fileName(ref)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if k, ok := f.opened[ref]; ok {
		// Another process may have destroyed it.
		if _, err := os.Lstat(f.folder.path(name)); errors.Is(err, fs.ErrNotExist) {
			f.forget(ref, k)
			return nil, fmt.Errorf("key %s: %w", ref, err)
		}
		return k.signer, nil
	}
	private, err := f.folder.open(name)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", ref, err)
	}
	if err := CheckPin(ref, private.Public()); err != nil {
		return nil, err
	}
	return f.keep(ref, private), nil
}

// Destroy is Manager's. A key that cannot be opened is not removed: it may be
// another one than the ref's.
func (f *Files) Destroy(ctx context.Context, ref string) error {
	if _, err := f.Signer(ctx, ref); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	k, ok := f.opened[ref]
	if !ok {
		return nil // somebody else was destroying it
	}
	name, err := fileName(ref)
	if err != nil {
		return err
	}
	if err := f.folder.remove(name); err != nil {
		return fmt.Errorf("key %s: destroy: %w", ref, err)
	}
	f.forget(ref, k)
	return nil
}

// forget is called with f.mu held, once the file is gone.
func (f *Files) forget(ref string, k *fileKey) {
	k.destroyed.Store(true)
	delete(f.opened, ref)
}

// keep is called with f.mu held.
func (f *Files) keep(ref string, private crypto.Signer) crypto.Signer {
	if k, ok := f.opened[ref]; ok {
		return k.signer
	}
	k := &fileKey{private: private}
	k.signer = Guard(ref, k)
	f.opened[ref] = k
	return k.signer
}

func (k *fileKey) Public() crypto.PublicKey { return k.private.Public() }

func (k *fileKey) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if k.destroyed.Load() {
		return nil, fmt.Errorf("the key was destroyed: %w", fs.ErrNotExist)
	}
	return k.private.Sign(rand, digest, opts)
}

func fileName(ref string) (string, error) {
	rest, ok := strings.CutPrefix(ref, fileScheme)
	name, query, pinned := strings.Cut(rest, "?")
	if !ok || !pinned || !strings.HasPrefix(query, "pin=") {
		return "", fmt.Errorf("%.200q does not name a key in files, which looks like file:NAME?pin=PIN", ref)
	}
	return name, ValidateName(name)
}

// PinnedRef adds the Pin of a public key to a ref.
func PinnedRef(ref string, pub crypto.PublicKey) (string, error) {
	pin, err := Pin(pub)
	if err != nil {
		return "", err
	}
	return ref + "?pin=" + pin, nil
}

// CheckPin says whether a key is the one that a ref with a Pin names. A store under
// whose name lies another key does not have the ref's key any more.
func CheckPin(ref string, pub crypto.PublicKey) error {
	u, err := url.Parse(ref)
	if err != nil {
		return fmt.Errorf("%.200q is not a URI", ref)
	}
	pin, err := Pin(pub)
	if err != nil {
		return fmt.Errorf("key %s: %w", ref, err)
	}
	if u.Query().Get("pin") != pin {
		return fmt.Errorf("key %s: under this name lies another key than the one that was asked for: %w", ref, fs.ErrNotExist)
	}
	return nil
}

// SameKind is for Manager.Create where a key lies under the name already.
func SameKind(name string, pub crypto.PublicKey, want Kind) error {
	have, err := KindOf(pub)
	if err != nil {
		return fmt.Errorf("key %s: %w", name, err)
	}
	if have != want {
		return fmt.Errorf("key %s: there is a key of this name already and it is %s, not %s. Use another name: %w", name, have, want, fs.ErrExist)
	}
	return nil
}
