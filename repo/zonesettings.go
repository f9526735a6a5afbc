package repo

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"slipway/zone"
)

// Zone is what slipway.yaml says of one zone.
type Zone struct {
	Visibility string // "internal" | "external"
	// Unclassified: nobody has said yet which of the two, and so it is handled as external.
	Unclassified bool
	Owner        zone.Name
	Provider     string      // the first of Providers
	Providers    []string    // all that serve the zone and have to agree
	Partial      bool        // record sets that Slipway did not write are left alone
	Apply        ApplyLimits // zero fields: those of the settings as a whole
	AutoRevert   AutoRevert
	DNSSEC       string // "" | "required"
	Parked       bool
	MaxEdits     int // record sets that one change usually edits at most; 0: the same as everywhere
	MaxDeletes   int // record sets that one change usually removes at most; 0: the same as everywhere
}

// ApplyLimits stop an apply that would take more of a zone away, or make more of it
// different, than anybody expected: a share of the record sets that are live, in per cent.
// A zone that has fewer than From is not held up. 100 stops nothing.
type ApplyLimits struct{ Deletes, Updates, From int }

// AutoRevert puts an edit that was made out of band back without asking, as long as it
// is a small one and does not happen again and again. Zero: a person decides.
type AutoRevert struct {
	Most int // record sets that differ at most
	ADay int // times in 24 hours at most
}

// readZones reads the zones, which stand beside the key directory.
func (p *settingsParser) readZones(f field) {
	for _, z := range p.fields(f.value, "zones", nil) {
		if z.name == "directory" {
			dir := strings.TrimSuffix(p.text(z.value, "zones directory"), "/")
			if dir == "" || (dir != "." && checkPath(dir) != nil) {
				p.fail(z.value, `write a folder of the repository, such as zones, or "." for its root`,
					"zones directory: %q is not a folder of the repository", dir)
			}
			p.s.ZonesDirectory = dir
			continue
		}
		name := p.name(z.key, "zone")
		if _, twice := p.s.Zones[name]; twice {
			p.fail(z.key, "remove one of the two", "zone %s stands twice", name)
		}
		p.s.Zones[name] = p.readZone(z)
		p.zones = append(p.zones, z)
	}
}

func (p *settingsParser) readZone(z field) Zone {
	settings := Zone{Visibility: "external"}
	what := "zone " + z.name
	for _, k := range p.fields(z.value, what, []string{"visibility", "owner", "provider", "partial", "apply", "auto-revert", "dnssec", "parked", "max-edits", "max-deletes"}) {
		switch k.name {
		case "visibility":
			settings.Visibility = p.oneOf(k.value, "visibility", "internal", "external", "unclassified")
			settings.Unclassified = settings.Visibility == "unclassified"
			if settings.Visibility != "internal" {
				settings.Visibility = "external"
			}
		case "owner":
			settings.Owner = p.name(k.value, "owner")
		case "provider":
			settings.Providers = p.zoneProviders(k.value, what)
			if len(settings.Providers) > 0 {
				settings.Provider = settings.Providers[0]
			}
		case "partial":
			settings.Partial = p.boolean(k.value, "partial")
		case "apply":
			settings.Apply = p.applyLimits(k.value, what+" apply", ApplyLimits{})
		case "auto-revert":
			settings.AutoRevert = AutoRevert{ADay: 1}
			for _, r := range p.fields(k.value, what+" auto-revert", []string{"most", "a-day"}) {
				switch r.name {
				case "most":
					settings.AutoRevert.Most = p.number(r.value, "auto-revert most", 1, 1000)
				case "a-day":
					settings.AutoRevert.ADay = p.number(r.value, "auto-revert a-day", 1, 1000)
				}
			}
			if settings.AutoRevert.Most == 0 {
				p.fail(k.value, "add most, for example `auto-revert: {most: 3, a-day: 2}`", "%s: auto-revert does not say how many record sets may be put back without asking", what)
			}
		case "dnssec":
			if p.oneOf(k.value, "dnssec", "required", "none") == "required" {
				settings.DNSSEC = "required"
			}
		case "parked":
			settings.Parked = p.boolean(k.value, "parked")
		case "max-edits":
			settings.MaxEdits = p.number(k.value, "max-edits", 1, 1_000_000)
		case "max-deletes":
			settings.MaxDeletes = p.number(k.value, "max-deletes", 1, 1_000_000)
		}
	}
	return settings
}

// maxZoneProviders bounds how many providers have to agree on one zone.
const maxZoneProviders = 8

// zoneProviders reads one name, or a list of them.
func (p *settingsParser) zoneProviders(n *yaml.Node, what string) []string {
	if follow(n).Kind != yaml.SequenceNode {
		return []string{p.text(n, "provider")}
	}
	var out []string
	seen := map[string]bool{}
	for _, item := range p.list(n, what+" provider") {
		name := p.text(item, "each provider of "+what)
		if seen[name] {
			p.fail(item, "remove one of the two", "%s names provider %s twice", what, name)
		}
		seen[name] = true
		out = append(out, name)
	}
	if len(out) == 0 || len(out) > maxZoneProviders {
		p.fail(n, "name between one and "+strconv.Itoa(maxZoneProviders), "%s names %d providers", what, len(out))
	}
	return out
}

// applyLimits reads shares in per cent, over those that hold otherwise.
func (p *settingsParser) applyLimits(n *yaml.Node, what string, limits ApplyLimits) ApplyLimits {
	for _, k := range p.fields(n, what, []string{"max-deletes", "max-updates", "from"}) {
		switch k.name {
		case "max-deletes":
			limits.Deletes = p.percent(k.value, what+" max-deletes")
		case "max-updates":
			limits.Updates = p.percent(k.value, what+" max-updates")
		case "from":
			limits.From = p.number(k.value, what+" from", 1, 1_000_000)
		}
	}
	return limits
}

func (p *settingsParser) percent(n *yaml.Node, what string) int {
	s := p.text(n, what)
	v, err := strconv.Atoi(strings.TrimSuffix(s, "%"))
	if err != nil || !strings.HasSuffix(s, "%") || v < 1 || v > 100 {
		p.fail(n, "write a share of the zone, for example 30%", "%s: %q is not a share between 1%% and 100%%", what, s)
	}
	return v
}

// Limits are what stops an apply to a zone.
func (s *Settings) Limits(z zone.Name) ApplyLimits {
	limits, own := s.Apply, s.Zones[z].Apply
	if own.Deletes > 0 {
		limits.Deletes = own.Deletes
	}
	if own.Updates > 0 {
		limits.Updates = own.Updates
	}
	if own.From > 0 {
		limits.From = own.From
	}
	return limits
}
