package check

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"slipway/approval"
	"slipway/check/lint"
	"slipway/check/policy"
	"slipway/repo"
	"slipway/zone"
)

// The groups that stand in where no usable approval rule does. A rule that is
// missing must not mean that nobody need approve.
var strictest = repo.ApprovalRule{AllOf: []string{"legal", "security", "product"}, Expires: repo.DefaultRedExpiry}

// decide takes the tier package's decision into the verdict. What is undecided
// or cannot be understood is taken for the strictest.
func (v *Verdict) decide(d policy.Decision, s *repo.Settings) {
	v.Score, v.TierReasons, v.Tier = d.Score, d.Reasons, Tier(d.Tier)
	for i := range v.Signals {
		v.Signals[i].Weight = d.Weights[v.Signals[i].Name]
	}
	switch v.Tier {
	case Green, Yellow, Red:
	default:
		v.Tier = Red
		why := "The policy " + policy.TierPackage + " did not decide on a tier, so the strictest applies."
		if d.Tier != "" {
			why = fmt.Sprintf("The policy %s decided on the tier %q, which does not exist, so the strictest applies.", policy.TierPackage, d.Tier)
		}
		v.TierReasons = append(v.TierReasons, why)
	}
	if v.Tier == Green && len(d.Approvals) > 0 {
		v.Tier = Yellow
		v.TierReasons = append(v.TierReasons, "Somebody must approve it, so it is not green.")
	}
	if len(v.TierReasons) == 0 {
		v.TierReasons = []string{"The policy " + policy.TierPackage + " gave no reason."}
	}
	if v.Tier != Green && len(d.Approvals) == 0 {
		d.Approvals = []policy.Approval{{Rule: string(v.Tier), Why: v.TierReasons}}
	}
	against := overrides(v.Findings)
	if v.Tier == Green && len(against) > 0 {
		v.Tier = Yellow
		v.TierReasons = append(v.TierReasons, "A rule speaks against it, which somebody must override, so it is not green.")
	}
	v.Approvals = []approval.Requirement{}
	for _, a := range d.Approvals {
		v.Approvals = append(v.Approvals, requirement(a, s))
	}
	for _, a := range against {
		r := requirement(a, s)
		r.Reason = true
		v.Approvals = append(v.Approvals, r)
	}
}

// overridable makes final every denial that names an approval rule which
// slipway.yaml does not have: what nobody is named for, nobody may override.
func overridable(found []Finding, s *repo.Settings) []Finding {
	for i, f := range found {
		rule := s.Approvals[f.Override]
		if f.Severity != Deny || len(rule.AnyOf)+len(rule.AllOf) == 0 {
			found[i].Override = ""
		}
	}
	return found
}

// overrides are the approvals that let a change through although rules speak
// against it, beside those of its tier.
func overrides(found []Finding) []policy.Approval {
	why := map[string][]string{}
	for _, f := range found {
		if f.Override != "" {
			why[f.Override] = append(why[f.Override], f.Message)
		}
	}
	var out []policy.Approval
	for _, rule := range slices.Sorted(maps.Keys(why)) {
		out = append(out, policy.Approval{Rule: rule, Why: why[rule]})
	}
	return out
}

// requirement looks an approval rule up in the settings in force.
func requirement(a policy.Approval, s *repo.Settings) approval.Requirement {
	rule, ok := s.Approvals[a.Rule]
	why := slices.Clone(a.Why)
	if !ok || len(rule.AnyOf)+len(rule.AllOf) == 0 {
		rule = strictest
		why = append(why, fmt.Sprintf("slipway.yaml has no usable approval rule %q, so the strictest applies.", a.Rule))
	}
	if why == nil {
		why = []string{}
	}
	count := rule.Count
	if len(rule.AnyOf) > 0 {
		count = max(1, count)
	}
	return approval.Requirement{
		Rule: a.Rule, AnyOf: slices.Clone(rule.AnyOf), AllOf: slices.Clone(rule.AllOf),
		Count: count, Expires: rule.Expires, Ticket: rule.Ticket, Why: why,
	}
}

// policyDigest is of everything that decides: the rule set's version, every
// policy in force, and the settings that rules and tiers look at. Who is a member of
// a group is not among them: people come and go without a change being judged otherwise.
func policyDigest(bundles []policy.Bundle, s *repo.Settings) string {
	deciding := struct {
		Rules           string
		Policies        string
		Organisation    string
		Domain          zone.Name
		Brands          []string
		AllowedExternal []zone.Name
		ZonesDirectory  string
		Zones           map[zone.Name]repo.Zone
		Groups          []string
		Approvals       map[string]repo.ApprovalRule
		RestrictedTypes map[string][]string
		ThirdParties    []string
		TTL             repo.TTLBounds
		TTLOfType       map[string]repo.TTLBounds `json:",omitempty"`
		Severities      []repo.RuleSetting
		Waivers         []repo.Waiver
		Mail            repo.MailTemplates
		Certificates    decidingCertificates
	}{
		lint.Version, policy.Digest(bundles...), s.Organisation, s.Domain, s.Brands, allowedExternal(s), s.ZonesDirectory, s.Zones,
		slices.Sorted(maps.Keys(s.Groups)), s.Approvals, s.RestrictedTypes, s.ThirdParties, s.TTL, s.TTLOfType,
		s.Rules, s.Waivers, s.Mail, certificatesDeciding(s),
	}
	src, err := json.Marshal(deciding) // maps come out sorted by key
	if err != nil {
		panic(err) // the type has nothing that JSON cannot hold
	}
	sum := sha256.Sum256(src)
	return "sha256:" + hex.EncodeToString(sum[:])
}
