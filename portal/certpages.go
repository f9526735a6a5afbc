package portal

import (
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"slipway/audit"
	"slipway/cert"
	"slipway/flow"
)

// The pages about certificates. What they offer is a guess at what flow will allow; flow decides when a button is pressed.

// certificatesList is how many certificates one page lists; whoever has more searches.
const certificatesList = 500

// lately is for how long an expired certificate is listed among those in use: its app may be down for it.
const lately = 30 * 24 * time.Hour

type certificatesView struct {
	Search, Status, By string
	Certificates       []cert.Certificate
	More               int
	Calendar           []period
	Warnings           []cert.WarnDetails
	Strays             int // that nobody has looked at
	Now                time.Time
}

// Statuses are the choices of the search form.
func (v certificatesView) Statuses() []struct{ Value, Label string } {
	return []struct{ Value, Label string }{
		{"", "In use"}, {string(cert.Expired), statusWords[cert.Expired]}, {string(cert.Revoked), statusWords[cert.Revoked]}, {string(cert.Replaced), statusWords[cert.Replaced]}, {"all", "All"},
	}
}

func (s *server) certificatesPage(w http.ResponseWriter, r *request) error {
	q, now := r.URL.Query(), s.Now()
	v := certificatesView{Search: cut(strings.TrimSpace(q.Get("search")), maxLine), Status: q.Get("status"), By: q.Get("by"), Now: now}
	if v.By != "week" {
		v.By = "month"
	}
	all, err := s.visibleCertificates(r, cert.Query{})
	if err != nil {
		return err
	}
	used := slices.DeleteFunc(slices.Clone(all), func(c cert.Certificate) bool {
		status := c.Status(now)
		return status != cert.Valid && (status != cert.Expired || now.Sub(c.NotAfter) > lately)
	})
	v.Calendar = calendar(used, v.By, now)
	switch cert.Status(v.Status) {
	case cert.Expired, cert.Revoked, cert.Replaced:
		all = slices.DeleteFunc(all, func(c cert.Certificate) bool { return c.Status(now) != cert.Status(v.Status) })
	case "all":
	default:
		all, v.Status = used, ""
	}
	for _, word := range strings.Fields(strings.ToLower(v.Search)) {
		all = slices.DeleteFunc(all, func(c cert.Certificate) bool {
			return !strings.Contains(strings.ToLower(strings.Join(append([]string{c.App, c.Serial, c.Issuer, c.Authority}, c.Names...), "\n")), word)
		})
	}
	v.Certificates = all[:min(len(all), certificatesList)]
	v.More = len(all) - len(v.Certificates)
	if isInsider(r.person) {
		if v.Warnings, err = s.certificateWarnings(r); err != nil {
			return err
		}
		strays, err := s.Service.Strays(r.Context())
		if err != nil {
			return err
		}
		for _, st := range strays {
			if st.Accepted == "" {
				v.Strays++
			}
		}
	}
	return s.show(w, r, http.StatusOK, "certificates", "Certificates", v)
}

// warningsList is how many warnings a page shows: what is broken for very many has one cause.
const warningsList = 20

func (s *server) certificateWarnings(r *request) ([]cert.WarnDetails, error) {
	warnings, err := s.Service.CertificateWarnings(r.Context())
	return warnings[:min(len(warnings), warningsList)], err
}

type certificateView struct {
	Certificate cert.Certificate
	Status      cert.Status
	History     []timelineEntry
	CanRenew    bool
	CanRevoke   bool
	Reasons     []cert.Reason
	Reason, Why string // as chosen and typed, when it was refused
	Problem     *flow.Error
	Done        string
	Now         time.Time
}

// certificateHistory is how many events a certificate's page tells, the newest ones.
const certificateHistory = 50

var certificateDone = map[string]string{
	"renew":  "This is the new certificate, with a new key. It is in use from now on.",
	"revoke": "The certificate is revoked. The authority tells everybody who asks.",
}

// certificateView is one certificate as one person sees it.
func (s *server) certificateView(r *request) (certificateView, error) {
	c, _, err := s.certificate(r)
	if err != nil {
		return certificateView{}, err
	}
	v := certificateView{Certificate: c, Status: c.Status(s.Now()), Reasons: cert.Reasons(), Now: s.Now()}
	owner := ""
	if c.App != "" {
		app, _, events, err := s.Service.App(r.Context(), c.App)
		if err != nil && explain(err).Code != flow.NotFound {
			return v, err
		}
		if app != nil {
			owner = app.Owner
		}
		v.History = certificateEvents(events)
	}
	manages, err := s.managesCertificates(r)
	if err != nil {
		return v, err
	}
	may := manages || owner != "" && owner == r.person.ID
	v.CanRevoke = may && v.Status == cert.Valid || may && v.Status == cert.Replaced && s.Now().Before(c.NotAfter)
	v.CanRenew = may && c.KeyRef != "" && (v.Status == cert.Valid || v.Status == cert.Expired)
	return v, nil
}

// managesCertificates reports whether the person is in one of the groups that may manage every certificate.
func (s *server) managesCertificates(r *request) (bool, error) {
	settings, err := s.Settings(r.Context())
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(r.person.Groups, func(g string) bool { return slices.Contains(settings.Certificates.Managers, g) }), nil
}

// certificateEvents are those of an app's events that tell what happened to its certificates, the newest first.
func certificateEvents(events []audit.Receipt) []timelineEntry {
	kept := slices.DeleteFunc(slices.Clone(events), func(e audit.Receipt) bool {
		switch e.Event.Action {
		case audit.OrderCertificate, audit.IssueCertificate, audit.RevokeCertificate, audit.FailCertificate, audit.WarnCertificate, audit.ProveCertificate, audit.DestroyKey:
			return false
		}
		return true
	})
	slices.SortFunc(kept, func(a, b audit.Receipt) int { return cmp.Compare(b.Index, a.Index) })
	return timeline(kept[:min(len(kept), certificateHistory)])
}

func certificateTitle(c cert.Certificate) string {
	if len(c.Names) == 0 {
		return "Certificate " + c.Serial
	}
	return "Certificate for " + c.Names[0]
}

func (s *server) certificatePage(w http.ResponseWriter, r *request) error {
	v, err := s.certificateView(r)
	if err != nil {
		return err
	}
	v.Done = certificateDone[r.URL.Query().Get("done")]
	return s.show(w, r, http.StatusOK, "certificate", certificateTitle(v.Certificate), v)
}

// chainFile is a certificate with its chain, as web servers want it.
func (s *server) chainFile(w http.ResponseWriter, r *request) error {
	c, chain, err := s.certificate(r)
	if err != nil {
		return err
	}
	name := c.Serial + ".pem"
	if c.App != "" {
		name = c.App + "-" + name
	}
	w.Header().Set("Content-Type", "application/x-pem-file")
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`) // of letters, digits and hyphens
	_, _ = w.Write(chain)                                                    // a browser that has gone is no error of ours
	return nil
}

// certificateAct does something with a certificate, and shows the refusal on a page of it when that fails.
func (s *server) certificateAct(w http.ResponseWriter, r *request, page, what string, try func(id string, form url.Values) (cert.Certificate, error)) error {
	form, err := readPost(r)
	if err != nil {
		return err
	}
	v, err := s.certificateView(r)
	if err != nil {
		return err
	}
	c, err := try(v.Certificate.ID, form)
	if err == nil {
		http.Redirect(w, r.Request, "/certificates/"+url.PathEscape(c.ID)+"?done="+what, http.StatusSeeOther)
		return nil
	}
	e := explain(err)
	switch e.Code {
	case flow.Invalid, flow.Refused, flow.Conflict, flow.Forbidden:
	default:
		return err
	}
	if e.Code == flow.Forbidden {
		page = "certificate"
	}
	v.Problem, v.Reason, v.Why = e, form.Get("reason"), cut(form.Get("why"), maxText)
	return s.show(w, r, statusOf[e.Code], page, certificateTitle(v.Certificate), v)
}

func (s *server) renewPage(w http.ResponseWriter, r *request) error {
	return s.certificateAct(w, r, "certificate", "renew", func(id string, _ url.Values) (cert.Certificate, error) {
		return s.Service.RenewCertificate(r.Context(), r.person, id)
	})
}

// revokePage asks why, and whether it is meant: a certificate that is revoked stays so.
func (s *server) revokePage(w http.ResponseWriter, r *request) error {
	v, err := s.certificateView(r)
	if err != nil {
		return err
	}
	if !v.CanRevoke {
		if v.Status == cert.Revoked || v.Status == cert.Expired {
			return &flow.Error{Code: flow.Conflict, Message: "This certificate is " + string(v.Status) + " already.", Help: "Nothing more is needed."}
		}
		return &flow.Error{Code: flow.Forbidden, Message: "This certificate is not yours to revoke.", Help: "Ask the app's owner, or Platform Operations."}
	}
	return s.show(w, r, http.StatusOK, "revoke", "Revoke a certificate", v)
}

func (s *server) revokeCertificate(w http.ResponseWriter, r *request) error {
	return s.certificateAct(w, r, "revoke", "revoke", func(id string, form url.Values) (cert.Certificate, error) {
		return s.Service.RevokeCertificate(r.Context(), r.person, id, form.Get("reason"), form.Get("why"))
	})
}

type straysView struct {
	Open, Accepted []cert.Stray
	CanAccept      bool
	Watched        bool // some log is watched at all
	Problem        *flow.Error
	Refused        string // the ID whose form was refused
	Reason         string // as typed there
	Done           string
}

// straysList is how many of each kind one page lists, the newest ones.
const straysList = 200

func (s *server) straysPage(w http.ResponseWriter, r *request) error {
	v := straysView{}
	if r.URL.Query().Get("done") == "accept" {
		v.Done = "Your reason is on record."
	}
	return s.showStrays(w, r, http.StatusOK, v)
}

func (s *server) showStrays(w http.ResponseWriter, r *request, status int, v straysView) error {
	strays, err := s.Service.Strays(r.Context())
	if err != nil {
		return err
	}
	for _, st := range strays {
		list := &v.Open
		if st.Accepted != "" {
			list = &v.Accepted
		}
		if len(*list) < straysList {
			*list = append(*list, st)
		}
	}
	if v.CanAccept, err = s.managesCertificates(r); err != nil {
		return err
	}
	settings, err := s.Settings(r.Context())
	if err != nil {
		return err
	}
	v.Watched = len(settings.Certificates.Logs) > 0
	return s.show(w, r, status, "strays", "Certificates from elsewhere", v)
}

func (s *server) acceptStray(w http.ResponseWriter, r *request) error {
	form, err := readPost(r)
	if err != nil {
		return err
	}
	id := r.PathValue("id")
	if err = s.Service.AcceptStray(r.Context(), r.person, id, form.Get("reason")); err == nil {
		http.Redirect(w, r.Request, "/strays?done=accept", http.StatusSeeOther)
		return nil
	}
	e := explain(err)
	if e.Code != flow.Invalid && e.Code != flow.Forbidden {
		return err
	}
	return s.showStrays(w, r, statusOf[e.Code], straysView{Problem: e, Refused: id, Reason: cut(form.Get("reason"), maxText)})
}

type trustView struct {
	Name        string
	Until       time.Time
	Fingerprint string // "" when there is no root to trust
}

// trustPage tells anybody how to make their computer believe the organisation's own authority.
func (s *server) trustPage(w http.ResponseWriter, r *request) error {
	var v trustView
	if s.Root != nil {
		if block, _ := pem.Decode(s.Root()); block != nil {
			v.Fingerprint = fingerprint(block.Bytes)
			if root, err := x509.ParseCertificate(block.Bytes); err == nil {
				v.Name, v.Until = root.Subject.CommonName, root.NotAfter
			}
		}
	}
	return s.show(w, r, http.StatusOK, "trust", "Trust the company’s certificates", v)
}

// fingerprint is written as systems show it: pairs of hex digits with colons.
func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	pairs := make([]string, len(sum))
	for i, b := range sum {
		pairs[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(pairs, ":")
}
