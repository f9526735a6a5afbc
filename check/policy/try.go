package policy

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/topdown"

	"slipway/zone"
)

// TestReport is what the tests of policies came to.
type TestReport struct {
	Tests    []TestResult `json:"tests"`
	Passed   int          `json:"passed"`
	Failed   int          `json:"failed"`
	Skipped  int          `json:"skipped"`
	Coverage float64      `json:"coverage"` // percent of the lines of the policies under test
	Files    []Coverage   `json:"files"`
}

// TestResult is one test: a rule whose name begins with test_.
type TestResult struct {
	Package string     `json:"package"`
	Name    string     `json:"name"`
	Place   zone.Place `json:"place"`
	Passed  bool       `json:"passed"`
	Skipped bool       `json:"skipped,omitempty"`
	Problem string     `json:"problem,omitempty"` // why it failed, where more is known than that
}

// Coverage is how much of one policy the tests ran.
type Coverage struct {
	Path     string  `json:"path"`
	Percent  float64 `json:"percent"`
	Uncalled []int   `json:"uncalled"` // lines that no test ran
}

// Test runs the tests in bundles, and measures how much of the files named in
// measured they run.
func Test(ctx context.Context, measured []File, bundles ...Bundle) (*TestReport, error) {
	modules, err := parse(bundles)
	if err != nil {
		return nil, err
	}
	store, err := dataStore(bundles)
	if err != nil {
		return nil, err
	}
	compiler, err := compile(modules)
	if err != nil {
		return nil, err
	}
	watched := &failures{Cover: cover.New(), last: map[string]map[int]failure{}}
	report := &TestReport{Tests: []TestResult{}, Files: []Coverage{}}
	done := map[string]bool{}
	for _, path := range sortedKeys(modules) {
		for _, r := range modules[path].Rules {
			ref := modules[path].Package.Path.String() + "." + string(r.Head.Name)
			if !testName.MatchString(string(r.Head.Name)) || done[ref] {
				continue
			}
			done[ref] = true
			one := TestResult{Package: packageName(modules[path]), Name: string(r.Head.Name), Place: zone.Place{Path: path, Line: r.Location.Row}}
			if one.Skipped = strings.HasPrefix(one.Name, "todo_"); !one.Skipped {
				if err := one.run(ctx, compiler, store, ref, watched); err != nil {
					return nil, err
				}
			}
			report.add(one)
		}
	}
	slices.SortStableFunc(report.Tests, func(a, b TestResult) int {
		if c := strings.Compare(a.Place.Path, b.Place.Path); c != 0 {
			return c
		}
		return a.Place.Line - b.Place.Line
	})
	watched.tell(report.Tests)
	report.measure(watched.Report(modules), measured)
	return report, nil
}

// measure takes over what the tests ran of the policies under test.
func (t *TestReport) measure(all cover.Report, measured []File) {
	ran, of := 0, 0
	for _, path := range sortedKeys(all.Files) {
		if IsTest(path) || !slices.ContainsFunc(measured, func(f File) bool { return f.Path == path }) {
			continue
		}
		f := all.Files[path]
		ran, of = ran+f.CoveredLines, of+f.CoveredLines+f.NotCoveredLines
		one := Coverage{Path: path, Percent: tenth(f.Coverage), Uncalled: []int{}}
		for _, gap := range f.NotCovered {
			for line := gap.Start.Row; line <= gap.End.Row; line++ {
				one.Uncalled = append(one.Uncalled, line)
			}
		}
		slices.Sort(one.Uncalled)
		one.Uncalled = slices.Compact(one.Uncalled)
		t.Files = append(t.Files, one)
	}
	if of > 0 {
		t.Coverage = tenth(100 * float64(ran) / float64(of))
	}
}

// failures watches the tests beside the coverage, since the runner does not say which
// line of a test was not so.
type failures struct {
	*cover.Cover
	last map[string]map[int]failure // by file and line: the expression that failed there
	n    int
}

type failure struct {
	order int
	text  string
}

func (f *failures) TraceEvent(e topdown.Event) {
	f.Cover.TraceEvent(e)
	if e.Op != topdown.FailOp || e.Location == nil || !IsTest(e.Location.File) {
		return
	}
	f.n++
	lines := f.last[e.Location.File]
	if lines == nil {
		lines = map[int]failure{}
		f.last[e.Location.File] = lines
	}
	text, _, _ := strings.Cut(string(e.Location.Text), "\n")
	lines[e.Location.Row] = failure{f.n, strings.TrimSpace(text)}
}

// tell gives each failed test, in the order of files and lines, the last expression
// that failed between its first line and the next test.
func (f *failures) tell(tests []TestResult) {
	for i := range tests {
		one := &tests[i]
		if one.Passed || one.Skipped || one.Problem != "" {
			continue
		}
		end := math.MaxInt
		if i+1 < len(tests) && tests[i+1].Place.Path == one.Place.Path {
			end = tests[i+1].Place.Line
		}
		var at, newest int
		for line, found := range f.last[one.Place.Path] {
			if line >= one.Place.Line && line < end && found.order > newest {
				at, newest = line, found.order
			}
		}
		if at > 0 {
			one.Problem = fmt.Sprintf("line %d is not so: %s", at, f.last[one.Place.Path][at].text)
		}
	}
}

func (t *TestReport) add(one TestResult) {
	switch {
	case one.Skipped:
		t.Skipped++
	case one.Passed:
		t.Passed++
	default:
		t.Failed++
	}
	t.Tests = append(t.Tests, one)
}

// testName is what OPA takes for a test. One that begins with todo_ is not run.
var testName = regexp.MustCompile(`^(todo_)?test_`)

// run asks one test. It passes when it is true, and a built-in that fails fails it:
// a test that stops half-way tests nothing. OPA's own runner is not used because it
// links Go's testing package into the tool.
func (one *TestResult) run(ctx context.Context, compiler *ast.Compiler, store storage.Store, ref string, watched topdown.QueryTracer) error {
	w := Limits{Time: TestTimeout}.guard(ctx)
	rs, err := rego.New(
		rego.Compiler(compiler),
		rego.Store(store),
		rego.Capabilities(capabilities()),
		rego.Query("x := "+ref),
		rego.StrictBuiltinErrors(true),
		rego.QueryTracer(watched),
	).Eval(w.ctx)
	past := w.end()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case past != nil:
		one.Problem = "it " + past.Error()
	case err != nil:
		one.Problem = err.Error()
	case len(rs) > 0:
		answer := rs[0].Bindings["x"]
		if one.Passed = answer == true; !one.Passed && answer != false {
			one.Problem = "it is neither true nor false: write each case as a test of its own"
		}
	}
	return nil
}

func tenth(f float64) float64 {
	if math.IsNaN(f) {
		return 0
	}
	return math.Round(f*10) / 10
}

// Timing is how long one rule takes on one change.
type Timing struct {
	Rule string        `json:"rule"`
	Name string        `json:"name"`
	Best time.Duration `json:"best_ns"`
	Mean time.Duration `json:"mean_ns"`
}

// Time asks every rule rounds times about all zones of a change, and the tier
// package as well. Slowest first.
func (p *Policies) Time(ctx context.Context, in Input, asOf time.Time, rounds int, now func() time.Time) ([]Timing, error) {
	var out []Timing
	measure := func(id, name string, ask func() error) error {
		t := Timing{Rule: id, Name: name, Best: math.MaxInt64}
		for range rounds {
			start := now()
			if err := ask(); err != nil {
				return err
			}
			took := now().Sub(start)
			t.Best, t.Mean = min(t.Best, took), t.Mean+took
		}
		t.Mean /= time.Duration(rounds)
		out = append(out, t)
		return nil
	}
	for _, r := range p.rules {
		alone := &Policies{rules: []rule{r}, exceptions: p.exceptions, limits: p.limits}
		if err := measure(r.ID, r.Name, func() error { _, err := alone.Judge(ctx, in, asOf); return err }); err != nil {
			return nil, err
		}
	}
	if err := measure(TierPackage, "tier", func() error { _, err := p.Decide(ctx, in, asOf); return err }); err != nil {
		return nil, err
	}
	slices.SortStableFunc(out, func(a, b Timing) int { return int(b.Best - a.Best) })
	return out, nil
}
