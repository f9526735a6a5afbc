package flow

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"slipway/audit"
	"slipway/cert"
	"slipway/identity"
	"slipway/key"
	"slipway/lifecycle"
	"slipway/repo"
)

// errNoCertificates is the answer of a server that issues none.
func errNoCertificates() *Error {
	return fault(NotFound, "Ask whoever runs Slipway.", "This server issues no certificates.")
}

// Certificates lists the certificates on record that fit q.
func (s *Service) Certificates(_ context.Context, q cert.Query) []cert.Certificate {
	if s.certs == nil {
		return nil
	}
	return s.certs.Find(q, s.now())
}

// Certificate is one certificate by ID, the beginning of it, or serial number: with its chain in PEM.
func (s *Service) Certificate(ctx context.Context, id string) (cert.Certificate, []byte, error) {
	if s.certs == nil {
		return cert.Certificate{}, nil, errNoCertificates()
	}
	c, ok := s.certs.Get(strings.ToLower(id))
	if !ok {
		return c, nil, fault(NotFound, "Look at the list of certificates.", "There is no such certificate.")
	}
	chain, _, err := s.chain(ctx, c)
	return c, chain, explain("read the certificate", err)
}

// managed finds a certificate that this person may renew and revoke: the app's owner, and the groups that the
// settings name.
func (s *Service) managed(ctx context.Context, by identity.Person, id string) (cert.Certificate, *repo.Tree, error) {
	if by.ID == "" {
		return cert.Certificate{}, nil, fault(Forbidden, "Sign in first.", "Nobody is signed in.")
	}
	c, _, err := s.Certificate(ctx, id)
	if err != nil {
		return c, nil, err
	}
	main, err := s.main(ctx)
	if err != nil {
		return c, nil, explain("read the zones repository", err)
	}
	may, err := s.manages(ctx, main, by, c.App)
	if err != nil {
		return c, nil, explain("read the settings", err)
	}
	if !may {
		return c, nil, fault(Forbidden, "Ask the app's owner, or Platform Operations.", "This certificate belongs to the app %s, which is not yours.", c.App)
	}
	return c, main, nil
}

func (s *Service) manages(ctx context.Context, main *repo.Tree, by identity.Person, app string) (bool, error) {
	settings, err := main.Settings(ctx)
	if err != nil {
		return false, err
	}
	for _, g := range settings.GroupsOf(by.ID) {
		if slices.Contains(settings.Certificates.Managers, g) {
			return true, nil
		}
	}
	a, err := main.App(ctx, app)
	if errors.Is(err, repo.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return by.ID == a.Owner, nil
}

// RenewCertificate gets a certificate with a new key in the place of one, before its time.
func (s *Service) RenewCertificate(ctx context.Context, by identity.Person, id string) (cert.Certificate, error) {
	c, main, err := s.managed(ctx, by, id)
	if err != nil {
		return c, err
	}
	if status := c.Status(s.now()); status == cert.Replaced || status == cert.Revoked {
		return c, fault(Conflict, "Look at the app's current certificate.", "This certificate is %s; only the one in use can be renewed.", status)
	}
	if c.KeyRef == "" {
		return c, fault(Invalid, "Send a new certificate request for it (slipway cert sign).", "The key of this certificate is the app's own, so the app renews it.")
	}
	a, err := main.App(ctx, c.App)
	if err != nil || !a.Certificate {
		return c, fault(Conflict, "Ask for a change of the app with certificate: true.", "The app %s no longer asks for a certificate.", c.App)
	}
	fresh, err := s.renew(ctx, main, a, c)
	if err != nil {
		return c, explainCertificate("renew the certificate", err)
	}
	s.serve(ctx)
	return fresh, nil
}

// explainCertificate lets people see what the authority said.
func explainCertificate(what string, err error) error {
	var stuck *stuckError
	var problem *cert.Problem
	switch {
	case errors.As(err, &stuck):
		return &Error{Code: Refused, Message: stuck.text, Detail: err}
	case errors.As(err, &problem):
		return &Error{Code: Refused, Message: "The certificate authority said no: " + short(problem.Error(), 1000), Detail: err}
	case errors.Is(err, cert.ErrRateLimited):
		return &Error{Code: Unavailable, Message: "The certificate authority asks to wait: " + short(err.Error(), 500), Detail: err}
	}
	return explain(what, err)
}

// RevokeCertificate revokes a certificate, with one of cert.Reasons. For every reason but that the app has ceased, the app gets
// a new certificate with a new key first, so that it stays reachable.
func (s *Service) RevokeCertificate(ctx context.Context, by identity.Person, id, reason, why string) (cert.Certificate, error) {
	if _, err := cert.ReasonNamed(reason); err != nil {
		return cert.Certificate{}, &Error{Code: Invalid, Message: err.Error()}
	}
	if len(strings.TrimSpace(why)) < 5 || len(why) > 1000 {
		return cert.Certificate{}, fault(Invalid, "Say in a sentence what happened.", "Revoking a certificate takes an explanation of 5 to 1000 characters.")
	}
	c, main, err := s.managed(ctx, by, id)
	if err != nil {
		return c, err
	}
	now := s.now()
	switch c.Status(now) {
	case cert.Revoked:
		return c, fault(Conflict, "Nothing more is needed.", "This certificate is revoked already.")
	case cert.Expired:
		return c, fault(Conflict, "Nothing more is needed.", "This certificate has expired, so there is nothing to revoke.")
	case cert.Valid:
		if a, err := main.App(ctx, c.App); err == nil && a.Certificate && c.KeyRef != "" && reason != reasonCeased {
			if _, err := s.renew(ctx, main, a, c); err != nil {
				return c, explainCertificate("get a new certificate in the place of this one", err)
			}
		}
	}
	if err := s.revoke(ctx, main, actor(by.ID, by.Role), c, reason, why); err != nil {
		return c, explainCertificate("revoke the certificate", err)
	}
	s.serve(ctx)
	c, _ = s.certs.Get(c.ID)
	return c, nil
}

// maxCSR bounds a certificate request, PEM or DER.
const maxCSR = 16 << 10

// SignRequest gets a short-lived certificate for a key that the app's platform made itself and keeps. Who may ask is the
// app's owner; the names may only be the app's.
func (s *Service) SignRequest(ctx context.Context, by identity.Person, app string, csr []byte) (cert.Certificate, []byte, error) {
	var none cert.Certificate
	if by.ID == "" {
		return none, nil, fault(Forbidden, "Sign in first.", "Nobody is signed in.")
	}
	if s.certs == nil {
		return none, nil, errNoCertificates()
	}
	if len(csr) > maxCSR {
		return none, nil, fault(Invalid, "Send one certificate request.", "The certificate request is larger than %d bytes.", maxCSR)
	}
	main, err := s.main(ctx)
	if err != nil {
		return none, nil, explain("read the zones repository", err)
	}
	settings, err := main.Settings(ctx)
	if err != nil {
		return none, nil, explain("read the settings", err)
	}
	if !repo.ValidAppName(app) {
		return none, nil, fault(NotFound, "Look at the list of apps.", "There is no such app.")
	}
	a, err := main.App(ctx, app)
	if errors.Is(err, repo.ErrNotFound) {
		return none, nil, fault(NotFound, "Look at the list of apps.", "There is no such app.")
	}
	if err != nil {
		return none, nil, explain("read the app", err)
	}
	if by.ID != a.Owner {
		return none, nil, fault(Forbidden, "Ask the app's owner.", "Only the owner of %s may get certificates for keys of its own.", app)
	}
	if !a.Certificate {
		return none, nil, fault(Conflict, "Ask for a change of the app with certificate: true.", "The app %s does not ask for a certificate.", app)
	}
	der, err := cert.ParseCSR(csr, a.CertificateNames(), key.Kinds())
	if err != nil {
		return none, nil, &Error{Code: Invalid, Message: short(err.Error(), 500), Help: "Make the request with the app's own names, for example: openssl req -new -key app.key -subj / -addext subjectAltName=DNS:" + string(a.Hostname), Detail: err}
	}
	sum := sha256.Sum256(der)
	// The same request in the same period is the same certificate; in the next one it is a renewal.
	period := s.now().Truncate(settings.Certificates.OwnKeys / 2)
	c, err := s.issue(ctx, main, issuance{
		request: app + "/own/" + hex.EncodeToString(sum[:8]) + "/" + period.Format("20060102T150405"), app: app, names: a.CertificateNames(), csr: der,
		validity: settings.Certificates.OwnKeys, about: about{app: app, commit: main.Commit()}, approved: []string{by.ID},
	})
	if err != nil {
		return none, nil, explainCertificate("get the certificate", err)
	}
	chain, _, err := s.chain(ctx, c)
	return c, chain, explain("read the certificate", err)
}

// maxStrays bounds the list; the newest are in it.
const maxStrays = 1000

// Strays lists certificates found in logs that did not come from here, the newest first.
func (s *Service) Strays(ctx context.Context) ([]cert.Stray, error) {
	found, err := s.o.Log.Index().Events(ctx, audit.Query{Action: audit.DetectCertificate, Newest: true, Limit: maxStrays})
	if err != nil {
		return nil, explain("read the record", err)
	}
	accepted, err := s.o.Log.Index().Events(ctx, audit.Query{Action: audit.AcceptCertificate, Limit: 10_000})
	if err != nil {
		return nil, explain("read the record", err)
	}
	by := make(map[string]audit.Event)
	for _, r := range accepted {
		d, err := lifecycle.Decode[cert.AcceptDetails](r.Event)
		if err != nil {
			return nil, explain("read the record", err)
		}
		by[d.ID] = r.Event
	}
	strays := []cert.Stray{}
	for _, r := range found {
		d, err := lifecycle.Decode[cert.Seen](r.Event)
		if err != nil {
			return nil, explain("read the record", err)
		}
		stray := cert.Stray{Seen: d, At: r.Event.Timestamp}
		if e, ok := by[d.ID]; ok {
			a, _ := lifecycle.Decode[cert.AcceptDetails](e)
			stray.Accepted, stray.By, stray.Reason = e.Timestamp.Format(time.RFC3339), e.Actor.ID, a.Reason
		}
		strays = append(strays, stray)
	}
	return strays, nil
}

// AcceptStray records why a certificate that did not come from here may be. Only the groups that manage certificates may say so.
func (s *Service) AcceptStray(ctx context.Context, by identity.Person, id, reason string) error {
	settings, err := s.settings(ctx)
	if err != nil {
		return explain("read the settings", err)
	}
	if !slices.ContainsFunc(settings.GroupsOf(by.ID), func(g string) bool { return slices.Contains(settings.Certificates.Managers, g) }) {
		return fault(Forbidden, "Ask InfoSec or Platform Operations.", "Only those who manage certificates may accept one from elsewhere.")
	}
	if len(strings.TrimSpace(reason)) < 5 || len(reason) > 1000 {
		return fault(Invalid, "Say in a sentence whose certificate it is.", "Accepting a certificate takes an explanation of 5 to 1000 characters.")
	}
	strays, err := s.Strays(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(strays, func(st cert.Stray) bool { return st.ID == id })
	if i < 0 {
		return fault(NotFound, "Look at the list of certificates from elsewhere.", "No such certificate was found in a log.")
	}
	raw, err := lifecycle.Encode(cert.AcceptDetails{ID: id, Reason: reason})
	if err != nil {
		return err
	}
	_, err = s.o.Log.Append(ctx, audit.Event{
		Actor: actor(by.ID, by.Role), Action: audit.AcceptCertificate, Timestamp: s.now(), Details: raw,
		Resource: audit.Resource{Name: strays[i].Serial}, Once: "accept/" + id,
	})
	return explain("record the decision", err)
}

// CertificateWarnings are the warnings of the last two weeks about certificates that are still in use, the newest first.
func (s *Service) CertificateWarnings(ctx context.Context) ([]cert.WarnDetails, error) {
	if s.certs == nil {
		return nil, nil
	}
	now := s.now()
	events, err := s.o.Log.Index().Events(ctx, audit.Query{Action: audit.WarnCertificate, From: now.Add(-14 * 24 * time.Hour), Newest: true, Limit: 1000})
	if err != nil {
		return nil, explain("read the record", err)
	}
	var out []cert.WarnDetails
	told := make(map[string]bool)
	for _, r := range events {
		d, err := lifecycle.Decode[cert.WarnDetails](r.Event)
		if err != nil {
			return nil, explain("read the record", err)
		}
		key := d.ID + d.Kind + r.Event.Resource.App
		if told[key] {
			continue
		}
		told[key] = true
		if d.Kind == "caa" {
			// Over when the app has got its certificate all the same.
			if last, ok := s.lastCertificate(r.Event.Resource.App); ok && last.Issued.After(r.Event.Timestamp) {
				continue
			}
		} else if c, ok := s.certs.Get(d.ID); !ok || c.Status(now) != cert.Valid && c.Status(now) != cert.Expired {
			continue
		}
		out = append(out, d)
	}
	return out, nil
}
