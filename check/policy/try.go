package policy

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/tester"

	"slipway/zone"
)

// TestTimeout is how long one test may take.
const TestTimeout = 5 * time.Second

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
	compiler, err := newCompiler()
	if err != nil {
		return nil, err
	}
	if compiler.Compile(modules); compiler.Failed() {
		return nil, sourceError(compiler.Errors)
	}
	coverage := cover.New()
	report := &TestReport{Tests: []TestResult{}, Files: []Coverage{}}
	err = storage.Txn(ctx, store, storage.TransactionParams{}, func(txn storage.Transaction) error {
		results, err := tester.NewRunner().
			SetCompiler(compiler).SetStore(store).SetModules(modules).SetTimeout(TestTimeout).
			SetCoverageQueryTracer(coverage).RaiseBuiltinErrors(true).
			RunTests(ctx, txn)
		if err != nil {
			return err
		}
		for r := range results {
			report.add(r)
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("tests of policies: %w", err)
	}
	slices.SortStableFunc(report.Tests, func(a, b TestResult) int {
		if c := strings.Compare(a.Place.Path, b.Place.Path); c != 0 {
			return c
		}
		return a.Place.Line - b.Place.Line
	})
	maps.DeleteFunc(modules, func(path string, _ *ast.Module) bool {
		return IsTest(path) || !slices.ContainsFunc(measured, func(f File) bool { return f.Path == path })
	})
	all := coverage.Report(modules)
	report.Coverage = tenth(all.Coverage)
	for _, path := range sortedKeys(all.Files) {
		f := all.Files[path]
		one := Coverage{Path: path, Percent: tenth(f.Coverage), Uncalled: []int{}}
		for _, gap := range f.NotCovered {
			for line := gap.Start.Row; line <= gap.End.Row; line++ {
				one.Uncalled = append(one.Uncalled, line)
			}
		}
		report.Files = append(report.Files, one)
	}
	return report, nil
}

func (t *TestReport) add(r *tester.Result) {
	one := TestResult{Package: strings.TrimPrefix(r.Package, "data."), Name: r.Name, Passed: r.Pass(), Skipped: r.Skip}
	if r.Location != nil {
		one.Place = zone.Place{Path: r.Location.File, Line: r.Location.Row}
	}
	if r.Error != nil {
		one.Problem = r.Error.Error()
	} else if r.Fail && r.FailedAt != nil && r.FailedAt.Location != nil {
		one.Problem = fmt.Sprintf("line %d is not so: %s", r.FailedAt.Location.Row, strings.TrimSpace(string(r.FailedAt.Location.Text)))
	}
	switch {
	case r.Skip:
		t.Skipped++
	case one.Passed:
		t.Passed++
	default:
		t.Failed++
	}
	t.Tests = append(t.Tests, one)
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
		alone := &Policies{rules: []rule{r}}
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
