package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Database is a database server that an index is kept in instead of a file beside the
// log, in a schema of its own. Package audit/postgres makes one.
type Database struct {
	// Open makes a pool of at most so many connections. It need not connect yet.
	Open func(connections int) (*sql.DB, error)
	// Schema is the name of the schema. It belongs to the index alone: when the index is made
	// anew, the schema is dropped.
	Schema string
	// Missing says of an error that a table or the schema is not there.
	Missing func(error) bool
}

const (
	databaseReaders = 8
	databaseRows    = 256 // to insert at once: each statement goes over the network
)

// server is a Database as the index asks it. A server is not to be taken for an index
// that is missing only because it does not answer: what it has would be thrown away.
type server struct{ *Database }

func (d server) connect() (writer, readers *sql.DB, err error) {
	if writer, err = d.Open(1); err != nil {
		return nil, nil, fmt.Errorf("index: %w", err)
	}
	if readers, err = d.Open(databaseReaders); err != nil {
		return nil, nil, fmt.Errorf("index: %w", errors.Join(err, writer.Close()))
	}
	return writer, readers, nil
}

func (d server) version(ctx context.Context, db *sql.DB) (version int, err error) {
	err = db.QueryRowContext(ctx, "SELECT version FROM slipway_index").Scan(&version)
	switch {
	case errors.Is(err, sql.ErrNoRows), err != nil && d.Missing(err):
		return 0, errors.Join(errStale, err)
	case err != nil:
		return 0, fmt.Errorf("index: the database cannot be asked: %w", err)
	}
	return version, nil
}

func (d server) create(ctx context.Context) (writer, readers *sql.DB, err error) {
	if writer, readers, err = d.connect(); err != nil {
		return nil, nil, err
	}
	if err := d.make(ctx, writer); err != nil {
		return nil, nil, errors.Join(err, readers.Close(), writer.Close())
	}
	return writer, readers, nil
}

// make drops the schema and makes it anew, in one transaction, if it is an index.
func (d server) make(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var others int
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM information_schema.tables WHERE table_schema = $1 AND table_name NOT IN
		('slipway_index', 'events', 'spans', 'postings', 'once', 'apps', 'changes')`, d.Schema).Scan(&others); err != nil {
		return err
	}
	if others > 0 {
		return fmt.Errorf("the schema %s of the database has tables that are no index of Slipway's, and would be dropped with it. Name another database", d.Schema)
	}
	for _, statement := range []string{
		"DROP SCHEMA IF EXISTS " + d.Schema + " CASCADE",
		"CREATE SCHEMA " + d.Schema,
		strings.NewReplacer("BLOB", "BYTEA", "INTEGER", "BIGINT", " WITHOUT ROWID", "").Replace(tables),
		"CREATE TABLE slipway_index(version INTEGER NOT NULL)",
		fmt.Sprintf("INSERT INTO slipway_index VALUES(%d)", schemaVersion),
	} {
		for part := range strings.SplitSeq(statement, ";") {
			if part = strings.TrimSpace(part); part == "" {
				continue
			}
			if _, err := tx.ExecContext(ctx, part); err != nil {
				return err
			}
		}
	}
	return tx.Commit()
}

// tidy has nothing to do: nobody copies a server's files.
func (server) tidy(*sql.DB) {}

// bind numbers the arguments. No query here has a question mark for anything else.
func (server) bind(query string) string {
	var out strings.Builder
	n := 0
	for part := range strings.SplitSeq(query, "?") {
		if n > 0 {
			out.WriteString("$" + strconv.Itoa(n))
		}
		out.WriteString(part)
		n++
	}
	return out.String()
}

func (server) rows() int { return databaseRows }
