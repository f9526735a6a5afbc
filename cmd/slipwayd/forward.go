package main

import (
	"context"

	"slipway/audit"
	"slipway/audit/forward"
	"slipway/repo"
)

// startForward takes the events of the record to those that slipway.yaml names.
func (srv *server) startForward(context.Context) error {
	srv.keepParts("forward", func(r repo.RecordSettings) map[string]repo.Part { return r.Forward }, srv.forward)
	return nil
}

func (srv *server) forward(ctx context.Context, name string, p repo.Part, guard *audit.Guard) (func(context.Context) error, error) {
	d, err := forward.Open(ctx, name, p.Type, p.Params, forward.Options{
		Origin: srv.record.PublicKeys().Origin, Dir: srv.settings.path("forward"), Secrets: srv.secrets, Log: srv.log,
	})
	if err != nil {
		return nil, err
	}
	d.Report = func(ctx context.Context, problem error) { srv.guarded(ctx, guard, problem) }
	return func(ctx context.Context) error { return d.Run(ctx, srv.record.Index()) }, nil
}
