package flow

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"slipway/audit"
	"slipway/cert"
	"slipway/lifecycle"
	"slipway/repo"
	"slipway/zone"
)

const (
	// renewEvery is how often to look for certificates that are due.
	renewEvery = time.Minute
	// watchEvery is how many of these looks come to one look into the logs of certificates.
	watchEvery = 5
	// renewAtOnce bounds the renewals of one look, so that one look ends; the settings bound those of an hour.
	renewAtOnce = 20
	// askAtOnce bounds the certificates whose authorities are asked in one look when to renew (RFC 9773).
	askAtOnce = 20
	// keepKeyFor is how long a key is kept after its certificate was replaced: gateways have the new one long before.
	keepKeyFor = time.Hour
	// firstRetry doubles with each failed renewal, up to lastRetry.
	firstRetry, lastRetry = 15 * time.Minute, 12 * time.Hour
)

// keepCertificates is one look at all certificates: what is due is renewed, what is missing is got, what no app
// wants any more is revoked, keys that nothing uses are destroyed, and people are told what needs them.
func (s *Service) keepCertificates(ctx context.Context) error {
	if s.certs == nil {
		return nil
	}
	main, err := s.main(ctx)
	if err != nil {
		return err
	}
	settings, err := main.Settings(ctx)
	if err != nil {
		return err
	}
	apps, err := main.Apps(ctx)
	if err != nil {
		return err
	}
	wanting := make(map[string]*repo.App)
	for _, a := range apps {
		if a.Certificate && len(a.CertificateNames()) > 0 {
			wanting[a.Name] = a
		}
	}
	s.askWindows(ctx, main)
	errs := []error{
		s.renewDue(ctx, main, settings, wanting),
		s.getMissing(ctx, main, settings, wanting),
		s.retire(ctx, main, wanting),
		s.destroyKeys(ctx),
		s.warn(ctx),
	}
	s.serve(ctx)
	return errors.Join(errs...)
}

// renewDue renews what is due, the most urgent first, and no more in an hour than the settings say.
func (s *Service) renewDue(ctx context.Context, main *repo.Tree, settings *repo.Settings, wanting map[string]*repo.App) error {
	var errs []error
	tried := 0
	for _, c := range s.certs.Due(s.now(), 0) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if tried == renewAtOnce {
			break
		}
		a := wanting[c.App]
		if a == nil || c.KeyRef == "" {
			continue // retired below; or the app's own key, and its own to renew
		}
		if !s.pace.allow(c.Authority, settings.Certificates.PerHour, s.now()) {
			continue
		}
		tried++
		_, err := s.renew(ctx, main, a, c)
		if err == nil || ctx.Err() != nil {
			continue
		}
		s.o.Logger.Warn("a certificate could not be renewed", "app", c.App, "serial", c.Serial, "error", err)
		if err := s.recordFailedRenewal(ctx, c, err); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// renew gets a certificate with a new key in the place of c.
func (s *Service) renew(ctx context.Context, main *repo.Tree, a *repo.App, c cert.Certificate) (cert.Certificate, error) {
	return s.issue(ctx, main, issuance{
		request: c.App + "/" + c.Serial, app: c.App, names: a.CertificateNames(), replaces: c.ID, change: c.Change, approved: c.Approved,
		about: about{app: c.App, commit: main.Commit(), chain: c.Approved},
	})
}

func (s *Service) recordFailedRenewal(ctx context.Context, c cert.Certificate, cause error) error {
	events, err := s.o.Log.Index().Events(ctx, audit.Query{App: c.App, Action: audit.FailCertificate, From: c.Issued})
	if err != nil {
		return err
	}
	delay := min(firstRetry<<min(len(events), 10), lastRetry)
	if left := c.NotAfter.Sub(s.now()) / 4; left > firstRetry {
		delay = min(delay, left) // the nearer the end, the oftener
	}
	next := s.now().Add(delay)
	return s.recordCertificate(ctx, about{app: c.App, chain: c.Approved}, audit.Event{
		Action: audit.FailCertificate, Resource: audit.Resource{Name: c.Serial},
		Once: fmt.Sprintf("certificate-failed/%s/%d", c.ID, next.Unix()),
	}, cert.FailDetails{ID: c.ID, Problem: short(cause.Error(), 1000), Next: next})
}

// getMissing gets certificates for apps that are live without one: their repository was taken over, or theirs
// was revoked or has expired.
func (s *Service) getMissing(ctx context.Context, main *repo.Tree, settings *repo.Settings, wanting map[string]*repo.App) error {
	var without []string
	for name := range wanting {
		if _, ok := s.current(name); !ok {
			without = append(without, name)
		}
	}
	if len(without) == 0 {
		return nil
	}
	open, err := s.openChanges(ctx)
	if err != nil {
		return err
	}
	slices.Sort(without)
	var errs []error
	done := 0
	for _, name := range without {
		if slices.ContainsFunc(open, func(st lifecycle.State) bool {
			return st.Commit != "" && (st.App == name || slices.Contains(st.Certify, name))
		}) {
			continue // on its way
		}
		last, had := s.lastCertificate(name)
		if had && last.Reason == reasonCeased {
			continue // a person took it away for good
		}
		if until, wait := s.waits.until("app/"+name, s.now()); wait && s.now().Before(until) {
			continue
		}
		a := wanting[name]
		from, err := settings.AuthoritiesFor(a.CertificateNames())
		if err != nil {
			errs = append(errs, fmt.Errorf("app %s: %w", name, err))
			continue
		}
		if done == renewAtOnce || !s.pace.allow(from[0], settings.Certificates.PerHour, s.now()) {
			break // a repository that was taken over may have thousands
		}
		done++
		_, err = s.issue(ctx, main, issuance{
			request: name + "/after/" + last.Serial, app: name, names: a.CertificateNames(), change: last.Change, approved: last.Approved,
			about: about{app: name, commit: main.Commit(), chain: last.Approved},
		})
		if err != nil && ctx.Err() == nil {
			s.waits.set("app/"+name, s.now().Add(firstRetry))
			errs = append(errs, fmt.Errorf("app %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// lastCertificate is the newest certificate of an app with a key of ours, whatever became of it.
func (s *Service) lastCertificate(app string) (last cert.Certificate, ok bool) {
	for _, c := range s.certs.Find(cert.Query{App: app}, s.now()) {
		if c.KeyRef != "" && (!ok || c.Issued.After(last.Issued)) {
			last, ok = c, true
		}
	}
	return last, ok
}

// current is the certificate that serves an app: its newest, if that is valid.
func (s *Service) current(app string) (cert.Certificate, bool) {
	c, ok := s.lastCertificate(app)
	return c, ok && c.Status(s.now()) == cert.Valid
}

const reasonCeased = "cessation-of-operation"

// retire revokes the certificates that no app wants any more.
func (s *Service) retire(ctx context.Context, main *repo.Tree, wanting map[string]*repo.App) error {
	var errs []error
	for _, c := range s.certs.Find(cert.Query{Status: cert.Valid}, s.now()) {
		if wanting[c.App] != nil || c.App == "" {
			continue
		}
		err := s.revoke(ctx, main, system, c, reasonCeased, "The app is no more, or no longer asks for a certificate.")
		if err != nil {
			errs = append(errs, fmt.Errorf("app %s: %w", c.App, err))
		}
	}
	return errors.Join(errs...)
}

// revoke revokes a certificate at its authority, and then records it.
func (s *Service) revoke(ctx context.Context, t *repo.Tree, by audit.Actor, c cert.Certificate, reason, why string) error {
	because, err := cert.ReasonNamed(reason)
	if err != nil {
		return err
	}
	leaf, err := s.leaf(ctx, c)
	if err != nil {
		return err
	}
	a, err := s.o.Certificates.Authority(ctx, t, c.Authority)
	if err != nil {
		return err
	}
	if err := a.Revoke(ctx, leaf, because.Code); err != nil {
		return err
	}
	return s.recordCertificate(ctx, about{app: c.App, chain: c.Approved}, audit.Event{
		Actor: by, Action: audit.RevokeCertificate, Resource: audit.Resource{Name: c.Serial}, Once: "revoke/" + c.ID,
	}, cert.RevokeDetails{ID: c.ID, Reason: reason, Why: why})
}

// destroyKeys destroys the keys of certificates that were replaced, revoked or have expired.
func (s *Service) destroyKeys(ctx context.Context) error {
	var errs []error
	now := s.now()
	for _, c := range s.certs.Find(cert.Query{}, now) {
		status := c.Status(now)
		if c.KeyRef == "" || c.KeyDestroyed || status == cert.Valid {
			continue
		}
		if status == cert.Replaced {
			if n, ok := s.certs.Get(c.ReplacedBy); ok && now.Before(n.Issued.Add(keepKeyFor)) {
				continue
			}
		}
		if err := s.o.Certificates.Keys.Destroy(ctx, c.KeyRef); err != nil {
			errs = append(errs, fmt.Errorf("key %s: %w", c.KeyRef, err))
			continue
		}
		err := s.recordCertificate(ctx, about{app: c.App}, audit.Event{
			Action: audit.DestroyKey, Resource: audit.Resource{Name: c.KeyRef}, Once: "destroy/" + c.KeyRef,
		}, cert.DestroyDetails{KeyRef: c.KeyRef, Certificate: c.ID})
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// warnings are told once each, the nearer the end the more of them.
var warnBefore = []time.Duration{24 * time.Hour, 3 * 24 * time.Hour, 7 * 24 * time.Hour, 14 * 24 * time.Hour}

// warn tells of certificates whose renewal is overdue. One that is renewed in time is nobody's business.
func (s *Service) warn(ctx context.Context) error {
	now := s.now()
	var errs []error
	for _, c := range s.certs.Find(cert.Query{Status: cert.Valid, Before: now.Add(warnBefore[len(warnBefore)-1])}, now) {
		life := c.NotAfter.Sub(c.NotBefore)
		if c.KeyRef == "" || c.Problem == "" || now.Before(c.NotAfter.Add(-life/4)) {
			continue
		}
		for _, before := range warnBefore {
			if now.Before(c.NotAfter.Add(-before)) {
				continue
			}
			text := fmt.Sprintf("The certificate of %s (%s) expires on %s, and it could not be renewed: %s",
				c.App, c.Names[0], c.NotAfter.UTC().Format("2 January 2006 15:04 MST"), short(c.Problem, 500))
			s.o.Logger.Warn("a certificate expires soon and could not be renewed", "app", c.App, "serial", c.Serial, "expires", c.NotAfter)
			err := s.recordCertificate(ctx, about{app: c.App}, audit.Event{
				Action: audit.WarnCertificate, Resource: audit.Resource{Name: c.Serial}, Once: fmt.Sprintf("warn/%s/%s", c.ID, before),
			}, cert.WarnDetails{ID: c.ID, Kind: "expiring", Text: text})
			if err != nil {
				errs = append(errs, err)
			}
			break
		}
	}
	return errors.Join(errs...)
}

// askWindows asks authorities when they want certificates renewed, a few at a time.
func (s *Service) askWindows(ctx context.Context, main *repo.Tree) {
	for _, c := range s.certs.Unasked(s.now(), askAtOnce) {
		if _, wait := s.waits.until(c.Authority, s.now()); wait || ctx.Err() != nil {
			continue
		}
		w, err := s.window(ctx, main, c)
		if err != nil {
			// Without it the certificate is renewed in the last third of its life.
			w = cert.Window{Again: s.now().Add(24 * time.Hour)}
			s.o.Logger.Debug("no renewal window", "app", c.App, "authority", c.Authority, "error", err)
		}
		s.certs.Suggest(c.ID, w)
	}
}

func (s *Service) window(ctx context.Context, main *repo.Tree, c cert.Certificate) (cert.Window, error) {
	leaf, err := s.leaf(ctx, c)
	if err != nil {
		return cert.Window{}, err
	}
	a, err := s.o.Certificates.Authority(ctx, main, c.Authority)
	if err != nil {
		return cert.Window{}, err
	}
	return a.RenewalInfo(ctx, leaf)
}

// pace counts what was asked of each authority in the last hour.
type pace struct {
	mu   sync.Mutex // held for the length of a slice operation
	last map[string][]time.Time
}

func newPace() *pace { return &pace{last: make(map[string][]time.Time)} }

// allow reports whether one more is within perHour, and counts it.
func (p *pace) allow(authority string, perHour int, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	recent := slices.DeleteFunc(p.last[authority], func(t time.Time) bool { return now.Sub(t) >= time.Hour })
	if len(recent) >= perHour {
		p.last[authority] = recent
		return false
	}
	p.last[authority] = append(recent, now)
	return true
}

// watchLogs looks for certificates for our names that did not come from here.
func (s *Service) watchLogs(ctx context.Context) error {
	if s.certs == nil || s.o.Certificates.Watch == nil {
		return nil
	}
	main, err := s.main(ctx)
	if err != nil {
		return err
	}
	zones, err := allZones(ctx, main)
	if err != nil {
		return err
	}
	err = s.o.Certificates.Watch(ctx, main, zones, s.recordSeen)
	if errors.Is(err, errNotYet) {
		err = nil
	}
	return errors.Join(err, s.proveAll(ctx, main))
}

// proveAtOnce bounds the certificates that one look asks proofs for.
const proveAtOnce = 20

// proveAll gets the proofs that CT logs show our certificates, so that evidence has them when the log is no more.
func (s *Service) proveAll(ctx context.Context, main *repo.Tree) error {
	if s.o.Certificates.Prove == nil {
		return nil
	}
	var errs []error
	asked := 0
	for _, c := range s.certs.Find(cert.Query{}, s.now()) {
		// A log has a day to keep its promise (RFC 6962 section 3); one that has not kept it in a week will not.
		if len(c.SCTs) <= len(c.Proofs) || s.now().Sub(c.Issued) > 7*24*time.Hour || asked == proveAtOnce {
			continue
		}
		asked++
		text, _, err := s.chain(ctx, c)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		var chain [][]byte
		for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
			chain = append(chain, block.Bytes)
		}
		proofs, err := s.o.Certificates.Prove(ctx, main, chain, c.Proofs)
		if err != nil {
			errs = append(errs, fmt.Errorf("certificate %s: %w", c.Serial, err))
		}
		for _, p := range proofs {
			doc, err := s.o.Log.Documents().Put(ctx, p.Document)
			if err != nil {
				return err
			}
			err = s.recordCertificate(ctx, about{app: c.App, chain: c.Approved}, audit.Event{
				Action: audit.ProveCertificate, Resource: audit.Resource{Name: c.Serial}, ArtifactRefs: map[string]string{"ct-proof": doc}, Once: "proof/" + c.ID + "/" + p.LogID,
			}, cert.ProveDetails{ID: c.ID, Log: p.Log, LogID: p.LogID, Index: p.Index})
			if err != nil {
				return err
			}
		}
	}
	return errors.Join(errs...)
}

// recordSeen records a certificate of unknown origin, once. One that an authority issued to us is known by
// its serial and issuer; one that is on order may be in a log before we have it.
func (s *Service) recordSeen(ctx context.Context, seen cert.Seen) error {
	for _, c := range s.certs.Find(cert.Query{Serial: seen.Serial}, s.now()) {
		if c.Issuer == seen.Issuer {
			return nil
		}
	}
	if s.certs.OnOrder(seen.Names, s.now(), onOrderFor) {
		return errNotYet
	}
	doc, err := s.o.Log.Documents().Put(ctx, seen.DER)
	if err != nil {
		return err
	}
	var z zone.Name
	if settings, err := s.settings(ctx); err == nil {
		for _, n := range seen.Names {
			if name, err := zone.ParseName(n); err == nil {
				if in, ok := settings.ZoneOf(name); ok {
					z = in
					break
				}
			}
		}
	}
	s.o.Logger.Warn("a certificate that did not come from here is in a log", "names", seen.Names, "issuer", seen.Issuer, "log", seen.Log)
	return s.recordCertificate(ctx, about{}, audit.Event{
		Action: audit.DetectCertificate, Resource: audit.Resource{Zone: string(z), Record: first(seen.Names), Name: seen.Serial},
		ArtifactRefs: map[string]string{"certificate": doc}, Once: "seen/" + seen.ID,
	}, seen)
}

// onOrderFor is how long an order may explain a certificate in a log.
const onOrderFor = time.Hour

// errNotYet: a certificate for these names is being issued right now, so nobody knows yet whether this is it.
var errNotYet = errors.New("a certificate for these names is on order; look again")

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}
