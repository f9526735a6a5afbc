// Package mirror owns copies of an audit log where nobody can change them: in a bucket
// with Object Lock, or in a directory on a write-once mount. It copies entries, tiles,
// documents and checkpoints in an order in which the copy is at every moment a log that
// can be verified, goes on where it stopped from what the copy itself holds, and verifies
// a copy without the server. It never copies what the log's own signed checkpoint does
// not cover, never writes over anything, and never keeps the log's writer waiting.
// Read mirror.go first for how a copy is made, then verify.go; store.go says what is
// asked of a place, s3.go and directory.go are the two that there are.
package mirror

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"time"
)

// Store is a place that keeps objects and lets nobody change them.
type Store interface {
	// Put makes an object. One that is there already with this content is as good. One
	// with another content stays as it is, and the error is a Contradiction.
	Put(ctx context.Context, name string, content []byte) error
	// Get reads an object as it was first written, of at most limit bytes. Of o only the
	// name need be set. An object that is not there is fs.ErrNotExist.
	Get(ctx context.Context, o Object, limit int64) (Content, error)
	// List yields the objects whose names begin with a prefix, by name.
	List(ctx context.Context, prefix string) iter.Seq2[Object, error]
}

// Object is one object as it was first written.
type Object struct {
	Name    string
	Made    time.Time
	Version string // in the store's words
	After   string // what was done to it since, where that left a trace: for people
}

// Content is what is in an object.
type Content struct {
	Raw    []byte
	Locked bool      // nobody can delete it…
	Until  time.Time // …before then; zero where the store does not say
}

// Contradiction is a mirror that says otherwise than the log does, which is not
// to be papered over: one of the two was changed.
type Contradiction struct {
	Object string // in the mirror; "" when it is the mirror as a whole
	What   string
}

func (c *Contradiction) Error() string {
	if c.Object == "" {
		return c.What
	}
	return c.Object + ": " + c.What
}

func contradicts(object, what string, args ...any) error {
	return &Contradiction{object, fmt.Sprintf(what, args...)}
}

// errOther is what Put says of an object that is there with another content.
func errOther(name string) error {
	return contradicts(name, "the mirror has this object with another content than the log. Either of the two was altered: keep both as they are, and compare them with slipway audit mirror verify --dir")
}

// get reads an object by its name.
func get(ctx context.Context, s Store, name string, limit int64) ([]byte, error) {
	c, err := s.Get(ctx, Object{Name: name}, limit)
	return c.Raw, err
}

func absent(err error) bool { return errors.Is(err, fs.ErrNotExist) }
