// Package flow drives changes through their life by durable workflows
// (Temporal). The log says what happened; the workflow says what comes next, and
// can be rebuilt from the log. Every door (portal, API, push) calls Service.
//
// Nothing is decided from what the engine remembers. Each step takes the change's
// lock, folds its state from the log, does what lifecycle.State.Next says if that is
// still this step, and appends events under keys (audit.Event.Once) that make
// doing it again harmless. So a step may be killed at any instruction and run again, and
// a lost engine is replaced by a new one that asks the log.
//
// Read flow.go, then workflow.go (what the engine runs), steps.go, merge.go and
// apply.go (the steps), certify.go, challenge.go and renew.go (certificates), submit.go and
// decide.go (what people do), undo.go and mend.go (how they take things back), drift.go (what
// others did) with driftscan.go and autorevert.go, engine.go last.
package flow

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"go.temporal.io/sdk/worker"
	"golang.org/x/crypto/ssh"

	"slipway/audit"
	"slipway/cert"
	"slipway/check"
	"slipway/drift"
	"slipway/provider"
	"slipway/repo"
	"slipway/repo/cache"
	"slipway/zone"
)

type Options struct {
	DataDir     string      // the embedded engine's file lies in temporal/ below it
	Temporal    string      // address of a cluster; "" for the embedded server
	TemporalTLS *tls.Config // towards a cluster; nil for none
	Namespace   string      // default "slipway"; a cluster's namespace serves one Slipway
	Repo        *repo.Repo
	Log         *audit.Log
	Engine      *check.Engine
	Signer      ssh.Signer
	// Provider returns the provider of a zone as t's settings name it.
	Provider func(ctx context.Context, t *repo.Tree, z zone.Name) (provider.Provider, error)
	// Certificates is what certificates come from; nil: this server issues none.
	Certificates *Certificates
	// Verify resolves at the servers of a zone, those of the provider that t's settings name, until all
	// answers are as wanted or ctx ends.
	Verify func(ctx context.Context, t *repo.Tree, z zone.Name, sets []zone.RRSet, gone []zone.Key) error
	// Parents asks the zone above a zone what it says of it; drift.ErrNoParent: there is nobody to ask. nil: nobody
	// is ever asked.
	Parents func(ctx context.Context, t *repo.Tree, z zone.Name) (*drift.Delegated, error)
	// MainMoved, if set, is called after each merge and before anything is applied, for whoever
	// follows the settings (the embedded name server: which zones there are).
	MainMoved func(ctx context.Context) error

	Now    func() time.Time // default time.Now
	Random io.Reader        // for change IDs; default crypto/rand.Reader
	Logger *slog.Logger     // default slog.Default()
}

func (o *Options) complete() error {
	if o.Repo == nil || o.Log == nil || o.Engine == nil || o.Signer == nil || o.Provider == nil || o.Verify == nil {
		return errors.New("workflows: a repository, a log, checks, a signer, providers and a way to verify are needed")
	}
	if o.DataDir == "" && o.Temporal == "" {
		return errors.New("workflows: a data directory, or the address of a Temporal cluster, is needed")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	o.Namespace = namespaceOr(o.Namespace)
	return nil
}

// Service is what people and programs do with changes. It is safe for concurrent use.
// One process serves a data directory: the locks below are what orders two votes.
type Service struct {
	o      Options
	engine *engine
	worker worker.Worker
	life   context.Context // ends with Stop: steps under way then give up, to be taken up by the next Start
	end    context.CancelFunc
	waking sync.WaitGroup // of the changes that wait, after the start

	changes  locks      // by change ID: held while a step or a person reads the log, decides and appends
	requests locks      // by request: held while one is submitted
	zones    locks      // by zone: held from reading the live zone to the receipt's event
	issuing  locks      // by certificate request: held while a certificate is got
	prepared *proposals // computed changes
	failures *failures
	lastRun  *reports // of drift
	scanner  drift.Scanner
	asking   sync.Map // of comparisons: *asked, by pass.Asked

	unmanaged unmanagedOf

	certs   *cert.Registry // nil without Options.Certificates
	waits   *waits         // what authorities ask for
	relooks relooks        // at applies that are held
	pace    *pace          // of renewals
	serving sync.Mutex     // held while the gateway is told what to serve
}

// Start starts the engine and goes on with every open change.
func Start(ctx context.Context, o Options) (*Service, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	s := &Service{o: o, prepared: newProposals(), failures: newFailures(), lastRun: newReports(), waits: newWaits(), pace: newPace()}
	if o.DataDir != "" {
		s.scanner.Cache = cache.Open(filepath.Join(o.DataDir, "drift"), cache.DefaultLimit)
	}
	if o.Certificates != nil {
		if err := s.loadCertificates(ctx); err != nil {
			return nil, fmt.Errorf("certificates on record: %w", err)
		}
	}
	s.life, s.end = context.WithCancel(context.WithoutCancel(ctx))
	// What Git has merged and the log does not know yet is recorded before anybody can vote on it.
	open, err := s.openChanges(ctx)
	if err != nil {
		return nil, err
	}
	for i, st := range open {
		if open[i], err = s.reconcile(ctx, st); err != nil {
			return nil, fmt.Errorf("change %s: %w", st.ID, err)
		}
	}
	if o.Temporal != "" {
		s.engine, err = dialCluster(ctx, o.Temporal, o.Namespace, o.TemporalTLS, o.Logger)
	} else {
		s.engine, err = embed(ctx, filepath.Join(o.DataDir, "temporal"), o.Namespace, o.Logger)
	}
	if err != nil {
		return nil, err
	}
	s.worker = s.newWorker()
	if err := s.worker.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("workflows: %w", err), s.engine.stop())
	}
	if err := s.resume(ctx, open); err != nil {
		return nil, errors.Join(err, s.Stop(ctx))
	}
	return s, nil
}

// grace is how long steps may go on after Stop.
const grace = 2 * time.Second

// Stop ends the engine. Steps that are under way end first, or are taken up by the next Start.
func (s *Service) Stop(context.Context) error {
	hurry := time.AfterFunc(grace, s.end)
	defer hurry.Stop()
	s.worker.Stop()
	s.end()
	s.waking.Wait()
	if err := s.engine.stop(); err != nil {
		return fmt.Errorf("workflow engine: %w", err)
	}
	return nil
}

func (s *Service) now() time.Time { return s.o.Now().UTC() }
