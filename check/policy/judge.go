package policy

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"slipway/check/finding"
	"slipway/zone"
)

// Judge asks every deny, warn and violation rule, once for each zone that the
// change touches, or once without a zone when it touches none.
func (p *Policies) Judge(ctx context.Context, in Input, asOf time.Time) ([]finding.Finding, error) {
	doc, err := in.value()
	if err != nil {
		return nil, err
	}
	if len(in.Zones) == 0 {
		return p.ask(ctx, doc, in, Zone{}, asOf)
	}
	var all []finding.Finding
	for _, z := range in.Zones {
		one, err := about(doc, z)
		if err != nil {
			return nil, err
		}
		found, err := p.ask(ctx, one, in, z, asOf)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func (p *Policies) ask(ctx context.Context, doc ast.Object, in Input, z Zone, asOf time.Time) ([]finding.Finding, error) {
	var all []finding.Finding
	for _, r := range p.rules {
		found, err := p.answers(ctx, r, doc, z, asOf)
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			locate(&f, in.Change.Edits, z.Name)
			f.Zone = z.Name
			all = append(all, f)
		}
	}
	return all, nil
}

// answers asks one rule.
func (p *Policies) answers(ctx context.Context, r rule, doc ast.Object, z Zone, asOf time.Time, options ...rego.EvalOption) ([]finding.Finding, error) {
	answer, ok, err := p.eval(ctx, r.query, doc, asOf, options...)
	if err != nil {
		return nil, r.unanswered(ctx, z, err)
	}
	if !ok {
		return nil, nil
	}
	found, err := r.findings(answer)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	excepted, err := p.excepted(ctx, r, doc, asOf)
	if err != nil {
		return nil, r.unanswered(ctx, z, err)
	}
	if excepted {
		// Conftest says nothing of these. People should see what was let pass, and by what.
		for i := range found {
			found[i].Severity, found[i].Override = finding.Info, ""
			found[i].Help = fmt.Sprintf("An exception in the policy %s lets this pass.", r.Package)
		}
	}
	return found, nil
}

// excepted asks as Conftest does whether the package's rule "exception" names the
// rule, without its deny_, violation_ or warn_.
func (p *Policies) excepted(ctx context.Context, r rule, doc ast.Object, asOf time.Time) (bool, error) {
	query, has := p.exceptions[r.Package]
	if !has {
		return false, nil
	}
	answer, ok, err := p.eval(ctx, query, doc, asOf)
	if err != nil || !ok {
		return false, err
	}
	name := r.Name
	for _, prefix := range []string{"violation", "deny", "warn"} {
		if rest, cut := strings.CutPrefix(name, prefix); cut {
			name = strings.TrimPrefix(rest, "_")
			break
		}
	}
	for _, list := range elements(answer) {
		if slices.Contains(elements(list), any(name)) {
			return true, nil
		}
	}
	return false, nil
}

func elements(x any) []any {
	switch x := x.(type) {
	case []any:
		return x
	case map[string]any:
		return slices.Collect(maps.Values(x))
	}
	return nil
}

// findings reads a rule's answer as Conftest does: each element is a string, or
// an object with msg. An answer in any other form is an error, since passing
// over it would let pass what the rule meant to deny.
func (r rule) findings(answer any) ([]finding.Finding, error) {
	var said []any
	switch a := answer.(type) {
	case []any: // a set comes out as a sorted list
		said = a
	case string:
		said = []any{a}
	case bool: // deny := true, without a word of explanation
		if a {
			said = []any{"the policy " + r.Package + " refuses this change, and does not say why"}
		}
	case map[string]any: // deny[msg] := …, or one object
		if _, ok := a["msg"]; ok {
			said = []any{a}
			break
		}
		for _, k := range sortedKeys(a) {
			said = append(said, a[k])
		}
	default:
		return nil, r.malformed(answer)
	}
	if len(said) > MaxFindings {
		return nil, &zone.Error{
			Place: r.Place,
			What:  fmt.Sprintf("the policy %s/%s has %d things to say about one zone, more than the %d that anybody could read", r.Package, r.Name, len(said), MaxFindings),
			Help:  "make it say once what holds for many records",
		}
	}
	found := make([]finding.Finding, 0, len(said))
	for _, e := range said {
		f := finding.Finding{Rule: r.Package + "/" + r.Name, Severity: r.severity(), Help: r.Help, Override: r.Override, Controls: slices.Clone(r.Controls), Fixed: !r.Waivable}
		switch e := e.(type) {
		case string:
			f.Message = e
		case map[string]any:
			msg, ok := e["msg"].(string)
			if !ok {
				return nil, r.malformed(e)
			}
			f.Message = msg
			refine(&f, r.Package, e)
		default:
			return nil, r.malformed(e)
		}
		if len(f.Message) > MaxMessage || len(f.Help) > MaxMessage {
			return nil, &zone.Error{
				Place: r.Place,
				What:  fmt.Sprintf("the policy %s/%s says something longer than %d bytes", r.Package, r.Name, MaxMessage),
				Help:  "say it shorter: people have to read it",
			}
		}
		found = append(found, f)
	}
	return found, nil
}

// refine takes what an object says beside msg.
func refine(f *finding.Finding, pkg string, e map[string]any) {
	if s, ok := e["rule"].(string); ok && s != "" {
		f.Rule = pkg + "/" + strings.TrimPrefix(s, pkg+"/")
	}
	if s, ok := e["help"].(string); ok {
		f.Help = s
	}
	if s, ok := e["record"].(string); ok {
		f.Record = s
	}
	if s, ok := e["path"].(string); ok {
		f.Path = s
	}
	if n, ok := number(e["line"]); ok && n >= 0 && n <= math.MaxInt32 {
		f.Line = int(n)
	}
	if list, ok := e["controls"].([]any); ok {
		f.Controls = texts(list)
	}
}

func (r rule) malformed(answer any) error {
	return &zone.Error{
		Place: r.Place,
		What:  fmt.Sprintf("the policy %s/%s answered %s, which is neither a text nor an object with msg", r.Package, r.Name, brief(answer)),
		Help:  `write: deny contains "what is wrong" if { … }`,
	}
}

// locate gives a finding the place of the record set that it names, or else of
// the first edit in the zone.
func locate(f *finding.Finding, edits []Edit, z zone.Name) {
	if f.Path != "" {
		return
	}
	for _, e := range edits {
		if z != "" && e.Zone != z {
			continue
		}
		if f.Record == "" || f.Record == finding.Record(zone.Key{Name: e.Name, Type: e.Type}) {
			f.Path, f.Line = e.Place.Path, e.Place.Line
			return
		}
	}
}

// Decision is what the tier package decides. The zero value is no decision.
type Decision struct {
	Tier      string
	Reasons   []string
	Score     int
	Weights   map[string]int // by signal name, 0..100
	Approvals []Approval
}

// Approval names an approval rule that applies, and why.
type Approval struct {
	Rule string
	Why  []string
}

// Decide asks the tier package. Parts that are missing or of another form stay
// empty: the caller takes what is undecided for the strictest.
func (p *Policies) Decide(ctx context.Context, in Input, asOf time.Time) (Decision, error) {
	doc, err := in.value()
	if err != nil {
		return Decision{}, err
	}
	answer, ok, err := p.eval(ctx, p.tier, doc, asOf)
	if err != nil {
		if ctx.Err() != nil {
			return Decision{}, ctx.Err()
		}
		return Decision{}, &zone.Error{
			Place: p.tierPlace,
			What:  fmt.Sprintf("the policy %s could not decide: %v", TierPackage, err),
			Help:  "correct the policy, or make it look at less",
		}
	}
	var d Decision
	a, _ := answer.(map[string]any)
	if !ok || a == nil {
		return d, nil
	}
	d.Tier, _ = a["tier"].(string)
	d.Reasons = sentences(a["reasons"])
	if n, ok := number(a["score"]); ok {
		d.Score = percent(n)
	}
	if weights, ok := a["weights"].(map[string]any); ok {
		d.Weights = make(map[string]int, len(weights))
		for name, w := range weights {
			if n, ok := number(w); ok {
				d.Weights[name] = percent(n)
			}
		}
	}
	approvals, _ := a["approvals"].([]any)
	for _, e := range approvals {
		o, _ := e.(map[string]any)
		name, _ := o["rule"].(string)
		d.Approvals = append(d.Approvals, Approval{Rule: name, Why: sentences(o["why"])})
	}
	slices.SortFunc(d.Approvals, func(a, b Approval) int { return strings.Compare(a.Rule, b.Rule) })
	return d, nil
}

// sentences reads a text, or a list or set of texts; sorted, without repeats.
func sentences(x any) []string {
	var out []string
	switch x := x.(type) {
	case string:
		out = []string{x}
	case []any:
		out = texts(x)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func texts(list []any) []string {
	out := []string{}
	for _, e := range list {
		if s, ok := e.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

func number(x any) (float64, bool) {
	n, ok := x.(json.Number)
	if !ok {
		return 0, false
	}
	f, err := n.Float64()
	return f, err == nil
}

func percent(f float64) int { return int(math.Round(min(100, max(0, f)))) }

func brief(x any) string {
	s, err := json.Marshal(x)
	if err != nil {
		return fmt.Sprintf("a %T", x)
	}
	if len(s) > 80 {
		return string(s[:80]) + "…"
	}
	return string(s)
}
