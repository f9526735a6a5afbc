package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"sync"

	"slipway/audit"
	"slipway/cert"
	"slipway/cert/ctwatch"
	"slipway/flow"
	"slipway/repo"
	"slipway/zone"
)

// logWatch keeps the watcher of Certificate Transparency logs for as long as what it watches stays the same.
type logWatch struct {
	srv *server

	mu      sync.Mutex // held for one pass
	watcher *ctwatch.Watcher
	logs    []repo.CertificateLog
	zones   []zone.Name
	found   func(context.Context, cert.Seen) error // of the pass under way
	guards  map[string]*audit.Guard                // by log
}

// guard puts on record that a log breaks its promises: a person has to know at once.
func (l *logWatch) guard(log string) *audit.Guard {
	if l.guards == nil {
		l.guards = map[string]*audit.Guard{}
	}
	if l.guards[log] == nil {
		l.guards[log] = &audit.Guard{Log: l.srv.record, Kind: "certificate-logs", Name: log, Grace: -1}
	}
	return l.guards[log]
}

// pass looks at what the logs of slipway.yaml have taken since the last one.
func (l *logWatch) pass(ctx context.Context, t *repo.Tree, zones []zone.Name, found func(context.Context, cert.Seen) error) error {
	settings, err := t.Settings(ctx)
	if err != nil {
		return err
	}
	logs := settings.Certificates.Logs
	if len(logs) == 0 || len(zones) == 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.found = found
	if l.watcher == nil || !reflect.DeepEqual(logs, l.logs) || !reflect.DeepEqual(zones, l.zones) {
		if l.watcher, err = ctwatch.New(l.options(logs, zones)); err != nil {
			return err
		}
		l.logs, l.zones = logs, zones
	}
	status, err := l.watcher.Pass(ctx)
	if len(status) == 0 {
		return err
	}
	var errs []error
	for _, s := range status {
		if s.Err == nil {
			errs = append(errs, l.guard(s.Log).Report(ctx, nil))
		}
		switch {
		case s.Err == nil && s.Behind() > 0:
			l.srv.log.Info("a certificate log is not read to its end yet", "log", s.Log, "behind", s.Behind())
		case s.Err != nil && !errors.Is(s.Err, ctwatch.ErrProblem): // a problem was told of
			errs = append(errs, fmt.Errorf("certificate log %s: %w", s.Log, s.Err))
		}
	}
	return errors.Join(errs...)
}

func (l *logWatch) options(logs []repo.CertificateLog, zones []zone.Name) ctwatch.Options {
	o := ctwatch.Options{
		Dir: l.srv.settings.path("ct"), Zones: zones,
		Found: func(ctx context.Context, f ctwatch.Found) error {
			return l.found(ctx, cert.Seen{
				ID: f.ID, Names: f.Names, Serial: f.Serial, Issuer: f.Issuer, NotBefore: f.NotBefore, NotAfter: f.NotAfter,
				Log: f.Log, Index: f.Index, Time: f.Timestamp, DER: f.DER, Unreadable: f.Unreadable,
			})
		},
		Problem: func(ctx context.Context, p ctwatch.Problem) error {
			l.srv.log.Error("a certificate log breaks its promises", "log", p.Log, "kind", p.Kind, "problem", p.Text, "help", p.Help)
			return l.guard(p.Log).Report(ctx, fmt.Errorf("%s: %s", p.Kind, p.Text))
		},
	}
	o.Logs = ctLogs(logs)
	return o
}

func ctLogs(settings []repo.CertificateLog) []ctwatch.Log {
	var logs []ctwatch.Log
	for _, c := range settings {
		kind := ctwatch.StaticCT
		if c.Type == "rfc6962" {
			kind = ctwatch.RFC6962
		}
		logs = append(logs, ctwatch.Log{Name: c.Name, Type: kind, URL: c.URL, Key: c.Key})
	}
	return logs
}

// proofs asks the logs that promised to show a certificate for the proof that they do.
func (l *logWatch) proofs(ctx context.Context, t *repo.Tree, chain [][]byte, have map[string]string) ([]flow.Proof, error) {
	settings, err := t.Settings(ctx)
	if err != nil {
		return nil, err
	}
	logs := ctLogs(settings.Certificates.Logs)
	if len(logs) == 0 || len(chain) < 2 {
		return nil, nil
	}
	promises, err := ctwatch.SCTs(chain, logs)
	if err != nil {
		return nil, err
	}
	var out []flow.Proof
	var errs []error
	for _, p := range promises {
		i := slices.IndexFunc(logs, func(log ctwatch.Log) bool { return log.Name == p.Log })
		if _, known := have[p.LogID]; known || i < 0 || p.Problem != "" {
			continue
		}
		in, err := ctwatch.Prove(ctx, logs[i], p, nil)
		if errors.Is(err, ctwatch.ErrNotYet) || errors.Is(err, fs.ErrNotExist) {
			continue // it has time yet
		}
		if err == nil {
			var raw []byte
			if raw, err = json.Marshal(in); err == nil {
				out = append(out, flow.Proof{Log: in.Log, LogID: in.LogID, Index: in.Index, Document: raw})
			}
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return out, errors.Join(errs...)
}
