package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/transparency-dev/tessera/client"

	"slipway/audit"
	"slipway/audit/witness"
	"slipway/repo"
)

// quorumPart is what the witnesses are called together. They are run as one, because they
// have to sign the same checkpoint.
const quorumPart = "quorum"

// startWitnesses takes the record's checkpoints to the witnesses that slipway.yaml names,
// and to its timestamp authorities.
func (srv *server) startWitnesses(context.Context) error {
	srv.keepParts("witnesses", together, srv.witness)
	srv.keepParts("timestamps", func(r repo.RecordSettings) map[string]repo.Part { return r.Timestamps }, srv.timestamp)
	return nil
}

// together makes one part of all witnesses and their quorum; apart takes it to pieces.
func together(r repo.RecordSettings) map[string]repo.Part {
	if len(r.Witnesses) == 0 {
		return nil
	}
	all := repo.Part{Type: strconv.Itoa(r.Quorum), Params: map[string]string{}}
	for name, w := range r.Witnesses {
		all.Params[name+" type"] = w.Type
		for k, v := range w.Params {
			all.Params[name+" "+k] = v
		}
	}
	return map[string]repo.Part{quorumPart: all}
}

func apart(all repo.Part) (*witness.Policy, error) {
	quorum, err := strconv.Atoi(all.Type)
	if err != nil {
		return nil, err
	}
	byName := map[string]*witness.Witness{}
	var names []string
	for key, value := range all.Params {
		name, k, _ := strings.Cut(key, " ")
		w := byName[name]
		if w == nil {
			w = &witness.Witness{Name: name}
			byName[name], names = w, append(names, name)
		}
		switch {
		case k == "url":
			w.URL = value
		case k == "key":
			w.Key = value
		case k == "type" && value == "witness":
		case k == "type":
			return nil, fmt.Errorf("witness %s: there is no type %q; write `type: witness`", name, value)
		default:
			return nil, fmt.Errorf("witness %s: there is no setting %q; it has url and key", name, k)
		}
	}
	slices.Sort(names)
	var witnesses []witness.Witness
	for _, name := range names {
		if byName[name].URL == "" {
			return nil, fmt.Errorf("witness %s: add url, where it takes checkpoints", name)
		}
		witnesses = append(witnesses, *byName[name])
	}
	return witness.NewPolicy(quorum, witnesses...)
}

func (srv *server) witness(_ context.Context, _ string, p repo.Part, guard *audit.Guard) (func(context.Context) error, error) {
	policy, err := apart(p)
	if err != nil {
		return nil, err
	}
	told := srv.witnessGuards(policy)
	files := client.FileFetcher{Root: srv.settings.path("audit", "log")}
	k, err := witness.NewKeeper(witness.KeeperOptions{
		Log: srv.record.PublicKeys().Log, Policy: policy, Dir: audit.CosignedDir(srv.settings.path("audit")),
		Checkpoint: files.ReadCheckpoint, Tile: files.ReadTile, Report: told.report,
		// A witness is where the settings say, and nowhere else.
		Client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		srv.guarded(ctx, guard, nil) // it could be started
		return k.Run(ctx)
	}, nil
}

// witnessGuards tells of witnesses that do not answer, after a while, and of those that
// contradict the log, at once.
type witnessGuards struct {
	srv     *server
	outage  map[string]*audit.Guard
	history map[string]*audit.Guard
	since   map[string]time.Time // when the server's messages last had it that a witness contradicts
}

// shoutEvery is how often the server's messages repeat that there are two histories. The
// record has it once.
const shoutEvery = time.Hour

func (srv *server) witnessGuards(p *witness.Policy) *witnessGuards {
	g := &witnessGuards{srv: srv, outage: map[string]*audit.Guard{}, history: map[string]*audit.Guard{}, since: map[string]time.Time{}}
	for _, w := range p.Witnesses() {
		g.outage[w.Name] = &audit.Guard{Log: srv.record, Kind: "witnesses", Name: w.Name}
		g.history[w.Name] = &audit.Guard{Log: srv.record, Kind: "witnesses", Name: w.Name + "/history", Grace: -1}
	}
	return g
}

func (g *witnessGuards) report(ctx context.Context, name string, problem error) {
	var c *witness.Contradiction
	if !errors.As(problem, &c) {
		if problem != nil {
			g.srv.log.Warn("a witness did not sign the record's checkpoint; it is asked again", "witness", name, "error", problem)
		} else {
			g.srv.guarded(ctx, g.history[name], nil)
		}
		g.srv.guarded(ctx, g.outage[name], problem)
		return
	}
	// It answers, so it is no outage; and an outage that was warned of must not hide this.
	g.srv.guarded(ctx, g.outage[name], nil)
	if time.Since(g.since[name]) >= shoutEvery {
		g.since[name] = time.Now()
		g.srv.log.Error("A WITNESS CONTRADICTS THE RECORD: it was rewritten, or this server runs on an older copy of its disk. Stop the server, keep the disk, and find out which (docs/witness.md)",
			"witness", name, "error", c, "signed", string(c.Checkpoint))
	}
	g.srv.guarded(ctx, g.history[name], g.withProof(ctx, c))
}

// withProof keeps what the witness has signed, which the log's own key has signed too, and
// says where it is.
func (g *witnessGuards) withProof(ctx context.Context, c *witness.Contradiction) error {
	if c.Checkpoint == nil {
		return c
	}
	digest, err := g.srv.record.Documents().Put(ctx, c.Checkpoint)
	if err != nil {
		return errors.Join(c, err)
	}
	return fmt.Errorf("%w. What it has signed is the document %s", c, digest)
}
