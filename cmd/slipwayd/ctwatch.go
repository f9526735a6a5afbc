package main

import (
	"context"
	"errors"
	"reflect"
	"sync"

	"slipway/cert"
	"slipway/cert/ctwatch"
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
		switch {
		case s.Err == nil && s.Behind() > 0:
			l.srv.log.Info("a certificate log is not read to its end yet", "log", s.Log, "behind", s.Behind())
		case s.Err != nil && !errors.Is(s.Err, ctwatch.ErrProblem): // a problem was told of
			errs = append(errs, s.Err)
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
		Problem: func(_ context.Context, p ctwatch.Problem) error {
			l.srv.log.Error("a certificate log breaks its promises", "log", p.Log, "kind", p.Kind, "problem", p.Text, "help", p.Help)
			return nil
		},
	}
	for _, c := range logs {
		kind := ctwatch.StaticCT
		if c.Type == "rfc6962" {
			kind = ctwatch.RFC6962
		}
		o.Logs = append(o.Logs, ctwatch.Log{Name: c.Name, Type: kind, URL: c.URL, Key: c.Key})
	}
	return o
}
