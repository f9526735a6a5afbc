// Package policy asks Rego what the facts of a change mean: OPA as a library,
// with the network, the clock and randomness taken out, so that the same facts
// under the same policies always get the same answer. Policies are the starter
// pack and the zones repository's own policies/; rules are named as Conftest
// names them. The package finds no facts: they come in as an Input (input.go,
// described for policy writers in docs/policy-input.md). Read Compile first.
package policy

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"

	"slipway/check/finding"
	"slipway/zone"
)

// Bounds on what is compiled and evaluated. A policy is written by people who
// may change everything anyway, but a slip must not stop the gate.
const (
	MaxFiles      = 1000
	MaxFileBytes  = 1 << 20
	MaxTotalBytes = 16 << 20

	// EvalTimeout is how long one rule may take on one zone.
	EvalTimeout = 2 * time.Second
)

// TierPackage is the Rego package that decides tier, score and approvals.
const TierPackage = "slipway.tier"

// File is one Rego source.
type File struct {
	Path string // where a person finds it: "policies/dns/policy.rego", or "starter:dns/policy.rego"
	Src  []byte
}

// IsTest reports whether a Rego file holds tests of policies rather than policies.
func IsTest(name string) bool { return strings.HasSuffix(name, "_test.rego") }

// Starter reads the policies of the starter kit, without their tests.
func Starter(pack fs.FS) ([]File, error) {
	var files []File
	err := fs.WalkDir(pack, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) != ".rego" || IsTest(name) {
			return err
		}
		src, err := fs.ReadFile(pack, name)
		files = append(files, File{Path: "starter:" + name, Src: src})
		return err
	})
	return files, err
}

// Digest is of the sources, whatever their order.
func Digest(files []File) string {
	sorted := slices.SortedFunc(slices.Values(files), func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	h := sha256.New()
	for _, f := range sorted {
		sum := sha256.Sum256(f.Src)
		fmt.Fprintf(h, "%q %x\n", f.Path, sum)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// Policies are compiled policies, ready to be asked. Safe for concurrent use.
type Policies struct {
	rules     []rule
	tier      rego.PreparedEvalQuery
	tierPlace zone.Place
}

// rule is one rule that yields findings, such as data.dns.policy.deny.
type rule struct {
	pkg, name string // "dns.policy", "deny"
	severity  finding.Severity
	place     zone.Place
	help      string   // from the METADATA annotation of the rule or its package
	controls  []string // from its custom.controls
	query     rego.PreparedEvalQuery
}

// Conftest's rule names (its "rego_deny", "violation_x" and so on).
var (
	denyName = regexp.MustCompile(`^(deny|violation)(_[a-zA-Z0-9]+)*$`)
	warnName = regexp.MustCompile(`^warn(_[a-zA-Z0-9]+)*$`)
)

// Compile makes policies of the starter's files and the repository's own. A
// package that the repository defines replaces the starter's package of the same
// name as a whole, so that an organisation can change any decision. An error is a
// *zone.Error that names file and line.
func Compile(ctx context.Context, starter, repository []File) (*Policies, error) {
	modules, err := parse(starter, repository)
	if err != nil {
		return nil, err
	}
	compiler, err := newCompiler()
	if err != nil {
		return nil, err
	}
	compiler.Compile(modules)
	if compiler.Failed() {
		return nil, sourceError(compiler.Errors)
	}
	p := &Policies{}
	if err := p.collect(ctx, compiler, modules); err != nil {
		return nil, err
	}
	if p.tier, err = prepare(ctx, compiler, "data."+TierPackage); err != nil {
		return nil, fmt.Errorf("package %s: %w", TierPackage, err)
	}
	return p, nil
}

//go:embed input.schema.json
var inputSchema []byte

// InputSchema returns the JSON Schema of the document that policies see as input.
func InputSchema() []byte { return slices.Clone(inputSchema) }

// newCompiler holds policies to strict mode, to what they may use, and to the
// fields that input has: a misspelt one would be undefined and deny nothing.
func newCompiler() (*ast.Compiler, error) {
	var schema any
	if err := json.Unmarshal(inputSchema, &schema); err != nil {
		return nil, fmt.Errorf("schema of the policy input: %w", err)
	}
	schemas := ast.NewSchemaSet()
	schemas.Put(ast.SchemaRootRef, schema)
	return ast.NewCompiler().
		WithStrict(true).
		WithCapabilities(capabilities()).
		WithDefaultRegoVersion(ast.RegoV1).
		WithSchemas(schemas).
		WithUseTypeCheckAnnotations(true), nil
}

// parse reads all modules and lets the repository's packages replace the starter's.
func parse(starter, repository []File) (map[string]*ast.Module, error) {
	if len(repository) > MaxFiles {
		return nil, &zone.Error{
			Place: zone.Place{Path: repository[MaxFiles].Path, Line: 1},
			What:  fmt.Sprintf("there are more than %d policy files", MaxFiles),
			Help:  "merge policies that belong together",
		}
	}
	own, modules := map[string]bool{}, map[string]*ast.Module{}
	var total int
	for i, f := range slices.Concat(repository, starter) {
		if total += len(f.Src); len(f.Src) > MaxFileBytes || total > MaxTotalBytes {
			return nil, &zone.Error{
				Place: zone.Place{Path: f.Path, Line: 1},
				What:  fmt.Sprintf("policies are larger than Slipway reads (%d bytes in one file, %d in all)", MaxFileBytes, MaxTotalBytes),
				Help:  "split the file, and keep data out of policies",
			}
		}
		m, err := ast.ParseModuleWithOpts(f.Path, string(f.Src), ast.ParserOptions{
			RegoVersion:       ast.RegoV1,
			ProcessAnnotation: true,
			Capabilities:      capabilities(),
		})
		if err != nil {
			return nil, sourceError(err)
		}
		if m == nil {
			continue // nothing but comments
		}
		pkg := packageName(m)
		if i < len(repository) {
			own[pkg] = true
		} else if own[pkg] {
			continue
		}
		modules[f.Path] = m
	}
	return modules, nil
}

// collect prepares the rules that yield findings, in the order of files.
func (p *Policies) collect(ctx context.Context, compiler *ast.Compiler, modules map[string]*ast.Module) error {
	at := map[string]int{} // "dns.policy/deny" -> index in p.rules: a rule may have many bodies, in many files
	for _, path := range sortedKeys(modules) {
		m := modules[path]
		pkg := packageName(m)
		if pkg == TierPackage {
			p.tierPlace = zone.Place{Path: path, Line: 1}
		}
		if strings.HasSuffix(pkg, "_test") {
			continue
		}
		for _, r := range m.Rules {
			name := string(r.Head.Name)
			severity, ok := severityOf(name)
			if !ok {
				continue
			}
			if i, seen := at[pkg+"/"+name]; seen {
				// Which body spoke is not known: only what is said of all of them is true.
				p.rules[i].help, p.rules[i].controls = annotated(m, nil)
				continue
			}
			query, err := prepare(ctx, compiler, m.Package.Path.String()+"."+name)
			if err != nil {
				return fmt.Errorf("policy %s/%s: %w", pkg, name, err)
			}
			at[pkg+"/"+name] = len(p.rules)
			one := rule{pkg: pkg, name: name, severity: severity, place: zone.Place{Path: path}, query: query}
			if r.Location != nil {
				one.place.Line = r.Location.Row
			}
			one.help, one.controls = annotated(m, r)
			p.rules = append(p.rules, one)
		}
	}
	return nil
}

func severityOf(rule string) (finding.Severity, bool) {
	switch {
	case denyName.MatchString(rule):
		return finding.Deny, true
	case warnName.MatchString(rule):
		return finding.Warn, true
	}
	return "", false
}

// annotated reads help and controls from the METADATA of the rule, then of its package.
func annotated(m *ast.Module, r *ast.Rule) (help string, controls []string) {
	var all []*ast.Annotations
	if r != nil {
		all = append(all, r.Annotations...)
	}
	for _, a := range m.Annotations {
		if a.Scope == "package" {
			all = append(all, a)
		}
	}
	for _, a := range all {
		if help == "" {
			help = a.Description
		}
		if list, ok := a.Custom["controls"].([]any); ok && controls == nil {
			controls = texts(list)
		}
	}
	return help, controls
}

func prepare(ctx context.Context, compiler *ast.Compiler, query string) (rego.PreparedEvalQuery, error) {
	return rego.New(
		rego.Compiler(compiler),
		rego.Capabilities(capabilities()),
		rego.Query("x := "+query),
		rego.StrictBuiltinErrors(false), // as Conftest: a failing built-in makes its expression undefined
	).PrepareForEval(ctx)
}

// forbidden built-ins reach outside the input: the network, the machine, the
// clock, chance. Verdicts must replay (DESIGN.md, principle 5).
var forbidden = map[string]bool{
	"http.send":          true,
	"net.lookup_ip_addr": true,
	"opa.runtime":        true,
	"rand.intn":          true,
	"uuid.rfc4122":       true,
	"time.now_ns":        true,
	// Follow "$ref" to files and addresses.
	"json.match_schema":  true,
	"json.verify_schema": true,
	// Judge by the machine's clock and its trusted roots.
	"crypto.x509.parse_and_verify_certificates":              true,
	"crypto.x509.parse_and_verify_certificates_with_options": true,
	"io.jwt.decode_verify":                                   true,
	// Draw random nonces.
	"io.jwt.encode_sign":     true,
	"io.jwt.encode_sign_raw": true,
}

// capabilities is what policies may use.
func capabilities() *ast.Capabilities {
	c := ast.CapabilitiesForThisVersion()
	c.Builtins = slices.DeleteFunc(slices.Clone(c.Builtins), func(b *ast.Builtin) bool { return forbidden[b.Name] })
	c.AllowNet = []string{} // empty, not nil: nil allows every host
	return c
}

// eval asks one prepared query. ok is false when the answer is undefined.
func eval(ctx context.Context, q rego.PreparedEvalQuery, input ast.Value, asOf time.Time) (answer any, ok bool, err error) {
	bounded, cancel := context.WithTimeout(ctx, EvalTimeout)
	defer cancel()
	rs, err := q.Eval(bounded, rego.EvalParsedInput(input), rego.EvalTime(asOf), rego.EvalSortSets(true))
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, false, ctx.Err()
	case topdown.IsCancel(err) || errors.Is(bounded.Err(), context.DeadlineExceeded):
		return nil, false, fmt.Errorf("took longer than %s", EvalTimeout)
	case err != nil:
		return nil, false, err
	case len(rs) == 0:
		return nil, false, nil
	}
	return rs[0].Bindings["x"], true, nil
}

// sourceError turns OPA's complaint into one with a place.
func sourceError(err error) error {
	var list ast.Errors
	if !errors.As(err, &list) || len(list) == 0 {
		return fmt.Errorf("policies: %w", err)
	}
	first := list[0]
	e := &zone.Error{
		What: "the policy is not valid Rego: " + first.Message,
		Help: "correct the policy; docs/policy-input.md lists the fields of input, and what policies may use",
	}
	if first.Location != nil {
		e.Place = zone.Place{Path: first.Location.File, Line: first.Location.Row}
	}
	return e
}

// packageName is "dns.policy" for package dns.policy.
func packageName(m *ast.Module) string {
	return strings.TrimPrefix(m.Package.Path.String(), "data.")
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
