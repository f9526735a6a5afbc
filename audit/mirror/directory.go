package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"strings"

	"slipway/internal/durable"
)

// Directory is a mirror in a directory, meant to be a mount of write-once storage: each
// file is written once, and read-only when it is complete, which is what makes such
// storage lock it. Only the mount makes it more than a copy.
type Directory struct{ dir string }

// Modes of files: read-only says that a file is complete.
const (
	writing  = 0o600
	complete = 0o444
)

// OpenDirectory uses a directory that is there: a mount that is missing must not become
// a mirror on the server's own disk.
func OpenDirectory(dir string) (*Directory, error) {
	if info, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("mirror: %w", err)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("mirror: %s is not a directory", dir)
	}
	return &Directory{dir}, nil
}

func (d *Directory) path(name string) (string, error) {
	if !fs.ValidPath(name) || name == "." {
		return "", fmt.Errorf("mirror: %q cannot be the name of an object", name)
	}
	return filepath.Join(d.dir, filepath.FromSlash(name)), nil
}

// Put writes a file in its place at once, without another name before: a directory in
// which nothing can be renamed or deleted is the point of a write-once mount. What a
// crash leaves is a file that is still writable, and is finished the next time.
func (d *Directory) Put(ctx context.Context, name string, content []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	file, err := d.path(name)
	if err != nil {
		return err
	}
	if err := makeDirs(d.dir, filepath.Dir(file)); err != nil {
		return fmt.Errorf("mirror: %w", err)
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, writing)
	if errors.Is(err, fs.ErrExist) {
		f, err = d.resume(name, file, content)
		if f == nil {
			return err
		}
	}
	if err != nil {
		return fmt.Errorf("mirror: %w", err)
	}
	if err := fill(f, content); err != nil {
		return fmt.Errorf("mirror: %w", err)
	}
	return nil
}

// resume opens a file that is there and was not finished, to be written again. A nil
// file without error is one that has the content.
func (d *Directory) resume(name, file string, content []byte) (*os.File, error) {
	info, err := os.Lstat(file)
	if err != nil {
		return nil, fmt.Errorf("mirror: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, errOther(name)
	}
	if info.Mode().Perm()&0o200 == 0 {
		there, err := durable.Read(file, int64(len(content)))
		switch {
		case errors.Is(err, fs.ErrNotExist), err == nil && !bytes.Equal(there, content), err != nil && info.Size() > int64(len(content)):
			return nil, errOther(name)
		case err != nil:
			return nil, fmt.Errorf("mirror: %w", err)
		}
		return nil, nil
	}
	// Not finished, so nothing speaks of it yet.
	return os.OpenFile(file, os.O_WRONLY|os.O_TRUNC, 0)
}

// fill writes a new file, makes it durable, and only then read-only.
func fill(f *os.File, content []byte) error {
	_, err := f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = f.Chmod(complete)
	}
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = durable.Sync(filepath.Dir(f.Name()))
	}
	return err
}

// makeDirs makes the directories down to dir, and their names durable.
func makeDirs(top, dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if dir != top {
		if err := makeDirs(top, filepath.Dir(dir)); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return durable.Sync(filepath.Dir(dir))
}

func (d *Directory) Get(ctx context.Context, o Object, limit int64) (Content, error) {
	if err := ctx.Err(); err != nil {
		return Content{}, err
	}
	file, err := d.path(o.Name)
	if err != nil {
		return Content{}, err
	}
	f, err := os.Open(file)
	if err != nil {
		return Content{}, fmt.Errorf("mirror: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Content{}, fmt.Errorf("mirror: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o200 != 0 {
		return Content{}, fmt.Errorf("mirror: %s: is not finished: %w", o.Name, fs.ErrNotExist)
	}
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return Content{}, fmt.Errorf("mirror: %w", err)
	case int64(len(raw)) > limit:
		return Content{}, contradicts(o.Name, "it is larger than such an object can be")
	}
	return Content{Raw: raw, Locked: true}, nil
}

// List leaves out what was not finished.
func (d *Directory) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		stop := errors.New("stop")
		start, err := d.path(path.Clean("./" + path.Dir(prefix+"x")))
		if path.Dir(prefix+"x") == "." {
			start, err = d.dir, nil
		}
		if err == nil {
			err = filepath.WalkDir(start, func(file string, e fs.DirEntry, err error) error {
				if err != nil {
					return err
				}
				if err := ctx.Err(); err != nil {
					return err
				}
				rel, err := filepath.Rel(d.dir, file)
				name := filepath.ToSlash(rel)
				if err != nil || e.IsDir() || !strings.HasPrefix(name, prefix) {
					return err
				}
				info, err := e.Info()
				if err != nil {
					return err
				}
				o := Object{Name: name, Made: info.ModTime()}
				switch {
				case !info.Mode().IsRegular():
					o.After = "it is not a regular file"
				case info.Mode().Perm()&0o200 != 0:
					return nil
				}
				if !yield(o, nil) {
					return stop
				}
				return nil
			})
		}
		if err != nil && err != stop && !absent(err) {
			yield(Object{}, fmt.Errorf("mirror: %w", err))
		}
	}
}
