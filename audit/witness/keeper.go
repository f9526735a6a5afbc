package witness

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	tiles "github.com/transparency-dev/tessera/client"
	"golang.org/x/mod/sumdb/note"
)

const (
	// DefaultEvery is how often a log's newest checkpoint is taken to its witnesses.
	DefaultEvery = time.Second
	// DefaultTimeout is how long one witness may take.
	DefaultTimeout = 5 * time.Second

	maxPause = time.Minute // between attempts at a witness that fails
)

// KeeperOptions are what a Keeper is made of.
type KeeperOptions struct {
	Log    string  // verifier key of the log
	Policy *Policy // its witnesses need addresses
	Dir    string  // cosigned checkpoints are kept here

	Checkpoint func(ctx context.Context) ([]byte, error) // the newest that the log has published
	Tile       tiles.TileFetcherFunc                     // the log's hashes, for proofs

	// Report says how an attempt at a witness went: nil when it signed. An error that is a
	// *Contradiction is no outage. Reports come one after the other.
	Report func(ctx context.Context, witness string, problem error)

	Every, Timeout time.Duration    // default DefaultEvery, DefaultTimeout
	Client         *http.Client     // default http.DefaultClient
	Now            func() time.Time // default time.Now
}

// Keeper takes the checkpoints of a log to its witnesses, and keeps what they signed. It
// stands beside the writer and never in its way: a checkpoint is published, and an event
// acknowledged, whether or not any witness answers.
type Keeper struct {
	o        KeeperOptions
	verifier note.Verifier
	store    *store
	clients  []*clientState

	// Of the checkpoint that the last round was about; used by Round alone.
	head head
	raw  []byte
}

// clientState is what a Keeper knows of one witness; used by Round alone, but for the
// submitter while it asks.
type clientState struct {
	*submitter
	signed uint64 // the size that it cosigned last
	pause  time.Duration
	next   time.Time // not to be asked again before
}

// NewKeeper opens the store of cosigned checkpoints.
func NewKeeper(o KeeperOptions) (*Keeper, error) {
	if o.Every == 0 {
		o.Every = DefaultEvery
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Client == nil {
		o.Client = http.DefaultClient
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Report == nil {
		o.Report = func(context.Context, string, error) {}
	}
	k := &Keeper{o: o}
	var err error
	if k.verifier, err = note.NewVerifier(o.Log); err != nil {
		return nil, fmt.Errorf("the log's verifier key: %w", err)
	}
	for _, w := range o.Policy.Witnesses() {
		if w.URL == "" {
			return nil, fmt.Errorf("witness %s has no address", w.Name)
		}
		k.clients = append(k.clients, &clientState{submitter: &submitter{w: w, http: o.Client}})
	}
	k.store, err = openStore(o.Dir, o.Policy)
	return k, err
}

// Run takes each new checkpoint to the witnesses until the context ends.
func (k *Keeper) Run(ctx context.Context) error {
	tick := time.NewTicker(k.o.Every)
	defer tick.Stop()
	for {
		if err := k.Round(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Round takes the newest checkpoint to every witness that has not signed it and may be
// asked again, all at once, and keeps each cosignature as it comes. What a witness does
// wrong is reported; an error is one of this side.
func (k *Keeper) Round(ctx context.Context) error {
	if err := k.look(ctx); err != nil {
		return err
	}
	type result struct {
		c    *clientState
		line string
		err  error
	}
	results := make(chan result, len(k.clients))
	var asked sync.WaitGroup
	for _, c := range k.clients {
		if c.signed == k.head.size || k.o.Now().Before(c.next) || k.head.size == 0 {
			continue
		}
		asked.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, k.o.Timeout)
			defer cancel()
			line, err := c.submit(ctx, k.raw, k.head, k.prove)
			results <- result{c, line, err}
		})
	}
	go func() { asked.Wait(); close(results) }()
	var errs []error
	for r := range results {
		if ctx.Err() != nil {
			continue // the outcome is that of being stopped
		}
		if r.err == nil {
			raw, err := join(k.raw, r.line)
			if err == nil {
				err = k.store.keep(raw)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("witness %s: its cosignature cannot be kept: %w", r.c.w.Name, err))
				continue
			}
			k.raw, r.c.signed, r.c.pause, r.c.next = raw, k.head.size, 0, time.Time{}
		} else {
			r.c.pause = min(max(2*r.c.pause, k.o.Every), maxPause)
			r.c.next = k.o.Now().Add(r.c.pause)
		}
		k.o.Report(ctx, r.c.w.Name, r.err)
	}
	return errors.Join(errs...)
}

// look reads the newest published checkpoint.
func (k *Keeper) look(ctx context.Context) error {
	raw, err := k.o.Checkpoint(ctx)
	if err != nil {
		return err
	}
	signed, err := openSigned(raw, k.verifier)
	if err != nil {
		return fmt.Errorf("the published checkpoint: %w", err)
	}
	h, err := parseHead(signed.Text)
	if err != nil {
		return fmt.Errorf("the published checkpoint: %w", err)
	}
	if k.raw != nil && h.size == k.head.size && string(h.root) == string(k.head.root) {
		return nil // with the cosignatures that it has by now
	}
	// What was signed before a restart is not lost. They are asked all the same: what is on
	// this disk says nothing about whether it is the newest disk.
	if raw, err = k.store.join(raw); err != nil {
		return err
	}
	k.head, k.raw = h, raw
	for _, c := range k.clients {
		c.signed = 0
	}
	return nil
}

func (k *Keeper) prove(ctx context.Context, from, to uint64) ([][]byte, error) {
	b, err := tiles.NewProofBuilder(ctx, to, k.o.Tile)
	if err != nil {
		return nil, err
	}
	return b.ConsistencyProof(ctx, from, to)
}
