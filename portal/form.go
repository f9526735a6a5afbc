package portal

import (
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"slipway/check"
	"slipway/flow"
	"slipway/repo"
	"slipway/zone"
)

// requestForm is the form that asks for an app, as it was sent. Text is kept
// as typed, so that a form that is refused comes back as it was.
type requestForm struct {
	Name, Host, Zone, Purpose, Team, Exposure string
	Data                                      []string
	Expires, Targets, TTL                     string
	Upstream                                  string
	Certificate, MTLS                         bool
	ThirdParty, Ticket, NotBefore             string

	RequestID string // the same for every attempt to send one form
	Revises   string // the change that this one replaces
	Editing   string // the app that exists and is to change
}

// field names one control of the form; errors and findings are shown there.
type field struct{ ID, Label string }

// fields in the order of the form. IDs are those of the HTML controls; a
// group of radio buttons or boxes has the ID of its first one.
var fields = []field{
	{"name", "Name of the app"},
	{"purpose", "What it is for"},
	{"team", "Team"},
	{"exposure", "Who can reach it"},
	{"host", "Address on the web"},
	{"zone", "Domain"},
	{"targets", "Where it runs"},
	{"ttl", "Cache time"},
	{"certificate", "Certificate"},
	{"upstream", "Where the app answers"},
	{"mtls", "Who is let in"},
	{"data", "Data it handles"},
	{"third_party", "Third party"},
	{"expires", "Until when it is needed"},
	{"ticket", "Ticket"},
	{"not_before", "Not before"},
}

// Bounds of the form's texts, in characters.
const (
	maxLine    = 255
	maxText    = 2000
	maxTargets = 50
	defaultTTL = 300
)

// problems are what is wrong with a form, by field.
type problems map[string]string

func (p problems) add(field, text string) {
	if p[field] == "" {
		p[field] = text
	}
}

// readForm takes the form's values. It never fails: what is too long is cut to
// a length that build then refuses.
func readForm(v url.Values) requestForm {
	line := func(name string) string { return cut(strings.TrimSpace(v.Get(name)), maxLine+1) }
	text := func(name string) string {
		return cut(strings.TrimSpace(strings.ReplaceAll(v.Get(name), "\r\n", "\n")), maxText+1)
	}
	f := requestForm{
		Name: line("name"), Host: line("host"), Zone: line("zone"), Purpose: text("purpose"), Team: line("team"), Exposure: line("exposure"),
		Expires: line("expires"), Targets: text("targets"), TTL: line("ttl"), Certificate: v.Get("certificate") != "",
		Upstream: line("upstream"), MTLS: v.Get("mtls") == "required",
		ThirdParty: line("third_party"), Ticket: line("ticket"), NotBefore: line("not_before"),
		RequestID: cut(v.Get("request_id"), flow.MaxRequestID/4), Revises: line("revises"), Editing: line("editing"),
	}
	for _, d := range v["data"] {
		if slices.Contains(dataClasses, d) && !slices.Contains(f.Data, d) {
			f.Data = append(f.Data, d)
		}
	}
	return f
}

var dataClasses = []string{"none", "pii", "financial", "health"}

func cut(s string, n int) string {
	if runes := []rune(s); len(runes) > n {
		return string(runes[:n])
	}
	return s
}

// build makes the app that the form asks for. before is the app as it is now,
// nil for a new one: what the form does not show stays as it was there.
func (f requestForm) build(owner string, settings *repo.Settings, before *repo.App) (*repo.App, problems) {
	bad := problems{}
	app := &repo.App{Owner: owner}
	if before != nil {
		kept := *before
		kept.Records = slices.DeleteFunc(slices.Clone(before.Records), func(rr zone.RRSet) bool {
			return rr.Name == before.Hostname && addressType(rr.Type)
		})
		app = &kept
	}
	f.buildText(app, bad)
	if bad["host"]+bad["zone"] == "" {
		app.Hostname = f.hostname(settings, bad)
	}
	// What is wrong with the addresses is said even while the name is wrong, under a name that stands in for it.
	if app.Hostname == "" {
		f.records("name.invalid", bad)
	} else {
		app.Records = append(app.Records, f.records(app.Hostname, bad)...)
	}
	app.Path = repo.AppPath(app.Name)
	return app, bad
}

func (f requestForm) buildText(app *repo.App, bad problems) {
	app.Name = strings.ToLower(f.Name)
	if app.Name == "" {
		bad.add("name", "Give the app a short name.")
	} else if !repo.ValidAppName(app.Name) {
		bad.add("name", "Use small letters, digits and hyphens only, at most 63, such as expense-tracker.")
	}
	for _, t := range []struct {
		id, value, missing string
		max                int
		to                 *string
	}{
		{"purpose", f.Purpose, "Say in a sentence what the app is for.", maxText, &app.Purpose},
		{"team", f.Team, "Say which team is responsible for it.", maxLine, &app.Team},
		{"third_party", f.ThirdParty, "", maxLine, &app.ThirdParty},
		{"ticket", f.Ticket, "", maxLine, nil},
	} {
		switch {
		case t.value == "" && t.missing != "":
			bad.add(t.id, t.missing)
		case len([]rune(t.value)) > t.max:
			bad.add(t.id, "This is too long; use at most "+strconv.Itoa(t.max)+" characters.")
		case strings.ContainsFunc(t.value, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }):
			bad.add(t.id, "There are characters in this that cannot be shown; type it again.")
		}
		if t.to != nil {
			*t.to = t.value
		}
	}
	switch f.Exposure {
	case "internal", "external":
		app.Exposure = f.Exposure
	default:
		bad.add("exposure", "Say who can reach the app.")
	}
	app.Data = slices.Clone(f.Data)
	switch {
	case len(f.Data) == 0:
		bad.add("data", "Say which kinds of sensitive data the app handles, or that it handles none.")
	case len(f.Data) > 1 && slices.Contains(f.Data, "none"):
		bad.add("data", "“None of these” cannot be chosen together with another kind of data.")
	}
	app.Expires = f.Expires
	if f.Expires != "" {
		if _, err := time.Parse(time.DateOnly, f.Expires); err != nil {
			bad.add("expires", "Write the date as year-month-day, such as 2027-06-30.")
		}
	}
	app.Certificate, app.Upstream, app.MTLS = f.Certificate, f.Upstream, f.MTLS
	if _, err := app.UpstreamURL(); err != nil || len([]rune(f.Upstream)) > maxLine {
		bad.add("upstream", "Write it as an address with http:// or https:// in front, such as http://10.1.2.3:8080. It must hold no password, no “?” and no “#”.")
	}
	if f.MTLS && (!f.Certificate || f.Upstream == "") {
		// Nothing else asks visitors for theirs, so without it everybody would be let in.
		bad.add("mtls", "It is the gateway that asks visitors for their certificates. Ask for a certificate as well, and say where the app answers.")
	}
	if _, err := f.notBefore(); err != nil {
		bad.add("not_before", "Write the time as 2027-01-31T09:00 (UTC).")
	}
}

// notBefore is the time that was asked for; zero for none. Browsers send no zone: it is UTC.
func (f requestForm) notBefore() (time.Time, error) {
	if f.NotBefore == "" {
		return time.Time{}, nil
	}
	return parseMoment(f.NotBefore)
}

// parseMoment reads what <input type="datetime-local"> sends, which has no zone and is taken as UTC.
func parseMoment(s string) (time.Time, error) {
	var err error
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02 15:04", time.RFC3339} {
		var t time.Time
		if t, err = time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, err
}

func (f requestForm) hostname(settings *repo.Settings, bad problems) zone.Name {
	z, err := zone.ParseName(f.Zone)
	if _, known := settings.Zones[z]; f.Zone == "" || err != nil || !known {
		bad.add("zone", "Choose one of the domains in the list.")
		return ""
	}
	if f.Host == "" {
		bad.add("host", "Choose the address that people will type.")
		return ""
	}
	name, err := zone.ParseName(f.Host)
	if err == nil && !name.In(z) {
		name, err = zone.ParseName(strings.TrimSuffix(f.Host, ".") + "." + string(z))
	}
	if err != nil {
		bad.add("host", plainReason(err, "This cannot be part of a name."))
		return ""
	}
	return name
}

func addressType(t string) bool { return t == "A" || t == "AAAA" || t == "CNAME" }

// records turns the lines of "where it runs" into record sets: addresses, or one other name.
func (f requestForm) records(host zone.Name, bad problems) []zone.RRSet {
	ttl := defaultTTL
	if f.TTL != "" {
		n, err := strconv.Atoi(f.TTL)
		if err != nil || n < 0 || n > 1<<31-1 { // RFC 2181 section 8
			bad.add("ttl", "Write a number of seconds, such as 300.")
		} else {
			ttl = n
		}
	}
	lines := strings.FieldsFunc(f.Targets, func(r rune) bool { return unicode.IsSpace(r) || r == ',' })
	if len(lines) == 0 {
		bad.add("targets", "Give the addresses of the machines the app runs on, or the name it is to point to.")
		return nil
	}
	if len(lines) > maxTargets {
		bad.add("targets", "That is more than "+strconv.Itoa(maxTargets)+" addresses; use fewer.")
		return nil
	}
	byType := map[string][]string{}
	for _, l := range lines {
		switch a, err := netip.ParseAddr(l); {
		case err != nil:
			name, err := zone.ParseName(l)
			// No top-level domain is a number (RFC 3696 section 2): it is an address with a slip in it.
			if labels := name.Labels(); err != nil || len(labels) < 2 || strings.Trim(labels[len(labels)-1], "0123456789") == "" {
				bad.add("targets", "“"+l+"” is neither an address such as 192.0.2.10 nor a name such as app.example.com.")
				return nil
			}
			byType["CNAME"] = append(byType["CNAME"], name.FQDN())
		case a.Zone() != "":
			bad.add("targets", "“"+l+"” works on one machine only; give an address that others can reach.")
			return nil
		case a.Is4():
			byType["A"] = append(byType["A"], a.String())
		default:
			byType["AAAA"] = append(byType["AAAA"], a.String())
		}
	}
	if names := byType["CNAME"]; len(names) > 1 || len(names) == 1 && len(byType) > 1 {
		bad.add("targets", "Give either addresses or one name, not both: a name that points to another can have nothing else.")
		return nil
	}
	var sets []zone.RRSet
	for _, t := range []string{"A", "AAAA", "CNAME"} {
		if len(byType[t]) == 0 {
			continue
		}
		rr, err := zone.NewRRSet(host, t, ttl, byType[t])
		if err != nil {
			bad.add("targets", plainReason(err, "This is not accepted as an address."))
			return nil
		}
		sets = append(sets, rr)
	}
	return sets
}

// plainReason is the part of a zone's error that makes sense without a file name.
func plainReason(err error, otherwise string) string {
	if e, ok := errors.AsType[*zone.Error](err); ok && e.What != "" {
		if e.Help != "" {
			return sentence(e.What) + " " + sentence(e.Help)
		}
		return sentence(e.What)
	}
	return otherwise
}

// formOf fills the form from an app that exists.
func formOf(app *repo.App, settings *repo.Settings) requestForm {
	f := requestForm{
		Name: app.Name, Purpose: app.Purpose, Team: app.Team, Exposure: app.Exposure, Data: slices.Clone(app.Data),
		Expires: app.Expires, Certificate: app.Certificate, Upstream: app.Upstream, MTLS: app.MTLS, ThirdParty: app.ThirdParty, Host: string(app.Hostname),
	}
	if z, ok := settings.ZoneOf(app.Hostname); ok && app.Hostname != "" {
		f.Zone, f.Host = string(z), app.Hostname.Relative(z)
		if f.Host == "" {
			f.Host = string(z) // the zone's own name
		}
	}
	var targets []string
	for _, rr := range app.Records {
		if rr.Name != app.Hostname || !addressType(rr.Type) {
			continue
		}
		if rr.TTL != zone.NoTTL && rr.TTL != defaultTTL {
			f.TTL = strconv.Itoa(rr.TTL)
		}
		for _, v := range rr.Values {
			targets = append(targets, strings.TrimSuffix(v, "."))
		}
	}
	f.Targets = strings.Join(targets, "\n")
	return f
}

// ruleFields are rules whose name says more about the field than the line does:
// what is missing has no line, and a TTL stands in the line of its record.
var ruleFields = []struct{ word, field string }{
	{"ttl", "ttl"}, {"purpose", "purpose"}, {"exposure", "exposure"}, {"hostname", "host"}, {"team", "team"}, {"app-data", "data"},
	{"expire", "expires"}, {"expiry", "expires"}, {"mtls", "mtls"}, {"certificate", "certificate"}, {"third-party", "third_party"}, {"ticket", "ticket"},
}

// lineFields are the manifest's keys that the form shows, by the field that holds them.
var lineFields = map[string]string{
	"purpose": "purpose", "team": "team", "exposure": "exposure", "data": "data", "expires": "expires", "hostname": "host",
	"certificate": "certificate", "upstream": "upstream", "mtls": "mtls", "records": "targets", "third_party": "third_party",
}

// fieldOf says at which control a finding about the manifest is shown; "" for none.
// lines are those of the manifest's top-level keys.
func fieldOf(f check.Finding, path string, lines map[string]int) string {
	if f.Path != path {
		return ""
	}
	for _, r := range ruleFields {
		if strings.Contains(f.Rule, r.word) {
			return r.field
		}
	}
	key, at := "", 0
	for k, line := range lines {
		if line <= f.Line && line > at {
			key, at = k, line
		}
	}
	return lineFields[key]
}
