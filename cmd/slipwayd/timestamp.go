package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"path/filepath"
	"time"

	"slipway/audit"
	"slipway/audit/timestamp"
	"slipway/audit/witness"
	"slipway/internal/durable"
	"slipway/repo"
)

const (
	defaultStampEvery = 24 * time.Hour
	minStampEvery     = time.Minute
	maxStampEvery     = 31 * 24 * time.Hour
	stampRetry        = time.Minute // after a failure
	stampTimeout      = 30 * time.Second
)

// stamper has one authority sign, at an interval, that the record's newest checkpoint exists.
type stamper struct {
	srv   *server
	name  string
	url   string
	every time.Duration
	roots string // file of the zones repository
	guard *audit.Guard
}

func (srv *server) timestamp(_ context.Context, name string, p repo.Part, guard *audit.Guard) (func(context.Context) error, error) {
	s := &stamper{srv: srv, name: name, every: defaultStampEvery, guard: guard}
	if p.Type != "rfc3161" {
		return nil, fmt.Errorf("there is no type %q; write `type: rfc3161`", p.Type)
	}
	for k, v := range p.Params {
		switch k {
		case "url":
			u, err := url.Parse(v)
			if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
				return nil, fmt.Errorf("url: %q is not an address like https://tsa.example.com", v)
			}
			s.url = v
		case "roots":
			s.roots = v
		case "every":
			d, err := time.ParseDuration(v)
			if err != nil || d < minStampEvery || d > maxStampEvery {
				return nil, fmt.Errorf("every: %q is not a length of time between %s and %s, like 24h", v, minStampEvery, maxStampEvery)
			}
			s.every = d
		default:
			return nil, fmt.Errorf("there is no setting %q; it has url, roots and every", k)
		}
	}
	if s.url == "" || s.roots == "" {
		return nil, errors.New("add url, where the authority is, and roots, the file of this repository with the root certificates to trust")
	}
	return s.run, nil
}

// run stamps when it is time, as the record says when it was last done, until the context ends.
func (s *stamper) run(ctx context.Context) error {
	last, err := s.last(ctx)
	if err != nil {
		return err
	}
	wait := time.Until(last.Add(s.every))
	for {
		timer := time.NewTimer(max(wait, 0))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		wait = s.every
		err := s.stamp(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			wait = stampRetry
			s.srv.log.Warn("the record's checkpoint could not be timestamped; it is tried again", "authority", s.name, "error", err)
		}
		s.srv.guarded(ctx, s.guard, err)
	}
}

func (s *stamper) resource() string { return "timestamps/" + s.name }

// last is when this authority last stamped a checkpoint.
func (s *stamper) last(ctx context.Context) (time.Time, error) {
	q := audit.Query{Action: audit.TimestampCheckpoint, Newest: true}
	for {
		found, err := s.srv.record.Index().Events(ctx, q)
		if err != nil || len(found) == 0 {
			return time.Time{}, err
		}
		for _, r := range found {
			if r.Event.Resource.Name == s.resource() {
				return r.Event.Timestamp, nil
			}
		}
		q.Next(found[len(found)-1])
	}
}

// stamp has the newest checkpoint signed and puts the token on record.
func (s *stamper) stamp(ctx context.Context) error {
	roots, err := s.trusted(ctx)
	if err != nil {
		return err
	}
	checkpoint, tree, err := s.checkpoint()
	if err != nil {
		return err
	}
	authority := &timestamp.Authority{URL: s.url, Roots: roots, Client: &http.Client{Timeout: stampTimeout}}
	token, at, signer, err := authority.Stamp(ctx, checkpoint)
	if err != nil {
		return err
	}
	refs := map[string]string{}
	for name, content := range map[string][]byte{"timestamp": token, "checkpoint": checkpoint} {
		if refs[name], err = s.srv.record.Documents().Put(ctx, content); err != nil {
			return err
		}
	}
	details, err := json.Marshal(audit.TimestampDetails{Size: tree.Size, Root: tree.Root, Time: at, Signer: signer.Subject.String()})
	if err != nil {
		return err
	}
	_, err = s.srv.record.Append(ctx, audit.Event{
		Actor: audit.Actor{ID: "slipway", Role: "system"}, Action: audit.TimestampCheckpoint, Resource: audit.Resource{Name: s.resource()},
		ArtifactRefs: refs, Details: details,
	})
	return err
}

// trusted reads the root certificates from main, as they are now.
func (s *stamper) trusted(ctx context.Context) (*x509.CertPool, error) {
	tree, _, err := s.srv.main(ctx)
	if err != nil {
		return nil, err
	}
	raw, err := tree.ReadFile(ctx, s.roots)
	if err != nil {
		return nil, fmt.Errorf("the root certificates: %w", err)
	}
	return timestamp.ReadRoots(raw)
}

// checkpoint is the newest that was published, with the witnesses' signatures when they
// have signed just that.
func (s *stamper) checkpoint() ([]byte, audit.Tree, error) {
	dir, key := s.srv.settings.path("audit"), s.srv.record.PublicKeys().Log
	raw, err := durable.Read(filepath.Join(dir, "log", "checkpoint"), witness.MaxCheckpoint)
	if err != nil {
		return nil, audit.Tree{}, err
	}
	tree, err := audit.OpenCheckpoint(raw, key)
	if err != nil {
		return nil, audit.Tree{}, err
	}
	cosigned, err := durable.Read(filepath.Join(audit.CosignedDir(dir), witness.File), witness.MaxCheckpoint)
	if errors.Is(err, fs.ErrNotExist) {
		return raw, tree, nil
	}
	if err != nil {
		return nil, audit.Tree{}, err
	}
	if other, err := audit.OpenCheckpoint(cosigned, key); err == nil && other == tree {
		raw = cosigned
	}
	return raw, tree, nil
}
