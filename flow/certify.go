package flow

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"slipway/audit"
	"slipway/cert"
	"slipway/key"
	"slipway/lifecycle"
	"slipway/repo"
	"slipway/zone"
	"slipway/zone/caa"
)

// Certificates is what certificates need besides what flow has. Without it none are issued.
type Certificates struct {
	// Keys makes and uses the keys of certificates, and never gives one away.
	Keys key.Manager
	// Authority returns the authority of that name, as t's settings have it. It is called for each issuance.
	Authority func(ctx context.Context, t *repo.Tree, name string) (Authority, error)
	// Serve is told, whenever it changes, which apps the gateway is to serve, with what.
	Serve func(ctx context.Context, t *repo.Tree, apps []Certified) error
	// Watch, if set, looks into Certificate Transparency logs and tells found of every certificate for a name in
	// zones; found says whether the record could be kept.
	Watch func(ctx context.Context, t *repo.Tree, zones []zone.Name, found func(context.Context, cert.Seen) error) error
	// Prove, if set, asks the logs that promised to show a certificate (chain, DER) for the proof, except those in have.
	Prove func(ctx context.Context, t *repo.Tree, chain [][]byte, have map[string]string) ([]Proof, error)
}

// Proof is that a CT log shows a certificate.
type Proof struct {
	Log, LogID string
	Index      uint64
	Document   []byte // JSON; holds without the log
}

// Authority gets and revokes certificates; *cert.Authority is one.
type Authority interface {
	Issue(ctx context.Context, r cert.Request, prior *cert.Order, w cert.World) (*cert.Issued, error)
	RenewalInfo(ctx context.Context, leaf []byte) (cert.Window, error)
	Revoke(ctx context.Context, leaf []byte, reason int) error
}

// Certified is an app that the gateway can serve.
type Certified struct {
	App         *repo.App
	Certificate cert.Certificate
	Chain       []byte // PEM
}

// loadCertificates folds the registry from the log.
func (s *Service) loadCertificates(ctx context.Context) error {
	s.certs = cert.NewRegistry()
	for _, action := range []audit.Action{
		audit.OrderCertificate, audit.WriteChallenge, audit.IssueCertificate, audit.RemoveChallenge, audit.RevokeCertificate, audit.FailCertificate, audit.DestroyKey, audit.ProveCertificate,
	} {
		for q := (audit.Query{Action: action, Limit: 10_000}); ; {
			found, err := s.o.Log.Index().Events(ctx, q)
			if err != nil {
				return err
			}
			for _, r := range found {
				if err := s.certs.Take(r); err != nil {
					return err
				}
			}
			if len(found) < q.Limit {
				break
			}
			q.Next(found[len(found)-1])
		}
	}
	return nil
}

// uncertified lists the apps of a merged change that need a certificate which they do not have.
func (s *Service) uncertified(p *proposal, kind string) []string {
	if s.certs == nil {
		return nil
	}
	var apps []string
	for _, e := range p.change.Apps {
		if e.After == nil || !e.After.Certificate || len(e.After.CertificateNames()) == 0 {
			continue
		}
		if c, ok := s.current(e.Name); ok && c.KeyKind == kind && slices.Equal(slices.Sorted(slices.Values(c.Names)), sortedNames(e.After)) {
			continue
		}
		apps = append(apps, e.Name)
	}
	return apps
}

func sortedNames(a *repo.App) []string {
	var names []string
	for _, n := range a.CertificateNames() {
		names = append(names, string(n))
	}
	slices.Sort(names)
	return names
}

// certify gets the certificates that a change waits for.
func (s *Service) certify(ctx context.Context, id string) error {
	st, err := s.load(ctx, id)
	if err != nil || st.Next(s.now()).Do != lifecycle.DoCertify {
		return err
	}
	if s.certs == nil {
		return s.step(ctx, id, "certify", func() error {
			return &stuckError{"This server issues no certificates. Ask whoever runs Slipway."}
		})
	}
	for _, name := range st.Certify {
		err := s.step(ctx, id, "certify", func() error {
			tree, err := s.o.Repo.Tree(ctx, st.Commit)
			if err != nil {
				return err
			}
			app, err := tree.App(ctx, name)
			if err != nil {
				return err
			}
			replaces := ""
			if current, ok := s.current(name); ok {
				replaces = current.ID
			}
			_, err = s.issue(ctx, tree, issuance{
				request: id + "/" + name, app: app.Name, names: app.CertificateNames(), replaces: replaces,
				about: about{app: name, change: id, commit: st.Commit, chain: st.Chain()}, approved: st.Chain(), change: id,
			})
			return err
		})
		if err != nil {
			return err
		}
	}
	s.serve(ctx)
	return nil
}

// issuance is one certificate to get.
type issuance struct {
	request  string // its name for ever
	app      string
	names    []zone.Name
	csr      []byte        // of a key that the app holds; nil for a key in our store
	validity time.Duration // 0: as the authority has it
	replaces string        // ID of a certificate
	change   string        // that the certificate is on account of
	approved []string
	about    about
}

// issue gets one certificate, goes on with an order on record, or returns what is on record already.
func (s *Service) issue(ctx context.Context, t *repo.Tree, i issuance) (cert.Certificate, error) {
	unlock, err := s.issuing.take(ctx, i.request)
	if err != nil {
		return cert.Certificate{}, err
	}
	defer unlock()
	prior, done := s.certs.Order(i.request)
	if done != nil {
		return *done, nil
	}
	settings, err := t.Settings(ctx)
	if err != nil {
		return cert.Certificate{}, err
	}
	names, err := settings.AuthoritiesFor(i.names)
	if err != nil {
		return cert.Certificate{}, &stuckError{short(err.Error(), 1000)}
	}
	r := cert.Request{ID: i.request, App: i.app, Names: i.names, CSR: i.csr, Validity: i.validity}
	w := &proving{s: s, about: i.about}
	if i.csr == nil {
		if w.keyRef, r.Signer, err = s.certificateKey(ctx, settings, i); err != nil {
			return cert.Certificate{}, err
		}
	}
	if old, ok := s.certs.Get(i.replaces); ok && i.replaces != "" {
		if leaf, err := s.leaf(ctx, old); err == nil {
			r.Replaces = leaf
		}
	}
	// An order that was taken stays where it is: another authority's certificate beside it would be one too many.
	if prior != nil {
		names = append([]string{prior.Authority}, slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == prior.Authority })...)
	}
	issued, by, err := s.ask(ctx, t, names, r, prior, w)
	if err != nil {
		return cert.Certificate{}, err
	}
	return s.recordIssued(ctx, i, by, w.keyRef, issued)
}

// certificateKey makes the key of an issuance, or finds it when it was made before a kill.
func (s *Service) certificateKey(ctx context.Context, settings *repo.Settings, i issuance) (string, crypto.Signer, error) {
	sum := sha256.Sum256([]byte(i.request))
	name := cmp.Or(i.app, "certificate") + "-" + hex.EncodeToString(sum[:6])
	ref, signer, err := s.o.Certificates.Keys.Create(ctx, strings.Trim(name, "-"), key.Kind(settings.Certificates.KeyKind))
	if err != nil {
		return "", nil, fmt.Errorf("the key for a certificate of %s: %w", i.app, err)
	}
	return ref, signer, nil
}

// ask goes to the authorities in their order, and from one to the next only where it is sure that the first has issued nothing.
func (s *Service) ask(ctx context.Context, t *repo.Tree, names []string, r cert.Request, prior *cert.Order, w *proving) (*cert.Issued, string, error) {
	settings, err := t.Settings(ctx)
	if err != nil {
		return nil, "", err
	}
	var problems []error
	refused := true
	for _, name := range names {
		issued, err := s.askOne(ctx, t, settings, name, r, prior, w)
		if err == nil {
			return issued, name, nil
		}
		if ctx.Err() != nil {
			return nil, "", err
		}
		problems = append(problems, fmt.Errorf("%s: %w", name, err))
		if errors.Is(err, cert.ErrRefused) {
			continue
		}
		refused = false
		if order, _ := s.certs.Order(r.ID); order != nil && order.Authority == name {
			break // it has our order, and may yet have issued
		}
	}
	err = errors.Join(problems...)
	if refused {
		return nil, "", &stuckError{fmt.Sprintf("No certificate authority issues a certificate for %s. %s. Once that is mended, press “try again” (slipway request retry).",
			r.Names[0], short(strings.ReplaceAll(err.Error(), "\n", "; "), 1500))}
	}
	return nil, "", err
}

// askOne asks one authority, unless it asked to be left alone or may not issue.
func (s *Service) askOne(ctx context.Context, t *repo.Tree, settings *repo.Settings, name string, r cert.Request, prior *cert.Order, w *proving) (*cert.Issued, error) {
	if until, wait := s.waits.until(name, s.now()); wait {
		return nil, fmt.Errorf("it asks to wait until %s", until.UTC().Format(time.RFC3339))
	}
	if why, err := s.caaForbids(ctx, settings, settings.Certificates.Authorities[name].CAA, r.Names); err != nil {
		return nil, err
	} else if why != "" {
		if err := s.warnOfCAA(ctx, w.about, name, why); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %s", cert.ErrRefused, why)
	}
	a, err := s.o.Certificates.Authority(ctx, t, name)
	if err != nil {
		return nil, err
	}
	if prior != nil && prior.Authority != name {
		prior = nil
	}
	r.Profile = settings.Certificates.Authorities[name].Profile
	issued, err := a.Issue(ctx, r, prior, w)
	var wait *cert.WaitError
	if errors.As(err, &wait) {
		s.waits.set(name, wait.Until)
	}
	return issued, err
}

// caaForbids says why the CAA records that are approved keep an authority from issuing (RFC 8659); "" when they do not,
// or when nobody has told us what the authority calls itself in them. Asking it would cost a failed order.
func (s *Service) caaForbids(ctx context.Context, settings *repo.Settings, authority string, names []zone.Name) (string, error) {
	if authority == "" {
		return "", nil
	}
	main, err := s.main(ctx)
	if err != nil {
		return "", err
	}
	lookup := func(ctx context.Context, n zone.Name) ([]string, error) {
		z, ok := settings.ZoneOf(n)
		if !ok {
			return nil, nil // above our zones: the authority looks there itself
		}
		sets, err := main.Served(ctx, z)
		if err != nil && !errors.Is(err, repo.ErrNotFound) {
			return nil, err
		}
		i := slices.IndexFunc(sets, func(set zone.RRSet) bool { return set.Name == n && set.Type == "CAA" })
		if i < 0 {
			return nil, nil
		}
		return sets[i].Values, nil
	}
	for _, n := range names {
		d, err := caa.Permits(ctx, caa.Request{Name: n, Authority: []string{authority}, Account: caa.AnyAccount, Method: "dns-01"}, lookup)
		if err != nil {
			return "", err
		}
		if !d.Permitted {
			return d.Reason, nil
		}
	}
	return "", nil
}

// warnOfCAA tells people, once a day, that records of ours keep an authority of ours from issuing.
func (s *Service) warnOfCAA(ctx context.Context, a about, authority, why string) error {
	s.o.Logger.Warn("CAA records forbid an authority", "app", a.app, "authority", authority)
	text := fmt.Sprintf("The authority %s may not issue a certificate for the app %s: %s", authority, a.app, why)
	id := ""
	if c, ok := s.lastCertificate(a.app); ok {
		id = c.ID
	}
	return s.recordCertificate(ctx, a, audit.Event{
		Action: audit.WarnCertificate, Once: fmt.Sprintf("warn-caa/%s/%s/%s", a.app, authority, s.now().Format(time.DateOnly)),
	}, cert.WarnDetails{ID: id, Kind: "caa", Text: text})
}

// recordIssued keeps the chain and records the certificate.
func (s *Service) recordIssued(ctx context.Context, i issuance, authority, keyRef string, issued *cert.Issued) (cert.Certificate, error) {
	c, err := cert.Describe(issued.Chain)
	if err != nil {
		return c, fmt.Errorf("%s: the certificate that it issued: %w", authority, err)
	}
	var chain bytes.Buffer
	for _, der := range issued.Chain {
		if err := pem.Encode(&chain, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
			return c, err
		}
	}
	if c.Chain, err = s.o.Log.Documents().Put(ctx, chain.Bytes()); err != nil {
		return c, fmt.Errorf("the chain of a certificate: %w", err)
	}
	c.Request, c.App, c.Change, c.Approved, c.Authority, c.KeyRef = i.request, i.app, i.change, i.approved, authority, keyRef
	c.Replaces, c.URL, c.Issued = i.replaces, issued.URL, s.now()
	err = s.recordCertificate(ctx, i.about, audit.Event{
		Action: audit.IssueCertificate, Once: "certificate/" + i.request, ArtifactRefs: map[string]string{"certificate": c.Chain},
		Resource: audit.Resource{Record: string(i.names[0]), Name: c.Serial},
	}, cert.IssueDetails{Certificate: c})
	if err != nil {
		return c, err
	}
	s.o.Logger.Info("certificate issued", "app", i.app, "authority", authority, "serial", c.Serial)
	if _, done := s.certs.Order(i.request); done != nil {
		return *done, nil
	}
	return c, nil
}

// chain reads a certificate's chain: PEM, and the leaf's DER.
func (s *Service) chain(ctx context.Context, c cert.Certificate) (text, leaf []byte, err error) {
	text, err = s.o.Log.Documents().Get(ctx, c.Chain)
	if err != nil {
		return nil, nil, fmt.Errorf("the chain of certificate %s: %w", c.Serial, err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, nil, fmt.Errorf("the chain of certificate %s is not PEM", c.Serial)
	}
	return text, block.Bytes, nil
}

func (s *Service) leaf(ctx context.Context, c cert.Certificate) ([]byte, error) {
	_, leaf, err := s.chain(ctx, c)
	return leaf, err
}

// serve tells the gateway what it serves now. A failure is told in the server's log; the next pass tries again.
func (s *Service) serve(ctx context.Context) {
	if s.certs == nil || s.o.Certificates.Serve == nil {
		return
	}
	s.serving.Lock()
	defer s.serving.Unlock()
	if err := s.serveNow(ctx); err != nil && ctx.Err() == nil {
		s.o.Logger.Warn("the gateway could not be told what to serve", "error", err)
	}
}

func (s *Service) serveNow(ctx context.Context) error {
	main, err := s.main(ctx)
	if err != nil {
		return err
	}
	apps, err := main.Apps(ctx)
	if err != nil {
		return err
	}
	var out []Certified
	for _, a := range apps {
		if !a.Certificate || a.Upstream == "" {
			continue
		}
		c, ok := s.current(a.Name)
		if !ok {
			continue
		}
		chain, _, err := s.chain(ctx, c)
		if err != nil {
			return err
		}
		out = append(out, Certified{App: a, Certificate: c, Chain: chain})
	}
	return s.o.Certificates.Serve(ctx, main, out)
}
