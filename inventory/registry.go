package inventory

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/openrdap/rdap"
	"golang.org/x/net/publicsuffix"

	"slipway/zone"
)

// Registry asks registries by RDAP (RFC 9082, RFC 9083).
type Registry struct {
	// Server is one server for all domains; nil: the one that IANA's bootstrap file names (RFC 9224).
	Server *url.URL
	Client *http.Client // default http.DefaultClient
}

// Registration is what a registry says of a domain.
type Registration struct {
	Registrar string    `json:"registrar,omitempty"`
	Expires   time.Time `json:"expires,omitzero"`
	Status    []string  `json:"status,omitempty"` // RFC 8056: "client transfer prohibited", …
	Signed    bool      `json:"signed"`           // there is a DS record at the registry
}

const registryTimeout = 15 * time.Second

// register asks about a zone that is a registered domain: one label below a public suffix.
func (z *Zone) register(ctx context.Context, r *Registry) {
	registered, err := publicsuffix.EffectiveTLDPlusOne(string(z.Name))
	if err != nil || registered != string(z.Name) || strings.HasSuffix(registered, ".arpa") {
		return
	}
	found, err := r.Ask(ctx, z.Name)
	if err != nil {
		z.Problems = append(z.Problems, err.Error())
		return
	}
	z.Registry = found
}

// Ask asks about one domain.
func (r *Registry) Ask(ctx context.Context, domain zone.Name) (*Registration, error) {
	ctx, cancel := context.WithTimeout(ctx, registryTimeout)
	defer cancel()
	req := (&rdap.Request{Type: rdap.DomainRequest, Query: string(domain), Server: r.Server, Timeout: registryTimeout}).WithContext(ctx)
	client := &rdap.Client{HTTP: r.Client}
	if client.HTTP == nil {
		client.HTTP = http.DefaultClient
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("the registry of %s cannot be asked when it expires: %w", domain, err)
	}
	d, ok := res.Object.(*rdap.Domain)
	if !ok {
		return nil, fmt.Errorf("the registry of %s: %w", domain, errors.New("its answer is not about a domain"))
	}
	out := &Registration{Status: d.Status}
	for _, e := range d.Events {
		if e.Action == "expiration" {
			if at, err := time.Parse(time.RFC3339, e.Date); err == nil {
				out.Expires = at.UTC()
			}
		}
	}
	for _, e := range d.Entities {
		for _, role := range e.Roles {
			if role == "registrar" {
				out.Registrar = e.Handle
				if e.VCard != nil && e.VCard.Name() != "" {
					out.Registrar = e.VCard.Name()
				}
			}
		}
	}
	out.Signed = d.SecureDNS != nil && d.SecureDNS.DelegationSigned != nil && *d.SecureDNS.DelegationSigned
	return out, nil
}
