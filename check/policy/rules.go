package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"slipway/check/finding"
	"slipway/zone"
)

// Enforcement says how binding a denial is.
type Enforcement string

// The levels, as Sentinel names them.
const (
	Advisory      Enforcement = "advisory"       // said, and stops nothing
	SoftMandatory Enforcement = "soft-mandatory" // stops the change unless the people named for it override it, with a reason
	HardMandatory Enforcement = "hard-mandatory" // stops the change
)

// DefaultOverride is the approval rule of slipway.yaml whose people may override
// a soft-mandatory denial that names no other.
const DefaultOverride = "override"

// Rule is one rule that yields findings, as its source and METADATA describe it.
type Rule struct {
	ID          string      `json:"rule"`    // what its findings are called: "dns.policy/zone-owner"
	Package     string      `json:"package"` // "dns.policy"
	Name        string      `json:"name"`    // "deny"
	Title       string      `json:"title"`
	Description string      `json:"description"`
	Help        string      `json:"help"`
	Enforcement Enforcement `json:"enforcement"`
	Override    string      `json:"override,omitempty"` // for soft-mandatory: an approval rule of slipway.yaml
	Waivable    bool        `json:"waivable"`           // settings may weigh it less, and waive it for one record
	Controls    []string    `json:"controls"`
	Place       zone.Place  `json:"place"`
}

// Package is one Rego package that holds rules, as its METADATA describes it.
type Package struct {
	Name        string     `json:"package"`
	Title       string     `json:"title"`
	Description string     `json:"description"`
	Controls    []string   `json:"controls"`
	Place       zone.Place `json:"place"`
}

// rule is a Rule that can be asked.
type rule struct {
	Rule
	ref   string // "data.dns.policy.deny", or the copy of one of its bodies
	query rego.PreparedEvalQuery
}

// severity is what the rule's findings do.
func (r Rule) severity() finding.Severity {
	if r.Enforcement == Advisory {
		return finding.Warn
	}
	return finding.Deny
}

// Rules lists the rules that yield findings, in the order of files and lines.
func (p *Policies) Rules() []Rule {
	out := make([]Rule, len(p.rules))
	for i, r := range p.rules {
		out[i] = r.Rule
	}
	return out
}

// Packages lists the packages that are in force, tests apart, sorted by name.
func (p *Policies) Packages() []Package { return slices.Clone(p.packages) }

// Conftest's rule names (its "rego_deny", "violation_x" and so on).
var (
	denyName = regexp.MustCompile(`^(deny|violation)(_[a-zA-Z0-9]+)*$`)
	warnName = regexp.MustCompile(`^warn(_[a-zA-Z0-9]+)*$`)
)

// units finds the rules that yield findings. A rule such as deny has many bodies,
// each with a METADATA, an enforcement and a place of its own, and OPA does not say
// which one spoke. So each body gets a copy under a name of its own, which is asked
// instead. modules gain the copies; the rule itself stays for policies that refer to it.
func units(modules map[string]*ast.Module) ([]rule, error) {
	bodies := map[string][]*ast.Rule{} // "dns.policy/deny" -> its bodies, in all files
	for _, path := range sortedKeys(modules) {
		for _, r := range modules[path].Rules {
			bodies[unitKey(modules[path], r)] = append(bodies[unitKey(modules[path], r)], r)
		}
	}
	var out []rule
	done := map[string]bool{}
	for _, path := range sortedKeys(modules) {
		m := modules[path]
		if strings.HasSuffix(packageName(m), "_test") {
			continue
		}
		for i, r := range slices.Clone(m.Rules) {
			name, key := string(r.Head.Name), unitKey(m, r)
			if (!denyName.MatchString(name) && !warnName.MatchString(name)) || done[key] {
				continue
			}
			ref := m.Package.Path.String() + "."
			if separable(bodies[key]) {
				alone := r.Copy()
				copied := fmt.Sprintf("slipway__%s__%d_%d", name, len(out), i)
				alone.Head.Name, alone.Head.Reference, alone.Annotations = ast.Var(copied), ast.Ref{ast.VarTerm(copied)}, nil
				m.Rules = append(m.Rules, alone)
				one, err := describe(m, r)
				if err != nil {
					return nil, err
				}
				out = append(out, rule{Rule: one, ref: ref + copied})
				continue
			}
			// Its bodies make one value together: only what is said of all of them is true.
			done[key] = true
			one, err := describeAll(m, bodies[key])
			if err != nil {
				return nil, err
			}
			out = append(out, rule{Rule: one, ref: ref + name})
		}
	}
	return out, nil
}

func unitKey(m *ast.Module, r *ast.Rule) string {
	return packageName(m) + "/" + string(r.Head.Name)
}

// separable reports whether a rule is a plain set, so that each body adds elements
// whatever the others do, and no annotation speaks about the bodies' names.
func separable(bodies []*ast.Rule) bool {
	return !slices.ContainsFunc(bodies, func(r *ast.Rule) bool {
		return r.Head.RuleKind() != ast.MultiValue || len(r.Head.Reference) != 1 || r.Default || r.Else != nil ||
			slices.ContainsFunc(r.Annotations, func(a *ast.Annotations) bool { return len(a.Schemas) > 0 || a.Scope == "document" })
	})
}

// describeAll describes a rule that can only be asked as a whole: with one body by
// that, with several by their package, and as strictly as the strictest of them.
func describeAll(m *ast.Module, bodies []*ast.Rule) (Rule, error) {
	whole, err := describe(m, bodies[0])
	if err != nil || len(bodies) == 1 {
		return whole, err
	}
	whole.ID, whole.Title = whole.Package+"/"+whole.Name, packageTitle(m)
	whole.Description, whole.Help, whole.Controls = annotated(m, nil, false)
	for _, r := range bodies[1:] {
		one, err := describe(m, r)
		if err != nil {
			return whole, err
		}
		if strictness(one.Enforcement) > strictness(whole.Enforcement) || one.Override != whole.Override {
			whole.Enforcement, whole.Override = one.Enforcement, one.Override
		}
		whole.Waivable = whole.Waivable && one.Waivable
	}
	return whole, nil
}

func strictness(e Enforcement) int {
	return slices.Index([]Enforcement{Advisory, SoftMandatory, HardMandatory}, e)
}

// describe reads what a rule's head and METADATA say about it.
func describe(m *ast.Module, r *ast.Rule) (Rule, error) {
	d := Rule{Package: packageName(m), Name: string(r.Head.Name), Place: zone.Place{Path: m.Package.Location.File}}
	if r.Location != nil {
		d.Place.Line = r.Location.Row
	}
	d.ID = d.Package + "/" + d.Name
	if id := constant(r, "rule"); id != "" {
		d.ID = d.Package + "/" + strings.TrimPrefix(id, d.Package+"/")
	}
	d.Title = packageTitle(m)
	for _, a := range r.Annotations {
		if a.Title != "" {
			d.Title = a.Title
			break
		}
	}
	d.Description, d.Help, d.Controls = annotated(m, r, true)
	if help := constant(r, "help"); help != "" {
		d.Help = help
	}
	return d, d.enforce(m, r)
}

// enforce reads custom.enforcement and custom.override. A level that does not exist
// is an error: guessing would make a rule weaker or stronger than its author thinks.
func (d *Rule) enforce(m *ast.Module, r *ast.Rule) error {
	warns := warnName.MatchString(d.Name)
	d.Enforcement = HardMandatory
	if warns {
		d.Enforcement = Advisory
	}
	said := custom(m, r, "enforcement")
	switch level, _ := said.(string); {
	case said == nil:
	case warns && Enforcement(level) != Advisory:
		// A level that the package sets for its denials leaves its warnings what they are.
		if own(r, "enforcement") != nil {
			return d.fault(fmt.Sprintf("a warn rule stops nothing, so it cannot be %v", said), "name it deny, or take custom.enforcement away")
		}
	case strictness(Enforcement(level)) < 0:
		return d.fault(fmt.Sprintf("custom.enforcement is %v, which is no level", said), "use advisory, soft-mandatory or hard-mandatory")
	default:
		d.Enforcement = Enforcement(level)
	}
	// What stops a change for good is let pass by nobody whom its author did not have in mind.
	d.Waivable = d.Enforcement != HardMandatory
	switch waivable := custom(m, r, "waivable").(type) {
	case nil:
	case bool:
		d.Waivable = waivable
	default:
		return d.fault(fmt.Sprintf("custom.waivable is %v, neither true nor false", waivable), "write waivable: true, or take it away")
	}
	if d.Enforcement != SoftMandatory {
		return nil
	}
	d.Override = DefaultOverride
	if by := custom(m, r, "override"); by != nil {
		name, ok := by.(string)
		if !ok || name == "" {
			return d.fault("custom.override is not the name of an approval rule", "name one of the approvals in slipway.yaml")
		}
		d.Override = name
	}
	return nil
}

func (d *Rule) fault(what, help string) error {
	return &zone.Error{Place: d.Place, What: fmt.Sprintf("the METADATA of %s: %s", d.ID, what), Help: help}
}

// annotations are those of the rule, then of its package.
func annotations(m *ast.Module, r *ast.Rule) []*ast.Annotations {
	var all []*ast.Annotations
	if r != nil {
		all = append(all, r.Annotations...)
	}
	for _, a := range m.Annotations {
		if a.Scope == "package" || a.Scope == "subpackages" {
			all = append(all, a)
		}
	}
	return all
}

func packageTitle(m *ast.Module) string {
	for _, a := range annotations(m, nil) {
		if a.Title != "" {
			return a.Title
		}
	}
	return ""
}

// annotated reads description, help and controls from the METADATA. Help that is
// missing is the description, as Conftest's users write it.
func annotated(m *ast.Module, r *ast.Rule, ownDescription bool) (description, help string, controls []string) {
	controls = []string{}
	for _, a := range annotations(m, r) {
		if help == "" {
			help = strings.TrimSpace(a.Description)
		}
		if ownDescription && description == "" && a.Scope != "package" && a.Scope != "subpackages" {
			description = strings.TrimSpace(a.Description)
		}
	}
	if list, ok := custom(m, r, "controls").([]any); ok {
		controls = texts(list)
	}
	return description, help, controls
}

// custom is the first value of that name in the METADATA of the rule, then of its package.
func custom(m *ast.Module, r *ast.Rule, name string) any {
	for _, a := range annotations(m, r) {
		if v, ok := a.Custom[name]; ok && v != nil {
			return v
		}
	}
	return nil
}

func own(r *ast.Rule, name string) any {
	for _, a := range r.Annotations {
		if v, ok := a.Custom[name]; ok {
			return v
		}
	}
	return nil
}

// constant is the text that a rule's element always has under a key, or "".
func constant(r *ast.Rule, key string) string {
	if r.Head.Key == nil {
		return ""
	}
	element, ok := r.Head.Key.Value.(ast.Object)
	if !ok {
		return ""
	}
	if v := element.Get(ast.StringTerm(key)); v != nil {
		if s, ok := v.Value.(ast.String); ok {
			return string(s)
		}
	}
	return ""
}

// packages describes the packages that are in force.
func packages(modules map[string]*ast.Module) []Package {
	found := map[string]Package{}
	for _, path := range sortedKeys(modules) {
		m := modules[path]
		name := packageName(m)
		if p, seen := found[name]; strings.HasSuffix(name, "_test") || seen && p.Title != "" {
			continue
		}
		p := Package{Name: name, Title: packageTitle(m), Place: zone.Place{Path: path, Line: m.Package.Location.Row}}
		_, p.Description, p.Controls = annotated(m, nil, false)
		found[name] = p
	}
	out := make([]Package, 0, len(found))
	for _, name := range sortedKeys(found) {
		out = append(out, found[name])
	}
	return out
}
