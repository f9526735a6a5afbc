package main

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"

	"slipway/audit"
	"slipway/audit/postgres"
	"slipway/secret"
)

// indexPlace is where the index of the record is kept, when not in a file beside it.
type indexPlace struct{ url, password string }

func (p *indexPlace) register(f *pflag.FlagSet) {
	f.StringVar(&p.url, "index", "", "database of the record's index, postgres://USER@HOST/DATABASE (default: a file in DATA; see docs/index.md)")
	f.StringVar(&p.password, "index-password", "", "where the database's password is kept: env:NAME, file:/path, vault:… (default: as PGPASSFILE says)")
}

// index is the database of --index, or nil for the file. It reaches nothing yet.
func (srv *server) index(ctx context.Context) (*audit.Database, error) {
	p := srv.settings.index
	if p.url == "" {
		if p.password != "" {
			return nil, usageError{fmt.Errorf("--index-password is of no use without --index")}
		}
		return nil, nil
	}
	s := postgres.Settings{URL: p.url}
	if p.password != "" {
		ref, err := secret.Parse(p.password)
		if err != nil {
			return nil, usageError{fmt.Errorf("--index-password: %w", err)}
		}
		s.Password = ref
	}
	if srv.secrets == nil { // commands beside the server open few of its parts
		if err := srv.openSecrets(ctx); err != nil {
			return nil, err
		}
	}
	s.Secrets = srv.secrets
	db, err := postgres.Open(s)
	if err != nil {
		return nil, usageError{fmt.Errorf("--index: %w", err)}
	}
	return db, nil
}
