package evidence

import (
	"context"
	"io"

	"slipway/audit"
	"slipway/repo"
)

// Exporter takes evidence out of a running server's record, and records that it did. Who may
// ask it is for its callers to say.
type Exporter struct {
	log     *audit.Log
	repo    *repo.Repo
	signers []byte
	extra   func(ctx context.Context, d *Data) (map[string][]byte, error)
	turns   chan struct{} // a place for each export under way
}

const maxExports = 2 // at a time: each holds its events in memory

// NewExporter makes one. For signers and extra see Source and Options.
func NewExporter(log *audit.Log, r *repo.Repo, signers []byte, extra func(context.Context, *Data) (map[string][]byte, error)) *Exporter {
	return &Exporter{log: log, repo: r, signers: signers, extra: extra, turns: make(chan struct{}, maxExports)}
}

// Export writes a sealed bundle of everything that the log has about a subject by now.
func (x *Exporter) Export(ctx context.Context, w io.Writer, by audit.Actor, s Subject) (*Exported, error) {
	select {
	case x.turns <- struct{}{}:
		defer func() { <-x.turns }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	keys := x.log.PublicKeys() // before the snapshot, which then has the event that names each of them
	snapshot, err := x.log.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	defer snapshot.Close()
	src := Source{Log: snapshot, Keys: keys, Repo: x.repo, AllowedSigners: x.signers}
	return Export(ctx, w, src, Options{Subject: s, Extra: x.extra, Seal: Sealer(x.log, by)})
}
