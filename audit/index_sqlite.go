package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

const indexFile = "index.db"

// sqliteFile is an index in a file of its own, the default.
type sqliteFile string

// dsn is the file's name for the driver.
func (f sqliteFile) dsn(query url.Values) string {
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: string(f)}).EscapedPath(), RawQuery: query.Encode()}).String()
}

func (f sqliteFile) connect() (writer, readers *sql.DB, err error) {
	if _, err := os.Stat(string(f)); err != nil {
		return nil, nil, errors.Join(errStale, err)
	}
	return f.open()
}

func (f sqliteFile) open() (writer, readers *sql.DB, err error) {
	pragmas := func(list ...string) url.Values { return url.Values{"_pragma": append(list, "busy_timeout(10000)")} }
	// The log is what is durable. After a power cut the index may lack its last
	// transactions, and Open adds them again, so it need not wait for the disk.
	writer, err = sql.Open("sqlite", f.dsn(pragmas("journal_mode(WAL)", "synchronous(NORMAL)", "cache_size(-32000)")))
	if err != nil {
		return nil, nil, fmt.Errorf("index: %w", err)
	}
	writer.SetMaxOpenConns(1)
	readers, err = sql.Open("sqlite", f.dsn(pragmas("query_only(true)")))
	if err != nil {
		return nil, nil, fmt.Errorf("index: %w", errors.Join(err, writer.Close()))
	}
	readers.SetMaxOpenConns(4)
	readers.SetMaxIdleConns(4)
	return writer, readers, nil
}

func (f sqliteFile) version(ctx context.Context, db *sql.DB) (version int, err error) {
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return 0, errors.Join(errStale, err)
	}
	return version, nil
}

func (f sqliteFile) create(ctx context.Context) (writer, readers *sql.DB, err error) {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(string(f) + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, err
		}
	}
	if writer, readers, err = f.open(); err != nil {
		return nil, nil, err
	}
	if _, err := writer.ExecContext(ctx, tables+fmt.Sprintf("PRAGMA user_version = %d;", schemaVersion)); err != nil {
		return nil, nil, errors.Join(err, readers.Close(), writer.Close())
	}
	return writer, readers, nil
}

// tidy brings what was written apart into the file itself. SQLite does so by itself when
// the last connection is closed, but a pool lets go of its connections one by one and in no
// order. Where it cannot be done, the next start reads both.
func (sqliteFile) tidy(writer *sql.DB) { _, _ = writer.Exec("PRAGMA wal_checkpoint(TRUNCATE)") }

func (sqliteFile) bind(query string) string { return query }
func (sqliteFile) rows() int                { return 1 } // more make it slower

// readOnly opens the file for reading alone. When nothing else may have it open, it is
// not even locked, so that a directory in which nobody may write will do.
func (f sqliteFile) readOnly(ctx context.Context, alone bool) (*Index, error) {
	query := url.Values{"mode": {"ro"}, "_pragma": {"busy_timeout(10000)"}}
	if alone {
		query.Set("immutable", "1")
	}
	db, err := sql.Open("sqlite", f.dsn(query))
	if err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	version, err := f.version(ctx, db)
	if err == nil && version != schemaVersion {
		err = errStale
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return newIndex(f, db, db), nil
}
