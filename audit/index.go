package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"sync"
)

// Index is the projection of the log that finds events: in a SQLite file beside the log,
// or in another Database. It knows events only, not what they mean. It can be deleted:
// Open rebuilds it.
//
// Events come in spans: those that were added together. For each span and each term (an
// app, a person, a commit …) that its events have, one row lists which of them do. So
// adding a thousand events costs a few rows more for each different thing that they are
// about, and not eight more for each event; see index_add.go. What a query selects is
// read from these lists, and then from the events themselves; see index_query.go.
type Index struct {
	db      database
	readers *sql.DB
	writer  *sql.DB // one connection; owned by add, with its statements
	insert  *inserts

	// upToDate waits until everything is in the index that was acknowledged before the
	// call. Every query begins with it. It is nil where nobody writes.
	upToDate func(context.Context) error

	mu       sync.Mutex                 // held for the length of a map operation
	watchers map[chan struct{}]struct{} // nil when the index is closed
}

// schemaVersion is of an index that this code understands. Any other is made anew from
// the log.
const schemaVersion = 2

var errStale = errors.New("the index is missing, of another version or damaged")

// database is what SQLite and others differ in: see sqliteFile and Database.
type database interface {
	// connect opens it for the one writer and for readers.
	connect() (writer, readers *sql.DB, err error)
	// version is that of the schema in it. errStale: there is none.
	version(ctx context.Context, db *sql.DB) (int, error)
	// create makes an empty index in the place of any that is there.
	create(ctx context.Context) (writer, readers *sql.DB, err error)
	// bind puts the database's own placeholders in the place of question marks.
	bind(query string) string
	// rows is how many are best inserted by one statement.
	rows() int
	// tidy leaves the database as somebody who copies its files should find it.
	tidy(writer *sql.DB)
}

// openIndex opens an index. errStale means that it has to be made anew.
func openIndex(ctx context.Context, db database) (*Index, error) {
	writer, readers, err := db.connect()
	if err != nil {
		return nil, err
	}
	x := newIndex(db, writer, readers)
	version, err := db.version(ctx, writer)
	if err == nil && version != schemaVersion {
		err = errStale
	}
	if err == nil {
		err = x.prepare(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, x.close())
	}
	return x, nil
}

// createIndex makes an empty index in the place of any that is there.
func createIndex(ctx context.Context, db database) (*Index, error) {
	writer, readers, err := db.create(ctx)
	if err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	x := newIndex(db, writer, readers)
	if err := x.prepare(ctx); err != nil {
		return nil, errors.Join(err, x.close())
	}
	return x, nil
}

func newIndex(db database, writer, readers *sql.DB) *Index {
	return &Index{db: db, writer: writer, readers: readers, watchers: map[chan struct{}]struct{}{}}
}

func (x *Index) close() error {
	x.mu.Lock()
	for c := range x.watchers {
		close(c)
	}
	x.watchers = nil
	x.mu.Unlock()
	err := x.readers.Close()
	if x.writer != x.readers {
		x.db.tidy(x.writer)
	}
	return errors.Join(err, x.writer.Close())
}

func (x *Index) await(ctx context.Context) error {
	if x.upToDate == nil {
		return nil
	}
	return x.upToDate(ctx)
}

// query asks the database, with question marks for arguments. scan is called for each row.
func (x *Index) query(ctx context.Context, text string, args []any, scan func(*sql.Rows) error) error {
	rows, err := x.readers.QueryContext(ctx, x.db.bind(text), args...)
	if err != nil {
		return fmt.Errorf("index: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return fmt.Errorf("index: %w", err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("index: %w", err)
	}
	return nil
}

// size is how many events of the log are in the index.
func (x *Index) size(ctx context.Context) (uint64, error) {
	var size uint64
	err := x.writer.QueryRowContext(ctx, "SELECT coalesce(max(idx)+1, 0) FROM events").Scan(&size)
	if err != nil {
		return 0, x.damage(ctx, err)
	}
	return size, nil
}

// raw is an event as it was added.
func (x *Index) raw(ctx context.Context, index uint64) ([]byte, error) {
	var raw []byte
	err := x.writer.QueryRowContext(ctx, x.db.bind("SELECT json FROM events WHERE idx = ?"), int64(index)).Scan(&raw)
	if err != nil {
		return nil, x.damage(ctx, err)
	}
	return raw, nil
}

// damage tells an index that is broken from a database that cannot be asked.
func (x *Index) damage(ctx context.Context, err error) error {
	if version, asked := x.db.version(ctx, x.writer); asked == nil && version == schemaVersion || errors.Is(asked, errStale) {
		return errors.Join(errStale, err)
	}
	if _, ours := x.db.(sqliteFile); ours {
		return errors.Join(errStale, err)
	}
	return fmt.Errorf("index: %w", err)
}

// onces goes through all keys that are in the index now.
func (x *Index) onces(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		stop := errors.New("stop")
		err := x.query(ctx, "SELECT key FROM once", nil, func(rows *sql.Rows) error {
			var once string
			if err := rows.Scan(&once); err != nil {
				return err
			}
			if !yield(once, nil) {
				return stop
			}
			return nil
		})
		if err != nil && !errors.Is(err, stop) {
			yield("", err)
		}
	}
}

// Watch tells when something was appended: the channel receives, at most once for
// any number of events, after they can be found in the index. It is closed when ctx
// ends or the log is closed.
func (x *Index) Watch(ctx context.Context) <-chan struct{} {
	c := make(chan struct{}, 1)
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.watchers == nil {
		close(c)
		return c
	}
	x.watchers[c] = struct{}{}
	context.AfterFunc(ctx, func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		if _, open := x.watchers[c]; open {
			delete(x.watchers, c)
			close(c)
		}
	})
	return c
}

func (x *Index) announce() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for c := range x.watchers {
		select {
		case c <- struct{}{}:
		default: // it has not yet taken the last one
		}
	}
}

func decodeReceipt(index uint64, raw []byte) (Receipt, error) {
	r := Receipt{Index: index}
	if err := decodeEvent(raw, &r.Event); err != nil {
		return r, fmt.Errorf("index: event %d: %w", index, err)
	}
	return r, nil
}
