package inbound

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"slipway/audit"
	"slipway/internal/part"
	"slipway/internal/webhook"
	"slipway/repo"
	"slipway/secret"
)

// Options are what the service needs from the server.
type Options struct {
	Log     *audit.Log
	Main    func(context.Context) (*repo.Tree, *repo.Settings, error) // what is approved now
	Secrets *secret.Resolver
	Dir     string           // where it is kept how far followed sources were read
	Now     func() time.Time // default time.Now
	Logger  *slog.Logger     // default slog.Default()
}

// Service takes reports in. It is safe for concurrent use.
type Service struct {
	o    Options
	busy chan struct{} // one entry for each delivery that is being read
	page int           // events that are read at once

	settling          sync.Mutex // held while Settle runs
	settled, credited mark       // under settling: how far reports were concluded, and drift attributed
}

const atOnce = 4 // deliveries

// New makes the service.
func New(o Options) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Service{o: o, busy: make(chan struct{}, atOnce), page: maxLooked}
}

// Path is where sources deliver: POST Path + the source's name.
const Path = "/api/sources/"

// errRefused is all that somebody without the credential learns.
var errRefused = errors.New("this is not a source that may report here, or its credential is another")

// ServeHTTP takes one delivery. 204: it is on record, or told nothing that concerns
// Slipway. 401: see errRefused. 413 and 422: what was sent is at fault, and sending it
// again will not help. 503: try again.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "reports are sent by POST", http.StatusMethodNotAllowed)
		return
	}
	select {
	case s.busy <- struct{}{}:
		defer func() { <-s.busy }()
	case <-r.Context().Done():
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		http.Error(w, fmt.Sprintf("one delivery has at most %d bytes", maxBody), http.StatusRequestEntityTooLarge)
		return
	}
	if err != nil {
		http.Error(w, "the delivery broke off", http.StatusBadRequest)
		return
	}
	source := strings.TrimPrefix(r.URL.Path, Path)
	typ, err := s.authenticate(r, source, body)
	if err == nil {
		err = s.Receive(r.Context(), source, typ, body)
	}
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, errRefused):
		http.Error(w, errRefused.Error(), http.StatusUnauthorized)
	case errors.Is(err, errReport):
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
	default:
		s.o.Logger.Error("a report could not be put on record", "source", source, "error", err)
		http.Error(w, "the report could not be put on record; try again later", http.StatusServiceUnavailable)
	}
}

// credential reads how a source proves who it is.
func credential(ctx context.Context, in *part.Reader) (token, key secret.Value) {
	return in.Secret(ctx, "token", false), in.Secret(ctx, "secret", false)
}

// authenticate says which type of source is delivering.
func (s *Service) authenticate(r *http.Request, source string, body []byte) (typ string, err error) {
	_, settings, err := s.o.Main(r.Context())
	if err != nil {
		return "", err
	}
	p, ok := settings.Record.Sources[source]
	if !ok {
		return "", errRefused
	}
	in := part.Read("record sources "+source, p.Params, s.o.Secrets)
	token, key := credential(r.Context(), in)
	// Other settings are for sources that are followed; check reads them.
	if token.Reveal() == "" && key.Reveal() == "" {
		return "", errRefused // it is followed, and delivers nothing
	}
	if token.Reveal() != "" && bearer(r, token.Reveal()) || key.Reveal() != "" && s.signed(r, key.Reveal(), body) {
		return p.Type, nil
	}
	s.o.Logger.Warn("somebody without the credential of a source wanted to report", "source", source, "address", r.RemoteAddr)
	return "", errRefused
}

// bearer looks for a token where services put one.
func bearer(r *http.Request, token string) bool {
	want := sha256.Sum256([]byte(token))
	for _, given := range []string{
		strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), r.Header.Get("X-Gitlab-Token"), r.Header.Get("X-Api-Key"),
	} {
		got := sha256.Sum256([]byte(given))
		if given != "" && subtle.ConstantTimeCompare(got[:], want[:]) == 1 {
			return true
		}
	}
	return false
}

// maxSkew is how old a signed delivery may be, and how far its clock may be ahead.
const maxSkew = 5 * time.Minute

// signed checks an HMAC-SHA-256: over the body, as GitHub and Jira send it, or over ID,
// time and body, as the Standard Webhooks specification has it.
func (s *Service) signed(r *http.Request, secret string, body []byte) bool {
	for _, header := range []string{"X-Hub-Signature-256", "X-Hub-Signature"} {
		if encoded, ok := strings.CutPrefix(r.Header.Get(header), "sha256="); ok {
			mac := hmac.New(sha256.New, []byte(secret))
			mac.Write(body)
			given, err := hex.DecodeString(encoded)
			return err == nil && hmac.Equal(given, mac.Sum(nil))
		}
	}
	id, stamp := r.Header.Get(webhook.ID), r.Header.Get(webhook.Timestamp)
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if age := s.o.Now().Sub(time.Unix(seconds, 0)); err != nil || id == "" || age.Abs() > maxSkew {
		return false
	}
	key, err := webhook.Key(secret)
	return err == nil && webhook.Signed(key, id, stamp, body, r.Header.Get(webhook.Signature))
}

// details go with receive-report, and with what is concluded later.
type details struct {
	Event string `json:"report,omitempty"` // event ID of receive-report
	How   string `json:"how,omitempty"`    // match-report: by what it was found
	Report
}

// Receive puts a delivery of a source on record: the raw form as a document, and an event
// for each act that concerns what Slipway looks after. The same act told twice is on
// record once.
func (s *Service) Receive(ctx context.Context, source, typ string, raw []byte) error {
	reports, err := Parse(typ, raw, s.o.Now())
	if err != nil {
		return err
	}
	if len(reports) == 0 {
		return nil
	}
	tree, settings, err := s.o.Main(ctx)
	if err != nil {
		return err
	}
	var digest string
	for _, r := range reports {
		r.Source = source
		zones := r.zonesOf(settings.ZoneOf)
		if len(zones) == 0 && r.Commit == "" && r.Ticket == "" {
			continue // about something that is not ours
		}
		once := "report/" + source + "/" + r.ID
		if _, known, err := s.o.Log.Index().Once(ctx, once); err != nil || known {
			if err != nil {
				return err
			}
			continue
		}
		if digest == "" {
			if digest, err = s.o.Log.Documents().Put(ctx, raw); err != nil {
				return err
			}
		}
		found, err := s.correlate(ctx, tree, settings, &r)
		if err != nil {
			return err
		}
		e := audit.Event{
			Actor: system, Action: audit.ReceiveReport, Resource: resource(&r, settings), Change: found.change, GitCommit: r.Commit,
			ArtifactRefs: map[string]string{"report": digest}, Once: once,
		}
		if e.Resource.App == "" {
			e.Resource.App = found.app
		}
		if err := s.append(ctx, e, details{Report: r}); err != nil {
			return err
		}
	}
	return nil
}

var system = audit.Actor{ID: "slipway", Role: "system"}

func (s *Service) append(ctx context.Context, e audit.Event, d any) error {
	raw, err := json.Marshal(d)
	if err != nil {
		return err
	}
	e.Details = raw
	_, err = s.o.Log.Append(ctx, e)
	return err
}

// resource is what a report is about, in the record's words.
func resource(r *Report, settings *repo.Settings) audit.Resource {
	out := audit.Resource{Name: r.Source}
	if zones := r.zonesOf(settings.ZoneOf); len(zones) > 0 {
		out.Zone = string(zones[0])
	}
	if len(r.Edits) == 1 && r.More == 0 {
		out.Record, out.Type = string(r.Edits[0].Name), r.Edits[0].Type
	}
	return out
}
