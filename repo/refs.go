package repo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"slipway/filelock"
)

// defaultStaleLock is the age at which a ref's lock file counts as left behind: git
// holds one for milliseconds, and a killed git never removes its own.
const defaultStaleLock = 2 * time.Second

// lock takes the repository's write lock. It serialises the merges of all
// processes on this machine and ends with the process that holds it, however
// that process ends.
func (r *Repo) lock(ctx context.Context) (unlock func(), err error) {
	release, err := filelock.Take(ctx, filepath.Join(r.git.dir, "slipway.lock"))
	if err != nil {
		return nil, err
	}
	return func() { release() }, nil
}

// updateRefs runs commands of git-update-ref(1) as one transaction. A lock file
// that a killed git left at one of the refs is removed once it is old enough.
func (r *Repo) updateRefs(ctx context.Context, commands string, refs ...string) error {
	for try := 0; ; try++ {
		_, err := r.git.run(ctx, strings.NewReader("start\n"+commands+"prepare\ncommit\n"), "update-ref", "--stdin")
		if err == nil || try == 3 || !strings.Contains(err.Error(), ".lock': File exists") {
			return err
		}
		// git also locks HEAD, to log that the branch it points at moved.
		for _, ref := range append([]string{"HEAD"}, refs...) {
			if err := r.clearLock(ctx, ref); err != nil {
				return err
			}
		}
	}
}

func (r *Repo) clearLock(ctx context.Context, ref string) error {
	file := filepath.Join(r.git.dir, filepath.FromSlash(ref)+".lock")
	info, err := os.Stat(file)
	if err != nil {
		return nil // released meanwhile
	}
	if wait := r.staleLock - time.Since(info.ModTime()); wait > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
	again, err := os.Stat(file)
	if err != nil || !again.ModTime().Equal(info.ModTime()) {
		return nil // another one: its owner lives
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the lock that a killed git left: %w", err)
	}
	return nil
}
