package lint

import (
	"slices"
	"strings"

	"slipway/check/finding"
	"slipway/zone"
)

// proofPrefixes begin the TXT values by which services let a customer prove that a name is theirs.
// Whoever holds the account at the service stays proven while the value stands.
var proofPrefixes = []struct{ prefix, service string }{
	{"google-site-verification=", "Google"},
	{"ms=ms", "Microsoft 365"},
	{"facebook-domain-verification=", "Facebook"},
	{"apple-domain-verification=", "Apple"},
	{"apple-domain=", "Apple"},
	{"adobe-idp-site-verification=", "Adobe"},
	{"adobe-sign-verification=", "Adobe Sign"},
	{"atlassian-domain-verification=", "Atlassian"},
	{"atlassian-sending-domain-verification=", "Atlassian"},
	{"docusign=", "DocuSign"},
	{"dropbox-domain-verification=", "Dropbox"},
	{"stripe-verification=", "Stripe"},
	{"zoom-domain-verification=", "Zoom"},
	{"zoom_verify_", "Zoom"},
	{"slack-domain-verification=", "Slack"},
	{"openai-domain-verification=", "OpenAI"},
	{"anthropic-domain-verification=", "Anthropic"},
	{"github-verification=", "GitHub"},
	{"gitlab-pages-verification-code=", "GitLab Pages"},
	{"_gitlab-pages-verification-code.", "GitLab Pages"},
	{"heroku-domain-verification=", "Heroku"},
	{"keybase-site-verification=", "Keybase"},
	{"yandex-verification:", "Yandex"},
	{"zoho-verification=", "Zoho"},
	{"cisco-ci-domain-verification=", "Cisco"},
	{"webexdomainverification", "Webex"},
	{"citrix-verification-code=", "Citrix"},
	{"logmein-verification-code=", "LogMeIn"},
	{"have-i-been-pwned-verification=", "Have I Been Pwned"},
	{"globalsign-domain-verification=", "GlobalSign"},
	{"_globalsign-domain-verification=", "GlobalSign"},
	{"amazonses:", "Amazon SES"},
	{"mongodb-site-verification=", "MongoDB"},
	{"onetrust-domain-verification=", "OneTrust"},
	{"pinterest-site-verification=", "Pinterest"},
	{"postman-domain-verification=", "Postman"},
	{"notion-domain-verification=", "Notion"},
	{"miro-verification=", "Miro"},
	{"teamviewer-sso-verification=", "TeamViewer"},
	{"dynatrace-site-verification=", "Dynatrace"},
	{"figma-domain-verification=", "Figma"},
	{"paloaltonetworks-site-verification=", "Palo Alto Networks"},
	{"quovadis=", "QuoVadis"},
	{"airtable-verification=", "Airtable"},
	{"canva-site-verification=", "Canva"},
	{"jamf-site-verification=", "Jamf"},
	{"knowbe4-site-verification=", "KnowBe4"},
	{"lastpass-verification-code=", "LastPass"},
	{"mixpanel-domain-verify=", "Mixpanel"},
	{"1password-site-verification=", "1Password"},
	{"parallels-domain-verification=", "Parallels"},
	{"perimeter81-", "Perimeter 81"},
	{"segment-site-verification=", "Segment"},
	{"smartsheet-site-validation=", "Smartsheet"},
	{"sophos-domain-verification=", "Sophos"},
	{"tmobile-domain-verification=", "T-Mobile"},
	{"uber-domain-verification=", "Uber"},
	{"wrike-verification=", "Wrike"},
	{"workplace-domain-verification=", "Workplace"},
}

// proof returns the service that a TXT value is a proof for, "" for none.
func proof(txt string) string {
	txt = strings.ToLower(strings.TrimSpace(txt))
	for _, p := range proofPrefixes {
		if strings.HasPrefix(txt, p.prefix) {
			return p.service
		}
	}
	return ""
}

// proofLabels hold proofs below the name that they are about. onceOnly ones are needed for minutes.
var proofLabels = []struct {
	label    string
	onceOnly bool
}{
	{"_acme-challenge", true}, {"_validation-contactemail", true}, {"_dnsauth", false}, {"_pki-validation", true},
	{"asuid", false}, {"_cf-custom-hostname", false}, {"_vercel", false}, {"_amazonses", false}, {"_gitlab-pages-verification-code", false},
}

// proofRules judge values that prove to a service whose a name is.
func proofRules() []Rule {
	controls := []string{boundaryControl, inventory}
	return []Rule{
		{
			ID:       "verification-left-behind",
			Title:    "A proof of ownership that outlives its use",
			Severity: finding.Warn,
			Why:      "While it stands, whoever holds the account at the service may go on acting for the name: publish under it, read reports about it, get certificates.",
			Help:     "Remove the proof together with what it was for, and one-time proofs as soon as they have been seen.",
			Controls: controls,
			Bad:      inForceZone("shop:\n  - {type: A, ttl: 300, value: 9.9.9.10}\n  - {type: TXT, ttl: 300, value: google-site-verification=abc}\n") + "-- zones/finmicro.example.yaml --\nshop: {type: TXT, ttl: 300, value: google-site-verification=abc}\n",
			Good:     inForceZone("shop:\n  - {type: A, ttl: 300, value: 9.9.9.10}\n  - {type: TXT, ttl: 300, value: google-site-verification=abc}\n") + "-- zones/finmicro.example.yaml --\nother: {type: A, ttl: 300, value: 9.9.9.10}\n",
			edit:     proofLeft,
		},
		{
			ID:       "verification-repeated",
			Title:    "Several proofs of ownership for one service",
			Severity: finding.Info,
			Why:      "Each lets another account act for the name; old ones belong to people and suppliers who may be long gone.",
			Help:     "Ask at the service which accounts are still needed, and remove the other values.",
			Controls: controls,
			Bad:      "-- zones/finmicro.example.yaml --\nshop: {type: TXT, ttl: 300, values: [google-site-verification=abc, google-site-verification=def]}\n",
			Good:     "-- zones/finmicro.example.yaml --\nshop: {type: TXT, ttl: 300, values: [google-site-verification=abc, facebook-domain-verification=def]}\n",
			set: func(p *pass, _ zone.Name, r zone.RRSet) error {
				if r.Type != "TXT" {
					return nil
				}
				count := map[string]int{}
				for _, txt := range texts(r) {
					if s := proof(txt); s != "" {
						if count[s]++; count[s] == 2 {
							p.reportSet(r, "%s has several values that prove to %s whose it is; each of those accounts can act for it.", r.Name.Unicode(), s)
						}
					}
				}
				return nil
			},
		},
	}
}

// inForceZone is an example's zone as it was before.
func inForceZone(records string) string {
	return "-- in-force/zones/finmicro.example.yaml --\n" + records
}

// proofLeft finds proofs that are for once only, and those that stay at a name when the last
// record that people use there goes.
func proofLeft(p *pass, e zone.Edit) error {
	if e.After != nil && e.Type == "TXT" {
		for _, l := range proofLabels {
			if l.onceOnly && strings.HasPrefix(string(e.Name), l.label+".") {
				p.reportSet(*e.After, "%s is a proof that is looked at once; left in place it says that somebody may get certificates for %s.", e.Name.Unicode(), e.Name.Parent().Unicode())
			}
		}
		return nil
	}
	used := []string{"A", "AAAA", "CNAME", "ALIAS", "MX"}
	if e.After != nil || !slices.Contains(used, e.Type) {
		return nil
	}
	here, err := p.head.at(e.Zone, e.Name)
	if err != nil || slices.ContainsFunc(here, func(r zone.RRSet) bool { return slices.Contains(used, r.Type) }) {
		return err
	}
	for _, l := range proofLabels {
		name, err := zone.ParseName(l.label + "." + string(e.Name))
		if err != nil {
			continue // longer than a name can be
		}
		below, err := p.head.at(e.Zone, name)
		if err != nil {
			return err
		}
		for _, r := range below {
			if r.Type == "TXT" || r.Type == "CNAME" {
				p.reportSet(r, "%s is not used any more, but %s still proves to a service whose it is.", e.Name.Unicode(), finding.Record(r.Key()))
			}
		}
	}
	for _, r := range here {
		if r.Type != "TXT" {
			continue
		}
		for _, txt := range texts(r) {
			if s := proof(txt); s != "" {
				p.reportSet(r, "%s is not used any more, but still proves to %s that its account may act for it.", e.Name.Unicode(), s)
			}
		}
	}
	return nil
}
