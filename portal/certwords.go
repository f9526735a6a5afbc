package portal

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"slipway/audit"
	"slipway/cert"
	"slipway/identity"
	"slipway/lifecycle"
)

// What is said of certificates, in words for people who have never looked into one.

var statusWords = map[cert.Status]string{
	cert.Valid: "In use", cert.Expired: "Expired", cert.Revoked: "Revoked", cert.Replaced: "Replaced by a newer one",
}

// keyPlaces say where a key is kept, by the scheme of its reference.
var keyPlaces = map[string]string{
	"file": "a sealed file on the server", "pkcs11": "a hardware security module (PKCS #11)", "awskms": "AWS Key Management Service",
	"cloudkms": "Google Cloud Key Management Service", "azurekms": "Azure Key Vault", "vault": "the transit engine of Vault or OpenBao",
}

// keyPlace says where the key of a certificate is, and that it stays there.
func keyPlace(c cert.Certificate) string {
	scheme, _, _ := strings.Cut(c.KeyRef, ":")
	place := keyPlaces[scheme]
	switch {
	case c.KeyDestroyed:
		return "Destroyed: nobody can use it any more."
	case c.KeyRef == "":
		return "The app’s own. Slipway has never had it."
	case place == "":
		place = "the key store “" + scheme + "”"
	}
	return "Kept in " + place + "; it never leaves it."
}

var keyKinds = map[string]string{
	"ecdsa-p256": "ECDSA, P-256", "ecdsa-p384": "ECDSA, P-384", "rsa-2048": "RSA, 2048 bits", "rsa-3072": "RSA, 3072 bits", "rsa-4096": "RSA, 4096 bits", "ed25519": "Ed25519",
}

func keyKind(k string) string {
	if w := keyKinds[k]; w != "" {
		return w
	}
	return k
}

// commonName is the part of an issuer's distinguished name (RFC 4514) that people know it by; all of it where there is none.
func commonName(dn string) string {
	_, rest, found := strings.Cut(","+dn, ",CN=")
	if !found {
		return dn
	}
	var b strings.Builder
	for i := 0; i < len(rest) && rest[i] != ',' && rest[i] != '+'; i++ {
		if rest[i] == '\\' && i+1 < len(rest) {
			i++
		}
		b.WriteByte(rest[i])
	}
	return b.String()
}

// because is the reason of a revocation in words.
func because(reason string) string {
	if r, err := cert.ReasonNamed(reason); err == nil {
		return r.Text
	}
	return reason
}

// left says how long a certificate is still good, or since when it is not.
func left(c cert.Certificate, now time.Time) string {
	switch c.Status(now) {
	case cert.Revoked:
		return "revoked " + age(c.Revoked, now) + " ago"
	case cert.Replaced:
		return "no longer used"
	case cert.Expired:
		return "ended " + age(c.NotAfter, now) + " ago"
	}
	return age(now, c.NotAfter) + " left"
}

// period is one line of the expiry calendar.
type period struct {
	Label string
	Count int
	Share int // of the fullest period, in per cent: the length of its bar
	First []cert.Certificate
	More  int
}

// What a calendar shows.
const (
	calendarMonths = 12
	calendarWeeks  = 8
	calendarFirst  = 3 // certificates named in each line
)

// calendar says in which months or weeks certificates end.
func calendar(certs []cert.Certificate, by string, now time.Time) []period {
	var out []period
	add := func(label string, ending []cert.Certificate) {
		first := ending[:min(len(ending), calendarFirst)]
		out = append(out, period{Label: label, Count: len(ending), First: first, More: len(ending) - len(first)})
	}
	if by == "week" {
		for _, w := range weeks(certs, now) {
			add("Week from "+w.Start.Format("2 January"), w.Certificates)
		}
	} else {
		for _, m := range cert.Expiring(certs, now, calendarMonths) {
			add(m.Start.Format("January 2006"), m.Certificates)
		}
	}
	most := 0
	for _, p := range out {
		most = max(most, p.Count)
	}
	for i := range out {
		if out[i].Count > 0 {
			out[i].Share = max(2, 100*out[i].Count/most)
		}
	}
	return out
}

// weeks are cert.Expiring's months cut into weeks that begin on Mondays: certificates that live for some days
// all end in the same month.
func weeks(certs []cert.Certificate, now time.Time) []cert.Month {
	today := now.UTC().Truncate(24 * time.Hour)
	monday := today.AddDate(0, 0, -(int(today.Weekday())+6)%7)
	out := make([]cert.Month, calendarWeeks)
	for i := range out {
		out[i].Start = monday.AddDate(0, 0, 7*i)
	}
	for _, m := range cert.Expiring(certs, now, 3) {
		for _, c := range m.Certificates {
			if n := int(c.NotAfter.Sub(monday) / (7 * 24 * time.Hour)); n < calendarWeeks {
				n = max(n, 0) // what has ended is in the first
				out[n].Certificates = append(out[n].Certificates, c)
			}
		}
	}
	return out
}

// appCertificate is where an app stands with its certificate.
type appCertificate struct {
	Certificate *cert.Certificate // the newest; nil: none yet
	Text        string
	Problem     string
}

// certificateOf tells it from the certificates of an app and from the change of it that is under way, if there is one.
func certificateOf(asked bool, app string, certs []cert.Certificate, open *lifecycle.State, now time.Time) appCertificate {
	var a appCertificate
	for i, c := range certs {
		if s := c.Status(now); s != cert.Valid && s != cert.Expired {
			continue
		}
		if a.Certificate == nil || c.NotAfter.After(a.Certificate.NotAfter) {
			a.Certificate = &certs[i]
		}
	}
	waits := open != nil && slices.Contains(open.Certify, app)
	switch {
	case !asked && a.Certificate == nil:
		a.Text = "Not asked for"
	case waits && open.Phase == lifecycle.Failed && open.Step == "certify":
		a.Text, a.Problem = "It could not be got", open.Problem
	case waits && open.Phase == lifecycle.Applied:
		a.Text = "Being got; this takes some seconds"
	case a.Certificate == nil:
		a.Text = "Asked for; there is none yet"
	case a.Certificate.Status(now) == cert.Expired:
		a.Text, a.Problem = "Expired on "+moment(a.Certificate.NotAfter), a.Certificate.Problem
	default:
		a.Text, a.Problem = "Good until "+moment(a.Certificate.NotAfter), a.Certificate.Problem
	}
	return a
}

// tellCertificate puts an event about certificates into a sentence.
func tellCertificate(e audit.Event) (timelineEntry, bool) {
	entry := func(tone, reason, format string, args ...any) (timelineEntry, bool) {
		what := fmt.Sprintf(format, args...)
		if e.Actor.ID == identity.System {
			what = sentence(what)
		}
		return timelineEntry{What: what, Reason: reason, Tone: tone}, true
	}
	switch e.Action {
	case audit.OrderCertificate:
		d, _ := lifecycle.Decode[cert.OrderDetails](e)
		return entry("", "", "ordered a certificate for %s from the authority “%s”.", strings.Join(d.Order.Names, ", "), d.Order.Authority)
	case audit.WriteChallenge:
		return entry("", "", "wrote a record that proves to the authority that the name is ours: %s.", e.Resource.Record)
	case audit.RemoveChallenge:
		return entry("", "", "removed the record that proved the name to the authority: %s.", e.Resource.Record)
	case audit.IssueCertificate:
		d, _ := lifecycle.Decode[cert.IssueDetails](e)
		return entry("good", "", "got a certificate for %s, good until %s (serial number %s).", strings.Join(d.Certificate.Names, ", "), moment(d.Certificate.NotAfter), e.Resource.Name)
	case audit.ProveCertificate:
		d, _ := lifecycle.Decode[cert.ProveDetails](e)
		return entry("good", "", "checked that the log %s shows the certificate, as it had promised.", d.Log)
	case audit.RevokeCertificate:
		d, _ := lifecycle.Decode[cert.RevokeDetails](e)
		what := "revoked the certificate with serial number " + e.Resource.Name
		if d.Reason != "" {
			what += " (" + because(d.Reason) + ")"
		}
		return entry("bad", d.Why, "%s.", what)
	case audit.FailCertificate:
		d, _ := lifecycle.Decode[cert.FailDetails](e)
		return entry("bad", d.Problem, "could not renew the certificate; the next try is on %s.", moment(d.Next))
	case audit.WarnCertificate:
		d, _ := lifecycle.Decode[cert.WarnDetails](e)
		return entry("bad", d.Text, "warned about the certificate.")
	case audit.DetectCertificate:
		d, _ := lifecycle.Decode[cert.Seen](e)
		return entry("bad", "", "found a certificate that did not come from here in the log %s: %s, by %s.", d.Log, strings.Join(d.Names, ", "), commonName(d.Issuer))
	case audit.AcceptCertificate:
		d, _ := lifecycle.Decode[cert.AcceptDetails](e)
		return entry("", d.Reason, "accepted a certificate from elsewhere (serial number %s).", e.Resource.Name)
	case audit.DestroyKey:
		return entry("", "", "destroyed the private key of a certificate that is no longer used.")
	}
	return timelineEntry{}, false
}
