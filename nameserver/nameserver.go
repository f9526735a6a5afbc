// Package nameserver is the embedded authoritative DNS server: CoreDNS in this
// process, serving the zone files of provider/zonefile on one listener for all
// zones and, where asked, a second one for the external zones alone. It signs
// zones on the fly where they say so, hands a zone over (AXFR) to this machine
// only, and keeps the last good version of a zone whose file has been spoilt. It
// never writes a zone file and never resolves anything for anyone: a name outside
// its zones is refused. The other half of the package is the client that asks such
// a server whether a change can be seen (Resolve, Verify).
//
// Read this file first, then view.go (which zone answers a question), served.go
// (one zone from file to answer) and verify.go. docs/decisions/0006 says why
// CoreDNS's own Corefile and `auto` plugin are not used.
package nameserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"slipway/zone"
)

// Zone is one zone to serve.
type Zone struct {
	Name     zone.Name
	External bool // also answered on the external listener
	Signed   bool // DNSSEC, with a key made in KeyDir
}

// DefaultPoll is how often the files are looked at for edits that nobody
// announced with Reload.
const DefaultPoll = 2 * time.Second

// Options say what to serve and where.
type Options struct {
	Dir      string                                    // zone files, <zone>.zone
	KeyDir   string                                    // DNSSEC keys
	Internal string                                    // listen address for all zones, "127.0.0.1:0" picks a port
	External string                                    // listen address for external zones only; "" for none
	Zones    func(ctx context.Context) ([]Zone, error) // asked at start and by Refresh

	// Fault is called when a zone's file cannot be used (err) and again, with nil,
	// when it can. The zone goes on being served as it last was.
	Fault func(z zone.Name, err error)

	Poll time.Duration // default DefaultPoll; below zero, only Reload and Refresh look at files
	Log  *slog.Logger  // default slog.Default()
}

// Server is a running nameserver. Its methods are safe for concurrent use.
type Server struct {
	o   Options
	log *slog.Logger

	// refresh is held for a whole Refresh, so that the set of zones that was asked
	// for last is the one that stays.
	refresh sync.Mutex
	keys    *keyring // used under refresh only

	// mu guards zones, for no longer than a look-up: loading goes on without it.
	mu    sync.RWMutex
	zones map[zone.Name]*served

	internal, external *listener

	stop context.CancelFunc
	ctx  context.Context // ends with Stop
	done sync.WaitGroup  // the poller
	once sync.Once
	err  error
}

// Start serves the zones that o.Zones names. It returns when both listeners
// answer and every zone file has been read; a file that cannot be used is reported
// by Health and does not keep the others from being served. ctx bounds the start
// only: the server runs until Stop.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Poll == 0 {
		o.Poll = DefaultPoll
	}
	if o.Zones == nil {
		return nil, errors.New("nameserver: Options.Zones is missing: it says which zones to serve")
	}
	if o.Internal == "" {
		return nil, errors.New("nameserver: Options.Internal is missing: it is the address that answers for all zones, for example 127.0.0.1:5353")
	}
	s := &Server{o: o, log: o.Log, zones: map[zone.Name]*served{}, keys: &keyring{dir: o.KeyDir, log: o.Log}}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.internal = &listener{view: &view{transfers: true}}
	s.external = &listener{view: &view{}}
	if err := s.Refresh(ctx); err != nil {
		s.stop()
		return nil, err
	}
	if err := s.internal.start(o.Internal); err != nil {
		s.stop()
		return nil, fmt.Errorf("internal DNS listener: %w", err)
	}
	if o.External != "" {
		if err := s.external.start(o.External); err != nil {
			return nil, errors.Join(fmt.Errorf("external DNS listener: %w", err), s.Stop())
		}
	}
	if o.Poll > 0 {
		s.done.Go(s.poll)
	}
	return s, nil
}

// Internal is the address:port that answers for all zones, over UDP and TCP.
func (s *Server) Internal() string { return s.internal.address() }

// External is the address:port that answers for external zones only, or "".
func (s *Server) External() string { return s.external.address() }

// Reload reads the file of zone z again; when it returns, the new content is
// being answered. The cost is that zone's alone. A zone that is not yet known is
// looked for with Options.Zones, because the first apply of a new zone may come
// before anyone calls Refresh.
func (s *Server) Reload(z zone.Name) {
	s.mu.RLock()
	sv := s.zones[z]
	s.mu.RUnlock()
	if sv == nil {
		ctx, cancel := context.WithTimeout(s.ctx, 10*time.Second)
		defer cancel()
		if err := s.Refresh(ctx); err != nil {
			s.log.Error("a zone was applied that the name server does not know, and asking for the list of zones failed", "zone", string(z), "error", err)
		}
		return
	}
	sv.load(true)
}

// Refresh asks Options.Zones again, begins to serve zones that are new, stops
// serving those that are gone, and reads every file that has changed since it was
// last read. An error leaves the set of zones as it was.
func (s *Server) Refresh(ctx context.Context) error {
	s.refresh.Lock()
	defer s.refresh.Unlock()
	list, err := s.o.Zones(ctx)
	if err != nil {
		return fmt.Errorf("list of zones to serve: %w", err)
	}
	s.mu.RLock()
	old := s.zones
	s.mu.RUnlock()
	next := make(map[zone.Name]*served, len(list))
	for _, z := range list {
		if next[z.Name] != nil {
			return fmt.Errorf("list of zones to serve: zone %s is in it twice", z.Name)
		}
		if sv := old[z.Name]; sv != nil && sv.Zone == z && !sv.unsigned() {
			next[z.Name] = sv
			continue
		}
		sv, err := s.newServed(z)
		if err != nil {
			return fmt.Errorf("list of zones to serve: %w", err)
		}
		if before := old[z.Name]; before != nil { // only its settings changed: keep what is served
			sv.data.Store(before.data.Load())
		}
		next[z.Name] = sv
	}
	if err := load(ctx, next); err != nil {
		return err
	}
	s.mu.Lock()
	s.zones = next
	s.mu.Unlock()
	s.internal.view.set(next, func(*served) bool { return true })
	s.external.view.set(next, func(sv *served) bool { return sv.External })
	// A Reload that came between the reading of a zone's file and this moment went
	// to the version of the zone that has just been replaced.
	return load(ctx, next)
}

// load reads the files of zones that changed, several at a time.
func load(ctx context.Context, zones map[zone.Name]*served) error {
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, sv := range zones {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error { sv.load(false); return nil })
	}
	g.Wait()
	return ctx.Err()
}

// poll finds edits of files that nobody announced: somebody's editor, or a
// restored backup. A look costs one stat call a zone.
func (s *Server) poll() {
	tick := time.NewTicker(s.o.Poll)
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
		}
		s.mu.RLock()
		zones := s.zones
		s.mu.RUnlock()
		for _, sv := range zones {
			if s.ctx.Err() != nil {
				return
			}
			sv.load(false)
		}
	}
}

// DS returns the delegation signer records of a signed zone in presentation form,
// for its parent (RFC 4034 section 5).
func (s *Server) DS(z zone.Name) ([]string, error) {
	s.mu.RLock()
	sv := s.zones[z]
	s.mu.RUnlock()
	switch {
	case sv == nil:
		return nil, fmt.Errorf("zone %s is not served here", z)
	case !sv.Signed:
		return nil, fmt.Errorf("zone %s is not signed: set `dnssec: required` for it in slipway.yaml", z)
	case sv.unsigned():
		return nil, fmt.Errorf("zone %s has no usable key: %w", z, sv.fault())
	}
	return slices.Clone(sv.ds), nil
}

// Health is nil when every zone that has a file is served as the file says.
// Otherwise it names each zone that is not, and why.
func (s *Server) Health() error {
	s.mu.RLock()
	zones := s.zones
	s.mu.RUnlock()
	var errs []error
	for _, sv := range zones {
		if err := sv.fault(); err != nil {
			errs = append(errs, err)
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

// Stop ends the server: questions that are being answered are finished, the
// ports are free when it returns.
func (s *Server) Stop() error {
	s.once.Do(func() {
		s.stop()
		s.done.Wait()
		s.err = errors.Join(s.internal.stop(), s.external.stop())
	})
	return s.err
}
