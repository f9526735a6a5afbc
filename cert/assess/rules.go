package assess

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"slipway/check/finding"
	"slipway/zone"
)

// Version is of the rules as a whole, a part of every policy digest; raise it with any change of what they find.
const Version = "1"

// Rule is one thing that is wrong with a certificate whatever an organisation thinks.
type Rule struct {
	ID       string
	Title    string
	Why      string
	Help     string
	Controls []string

	// find returns a message for each place where it is so.
	find func(Facts, time.Time) []string
	// warn says of facts that the rule found that they stop nothing; nil: they always do.
	warn func(Facts) bool
}

var controls = []string{"SOC2:CC6.7", "ISO27001:A.8.24"}

// Rules lists every rule, sorted by ID.
func Rules() []Rule {
	return []Rule{
		{
			ID:       "certificate-caa-forbids",
			Title:    "CAA records forbid the authority that is to issue",
			Why:      "An authority looks at the CAA records before it issues, and must refuse (RFC 8659). The app would wait for a certificate that never comes.",
			Help:     "Add the authority to the CAA records in the same change, or choose another one for these names under certificates in slipway.yaml.",
			Controls: controls,
			find:     forbidden,
			warn: func(f Facts) bool {
				return slices.ContainsFunc(f.Authorities, func(a Authority) bool { return a.Forbidden == "" })
			},
		},
		{
			ID:       "certificate-key-not-public",
			Title:    "A key that no public authority takes",
			Why:      "Public authorities sign RSA keys and ECDSA keys on P-256, P-384 and P-521, and browsers know no others (Baseline Requirements section 6.1.5).",
			Help:     "Set the key's type under certificates in slipway.yaml to ecdsa-p256, which every browser knows.",
			Controls: controls,
			find: func(f Facts, _ time.Time) []string {
				if !f.public() || f.Key.Kind == "rsa" || f.Key.Kind == "ecdsa" && slices.Contains([]int{256, 384, 521}, f.Key.Bits) {
					return nil
				}
				return []string{fmt.Sprintf("%s would have a key that is %s, and no public authority signs such a key.", f.subject(), f.Key)}
			},
		},
		{
			ID:       "certificate-key-weak",
			Title:    "A key that can be broken",
			Why:      "Whoever finds the private key can be the app: read what it is sent, and answer in its place.",
			Help:     "Use ecdsa-p256, or rsa-3072 where something old needs RSA.",
			Controls: controls,
			find: func(f Facts, _ time.Time) []string {
				// NIST SP 800-57 part 1, table 2: at least 112 bits of strength; Baseline Requirements section 6.1.5 and 6.1.6.
				if f.Key.Kind == "rsa" && f.Key.Bits >= 2048 || f.Key.Kind == "ecdsa" && f.Key.Bits >= 256 || f.Key.Kind == "ed25519" {
					return nil
				}
				return []string{fmt.Sprintf("%s has a key that is %s. Keys of that kind can be broken, or nobody can say that they cannot.", f.subject(), f.Key)}
			},
		},
		{
			ID:       "certificate-lives-too-long",
			Title:    "Good for longer than browsers take",
			Why:      "Browsers turn away public certificates that are good for too long, since a stolen key is of use for as long.",
			Help:     "Lower the authority's lifetime under certificates in slipway.yaml, or leave it out: then the authority chooses.",
			Controls: controls,
			find: func(f Facts, at time.Time) []string {
				if most := longest(at); f.public() && f.Days > most {
					return []string{fmt.Sprintf("%s would be good for %s, and browsers take at most %.0f now.", f.subject(), count(f.Days), most)}
				}
				return nil
			},
		},
		{
			ID:       "certificate-name-not-ours",
			Title:    "A name that is not the organisation's",
			Why:      "A certificate for somebody else's name could be used against them, and names that Slipway does not keep it cannot answer for.",
			Help:     "Leave the name out, or add its zone to slipway.yaml first.",
			Controls: controls,
			find: func(f Facts, _ time.Time) []string {
				return f.eachName(func(n Name) string {
					if n.Zone != "" {
						return ""
					}
					return fmt.Sprintf("%s is for %s, which is in none of the organisation's zones.", f.subject(), n.Name.Unicode())
				})
			},
		},
		{
			ID:       "certificate-name-not-public",
			Title:    "A name that no public authority can check",
			Why:      "Names under such an ending belong to nobody in particular, so public authorities may not vouch for them (Baseline Requirements section 4.2.2).",
			Help:     "Let the organisation's own authority issue it: put the name's zone under a rule with that authority in slipway.yaml.",
			Controls: controls,
			find: func(f Facts, _ time.Time) []string {
				if !f.public() {
					return nil
				}
				return f.eachName(func(n Name) string {
					if !private(n.Name) {
						return ""
					}
					return fmt.Sprintf("%s would be for %s, a name that exists inside of networks only, and no public authority issues for it.", f.subject(), n.Name.Unicode())
				})
			},
		},
		{
			ID:       "certificate-name-not-the-apps",
			Title:    "A name that is not the app's",
			Why:      "With it the app could answer in the place of another one, and be believed.",
			Help:     "Ask for the app's own names only: its hostname, and those that it gives an address in its manifest.",
			Controls: controls,
			find: func(f Facts, _ time.Time) []string {
				if f.App == "" {
					return nil
				}
				return f.eachName(func(n Name) string {
					if n.Own || n.Zone == "" {
						return "" // not even the organisation's: certificate-name-not-ours says so
					}
					return fmt.Sprintf("%s is for %s, which is not a name of this app.", f.subject(), n.Name.Unicode())
				})
			},
		},
	}
}

// Findings are what is wrong with the certificate at a time, in the order of package finding.
func (f Facts) Findings(at time.Time) []finding.Finding {
	var out []finding.Finding
	for _, r := range Rules() {
		severity := finding.Deny
		if r.warn != nil && r.warn(f) {
			severity = finding.Warn
		}
		for _, message := range r.find(f, at) {
			out = append(out, finding.Finding{Rule: r.ID, Severity: severity, Message: message, Help: r.Help, Path: f.Path, Line: f.Line, Controls: r.Controls})
		}
	}
	return finding.Normalise(out)
}

func forbidden(f Facts, _ time.Time) []string {
	var out []string
	for _, a := range f.Authorities {
		if a.Forbidden != "" {
			out = append(out, fmt.Sprintf("The authority %s may not issue %s. %s", a.Name, lower(f.subject()), a.Forbidden))
		}
	}
	return out
}

func (f Facts) eachName(find func(Name) string) []string {
	var out []string
	for _, n := range f.Names {
		if m := find(n); m != "" {
			out = append(out, m)
		}
	}
	return out
}

func (f Facts) subject() string {
	switch {
	case f.App != "":
		return "The certificate of the app " + f.App
	case len(f.Names) > 0:
		return "The certificate for " + f.Names[0].Name.Unicode()
	}
	return "The certificate"
}

func lower(s string) string { return strings.ToLower(s[:1]) + s[1:] }

// longest is how many days a public certificate issued at a time may be good
// (CA/Browser Forum ballot SC-081v3, Baseline Requirements section 6.3.2).
func longest(at time.Time) float64 {
	switch {
	case at.Before(time.Date(2026, 3, 15, 0, 0, 0, 0, time.UTC)):
		return 398
	case at.Before(time.Date(2027, 3, 15, 0, 0, 0, 0, time.UTC)):
		return 200
	case at.Before(time.Date(2029, 3, 15, 0, 0, 0, 0, time.UTC)):
		return 100
	}
	return 47
}

// count has whatever is over a day as another one (Baseline Requirements section 6.3.2).
func count(d float64) string {
	if n := math.Ceil(d); n != 1 {
		return fmt.Sprintf("%.0f days", n)
	}
	return "1 day"
}

// privateEndings are set aside for the inside of networks (RFC 6761, RFC 6762, RFC 8375, RFC 9476, ICANN's
// .internal), or will never be given out because so many networks use them (RFC 6762 appendix G, ICANN's name collisions).
var privateEndings = []zone.Name{"internal", "local", "localhost", "home.arpa", "alt", "corp", "home", "mail", "lan", "intranet", "private"}

func private(n zone.Name) bool {
	return slices.ContainsFunc(privateEndings, func(e zone.Name) bool { return n.In(e) })
}
