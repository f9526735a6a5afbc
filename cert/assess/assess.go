// Package assess owns what can be said of a certificate before or after it is issued: the
// facts that policies decide on, and the few things that are wrong whatever an organisation
// thinks, because no browser or public authority would have them. All of it is pure: time,
// settings and CAA records come in. It never asks an authority, and never weighs what an
// organisation may see one way or the other: that is Rego's (input.certificates in
// docs/policy-input.md, and the pack tls). Read Facts first, then rules.go.
package assess

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"slipway/repo"
	"slipway/zone"
)

// Facts are what is true of a certificate that is wanted, or that was presented. Their JSON
// form is what policies see; lists are never null.
type Facts struct {
	App         string      `json:"app"`  // "" for none
	Path        string      `json:"path"` // of the app's manifest
	Line        int         `json:"line"` // where it asks for the certificate; 0 when that is not known
	Names       []Name      `json:"names"`
	Key         Key         `json:"key"`
	Days        float64     `json:"days"`        // how long it is good; 0 for the authority's own choice
	Authorities []Authority `json:"authorities"` // that may issue it, in order of preference
	Exposure    string      `json:"exposure"`    // of the app
	Data        []string    `json:"data"`        // that the app handles
	MTLS        bool        `json:"mtls"`        // the app demands certificates of those who use it
}

// Name is one of the certificate's names.
type Name struct {
	Name          zone.Name `json:"name"`
	Wildcard      bool      `json:"wildcard"`
	Own           bool      `json:"own"`            // the app has it: as its hostname, or with an address
	UnderHostname bool      `json:"under_hostname"` // it is the app's hostname or below it
	Zone          zone.Name `json:"zone"`           // "" when it is in none of the organisation's
	Visibility    string    `json:"visibility"`     // of the zone
}

// Key is the certificate's key.
type Key struct {
	Kind string `json:"kind"` // rsa, ecdsa, ed25519, or "" for another
	Bits int    `json:"bits"` // of the modulus or the curve
}

// Authority is one that may issue the certificate.
type Authority struct {
	Name   string `json:"name"` // in slipway.yaml
	Public bool   `json:"public"`

	// Forbidden says why CAA records keep the authority from issuing, "" when they do not or
	// when it is not known by which name it goes there.
	Forbidden string `json:"forbidden"`
}

// Wanted are the facts of the certificate that an app's manifest asks for, by the settings
// in force. The error is of names that no rule of the settings is for.
func Wanted(a *repo.App, s *repo.Settings) (Facts, error) {
	f := of(a)
	f.Line = a.Lines["certificate"]
	names := a.CertificateNames()
	for _, n := range names {
		f.Names = append(f.Names, name(n, a, s))
	}
	f.Key = KeyOf(s.Certificates.KeyKind)
	use, err := s.AuthoritiesFor(names)
	if err != nil {
		return f, err
	}
	for i, u := range use {
		authority := s.Certificates.Authorities[u]
		f.Authorities = append(f.Authorities, Authority{Name: u, Public: authority.Public})
		if i == 0 {
			f.Days = days(authority.Lifetime)
		}
	}
	return f, nil
}

// Presented are the facts of a certificate that an authority issued, or that a server or a
// log shows. app is whose it is, nil for nobody's.
func Presented(c *x509.Certificate, app *repo.App, s *repo.Settings, by Authority) Facts {
	f := of(app)
	for _, n := range c.DNSNames {
		f.Names = append(f.Names, presented(n, app, s))
	}
	// What stands for anything else than a DNS name is nobody's here.
	for _, ip := range c.IPAddresses {
		f.Names = append(f.Names, Name{Name: zone.Name(ip.String())})
	}
	for _, m := range c.EmailAddresses {
		f.Names = append(f.Names, Name{Name: zone.Name(m)})
	}
	for _, u := range c.URIs {
		f.Names = append(f.Names, Name{Name: zone.Name(u.String())})
	}
	f.Key = publicKey(c.PublicKey)
	f.Days = days(c.NotAfter.Sub(c.NotBefore) + time.Second) // both ends count (RFC 5280 section 4.1.2.5)
	f.Authorities = append(f.Authorities, by)
	return f
}

func of(a *repo.App) Facts {
	f := Facts{Names: []Name{}, Authorities: []Authority{}, Data: []string{}}
	if a != nil {
		f.App, f.Path, f.Exposure, f.MTLS = a.Name, a.Path, a.Exposure, a.MTLS
		f.Data = append(f.Data, a.Data...)
	}
	return f
}

func presented(s string, a *repo.App, settings *repo.Settings) Name {
	n, err := zone.ParseName(s)
	if err != nil {
		return Name{Name: zone.Name(s)}
	}
	return name(n, a, settings)
}

func name(n zone.Name, a *repo.App, s *repo.Settings) Name {
	out := Name{Name: n}
	host := n
	if base, ok := strings.CutPrefix(string(n), "*."); ok {
		out.Wildcard, host = true, zone.Name(base)
	}
	if z, ok := s.ZoneOf(host); ok {
		out.Zone, out.Visibility = z, s.Zones[z].Visibility
	}
	if a != nil {
		out.Own = slices.Contains(a.CertificateNames(), n)
		out.UnderHostname = a.Hostname != "" && host.In(a.Hostname)
	}
	return out
}

// KeyOf reads a kind of key as slipway.yaml writes it: ecdsa-p256, rsa-3072, ed25519.
func KeyOf(kind string) Key {
	family, size, _ := strings.Cut(kind, "-")
	bits, err := strconv.Atoi(strings.TrimPrefix(size, "p"))
	switch {
	case family == "ed25519":
		return Key{Kind: family, Bits: 256}
	case (family == "rsa" || family == "ecdsa") && err == nil && bits > 0:
		return Key{Kind: family, Bits: bits}
	}
	return Key{}
}

func publicKey(k crypto.PublicKey) Key {
	switch k := k.(type) {
	case *rsa.PublicKey:
		return Key{Kind: "rsa", Bits: k.N.BitLen()}
	case *ecdsa.PublicKey:
		return Key{Kind: "ecdsa", Bits: k.Curve.Params().BitSize}
	case ed25519.PublicKey:
		return Key{Kind: "ed25519", Bits: 256}
	}
	return Key{}
}

func (k Key) String() string {
	switch k.Kind {
	case "":
		return "of a kind that is not known here"
	case "ed25519":
		return "Ed25519"
	}
	return fmt.Sprintf("%s with %d bits", strings.ToUpper(k.Kind), k.Bits)
}

func days(d time.Duration) float64 { return d.Hours() / 24 }

// public reports whether a public authority may issue it, so that browsers' rules hold.
func (f Facts) public() bool {
	return slices.ContainsFunc(f.Authorities, func(a Authority) bool { return a.Public })
}
