package repo

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"slipway/zone"
)

// Certificates says where certificates come from and what their keys are.
type Certificates struct {
	Authorities     map[string]CertificateAuthority
	Rules           []CertificateRule // the first that fits a name decides
	KeyStore        string            // URI of package key/kms, for new keys; default DefaultKeyStore
	FormerKeyStores []string          // where keys in use were made before
	KeyKind         string            // default DefaultKeyKind
	OwnKeys         time.Duration     // how long a certificate for a key that the app made itself is good; default DefaultOwnKeys
	PerHour         int               // renewals at each authority in an hour at most; default DefaultPerHour
	Managers        []string          // groups that may renew and revoke every certificate; default infosec and platform-ops, where they are defined
	Logs            []CertificateLog  // Certificate Transparency logs that are watched
}

// CertificateAuthority is one place that certificates come from.
type CertificateAuthority struct {
	Type      string   // "acme", or "embedded" for the server's own
	Directory string   // https URL (RFC 8555 section 7.1.1)
	Contact   []string // e-mail addresses
	EABKeyID  string   // external account binding (RFC 8555 section 7.3.4)
	EABSecret string   // reference to the HMAC key, base64url, such as env:ACME_EAB
	Roots     string   // PEM file in the repository that the directory's own certificate is checked with; "": the system's
	Profile   string   // draft-ietf-acme-profiles
	CAA       string   // the authority's name in CAA records (RFC 8659), for checks; "": not known
	Public    bool     // its certificates are trusted, and seen, by everybody
	Lifetime  time.Duration
}

// CertificateRule says which authorities serve a name, in order of preference.
type CertificateRule struct {
	Visibility string      // "internal", "external"; "": both
	Zones      []zone.Name // names in these; empty: everywhere
	Use        []string
}

// CertificateLog is one CT log (RFC 6962, or static-ct-api).
type CertificateLog struct {
	Name string
	URL  string
	Type string // "rfc6962" | "static"
	Key  string // SubjectPublicKeyInfo, base64
}

// Defaults of what slipway.yaml leaves out.
const (
	EmbeddedAuthority = "internal"
	DefaultKeyStore   = "file:"
	DefaultKeyKind    = "ecdsa-p256"
	DefaultOwnKeys    = 24 * time.Hour
	DefaultPerHour    = 300
)

var keyKinds = []string{"ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-3072", "rsa-4096", "ed25519"}

func defaultCertificates() Certificates {
	return Certificates{
		Authorities: map[string]CertificateAuthority{EmbeddedAuthority: {Type: "embedded"}},
		Rules:       []CertificateRule{{Use: []string{EmbeddedAuthority}}},
		KeyStore:    DefaultKeyStore,
		KeyKind:     DefaultKeyKind,
		OwnKeys:     DefaultOwnKeys,
		PerHour:     DefaultPerHour,
	}
}

// secretReference is how slipway.yaml names a secret: by where it is, never by itself.
var secretReference = regexp.MustCompile(`^[a-z][a-z0-9-]*:\S+$`)

func (p *settingsParser) readCertificates(f field) {
	c := &p.s.Certificates
	for _, k := range p.fields(f.value, "certificates", []string{"authorities", "rules", "keys", "own-keys", "renewals-per-hour", "managers", "logs"}) {
		switch k.name {
		case "authorities":
			c.Authorities = map[string]CertificateAuthority{}
			for _, a := range p.fields(k.value, "authorities", nil) {
				p.groupName(a.key, a.name)
				c.Authorities[a.name] = p.authority(a)
			}
		case "rules":
			c.Rules = nil
			for _, n := range p.sequence(k.value, "certificates rules") {
				c.Rules = append(c.Rules, p.certificateRule(n))
			}
		case "keys":
			for _, v := range p.fields(k.value, "certificates keys", []string{"store", "former", "type"}) {
				switch v.name {
				case "store":
					c.KeyStore = p.text(v.value, "certificates keys store")
				case "former":
					c.FormerKeyStores = p.texts(v.value, "certificates keys former")
				case "type":
					c.KeyKind = cmp.Or(p.oneOf(v.value, "certificates keys type", keyKinds...), DefaultKeyKind)
				}
			}
		case "own-keys":
			c.OwnKeys = p.duration(k.value, "certificates own-keys", 5*time.Minute, 90*24*time.Hour)
		case "renewals-per-hour":
			c.PerHour = p.number(k.value, "certificates renewals-per-hour", 1, 1_000_000)
		case "managers":
			c.Managers = p.groups(k.value, "certificates managers")
		case "logs":
			for _, n := range p.sequence(k.value, "certificates logs") {
				c.Logs = append(c.Logs, p.certificateLog(n))
			}
		}
	}
	embedded := 0
	for _, a := range c.Authorities {
		if a.Type == "embedded" {
			embedded++
		}
	}
	if embedded > 1 {
		p.fail(f.key, "keep one of them", "certificates: the server has one authority of its own, and %d are embedded", embedded)
	}
	for i, r := range c.Rules {
		for _, use := range r.Use {
			if _, ok := c.Authorities[use]; !ok {
				p.fail(f.key, "add it under authorities, or name one of: "+strings.Join(slices.Sorted(maps.Keys(c.Authorities)), ", "),
					"certificates: rule %d names authority %q, which is not defined", i+1, use)
			}
		}
	}
}

// sequence gives the items of a list of mappings.
func (p *settingsParser) sequence(n *yaml.Node, what string) []*yaml.Node {
	n = follow(n)
	if n == nil || isNull(n) {
		return nil
	}
	if n.Kind != yaml.SequenceNode || len(n.Content) > maxWaivers {
		p.fail(n, "write a list: each entry begins with a hyphen", "%s must be a list", what)
		return nil
	}
	return n.Content
}

func (p *settingsParser) authority(f field) CertificateAuthority {
	what := "authority " + f.name
	a := CertificateAuthority{Type: "acme"}
	keys := []string{"type", "directory", "contact", "eab", "roots", "profile", "caa", "public", "lifetime"}
	for _, k := range p.fields(f.value, what, keys) {
		switch k.name {
		case "type":
			a.Type = cmp.Or(p.oneOf(k.value, what+" type", "acme", "embedded"), "acme")
		case "directory":
			a.Directory = p.text(k.value, what+" directory")
			if u, err := url.Parse(a.Directory); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
				p.fail(k.value, "write the https address of its ACME directory", "%s: %q is not an https address", what, a.Directory)
			}
		case "contact":
			a.Contact = p.emails(k.value, what+" contact")
		case "eab":
			for _, v := range p.fields(k.value, what+" eab", []string{"kid", "hmac"}) {
				if v.name == "kid" {
					a.EABKeyID = p.text(v.value, what+" eab kid")
					continue
				}
				if a.EABSecret = p.text(v.value, what+" eab hmac"); !secretReference.MatchString(a.EABSecret) {
					a.EABSecret = "" // it may be the secret itself: it goes into no message
					p.fail(v.value, "write where the key is kept, for example env:ACME_EAB or file:/run/secrets/acme-eab; a secret must not stand in the repository",
						"%s: eab hmac is not a reference to a secret", what)
				}
			}
		case "roots":
			if a.Roots = p.text(k.value, what+" roots"); checkPath(a.Roots) != nil {
				p.fail(k.value, "name a PEM file of this repository, such as pki/root.pem", "%s: %q is not a path in the repository", what, a.Roots)
			}
		case "profile":
			a.Profile = p.text(k.value, what+" profile")
		case "caa":
			a.CAA = string(p.name(k.value, what+" caa"))
		case "public":
			a.Public = p.boolean(k.value, what+" public")
		case "lifetime":
			a.Lifetime = p.duration(k.value, what+" lifetime", 5*time.Minute, 398*24*time.Hour)
		}
	}
	switch {
	case p.err != nil:
	case a.Type == "acme" && a.Directory == "":
		p.fail(f.key, "add directory, the https address of its ACME directory", "%s has no directory", what)
	case a.Type == "embedded" && (a.Directory != "" || a.EABKeyID != "" || a.Public):
		p.fail(f.key, "leave out directory, eab and public", "%s is the server's own, and needs no address", what)
	case (a.EABKeyID == "") != (a.EABSecret == ""):
		p.fail(f.key, "give both kid and hmac", "%s: eab is half of what it needs", what)
	}
	return a
}

func (p *settingsParser) certificateRule(n *yaml.Node) CertificateRule {
	var r CertificateRule
	for _, k := range p.fields(n, "certificates rule", []string{"visibility", "zones", "use"}) {
		switch k.name {
		case "visibility":
			r.Visibility = p.oneOf(k.value, "visibility", "internal", "external")
		case "zones":
			for _, z := range p.list(k.value, "zones") {
				r.Zones = append(r.Zones, p.name(z, "zones"))
			}
		case "use":
			r.Use = p.texts(k.value, "use")
		}
	}
	if len(r.Use) == 0 {
		p.fail(n, "add use, for example `use: [internal]`", "a certificates rule names no authority")
	}
	return r
}

func (p *settingsParser) certificateLog(n *yaml.Node) CertificateLog {
	l := CertificateLog{Type: "static"}
	for _, k := range p.fields(n, "certificates log", []string{"name", "url", "type", "key"}) {
		switch k.name {
		case "name":
			l.Name = p.text(k.value, "log name")
			p.groupName(k.value, l.Name)
		case "url":
			l.URL = strings.TrimSuffix(p.text(k.value, "log url"), "/")
			if u, err := url.Parse(l.URL); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
				p.fail(k.value, "write the log's address, for example https://log.example/2026h2", "log url: %q is not an address", l.URL)
			}
		case "type":
			l.Type = cmp.Or(p.oneOf(k.value, "log type", "static", "rfc6962"), "static")
		case "key":
			l.Key = p.text(k.value, "log key")
			if _, err := base64.StdEncoding.DecodeString(l.Key); err != nil {
				p.fail(k.value, "copy the log's public key as its operator publishes it, in base64", "log key: this is not base64")
			}
		}
	}
	if p.err == nil && (l.Name == "" || l.URL == "" || l.Key == "") {
		p.fail(n, "give name, url and key", "a certificates log needs a name, a url and a key")
	}
	return l
}

// finishCertificates fills in who may manage certificates.
func (s *Settings) finishCertificates() {
	if s.Certificates.Managers != nil {
		return
	}
	for _, g := range []string{"infosec", "platform-ops"} {
		if _, ok := s.Groups[g]; ok {
			s.Certificates.Managers = append(s.Certificates.Managers, g)
		}
	}
}

// AuthoritiesFor names the authorities for a certificate with these names, in order of preference. One name
// that only the inside knows makes it an internal certificate: no public authority could check it, and its
// log would publish it.
func (s *Settings) AuthoritiesFor(names []zone.Name) ([]string, error) {
	visibility, zones := "external", make([]zone.Name, 0, len(names))
	for _, n := range names {
		z, ok := s.ZoneOf(n)
		if !ok {
			return nil, fmt.Errorf("%s is in none of the zones of slipway.yaml", n)
		}
		if s.Zones[z].Visibility == "internal" {
			visibility = "internal"
		}
		zones = append(zones, z)
	}
	for _, r := range s.Certificates.Rules {
		if r.Visibility != "" && r.Visibility != visibility {
			continue
		}
		if len(r.Zones) > 0 && !within(zones, r.Zones) {
			continue
		}
		return r.Use, nil
	}
	return nil, fmt.Errorf("no rule below certificates in slipway.yaml says who issues certificates for %s names such as %s", visibility, names[0])
}

func within(zones, of []zone.Name) bool {
	for _, z := range zones {
		if !slices.ContainsFunc(of, func(o zone.Name) bool { return z.In(o) }) {
			return false
		}
	}
	return true
}

// CertificateNames are the names that an app's certificate is for: its hostname, and every other name that
// the app gives an address.
func (a *App) CertificateNames() []zone.Name {
	var names []zone.Name
	add := func(n zone.Name) {
		if n != "" && !strings.HasPrefix(string(n), "_") && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	add(a.Hostname)
	for _, r := range a.Records {
		switch r.Type {
		case "A", "AAAA", "CNAME", "ALIAS":
			add(r.Name)
		}
	}
	return names
}

// UpstreamURL is where the gateway passes the app's requests on to; nil when the app names none.
func (a *App) UpstreamURL() (*url.URL, error) {
	if a.Upstream == "" {
		return nil, nil
	}
	u, err := url.Parse(a.Upstream)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" || u.RawQuery != "" {
		return nil, fmt.Errorf("app %s: upstream %q is not an address such as http://10.1.2.3:8080", a.Name, a.Upstream)
	}
	return u, nil
}
