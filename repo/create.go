package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/crypto/ssh"
)

// hardened is the configuration of a repository that Slipway hosts. Slipway
// judges every push itself (see receive.go); this holds for whoever reaches the
// repository by another way.
var hardened = [][2]string{
	{"receive.denyDeletes", "true"},
	{"receive.denyNonFastForwards", "true"},
	{"receive.maxInputSize", "67108864"},
	{"transfer.fsckObjects", "true"},
	{"transfer.hideRefs", "refs/slipway"},
	{"http.receivepack", "false"},
	{"core.logAllRefUpdates", "always"},
	{"core.fsync", "all"}, // what was recorded must survive a power cut
	{"gc.auto", "0"},      // maintenance is run when nothing is being merged, not by a push
	{"gc.reflogExpire", "never"},
	{"gc.reflogExpireUnreachable", "never"},
}

// Create makes a bare repository at dir with kit as the first, signed commit on
// main. dir must not exist, or be empty. Killed half-way, it leaves nothing at dir.
func Create(ctx context.Context, dir string, kit fs.FS, by Person, when time.Time, signer ssh.Signer) (*Repo, error) {
	if err := create(ctx, dir, kit, by, when, signer); err != nil {
		return nil, fmt.Errorf("create %s: %w", dir, err)
	}
	return Open(ctx, dir)
}

func create(ctx context.Context, dir string, kit fs.FS, by Person, when time.Time, signer ssh.Signer) error {
	if signer == nil {
		return errors.New("no signing key")
	}
	return build(ctx, dir, func(r *Repo) error { return r.first(ctx, kit, by, when, signer) })
}

// build makes a hardened bare repository at dir and has it filled before it takes its place.
func build(ctx context.Context, dir string, fill func(*Repo) error) error {
	if err := mustBeEmpty(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	// Built beside its place and moved there whole.
	partial := filepath.Clean(dir) + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return err
	}
	defer os.RemoveAll(partial)
	if _, err := (git{}).run(ctx, nil, "init", "--quiet", "--bare", "--template=", "--initial-branch=main", "--", partial); err != nil {
		return err
	}
	r, err := Open(ctx, partial)
	if err != nil {
		return err
	}
	defer r.Close()
	for _, kv := range hardened {
		if _, err := r.git.run(ctx, nil, "config", kv[0], kv[1]); err != nil {
			return err
		}
	}
	if err := fill(r); err != nil {
		return err
	}
	if err := r.Close(); err != nil {
		return err
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(partial, dir)
}

// first makes the kit the first commit on main.
func (r *Repo) first(ctx context.Context, kit fs.FS, by Person, when time.Time, signer ssh.Signer) error {
	files, err := readKit(kit)
	if err != nil {
		return err
	}
	domain := committer("")
	if src, ok := files[SettingsPath]; ok {
		s, err := ParseSettings(SettingsPath, src)
		if err != nil {
			return err
		}
		domain = committer(s.Domain)
	}
	tree, err := r.writeTree(ctx, r.EmptyTree(), files)
	if err != nil {
		return err
	}
	commit, err := r.writeCommit(ctx, commitObject{
		tree: tree, author: by, committer: domain, when: when, message: "Begin the zones repository\n",
	}, signer)
	if err != nil {
		return err
	}
	return r.updateRefs(ctx, fmt.Sprintf("create %s %s\n", Main, commit), Main)
}

func readKit(kit fs.FS) (map[string][]byte, error) {
	files := map[string][]byte{}
	err := fs.WalkDir(kit, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(kit, p)
		files[p] = content
		if content == nil {
			files[p] = []byte{} // nil would mean a deletion
		}
		return err
	})
	return files, err
}

func mustBeEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return errors.New("the folder is not empty; choose another one, so that nothing in it is lost")
	}
	return nil
}

// InitWorkTree makes a zones repository with a work tree at dir, for `slipway
// init`. A new or empty folder gets the whole kit, as its first commit. A folder
// with octoDNS zone files gets slipway.yaml alone, not committed: its owner looks
// at it first. Any other folder is refused. It returns the files it wrote.
func InitWorkTree(ctx context.Context, dir string, kit fs.FS, by Person, when time.Time) ([]string, error) {
	written, err := initWorkTree(ctx, dir, kit, by, when)
	if err != nil {
		return nil, fmt.Errorf("init %s: %w", dir, err)
	}
	return written, nil
}
