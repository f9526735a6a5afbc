// Package postgres keeps the index of an audit log in PostgreSQL, for servers whose index
// shall not lie on their own disk. It owns how the database is named and reached, and
// nothing of what is in it: that is audit's. It never has a password in a setting, only
// where one is kept. Read this file.
package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"slipway/audit"
	"slipway/secret"
)

// DefaultSchema is the schema of the index in the database. The index has it for itself.
const DefaultSchema = "slipway"

// Settings name a database.
type Settings struct {
	// URL is postgres://USER@HOST:PORT/DATABASE with the parameters of libpq, such as
	// sslmode=verify-full and host=/run/postgresql; schema=NAME chooses another schema.
	// A password in it is refused.
	URL string
	// Password says where the password is kept, and is asked at each connection, so that
	// one that was replaced is used from then on. Without it PGPASSFILE and what else
	// libpq knows is asked.
	Password secret.Ref
	Secrets  *secret.Resolver // default one that knows env: and file:
}

const (
	connectWithin = 10 * time.Second
	// A query that takes longer than this has lost its server.
	statementWithin = "60s"
)

var schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

// Open reads the settings of a database. It does not reach it.
func Open(s Settings) (*audit.Database, error) {
	u, err := url.Parse(s.URL)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, errors.New("index: write the database as postgres://USER@HOST/DATABASE") // without s.URL, which may hold a password
	}
	query := u.Query()
	if _, has := u.User.Password(); has || query.Has("password") {
		return nil, errors.New("index: the database's URL must not have a password in it: it would be seen by everybody who lists processes. Say where it is kept instead")
	}
	schema := DefaultSchema
	if query.Has("schema") {
		schema = query.Get("schema")
		query.Del("schema")
		u.RawQuery = query.Encode()
	}
	if !schemaName.MatchString(schema) || schema == "public" {
		return nil, fmt.Errorf("index: the schema %.70q cannot be used: write small letters, digits and underscores, and not public, since the index has its schema for itself", schema)
	}
	config, err := pgx.ParseConfig(u.String())
	if err != nil {
		return nil, fmt.Errorf("index: %w", err) // pgx leaves passwords out
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectWithin
	}
	config.RuntimeParams["search_path"] = schema
	config.RuntimeParams["application_name"] = "slipway"
	if _, set := config.RuntimeParams["statement_timeout"]; !set {
		config.RuntimeParams["statement_timeout"] = statementWithin
	}
	// The log is what is durable: after a crash of the database the index may lack its
	// last events, and is brought up to the log again.
	config.RuntimeParams["synchronous_commit"] = "off"
	resolver := s.Secrets
	if resolver == nil {
		resolver = secret.NewResolver()
	}
	password := stdlib.OptionBeforeConnect(func(ctx context.Context, c *pgx.ConnConfig) error {
		if s.Password == "" {
			return nil
		}
		v, err := resolver.Resolve(ctx, s.Password)
		if err != nil {
			return err
		}
		c.Password = v.Reveal()
		return nil
	})
	return &audit.Database{
		Schema: schema,
		Open: func(connections int) (*sql.DB, error) {
			db := stdlib.OpenDB(*config.Copy(), password)
			db.SetMaxOpenConns(connections)
			db.SetMaxIdleConns(connections)
			db.SetConnMaxIdleTime(5 * time.Minute)
			return db, nil
		},
		Missing: func(err error) bool {
			var answer *pgconn.PgError
			return errors.As(err, &answer) && (answer.Code == "42P01" || answer.Code == "3F000") // undefined_table, invalid_schema_name
		},
	}, nil
}
