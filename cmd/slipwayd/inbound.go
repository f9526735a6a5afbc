package main

import (
	"context"
	"net/http"
	"time"

	"slipway/audit"
	"slipway/inbound"
	"slipway/repo"
)

// settleEvery is how often it is concluded what reports mean.
const settleEvery = time.Minute

// startSources takes in what the sources that slipway.yaml names report.
func (srv *server) startSources(context.Context) error {
	srv.reports = inbound.New(inbound.Options{
		Log: srv.record, Main: srv.main, Secrets: srv.secrets, Dir: srv.settings.path("sources"), Now: time.Now, Logger: srv.log,
	})
	srv.keepParts("sources", func(r repo.RecordSettings) map[string]repo.Part { return r.Sources }, srv.source)
	srv.onClose(every(settleEvery, settleEvery, func(ctx context.Context) {
		if err := srv.reports.Settle(ctx); err != nil && ctx.Err() == nil {
			srv.log.Warn("what was reported from outside could not be concluded, and is tried again", "error", err)
		}
	}))
	return nil
}

func (srv *server) source(ctx context.Context, name string, p repo.Part, guard *audit.Guard) (func(context.Context) error, error) {
	return srv.reports.Open(ctx, name, p, func(ctx context.Context, problem error) { srv.guarded(ctx, guard, problem) })
}

// withSources puts the door for reports beside the portal: whoever reports has a
// credential of its own, and no session.
func (srv *server) withSources(portal http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(inbound.Path, srv.reports)
	mux.Handle("/", portal)
	return mux
}
