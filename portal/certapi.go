package portal

import (
	"encoding/pem"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"slipway/cert"
	"slipway/flow"
	"slipway/repo"
)

// What the API says of certificates. Who may renew and revoke is decided by flow, for the pages and the command line too.

// maxCertificates bounds one answer.
const maxCertificates = 1000

// certificateQuery reads which certificates somebody wants to see.
func certificateQuery(v url.Values, now time.Time) (cert.Query, error) {
	q := cert.Query{
		App: v.Get("app"), Name: v.Get("name"), Serial: v.Get("serial"), Issuer: v.Get("issuer"),
		Authority: v.Get("authority"), Change: v.Get("change"), Status: cert.Status(v.Get("status")),
	}
	switch q.Status {
	case "", cert.Valid, cert.Expired, cert.Revoked, cert.Replaced:
	default:
		return q, &flow.Error{Code: flow.Invalid, Message: "“" + cut(string(q.Status), 40) + "” is no state of a certificate.", Help: "Use valid, expired, revoked or replaced."}
	}
	if text := v.Get("before"); text != "" {
		before, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return q, &flow.Error{Code: flow.Invalid, Message: "before must be a time.", Help: "Write it as 2027-01-31T00:00:00Z."}
		}
		q.Before = before
	}
	limit, err := number(v, "limit", maxCertificates, maxCertificates)
	q.Limit = limit
	return q, err
}

// visibleCertificates are those that the person may see: the organisation's people all, third parties those of their apps.
func (s *server) visibleCertificates(r *request, q cert.Query) ([]cert.Certificate, error) {
	if isInsider(r.person) {
		return s.Service.Certificates(r.Context(), q), nil
	}
	mine, err := s.visibleApps(r)
	if err != nil {
		return nil, err
	}
	limit := q.Limit
	q.Limit = 0 // of each app
	out := []cert.Certificate{}
	for _, a := range mine {
		if q.App != "" && q.App != a.Name {
			continue
		}
		only := q
		only.App = a.Name
		out = append(out, s.Service.Certificates(r.Context(), only)...)
	}
	slices.SortFunc(out, func(a, b cert.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
	if limit > 0 {
		out = out[:min(len(out), limit)]
	}
	return out, nil
}

// certificate finds one that the person may see. What they may not see is not there.
func (s *server) certificate(r *request) (cert.Certificate, []byte, error) {
	c, chain, err := s.Service.Certificate(r.Context(), r.PathValue("id"))
	if err != nil || isInsider(r.person) {
		return c, chain, err
	}
	mine, err := s.visibleApps(r)
	if err != nil {
		return c, nil, err
	}
	for _, a := range mine {
		if a.Name == c.App {
			return c, chain, nil
		}
	}
	return cert.Certificate{}, nil, notFound("This certificate")
}

// certificateBody is one certificate with its chain.
type certificateBody struct {
	Certificate cert.Certificate `json:"certificate"`
	Chain       string           `json:"chain"` // PEM, leaf first
}

func (s *server) apiCertificates(w http.ResponseWriter, r *request) error {
	q, err := certificateQuery(r.URL.Query(), s.Now())
	if err != nil {
		return err
	}
	found, err := s.visibleCertificates(r, q)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string][]cert.Certificate{"certificates": append([]cert.Certificate{}, found...)})
	return nil
}

func (s *server) apiCertificate(w http.ResponseWriter, r *request) error {
	c, chain, err := s.certificate(r)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, certificateBody{c, string(chain)})
	return nil
}

func (s *server) apiRenew(w http.ResponseWriter, r *request) error {
	c, _, err := s.certificate(r)
	if err != nil {
		return err
	}
	fresh, err := s.Service.RenewCertificate(r.Context(), r.person, c.ID)
	if err != nil {
		return err
	}
	return s.answerCertificate(w, r, fresh.ID)
}

// answerCertificate answers with a certificate as it is on record now.
func (s *server) answerCertificate(w http.ResponseWriter, r *request, id string) error {
	c, chain, err := s.Service.Certificate(r.Context(), id)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, certificateBody{c, string(chain)})
	return nil
}

func (s *server) apiRevoke(w http.ResponseWriter, r *request) error {
	var b struct {
		Reason string `json:"reason"`
		Why    string `json:"why"`
	}
	if err := readJSON(r, &b); err != nil {
		return err
	}
	c, _, err := s.certificate(r)
	if err != nil {
		return err
	}
	if _, err := s.Service.RevokeCertificate(r.Context(), r.person, c.ID, b.Reason, b.Why); err != nil {
		return err
	}
	return s.answerCertificate(w, r, c.ID)
}

func (s *server) apiSign(w http.ResponseWriter, r *request) error {
	var b struct {
		CSR string `json:"csr"` // PEM
	}
	if err := readJSON(r, &b); err != nil {
		return err
	}
	if !isInsider(r.person) {
		mine, err := s.visibleApps(r)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(mine, func(a *repo.App) bool { return a.Name == r.PathValue("name") }) {
			return notFound("This app")
		}
	}
	c, chain, err := s.Service.SignRequest(r.Context(), r.person, r.PathValue("name"), []byte(b.CSR))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, certificateBody{c, string(chain)})
	return nil
}

func (s *server) apiStrays(w http.ResponseWriter, r *request) error {
	strays, err := s.Service.Strays(r.Context())
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string][]cert.Stray{"strays": strays})
	return nil
}

func (s *server) apiAcceptStray(w http.ResponseWriter, r *request) error {
	var b struct {
		Reason string `json:"reason"`
	}
	if err := readJSON(r, &b); err != nil {
		return err
	}
	if err := s.Service.AcceptStray(r.Context(), r.person, r.PathValue("id"), b.Reason); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *server) apiWarnings(w http.ResponseWriter, r *request) error {
	warnings, err := s.Service.CertificateWarnings(r.Context())
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string][]cert.WarnDetails{"warnings": append([]cert.WarnDetails{}, warnings...)})
	return nil
}

// rootCertificate is the embedded authority's root, for everybody to trust: PEM, or DER for systems that want that.
func (s *server) rootCertificate(w http.ResponseWriter, r *request) error {
	var root []byte
	if s.Root != nil {
		root = s.Root()
	}
	block, _ := pem.Decode(root)
	if block == nil {
		http.Error(w, "This server has no certificate authority of its own.", http.StatusNotFound)
		return nil
	}
	kind, name := "application/x-pem-file", "slipway-root.pem"
	if strings.HasSuffix(r.URL.Path, ".crt") {
		root, kind, name = block.Bytes, "application/x-x509-ca-cert", "slipway-root.crt"
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	_, _ = w.Write(root) // a client that has gone is no error of ours
	return nil
}

// revocations is the embedded authority's list of revoked certificates (RFC 5280 section 5), in DER.
func (s *server) revocations(w http.ResponseWriter, _ *request) error {
	var crl []byte
	if s.CRL != nil {
		var err error
		if crl, err = s.CRL(); err != nil {
			s.Logger.Warn("the list of revoked certificates could not be made", "error", err)
			http.Error(w, "The list of revoked certificates cannot be had just now.", http.StatusServiceUnavailable)
			return nil
		}
	}
	if crl == nil {
		http.Error(w, "This server has no certificate authority of its own.", http.StatusNotFound)
		return nil
	}
	w.Header().Set("Content-Type", "application/pkix-crl") // RFC 2585 section 4
	_, _ = w.Write(crl)
	return nil
}
