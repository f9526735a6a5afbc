package lint

import (
	"slices"

	"slipway/check/finding"
	"slipway/repo"
	"slipway/zone"
)

// Version is of the rule set as a whole. It is a part of every policy digest, so
// that a verdict says by which rules it was reached; raise it with any change of
// what a rule finds.
const Version = "3"

// Rule is one thing that lint looks for.
type Rule struct {
	ID       string           `json:"id"`    // "cname-at-apex"
	Title    string           `json:"title"` // in a few words
	Severity finding.Severity `json:"severity"`
	Why      string           `json:"why"`  // why it matters
	Help     string           `json:"help"` // what to do
	Controls []string         `json:"controls"`

	// Bad and Good are changes that the rule finds and does not find: the changed
	// files of a zones repository in txtar form, files under in-force/ as they were
	// before, and observations, what is seen outside. The tests run them.
	Bad  string `json:"bad"`
	Good string `json:"good"`

	// A rule has some of these, or none when the run itself reports it. They judge one
	// zone with its first edit; one edit, deletions included; one record set that came to
	// be or changed; one name with such record sets; one app; the settings that will be in force.
	zone func(*pass, zone.Edit) error
	edit func(*pass, zone.Edit) error
	set  func(*pass, zone.Name, zone.RRSet) error
	name func(*pass, touched) error
	app  func(*pass, *repo.App) error

	settings func(*pass, *repo.Settings) error
}

// Controls that rules speak to.
const (
	changeControl   = "SOC2:CC8.1"
	accessControl   = "SOC2:CC6.1"
	boundaryControl = "SOC2:CC6.6"
	riskControl     = "SOC2:CC3.2"
	inventory       = "ISO27001:A.5.9"
	changeISO       = "ISO27001:A.8.32"
	networkISO      = "ISO27001:A.8.20"
	transferISO     = "ISO27001:A.5.14"
	accessISO       = "ISO27001:A.5.15"
	classification  = "ISO27001:A.5.12"
	changeITGC      = "SOX:ITGC-CM"
	accessITGC      = "SOX:ITGC-AC"
)

// Rules lists every rule, sorted by ID within its family: names and data,
// targets, mail, exposure, the outside, DNSSEC, apps, the gate itself.
func Rules() []Rule {
	return slices.Concat(dataRules(), targetRules(), mailRules(), spfWalkRules(), senderRules(), mailPolicyRules(), stsRules(), exposureRules(), proofRules(), outsideRules(), dnssecRules(), appRules(), gateRules())
}
