package audit

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

const indexFile = "index.db"

// schemaVersion is SQLite's user_version of an index that this code understands. Any
// other index is made anew from the log.
const schemaVersion = 1

// The columns are those that queries select by; an event itself is kept as JSON.
const schema = `
CREATE TABLE events(
  idx INTEGER PRIMARY KEY, event_id TEXT NOT NULL, time INTEGER NOT NULL, action TEXT NOT NULL, actor TEXT NOT NULL,
  change TEXT NOT NULL, app TEXT NOT NULL, zone TEXT NOT NULL, record TEXT NOT NULL, json BLOB NOT NULL);
CREATE INDEX events_event_id ON events(event_id);
CREATE INDEX events_time   ON events(time);
CREATE INDEX events_action ON events(action);
CREATE INDEX events_actor  ON events(actor);
CREATE INDEX events_change ON events(change) WHERE change != '';
CREATE INDEX events_app    ON events(app)    WHERE app != '';
CREATE INDEX events_zone   ON events(zone)   WHERE zone != '';
CREATE INDEX events_record ON events(record) WHERE record != '';
CREATE TABLE once(key TEXT PRIMARY KEY, idx INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE changes(change TEXT PRIMARY KEY, last INTEGER NOT NULL, ended INTEGER NOT NULL, requester TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX changes_last ON changes(last);
CREATE INDEX changes_requester ON changes(requester, last);
PRAGMA user_version = 1;
`

// Index is the SQLite projection of the log. It knows events only, not what they
// mean. It can be deleted: Open rebuilds it.
type Index struct {
	path    string
	readers *sql.DB
	writer  *sql.DB // one connection; owned by add, with its statements
	insert  struct{ event, once, change *sql.Stmt }
	find    struct{ once, event *sql.Stmt } // by readers

	// upToDate waits until everything is in the index that was acknowledged before the
	// call. Every query begins with it. It is nil where nobody writes.
	upToDate func(context.Context) error

	mu       sync.Mutex                 // held for the length of a map operation
	watchers map[chan struct{}]struct{} // nil when the index is closed
}

var errStale = errors.New("the index is missing, of another version or damaged")

// openIndex opens the index below dir. errStale means that it has to be made anew.
func openIndex(ctx context.Context, dir string) (*Index, error) {
	x := &Index{path: filepath.Join(dir, indexFile), watchers: map[chan struct{}]struct{}{}}
	if _, err := os.Stat(x.path); err != nil {
		return nil, errors.Join(errStale, err)
	}
	if err := x.connect(); err != nil {
		return nil, err
	}
	var version int
	if err := x.writer.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil || version != schemaVersion {
		x.close()
		return nil, errors.Join(errStale, err)
	}
	if err := x.prepare(ctx); err != nil {
		x.close()
		return nil, errors.Join(errStale, err)
	}
	return x, nil
}

// createIndex makes an empty index in the place of any that is there.
func createIndex(ctx context.Context, dir string) (*Index, error) {
	x := &Index{path: filepath.Join(dir, indexFile), watchers: map[chan struct{}]struct{}{}}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(x.path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("index: %w", err)
		}
	}
	if err := x.connect(); err != nil {
		return nil, err
	}
	if _, err := x.writer.ExecContext(ctx, schema); err != nil {
		x.close()
		return nil, fmt.Errorf("index: %w", err)
	}
	if err := x.prepare(ctx); err != nil {
		x.close()
		return nil, err
	}
	return x, nil
}

func (x *Index) prepare(ctx context.Context) error {
	for text, statement := range map[string]**sql.Stmt{
		"INSERT INTO events VALUES(?,?,?,?,?,?,?,?,?,?)": &x.insert.event,
		// The first event with a key counts. A second one in the log is for Verify to report.
		"INSERT OR IGNORE INTO once VALUES(?,?)": &x.insert.once,
		`INSERT INTO changes VALUES(?,?,?,?) ON CONFLICT(change) DO UPDATE SET
			last = excluded.last, ended = max(ended, excluded.ended),
			requester = CASE requester WHEN '' THEN excluded.requester ELSE requester END`: &x.insert.change,
	} {
		var err error
		if *statement, err = x.writer.PrepareContext(ctx, text); err != nil {
			return fmt.Errorf("index: %w", err)
		}
	}
	return x.prepareFind(ctx)
}

// prepareFind prepares what reading needs.
func (x *Index) prepareFind(ctx context.Context) error {
	for text, statement := range map[string]**sql.Stmt{
		"SELECT e.idx, e.json FROM once o JOIN events e ON e.idx = o.idx WHERE o.key = ?": &x.find.once,
		"SELECT idx, json FROM events WHERE event_id = ? LIMIT 1":                         &x.find.event,
	} {
		var err error
		if *statement, err = x.readers.PrepareContext(ctx, text); err != nil {
			return fmt.Errorf("index: %w", err)
		}
	}
	return nil
}

func (x *Index) connect() error {
	dsn := func(pragmas ...string) string {
		query := url.Values{"_pragma": append(pragmas, "busy_timeout(10000)")}
		return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: x.path}).EscapedPath(), RawQuery: query.Encode()}).String()
	}
	// The log is what is durable. After a power cut the index may lack its last
	// transactions, and Open adds them again, so it need not wait for the disk.
	writer, err := sql.Open("sqlite", dsn("journal_mode(WAL)", "synchronous(NORMAL)"))
	if err != nil {
		return fmt.Errorf("index: %w", err)
	}
	writer.SetMaxOpenConns(1)
	readers, err := sql.Open("sqlite", dsn("query_only(true)"))
	if err != nil {
		return fmt.Errorf("index: %w", err)
	}
	readers.SetMaxOpenConns(4)
	readers.SetMaxIdleConns(4)
	x.writer, x.readers = writer, readers
	return nil
}

func (x *Index) close() error {
	x.mu.Lock()
	for c := range x.watchers {
		close(c)
	}
	x.watchers = nil
	x.mu.Unlock()
	return errors.Join(x.readers.Close(), x.writer.Close())
}

// size is how many events of the log are in the index.
func (x *Index) size(ctx context.Context) (uint64, error) {
	var size uint64
	err := x.writer.QueryRowContext(ctx, "SELECT coalesce(max(idx)+1, 0) FROM events").Scan(&size)
	if err != nil {
		return 0, errors.Join(errStale, err)
	}
	return size, nil
}

// indexed is one event to be added, with its bytes in the log.
type indexed struct {
	Receipt
	raw []byte
}

// add puts events into the index, in the order of the log, all or none.
func (x *Index) add(ctx context.Context, batch []indexed) error {
	tx, err := x.writer.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("index: %w", err)
	}
	defer tx.Rollback()
	event, once, change := tx.StmtContext(ctx, x.insert.event), tx.StmtContext(ctx, x.insert.once), tx.StmtContext(ctx, x.insert.change)
	for _, r := range batch {
		e := &r.Event
		_, err := event.ExecContext(ctx, r.Index, e.EventID, e.Timestamp.UnixMilli(), string(e.Action), e.Actor.ID,
			e.Change, e.Resource.App, e.Resource.Zone, e.Resource.Record, r.raw)
		if err == nil && e.Once != "" {
			_, err = once.ExecContext(ctx, e.Once, r.Index)
		}
		if err == nil && e.Change != "" {
			requester := ""
			if e.Action == SubmitChange {
				requester = e.Actor.ID
			}
			_, err = change.ExecContext(ctx, e.Change, r.Index, e.Action.ends(), requester)
		}
		if err != nil {
			return fmt.Errorf("index: event %d: %w", r.Index, err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("index: %w", err)
	}
	x.announce()
	return nil
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

// Query selects events. Zero fields do not select.
type Query struct {
	Change, App, Zone, Record, Actor string
	Action                           Action
	From, To                         time.Time // From included, To not
	After                            uint64    // index greater than this…
	HasAfter                         bool      // …when set
	Before                           uint64    // index less than this…
	HasBefore                        bool      // …when set
	Newest                           bool      // newest first
	Limit                            int       // default 1000, at most 10000
}

// Next makes q go on after the last event that it gave.
func (q *Query) Next(last Receipt) {
	if q.Newest {
		q.Before, q.HasBefore = last.Index, true
	} else {
		q.After, q.HasAfter = last.Index, true
	}
}

const (
	defaultLimit = 1000
	maxLimit     = 10_000
)

func limit(n int) int {
	if n <= 0 {
		return defaultLimit
	}
	return min(n, maxLimit)
}

// conditions collects the parts of a WHERE clause.
type conditions struct {
	parts []string
	args  []any
}

func (c *conditions) add(part string, args ...any) {
	c.parts = append(c.parts, part)
	c.args = append(c.args, args...)
}

func (c *conditions) String() string {
	if len(c.parts) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(c.parts, " AND ")
}

// Events returns the events that a query selects.
func (x *Index) Events(ctx context.Context, q Query) ([]Receipt, error) {
	if err := x.await(ctx); err != nil {
		return nil, err
	}
	var where conditions
	for _, equal := range []struct{ column, value string }{
		{"change", q.Change}, {"app", q.App}, {"zone", q.Zone}, {"record", q.Record}, {"actor", q.Actor}, {"action", string(q.Action)},
	} {
		if equal.value != "" {
			// The second half lets SQLite use the partial indexes.
			where.add(equal.column+" = ? AND "+equal.column+" != ''", equal.value)
		}
	}
	if !q.From.IsZero() {
		where.add("time >= ?", q.From.UnixMilli())
	}
	if !q.To.IsZero() {
		where.add("time < ?", q.To.UnixMilli())
	}
	if q.HasAfter {
		where.add("idx > ?", q.After)
	}
	if q.HasBefore {
		where.add("idx < ?", q.Before)
	}
	order := " ORDER BY idx"
	if q.Newest {
		order += " DESC"
	}
	rows, err := x.readers.QueryContext(ctx, "SELECT idx, json FROM events"+where.String()+order+" LIMIT ?", append(where.args, limit(q.Limit))...)
	if err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	defer rows.Close()
	found := []Receipt{}
	for rows.Next() {
		r, err := scanReceipt(rows)
		if err != nil {
			return nil, err
		}
		found = append(found, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	return found, nil
}

// Once returns the event that has that key, if there is one.
func (x *Index) Once(ctx context.Context, once string) (Receipt, bool, error) {
	if err := x.await(ctx); err != nil {
		return Receipt{}, false, err
	}
	return x.once(ctx, once)
}

// once answers from what is in the index now.
func (x *Index) once(ctx context.Context, once string) (Receipt, bool, error) {
	return x.one(ctx, x.find.once, once)
}

// onces goes through all keys that are in the index now.
func (x *Index) onces(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		rows, err := x.readers.QueryContext(ctx, "SELECT key FROM once")
		if err != nil {
			yield("", fmt.Errorf("index: %w", err))
			return
		}
		defer rows.Close()
		for rows.Next() {
			var once string
			if err := rows.Scan(&once); !yield(once, err) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield("", fmt.Errorf("index: %w", err))
		}
	}
}

func (x *Index) await(ctx context.Context) error {
	if x.upToDate == nil {
		return nil
	}
	return x.upToDate(ctx)
}

// Event returns the event of that ID, if there is one.
func (x *Index) Event(ctx context.Context, eventID string) (Receipt, bool, error) {
	if err := x.await(ctx); err != nil {
		return Receipt{}, false, err
	}
	return x.one(ctx, x.find.event, eventID)
}

func (x *Index) one(ctx context.Context, statement *sql.Stmt, arg any) (Receipt, bool, error) {
	r, err := scanReceipt(statement.QueryRowContext(ctx, arg))
	if errors.Is(err, sql.ErrNoRows) {
		return Receipt{}, false, nil
	}
	return r, err == nil, err
}

func scanReceipt(row interface{ Scan(...any) error }) (Receipt, error) {
	var r Receipt
	var raw []byte
	if err := row.Scan(&r.Index, &raw); err != nil {
		return Receipt{}, fmt.Errorf("index: %w", err)
	}
	if err := json.Unmarshal(raw, &r.Event); err != nil {
		return Receipt{}, fmt.Errorf("index: event %d: %w", r.Index, err)
	}
	return r, nil
}

// ChangeQuery selects changes. Zero fields do not select.
type ChangeQuery struct {
	Requester string // who submitted it
	App       string
	OpenOnly  bool
	Limit     int // default 1000, at most 10000
	Offset    int
}

// ChangeIDs lists changes by newest event first. OpenOnly selects those with no end
// event (go-live, reject-change, cancel-change, expire-change).
func (x *Index) ChangeIDs(ctx context.Context, q ChangeQuery) ([]string, error) {
	if err := x.await(ctx); err != nil {
		return nil, err
	}
	var where conditions
	if q.Requester != "" {
		where.add("requester = ?", q.Requester)
	}
	if q.App != "" {
		where.add("change IN (SELECT change FROM events WHERE app = ? AND app != '')", q.App)
	}
	if q.OpenOnly {
		where.add("ended = 0")
	}
	rows, err := x.readers.QueryContext(ctx, "SELECT change FROM changes"+where.String()+" ORDER BY last DESC LIMIT ? OFFSET ?",
		append(where.args, limit(q.Limit), max(q.Offset, 0))...)
	if err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	defer rows.Close()
	ids := []string{}
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("index: %w", err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	return ids, nil
}
