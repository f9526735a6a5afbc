// Package portal is the server's face: web pages for people, the JSON API for
// programs, both over the same core. It decides nothing about changes: what may
// be asked, voted, cancelled or retried is the business of Service, and every
// page and every API call comes to the same method of it. The portal finds out
// who asks, refuses who may not come at all (routes.go), shows only what a person
// may see (access.go), and says in plain words where things stand (words.go).
package portal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"slipway/approval"
	"slipway/audit"
	"slipway/cert"
	"slipway/check"
	"slipway/drift"
	"slipway/evidence"
	"slipway/evidence/controls"
	"slipway/flow"
	"slipway/identity"
	"slipway/lifecycle"
	"slipway/repo"
	"slipway/zone"
)

// Service is what the portal needs of flow.Service. Errors that people may
// read are *flow.Error.
type Service interface {
	Preview(ctx context.Context, by identity.Person, files map[string][]byte) (*check.Verdict, error)
	Submit(ctx context.Context, sub flow.Submission, progress io.Writer) (lifecycle.State, *check.Verdict, error)
	Vote(ctx context.Context, by identity.Person, id string, d approval.Decision, reason, changeDigest, policyDigest, via string) (lifecycle.State, error)
	Cancel(ctx context.Context, by identity.Person, id, reason, via string) (lifecycle.State, error)
	Schedule(ctx context.Context, by identity.Person, id string, notBefore time.Time, via string) (lifecycle.State, error)
	Retry(ctx context.Context, by identity.Person, id string) (lifecycle.State, error)
	Rollback(ctx context.Context, by identity.Person, id, ticket, via string) (lifecycle.State, *check.Verdict, error)
	ReleaseApply(ctx context.Context, by identity.Person, id string, z zone.Name, plan, reason, via string) (lifecycle.State, error)
	Change(ctx context.Context, id string) (lifecycle.State, []audit.Receipt, *check.Verdict, error)
	Changes(ctx context.Context, q audit.ChangeQuery) ([]lifecycle.State, error)
	Inbox(ctx context.Context, by identity.Person) ([]lifecycle.State, error)
	Apps(ctx context.Context) ([]*repo.App, error)
	App(ctx context.Context, name string) (*repo.App, []lifecycle.State, []audit.Receipt, error)
	Drift(ctx context.Context, zones []zone.Name) ([]drift.Report, error)
	LastDrift(ctx context.Context) ([]drift.Report, error)
	DriftMonth(ctx context.Context, month string) (*drift.Month, error)
	RevertDrift(ctx context.Context, by identity.Person, z zone.Name, live string) error
	AdoptDrift(ctx context.Context, by identity.Person, z zone.Name, live, ticket, via string) (lifecycle.State, *check.Verdict, error)
	Certificates(ctx context.Context, q cert.Query) []cert.Certificate
	Certificate(ctx context.Context, id string) (cert.Certificate, []byte, error)
	RenewCertificate(ctx context.Context, by identity.Person, id string) (cert.Certificate, error)
	RevokeCertificate(ctx context.Context, by identity.Person, id, reason, why string) (cert.Certificate, error)
	SignRequest(ctx context.Context, by identity.Person, app string, csr []byte) (cert.Certificate, []byte, error)
	Strays(ctx context.Context) ([]cert.Stray, error)
	AcceptStray(ctx context.Context, by identity.Person, id, reason string) error
	CertificateWarnings(ctx context.Context) ([]cert.WarnDetails, error)
}

var _ Service = (*flow.Service)(nil)

// Options wire the portal to the server. All but Door, Address and Controls must be set.
type Options struct {
	Service        Service
	Identity       *identity.Service
	Door           *identity.Door // nil: one is made; give the one that the Git host uses, so that guesses count together
	Record         *audit.Log
	Settings       func(ctx context.Context) (*repo.Settings, error)                      // slipway.yaml on main
	Git            http.Handler                                                           // the zones repository, at its root; identity.PersonOf says who asks
	Evidence       *evidence.Exporter                                                     // nil: none is taken out here
	AllowedSigners []byte                                                                 // for git verify-commit
	BaseURL        string                                                                 // as people type it, without a path
	Root           func() []byte                                                          // of the server's own certificate authority, PEM; nil: it has none
	CRL            func() ([]byte, error)                                                 // what that authority has revoked, DER
	DNS            string                                                                 // address of the internal name server, for the account page
	Address        func(*http.Request) string                                             // client's network address; nil: the connection's
	Controls       func(ctx context.Context) (*controls.Mapping, []controls.Check, error) // in force on main; nil: what is built in
	Logger         *slog.Logger
	Now            func() time.Time
}

// server is the portal. Everything in it is set once by New.
type server struct {
	Options
	https    bool
	door     *identity.Door
	mux      *http.ServeMux
	chain    http.Handler // what is around the mux, and the mux
	csrf     *http.CrossOriginProtection
	pages    *pages
	waits    chan struct{} // a slot for each request that is held open
	previews chan struct{} // a slot for each preview that is being judged
	rates    *previewRates
}

// Bounds on what runs at once. A wait beyond them is answered at once, a preview has its turn.
const (
	maxWaits    = 512
	maxPreviews = 4
)

// New returns the portal's handler: pages at /, the API below /api/v1/, the
// zones repository at /git/zones.git, the log at /log/.
func New(o Options) (http.Handler, error) {
	if o.Service == nil || o.Identity == nil || o.Record == nil || o.Settings == nil || o.Git == nil || o.Logger == nil || o.Now == nil {
		return nil, errors.New("portal: an option is missing")
	}
	base, err := url.Parse(o.BaseURL)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" || strings.Trim(base.Path, "/") != "" {
		return nil, fmt.Errorf("portal: the base URL %q must be http:// or https://, a host and nothing else", o.BaseURL)
	}
	o.BaseURL = base.Scheme + "://" + base.Host
	s := &server{
		Options:  o,
		https:    base.Scheme == "https",
		door:     o.Door,
		mux:      http.NewServeMux(),
		csrf:     http.NewCrossOriginProtection(),
		waits:    make(chan struct{}, maxWaits),
		previews: make(chan struct{}, maxPreviews),
		rates:    &previewRates{now: o.Now, by: map[string]*rate.Limiter{}},
	}
	if s.door == nil {
		s.door = identity.NewDoor(o.Identity, s.https, o.Address)
	}
	// A proxy may put another name into Host than the one in the address bar.
	if err := s.csrf.AddTrustedOrigin(o.BaseURL); err != nil {
		return nil, fmt.Errorf("portal: %w", err)
	}
	if s.pages, err = loadPages(); err != nil {
		return nil, fmt.Errorf("portal: %w", err)
	}
	for _, r := range s.routes() {
		s.mux.Handle(r.pattern, s.guard(r))
	}
	s.chain = s.protect(http.HandlerFunc(s.dispatch))
	return s, nil
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.chain.ServeHTTP(w, r) }
