// Package check judges a change: it runs the lint rules, measures the risk
// signals, asks the Rego policies what they mean, and returns a verdict. Checks
// are pure functions of their input; the same input gives the same verdict.
// Subpackages: lint (facts that are wrong whatever the organisation thinks),
// policy (OPA), risk (signals).
package check

import (
	"time"

	"slipway/approval"
	"slipway/change"
	"slipway/repo"
	"slipway/zone"
)

type Severity string

const (
	Deny Severity = "deny"
	Warn Severity = "warn"
	Info Severity = "info"
)

// Finding is what one check has to say about a change.
type Finding struct {
	Rule     string   `json:"rule"` // "cname-beside-other-data"; policies: "<package>/<rule>"
	Severity Severity `json:"severity"`
	Message  string   `json:"message"` // what is wrong and why it matters, without jargon
	Help     string   `json:"help"`    // what to do
	Path     string   `json:"path,omitempty"`
	Line     int      `json:"line,omitempty"`
	Record   string   `json:"record,omitempty"` // "expenses.apps.finmicro.example A"
	Controls []string `json:"controls"`         // "SOC2:CC8.1", "ISO27001:A.8.32"
}

// Signal is a fact that bears on risk.
type Signal struct {
	Name   string  `json:"name"`   // "brand-in-name"
	Value  float64 `json:"value"`  // 0..1
	Weight int     `json:"weight"` // from Rego; 0..100
	Reason string  `json:"reason"`
	Record string  `json:"record,omitempty"`
}

type Tier string

const (
	Green  Tier = "green"
	Yellow Tier = "yellow"
	Red    Tier = "red"
)

// Verdict is findings, signals, score and tier for one change under one policy digest.
type Verdict struct {
	Tier         Tier                   `json:"tier"`
	TierReasons  []string               `json:"tier_reasons"` // plain language
	Score        int                    `json:"score"`        // 0..100
	Denied       bool                   `json:"denied"`       // some finding has severity deny
	Signals      []Signal               `json:"signals"`
	Findings     []Finding              `json:"findings"`
	Approvals    []approval.Requirement `json:"approvals"` // empty for green
	Change       *change.Change         `json:"change"`
	PolicyDigest string                 `json:"policy_digest"` // of every policy file, the settings that decide, and the rule set's version
	Requester    Requester              `json:"requester"`
	AsOf         time.Time              `json:"as_of"`
	Version      string                 `json:"version"` // of Slipway's rules
}

// Requester is who asks, as far as rules may look.
type Requester struct {
	ID         string   `json:"id"`
	Role       string   `json:"role,omitempty"`
	Groups     []string `json:"groups,omitempty"`
	ThirdParty bool     `json:"third_party,omitempty"`
}

// Input is all that a verdict depends on.
type Input struct {
	Repo       *repo.Repo
	Base, Head *repo.Tree     // settings, groups and policies are read from Base: a change is judged by the rules in force, not by its own
	Change     *change.Change // nil: computed from Base and Head
	Requester  Requester
	AsOf       time.Time
}

var _ zone.Name // keep the import while this is a contract
