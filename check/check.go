// Package check judges a change: it runs the lint rules, measures the risk
// signals, asks the Rego policies what they mean, and returns a verdict. Checks
// are pure functions of their input; the same input gives the same verdict.
// Subpackages: lint (facts that are wrong whatever the organisation thinks),
// policy (OPA), risk (signals), finding (the word that they share). Read Engine.Run
// in engine.go; write.go shows a verdict to people.
package check

import (
	"time"

	"slipway/approval"
	"slipway/change"
	"slipway/check/finding"
	"slipway/check/observe"
	"slipway/check/risk"
	"slipway/repo"
)

// Severity says what a finding does to a change.
type Severity = finding.Severity

// The severities.
const (
	Deny = finding.Deny
	Warn = finding.Warn
	Info = finding.Info
)

// Finding is what one check has to say about a change.
type Finding = finding.Finding

// Signal is a fact that bears on risk.
type Signal = risk.Signal

// Tier says how risky a change is, and so who must approve it.
type Tier string

// The tiers.
const (
	Green  Tier = "green"
	Yellow Tier = "yellow"
	Red    Tier = "red"
)

// Verdict is findings, signals, score and tier for one change under one policy
// digest. Lists are never null in JSON.
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
	Version      string                 `json:"version"`                // of Slipway's rules
	Observations string                 `json:"observations,omitempty"` // digest of what was seen outside, "" when nobody looked
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
	Base, Head *repo.Tree     // settings, groups and policies are read from Base: a change is judged by the rules in force, not by its own. A nil Base is the state before the first commit.
	Change     *change.Change // nil: computed from Base and Head
	Requester  Requester      // Groups nil: those of the settings in force
	AsOf       time.Time
	Observed   *observe.Log // answers of the DNS outside the repository; nil: rules that need them say nothing
}
