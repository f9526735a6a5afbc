package check

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"slipway/change"
	"slipway/check/except"
	"slipway/check/lint"
	"slipway/check/policy"
	"slipway/repo"
	"slipway/zone"
)

// excepted applies what the settings in force say about single rules to what the policies found. Lint applies
// it to its own findings.
func (q *question) excepted(judged []Finding) []Finding {
	return except.New(q.inForce, q.AsOf, lint.WaiverUsed()).Apply(judged)
}

// vainExceptions finds severities and waivers of slipway.yaml that change nothing, although readers would think
// that they do: for rules of policies that do not exist, or whose authors let nobody except them. A change of the settings
// that brings such is denied; of settings in force, which a change does not touch, it is only said.
func (e *Engine) vainExceptions(ctx context.Context, in Input, inForce *repo.Settings, policies *policy.Policies) ([]Finding, error) {
	edited := func(kind string) bool {
		return slices.ContainsFunc(in.Change.Files, func(f change.FileEdit) bool { return f.Kind == kind })
	}
	settings, severity := inForce, Info
	if edited(change.KindSettings) {
		var err error
		if settings, err = in.Head.Settings(ctx); err != nil {
			return nil, err
		}
		severity = Deny
	}
	if !slices.ContainsFunc(settings.Rules, func(r repo.RuleSetting) bool { return strings.Contains(r.Rule, "/") }) &&
		!slices.ContainsFunc(settings.Waivers, func(w repo.Waiver) bool { return strings.Contains(w.Rule, "/") }) {
		return nil, nil
	}
	rules := policies.Rules()
	if edited(change.KindPolicy) {
		proposed, err := e.Policies(ctx, in.Head)
		switch {
		case err == nil:
			rules = append(rules, proposed.Rules()...)
		case !errors.As(err, new(*zone.Error)): // policy-broken tells of those
			return nil, err
		}
	}
	var found []Finding
	judge := func(what, id string, line int, lowers bool) {
		if !strings.Contains(id, "/") {
			return // lint knows its own
		}
		known, fixed := false, true
		for _, r := range rules {
			if r.ID == id {
				known, fixed = true, fixed && !r.Waivable
			}
		}
		f := Finding{Rule: "rule-unknown", Severity: severity, Path: settings.Path, Line: line, Controls: []string{"SOC2:CC8.1", "ISO27001:A.8.32", "SOX:ITGC-CM"}}
		switch {
		case !known:
			f.Message = fmt.Sprintf("No policy in force has a rule %q, so this %s changes nothing.", id, what)
			f.Help = "Correct the rule's name; slipway policy list shows them."
		case fixed && lowers:
			f.Rule = "exception-refused"
			f.Message = fmt.Sprintf("The rule %s is mandatory and its policy lets nobody except it, so this %s changes nothing.", id, what)
			f.Help = "Remove it. Who keeps the policy can allow it with custom: {waivable: true} in the rule's METADATA, or make the rule soft-mandatory, so that named people can override it."
		default:
			return
		}
		found = append(found, f)
	}
	for _, r := range settings.Rules {
		judge("severity", r.Rule, r.Line, r.Severity != string(Deny))
	}
	for _, w := range settings.Waivers {
		judge("waiver", w.Rule, w.Line, true)
	}
	return found, nil
}
