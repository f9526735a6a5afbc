package main

import (
	"context"
	"errors"
	"fmt"

	"slipway/audit"
	"slipway/audit/mirror"
	"slipway/repo"
)

// startMirrors copies the record to the mirrors that slipway.yaml names.
func (srv *server) startMirrors(context.Context) error {
	srv.keepParts("mirrors", func(r repo.RecordSettings) map[string]repo.Part { return r.Mirrors }, srv.mirror)
	return nil
}

func (srv *server) mirror(ctx context.Context, name string, p repo.Part, guard *audit.Guard) (func(context.Context) error, error) {
	s, err := mirror.Open(ctx, name, p.Type, p.Params, srv.secrets)
	if err != nil {
		return nil, err
	}
	m, err := mirror.New(mirror.Options{
		Dir: srv.settings.path("audit"), Keys: srv.record.PublicKeys, Store: s.Store, Documents: s.Documents, Every: s.Every,
	})
	if err != nil {
		return nil, err
	}
	// A mirror that says otherwise than the log is told of at once and by itself: an
	// outage that was warned of before must not hide it.
	content := &audit.Guard{Log: srv.record, Kind: guard.Kind, Name: name + "/content", Grace: -1}
	return func(ctx context.Context) error {
		m.Run(ctx, 0, func(ctx context.Context, status mirror.Status, err error) {
			var other *mirror.Contradiction
			switch {
			case errors.As(err, &other):
				srv.log.Error("a mirror of the record contradicts it", "mirror", name, "error", err)
				srv.guarded(ctx, content, err)
				return
			case err != nil:
				srv.log.Warn("a mirror of the record could not be brought up to it; it is tried again", "mirror", name, "error", err)
			case len(status.Missing) > 0:
				err = fmt.Errorf("%d documents that events refer to are not in the server's store and so not in the mirror, such as %s. Restore them from a backup", len(status.Missing), status.Missing[0])
			}
			if err == nil {
				srv.guarded(ctx, content, nil)
			}
			srv.guarded(ctx, guard, err)
		})
		return nil
	}, nil
}
