package repo

import (
	"cmp"
	"context"
	"sync"
)

// PathChange is one file that differs between two commits; an empty blob means absent.
type PathChange struct {
	Path             string
	OldBlob, NewBlob string
}

// differ walks two trees side by side.
type differ struct {
	ctx        context.Context
	base, head *objects
	out        []PathChange
}

func (d *differ) trees(dir, base, head string) error {
	if base == head {
		return nil
	}
	old, err := d.base.tree(d.ctx, base)
	if err != nil {
		return err
	}
	now, err := d.head.tree(d.ctx, head)
	if err != nil {
		return err
	}
	// Both are in Git's order, in which a folder sorts as if its name ended in a slash.
	for len(old) > 0 || len(now) > 0 {
		switch {
		case len(now) == 0 || len(old) > 0 && old[0].before(now[0]):
			err, old = d.entry(dir, old[0], entry{}), old[1:]
		case len(old) == 0 || now[0].before(old[0]):
			err, now = d.entry(dir, entry{}, now[0]), now[1:]
		default:
			err, old, now = d.entry(dir, old[0], now[0]), old[1:], now[1:]
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (e entry) before(o entry) bool { return e.sortName() < o.sortName() }

func (e entry) sortName() string {
	if e.mode == modeDir {
		return e.name + "/"
	}
	return e.name
}

func (d *differ) entry(dir string, old, now entry) error {
	if old.oid == now.oid && old.mode == now.mode {
		return nil
	}
	path := dir + cmp.Or(old.name, now.name)
	if old.mode == modeDir || now.mode == modeDir { // both, or the other one is absent
		return d.trees(path+"/", old.oid, now.oid)
	}
	d.out = append(d.out, PathChange{Path: path, OldBlob: old.oid, NewBlob: now.oid})
	return nil
}

// parsed keeps parsed files by a key that names their content. When full, it
// starts anew: what is in use comes back at the next read.
type parsed[T any] struct {
	mu sync.Mutex
	m  map[string]T
}

const maxCached = 20_000

func (c *parsed[T]) get(key string) (T, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.m[key]
	return v, ok
}

func (c *parsed[T]) put(key string, v T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil || len(c.m) >= maxCached {
		c.m = map[string]T{}
	}
	c.m[key] = v
}
