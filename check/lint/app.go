package lint

import (
	"net/mail"
	"slices"
	"time"

	"slipway/check/finding"
	"slipway/repo"
	"slipway/zone"
)

// How far ahead an app may say that it lives, before somebody looks again.
const maxAppLife = 2 * 366 * 24 * time.Hour

// platformGroup may put an app's records wherever it wants.
const platformGroup = "platform-ops"

// manifest is the start of the examples below.
const manifest = "-- apps/shop.yaml --\nteam: retail\ncertificate: false\nrecords:\n  - {name: shop.finmicro.example, type: A, ttl: 300, values: [9.9.9.10]}\n"

const (
	withOwner    = "owner: ana@finmicro.example\n"
	withPurpose  = "purpose: Sells things\n"
	withExposure = "exposure: external\n"
	withData     = "data: [none]\n"
	withHostname = "hostname: shop.finmicro.example\n"
	withExpiry   = "expires: 2027-01-31\n"
	complete     = manifest + withOwner + withPurpose + withExposure + withData + withHostname + withExpiry
)

// appRules judge manifests: who answers for an app, for whom it is, and whether
// its names are where it says.
func appRules() []Rule {
	owned := []string{inventory, changeControl, changeITGC}
	return []Rule{
		{
			ID:       "app-certificate-without-address",
			Title:    "A certificate for a name without an address",
			Severity: finding.Deny,
			Why:      "A certificate is for a name that people reach; this one leads nowhere.",
			Help:     "Add an A, AAAA or CNAME record for the hostname, or take certificate: true out.",
			Controls: []string{changeControl, "ISO27001:A.8.24"},
			Bad:      "-- apps/shop.yaml --\ncertificate: true\n" + withOwner + withPurpose + withExposure + withData + withHostname + withExpiry,
			Good:     complete,
			app:      certificateWithoutAddress,
		},
		{
			ID:       "app-data-missing",
			Title:    "Which data the app handles is not said",
			Severity: finding.Deny,
			Why:      "Personal, financial and health data need other approvers; without a word nobody can tell.",
			Help:     "Write data: [none], or which of pii, financial and health apply.",
			Controls: []string{classification, riskControl},
			Bad:      manifest + withOwner + withPurpose + withExposure + withHostname + withExpiry,
			Good:     complete,
			app: func(p *pass, a *repo.App) error {
				switch {
				case len(a.Data) == 0:
					p.reportApp(a, "data", "The app %s does not say which data it handles.", a.Name)
				case len(a.Data) > 1 && slices.Contains(a.Data, "none"):
					p.reportApp(a, "data", "The app %s says that it handles no data (none) and some all the same.", a.Name)
				}
				return nil
			},
		},
		{
			ID:       "app-expired",
			Title:    "An end date that has passed",
			Severity: finding.Deny,
			Why:      "The app would be live after the day on which it was to end.",
			Help:     "Choose a later expires date, or retire the app.",
			Controls: owned,
			Bad:      manifest + withOwner + withPurpose + withExposure + withData + withHostname + "expires: 2020-01-31\n",
			Good:     complete,
			app: func(p *pass, a *repo.App) error {
				// Live through its last day, wherever in the world that ends last.
				if t, ok := expiry(a); ok && p.AsOf.After(t.Add(36*time.Hour)) {
					p.reportApp(a, "expires", "The app %s was to end on %s, which has passed.", a.Name, a.Expires)
				}
				return nil
			},
		},
		{
			ID:       "app-expires-late",
			Title:    "An end date too far ahead",
			Severity: finding.Warn,
			Why:      "Micro apps outlive their owners; a date within two years makes somebody look again.",
			Help:     "Choose an expires date within two years; it can be extended.",
			Controls: owned,
			Bad:      manifest + withOwner + withPurpose + withExposure + withData + withHostname + "expires: 2099-01-31\n",
			Good:     complete,
			app: func(p *pass, a *repo.App) error {
				if t, ok := expiry(a); ok && t.After(p.AsOf.Add(maxAppLife)) {
					p.reportApp(a, "expires", "The app %s is to live until %s, more than two years from now, with nobody looking again before.", a.Name, a.Expires)
				}
				return nil
			},
		},
		{
			ID:       "app-expiry-missing",
			Title:    "No end date",
			Severity: finding.Warn,
			Why:      "Without an end date an app stays, and its names with it, when nobody needs it any more.",
			Help:     "Add expires with a date within two years; it can be extended.",
			Controls: owned,
			Bad:      manifest + withOwner + withPurpose + withExposure + withData + withHostname,
			Good:     complete,
			app: func(p *pass, a *repo.App) error {
				if a.Expires == "" {
					p.reportApp(a, "expires", "The app %s does not say until when it is needed.", a.Name)
				}
				return nil
			},
		},
		{
			ID:       "app-exposure-mismatch",
			Title:    "Names where the app says it is not",
			Severity: finding.Deny,
			Why:      "An internal app in a public zone shows itself to the world; an external app in an internal zone reaches nobody.",
			Help:     "Correct exposure, or choose names in a zone that fits it.",
			Controls: []string{boundaryControl, classification},
			Bad:      manifest + withOwner + withPurpose + "exposure: internal\n" + withData + withHostname + withExpiry,
			Good:     complete,
			app:      exposureMismatch,
		},
		{
			ID:       "app-exposure-missing",
			Title:    "For whom the app is, is not said",
			Severity: finding.Deny,
			Why:      "Who can reach the app decides who must approve it.",
			Help:     "Write exposure: internal or exposure: external.",
			Controls: []string{boundaryControl, classification},
			Bad:      manifest + withOwner + withPurpose + withData + withHostname + withExpiry,
			Good:     complete,
			app: func(p *pass, a *repo.App) error {
				if a.Exposure != "internal" && a.Exposure != "external" {
					p.reportApp(a, "exposure", "The app %s does not say whether it is for the company only or for the world.", a.Name)
				}
				return nil
			},
		},
		{
			ID:       "app-hostname-missing",
			Title:    "No hostname",
			Severity: finding.Deny,
			Why:      "Without a hostname nothing says where the app is, and which records belong to it.",
			Help:     "Add hostname with the name at which people reach the app.",
			Controls: owned,
			Bad:      manifest + withOwner + withPurpose + withExposure + withData + withExpiry,
			Good:     complete,
			app: func(p *pass, a *repo.App) error {
				if a.Hostname == "" {
					p.reportApp(a, "hostname", "The app %s has no hostname.", a.Name)
				}
				return nil
			},
		},
		{
			ID:       "app-hostname-not-ours",
			Title:    "A hostname outside the organisation's zones",
			Severity: finding.Deny,
			Why:      "Nobody here can make such a name live.",
			Help:     "Choose a hostname in one of the zones of slipway.yaml.",
			Controls: owned,
			Bad:      "-- apps/shop.yaml --\nhostname: shop.other.example\n" + withOwner + withPurpose + withExposure + withData + withExpiry,
			Good:     complete,
			app: func(p *pass, a *repo.App) error {
				if _, ours := p.head.zoneOf(a.Hostname); a.Hostname != "" && !ours {
					p.reportApp(a, "hostname", "The hostname %s of the app %s is in no zone of the organisation.", a.Hostname.Unicode(), a.Name)
				}
				return nil
			},
		},
		{
			ID:       "app-owner-missing",
			Title:    "Nobody owns the app",
			Severity: finding.Deny,
			Why:      "Somebody must answer when the app breaks, is attacked or comes to its end.",
			Help:     "Add owner with the e-mail address of a person.",
			Controls: owned,
			Bad:      manifest + withPurpose + withExposure + withData + withHostname + withExpiry,
			Good:     complete,
			app: func(p *pass, a *repo.App) error {
				if a.Owner == "" {
					p.reportApp(a, "owner", "The app %s has no owner.", a.Name)
				}
				return nil
			},
		},
		{
			ID:       "app-owner-not-ours",
			Title:    "An owner from outside the organisation",
			Severity: finding.Deny,
			Why:      "Only a person of the organisation can answer for what happens under its names.",
			Help:     "Name a person of the organisation as owner, and the other party in third_party.",
			Controls: append([]string{accessControl}, owned...),
			Bad:      manifest + "owner: eve@other.example\n" + withPurpose + withExposure + withData + withHostname + withExpiry,
			Good:     complete,
			app: func(p *pass, a *repo.App) error {
				if a.Owner == "" {
					return nil // app-owner-missing says it
				}
				if addr, err := mail.ParseAddress(a.Owner); err != nil || addr.Address != a.Owner {
					p.reportApp(a, "owner", "The owner %q of the app %s is not an e-mail address.", a.Owner, a.Name)
				} else if p.Settings.ThirdParty(a.Owner) {
					p.reportApp(a, "owner", "%s, the owner of the app %s, is not a person of the organisation.", a.Owner, a.Name)
				}
				return nil
			},
		},
		{
			ID:       "app-purpose-missing",
			Title:    "What the app is for is not said",
			Severity: finding.Deny,
			Why:      "Approvers, and whoever finds the app in two years, must be able to tell what it is for.",
			Help:     "Add purpose with one sentence.",
			Controls: owned,
			Bad:      manifest + withOwner + withExposure + withData + withHostname + withExpiry,
			Good:     complete,
			app: func(p *pass, a *repo.App) error {
				if a.Purpose == "" {
					p.reportApp(a, "purpose", "The app %s does not say what it is for.", a.Name)
				}
				return nil
			},
		},
		{
			ID:       "app-record-outside-hostname",
			Title:    "A record that is not below the app's hostname",
			Severity: finding.Deny,
			Why:      "An app speaks for its own hostname and what is below it; other names belong to other apps or to the platform.",
			Help:     "Use names at or below the hostname, or ask " + platformGroup + " to make the change.",
			Controls: []string{accessControl, accessISO},
			Bad:      "-- apps/shop.yaml --\nrecords:\n  - {name: other.finmicro.example, type: A, ttl: 300, values: [9.9.9.10]}\n" + withOwner + withPurpose + withExposure + withData + withHostname + withExpiry,
			Good:     complete,
			app: func(p *pass, a *repo.App) error {
				if a.Hostname == "" || slices.Contains(p.Groups, platformGroup) {
					return nil
				}
				for _, r := range a.Records {
					if !r.Name.In(a.Hostname) {
						p.reportSet(r, "%s is not at or below %s, the hostname of the app %s.", r.Name.Unicode(), a.Hostname.Unicode(), a.Name)
					}
				}
				return nil
			},
		},
		{
			ID:       "app-takes-platform-record",
			Title:    "An app taking over a record of the platform",
			Severity: finding.Deny,
			Why:      "Moved into a manifest, the record would from then on be the app's to change, though nothing that is served seems to change now.",
			Help:     "Choose another name, or ask " + platformGroup + " to hand the record over.",
			Controls: []string{accessControl, accessISO, accessITGC},
			Bad:      "-- zones/apps.finmicro.example.yaml --\n{}\n-- apps/menu.yaml --\nhostname: menu.apps.finmicro.example\nexposure: internal\nrecords: [{name: menu.apps.finmicro.example, type: A, ttl: 300, values: [10.1.2.9]}]\n" + withOwner + withPurpose + withData + withExpiry,
			Good:     "-- apps/menu.yaml --\nhostname: lunch.apps.finmicro.example\nexposure: internal\nrecords: [{name: lunch.apps.finmicro.example, type: A, ttl: 300, values: [10.1.2.9]}]\n" + withOwner + withPurpose + withData + withExpiry,
			app:      takesPlatformRecord,
		},
	}
}

func expiry(a *repo.App) (time.Time, bool) {
	t, err := time.Parse(time.DateOnly, a.Expires)
	return t, err == nil
}

func certificateWithoutAddress(p *pass, a *repo.App) error {
	if !a.Certificate || a.Hostname == "" {
		return nil
	}
	z, ours := p.head.zoneOf(a.Hostname)
	if !ours {
		return nil // app-hostname-not-ours says it
	}
	sets, err := p.head.at(z, a.Hostname)
	if err != nil {
		return err
	}
	reachable := slices.ContainsFunc(sets, func(r zone.RRSet) bool {
		return slices.Contains([]string{"A", "AAAA", "CNAME", "ALIAS"}, r.Type)
	})
	if !reachable {
		p.reportApp(a, "certificate", "The app %s asks for a certificate for %s, which has no address.", a.Name, a.Hostname.Unicode())
	}
	return nil
}

func exposureMismatch(p *pass, a *repo.App) error {
	judge := func(at zone.Place, record string, name zone.Name) {
		z, ours := p.head.zoneOf(name)
		if !ours {
			return
		}
		switch {
		case a.Exposure == "internal" && p.public(z):
			p.report(at, record, "The app %s is for the company only, but %s is in %s, which the whole world sees.", a.Name, name.Unicode(), z.Unicode())
		case a.Exposure == "external" && !p.public(z):
			p.report(at, record, "The app %s is for the world, but %s is in %s, which only the company sees.", a.Name, name.Unicode(), z.Unicode())
		}
	}
	if a.Hostname != "" {
		judge(zone.Place{Path: a.Path, Line: max(1, a.Lines["hostname"])}, "", a.Hostname)
	}
	for _, r := range a.Records {
		if r.Name != a.Hostname {
			judge(r.Place, finding.Record(r.Key()), r.Name)
		}
	}
	return nil
}

// takesPlatformRecord compares with the base's zone files: a record set that moves
// from there into a manifest as it is makes no edit.
func takesPlatformRecord(p *pass, a *repo.App) error {
	base, err := p.before()
	if err != nil || base == nil || slices.Contains(p.Groups, platformGroup) {
		return err
	}
	for _, r := range a.Records {
		z, ours := base.settings.ZoneOf(r.Name)
		if !ours {
			continue
		}
		f, err := base.file(z)
		if err != nil {
			return err
		}
		if f == nil {
			continue
		}
		sets, err := f.At(r.Name)
		if err != nil {
			return err
		}
		for _, was := range sets {
			if was.Key() == r.Key() {
				p.reportSet(r, "%s belongs to the platform (%s); the app %s would take it over.", finding.Record(r.Key()), was.Place, a.Name)
			}
		}
	}
	return nil
}
