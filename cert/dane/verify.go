package dane

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"slipway/zone"
)

// ErrUnusable is of records of which none can be used. RFC 6698 section 4.1 has a client
// then go on as if there were none; whoever published them has made a mistake.
var ErrUnusable = errors.New("no TLSA record can be used")

// ErrMismatch is of a server that is not the one that the records speak of.
var ErrMismatch = errors.New("the certificates are not those that the TLSA records speak of")

// Presented is what a server showed, and how it is judged.
type Presented struct {
	Chain []*x509.Certificate // as sent: the server's own first
	Host  zone.Name           // by which it was asked for
	Now   time.Time
	Roots *x509.CertPool // trusted besides, for usages 0 and 1; nil for none
}

// Verify returns the record that the server meets.
func Verify(records []Record, p Presented) (Record, error) {
	if len(p.Chain) == 0 {
		return Record{}, fmt.Errorf("%s: %w: it showed none", p.Host, ErrMismatch)
	}
	var usable bool
	var reasons []error
	for _, r := range records {
		if !r.usable() {
			continue
		}
		usable = true
		err := p.meets(r)
		if err == nil {
			return r, nil
		}
		reasons = append(reasons, err)
	}
	if !usable {
		return Record{}, fmt.Errorf("%s: %w", p.Host, ErrUnusable)
	}
	return Record{}, fmt.Errorf("%s: %w: %w", p.Host, ErrMismatch, errors.Join(reasons...))
}

func (p Presented) meets(r Record) error {
	leaf := p.Chain[0]
	switch r.Usage {
	case DANEEE:
		// Neither names nor dates count: the signed record binds the key to the name (RFC 7671 section 5.1).
		if !r.matches(leaf) {
			return fmt.Errorf("the server's certificate is not the one of %s", r)
		}
		return nil
	case PKIXEE:
		if !r.matches(leaf) {
			return fmt.Errorf("the server's certificate is not the one of %s", r)
		}
		_, err := p.verify(p.roots())
		return err
	case PKIXTA:
		chains, err := p.verify(p.roots())
		if err != nil {
			return err
		}
		for _, chain := range chains {
			for _, c := range chain[1:] {
				if r.matches(c) {
					return nil
				}
			}
		}
		return fmt.Errorf("no authority in the chain is the one of %s", r)
	case DANETA:
		for _, c := range p.authorities(r) {
			roots := x509.NewCertPool()
			roots.AddCert(c)
			if _, err := p.verify(roots); err == nil {
				return nil
			}
		}
		return fmt.Errorf("no authority of %s stands above the server's certificate", r)
	}
	return fmt.Errorf("usage %d is unknown", r.Usage)
}

// authorities are those that the record speaks of: in what the server sent, which must
// include them (RFC 7671 section 5.2), or the record's own certificate.
func (p Presented) authorities(r Record) []*x509.Certificate {
	var out []*x509.Certificate
	for _, c := range p.Chain[1:] {
		if r.matches(c) {
			out = append(out, c)
		}
	}
	if r.Selector == 0 && r.Matching == 0 {
		if c, err := x509.ParseCertificate(r.Data); err == nil {
			out = append(out, c)
		}
	}
	return out
}

func (p Presented) roots() *x509.CertPool {
	if p.Roots == nil {
		return x509.NewCertPool() // nil would be the machine's own
	}
	return p.Roots
}

func (p Presented) verify(roots *x509.CertPool) ([][]*x509.Certificate, error) {
	between := x509.NewCertPool()
	for _, c := range p.Chain[1:] {
		between.AddCert(c)
	}
	return p.Chain[0].Verify(x509.VerifyOptions{
		DNSName: string(p.Host), Roots: roots, Intermediates: between, CurrentTime: p.Now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
}
