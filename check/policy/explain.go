package policy

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"

	"slipway/check/finding"
	"slipway/zone"
)

// Explanation says which rule spoke, and which parts of the input made it.
type Explanation struct {
	Rule    Rule            `json:"rule"`
	Zone    zone.Name       `json:"zone,omitempty"` // that it was asked about
	Finding finding.Finding `json:"finding"`
	Because []Cause         `json:"because"`
}

// Cause is a part of the input that a rule looked at on its way to a finding.
type Cause struct {
	Path  string `json:"path"`  // "input.zone.owner"
	Value any    `json:"value"` // null when Missing
	// Missing: the input has no such part, which is what a rule with "not" may act on.
	Missing bool `json:"missing,omitempty"`
}

func (c Cause) String() string {
	if c.Missing {
		return c.Path + " is missing"
	}
	return c.Path + " is " + brief(c.Value)
}

// maxCauses bounds what one finding is explained by.
const maxCauses = 40

// Explain asks the rules as Judge does, watching each evaluation. It is slower than
// Judge and comes to the same findings.
func (p *Policies) Explain(ctx context.Context, in Input, asOf time.Time) ([]Explanation, error) {
	doc, err := in.value()
	if err != nil {
		return nil, err
	}
	out := []Explanation{}
	explain := func(doc ast.Object, z Zone) error {
		for _, r := range p.rules {
			w := &witness{rule: r.ref, input: doc, refs: map[uint64][]ast.Ref{}, alias: map[uint64]map[ast.Var]ast.Ref{}, negated: map[uint64]bool{}, pending: map[uint64]bool{}}
			found, err := p.answers(ctx, r, doc, z, asOf,
				rego.EvalQueryTracer(w), rego.EvalRuleIndexing(false), rego.EvalEarlyExit(false))
			if err != nil {
				return err
			}
			for _, f := range found {
				locate(&f, in.Change.Edits, z.Name)
				out = append(out, Explanation{Rule: r.Rule, Zone: z.Name, Finding: f, Because: w.causes(f.Message)})
			}
		}
		return nil
	}
	if len(in.Zones) == 0 {
		return out, explain(doc, Zone{})
	}
	for _, z := range in.Zones {
		one, err := about(doc, z)
		if err != nil {
			return nil, err
		}
		if err := explain(one, z); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// witness notes the parts of input that an evaluation reads: those of each query that
// succeeds, and those of the queries that fail where failing is what "not" asks for.
type witness struct {
	rule    string
	input   ast.Object
	refs    map[uint64][]ast.Ref           // by query: the references to input that it has evaluated
	alias   map[uint64]map[ast.Var]ast.Ref // by query: variables that stand for a part of input
	negated map[uint64]bool                // queries under a "not"
	pending map[uint64]bool                // queries whose expression of the moment is a "not"
	shared  []ast.Ref                      // read by other rules and functions on the way
	own     []saying                       // read by the rule itself, by what it said
}

type saying struct {
	text string
	refs []ast.Ref
}

func (w *witness) Enabled() bool               { return true }
func (w *witness) Config() topdown.TraceConfig { return topdown.TraceConfig{} }

func (w *witness) TraceEvent(e topdown.Event) {
	q := e.QueryID
	switch e.Op {
	case topdown.EnterOp:
		if q != e.ParentID {
			w.negated[q] = w.negated[e.ParentID] || w.pending[e.ParentID]
		}
	case topdown.EvalOp:
		expr, ok := e.Node.(*ast.Expr)
		if !ok {
			return
		}
		if _, known := w.negated[q]; !known && q != e.ParentID {
			w.negated[q] = w.negated[e.ParentID] || w.pending[e.ParentID]
		}
		w.pending[q] = expr.Negated
		w.note(q, expr)
	case topdown.ExitOp:
		refs := w.plugged(&e)
		if r, ok := e.Node.(*ast.Rule); ok && r.Head.Key != nil && strings.HasSuffix(w.rule, "."+string(r.Head.Name)) {
			w.own = append(w.own, saying{message(e.Plug(r.Head.Key)), refs})
			return
		}
		w.share(refs)
	case topdown.FailOp:
		if w.negated[q] || w.pending[q] {
			w.share(w.plugged(&e))
		}
	}
}

// maxShared bounds the memory that a rule over a great input can make the witness take.
const maxShared = 4096

func (w *witness) share(refs []ast.Ref) {
	w.shared = append(w.shared, refs[:min(len(refs), maxShared-len(w.shared))]...)
}

// note remembers the references to input in an expression, and follows variables
// that an expression binds to a part of it: x in "some x in input.zones".
func (w *witness) note(q uint64, expr *ast.Expr) {
	add := func(r ast.Ref) {
		if r = w.resolve(q, r); r != nil && !slices.ContainsFunc(w.refs[q], func(o ast.Ref) bool { return o.Equal(r) }) {
			w.refs[q] = append(w.refs[q], r)
		}
	}
	ast.WalkRefs(expr, func(r ast.Ref) bool { add(r); return false })
	if !expr.IsEquality() {
		return
	}
	for i, side := range expr.Operands() {
		v, isVar := side.Value.(ast.Var)
		r, isRef := expr.Operand(1 - i).Value.(ast.Ref)
		if isVar && isRef {
			if r = w.resolve(q, r); r != nil {
				if w.alias[q] == nil {
					w.alias[q] = map[ast.Var]ast.Ref{}
				}
				w.alias[q][v] = r
			}
		}
	}
}

// resolve gives a reference from input's root, or nil for one to something else.
func (w *witness) resolve(q uint64, r ast.Ref) ast.Ref {
	if len(r) > 1 && r[0].Equal(ast.InputRootDocument) {
		return r
	}
	if v, ok := r[0].Value.(ast.Var); ok {
		if to, known := w.alias[q][v]; known {
			return to.Concat(r[1:])
		}
	}
	return nil
}

// plugged gives a query's references with the variables that are bound now in their
// place. One with an unbound variable stands for the whole that it looks through.
func (w *witness) plugged(e *topdown.Event) []ast.Ref {
	out := make([]ast.Ref, 0, len(w.refs[e.QueryID]))
	for _, r := range w.refs[e.QueryID] {
		one := ast.Ref{r[0]}
		for _, t := range r[1:] {
			if t = e.Plug(t); !t.IsGround() {
				break
			}
			one = append(one, t)
		}
		if len(one) > 1 {
			out = append(out, one)
		}
	}
	return out
}

// causes are what led to a finding. The longest paths only: input.zone says nothing
// beside input.zone.owner.
func (w *witness) causes(text string) []Cause {
	refs := slices.Clone(w.shared)
	for _, s := range w.own {
		if s.text == text || s.text == "" {
			refs = append(refs, s.refs...)
		}
	}
	slices.SortFunc(refs, func(a, b ast.Ref) int { return cmp.Compare(a.String(), b.String()) })
	refs = slices.CompactFunc(refs, func(a, b ast.Ref) bool { return a.Equal(b) })
	out := []Cause{}
	for i, r := range refs {
		if i+1 < len(refs) && refs[i+1].HasPrefix(r) || len(out) == maxCauses {
			continue
		}
		c := Cause{Path: r.String()}
		v, err := w.input.Find(r[1:])
		if err == nil {
			c.Value, err = ast.JSON(v)
		}
		if err != nil {
			c.Value, c.Missing = nil, true
		}
		out = append(out, c)
	}
	return out
}

// message is the text of a rule's element, or "" when it is not known.
func message(element *ast.Term) string {
	switch v := element.Value.(type) {
	case ast.String:
		return string(v)
	case ast.Object:
		if t := v.Get(ast.StringTerm("msg")); t != nil {
			if s, ok := t.Value.(ast.String); ok {
				return string(s)
			}
		}
	}
	return ""
}

// unanswered is the error for a rule that could not be asked.
func (r rule) unanswered(ctx context.Context, z Zone, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	what := fmt.Sprintf("the policy %s/%s could not be asked", r.Package, r.Name)
	if z.Name != "" {
		what += " about zone " + string(z.Name)
	}
	return &zone.Error{
		Place: r.Place,
		What:  fmt.Sprintf("%s: %v", what, err),
		Help:  "correct the policy, or make it look at less",
	}
}
