// Package policy asks Rego what the facts of a change mean: OPA as a library,
// with the network, the clock and randomness taken out, so that the same facts
// under the same policies always get the same answer. Policies are the starter
// pack and the zones repository's own policies/; rules are named as Conftest
// names them. The package finds no facts: they come in as an Input (input.go,
// described for policy writers in docs/policy-input.md). Read Compile first.
package policy

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"

	"slipway/zone"
)

// Bounds on what is compiled and evaluated. A policy is written by people who
// may change everything anyway, but a slip must not stop the gate.
const (
	MaxFiles      = 1000
	MaxFileBytes  = 1 << 20
	MaxTotalBytes = 16 << 20

	// MaxInput is how large the input may be as JSON: some 200,000 edits.
	MaxInput = 128 << 20

	// MaxFindings is how many things one rule may say of one zone, MaxMessage the bytes of each.
	MaxFindings = 10_000
	MaxMessage  = 8 << 10
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
func Starter(pack fs.FS) (Bundle, error) {
	b := Bundle{Name: "starter"}
	err := fs.WalkDir(pack, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) != ".rego" || IsTest(name) {
			return err
		}
		src, err := fs.ReadFile(pack, name)
		b.Files = append(b.Files, File{Path: "starter:" + name, Src: src})
		return err
	})
	return b, err
}

// Bundle is policies that come together, with the data that they look up.
type Bundle struct {
	Name  string // "starter", "repository", or a pack's "soc2 1.2.0"
	Files []File
	Data  map[string]any // JSON values, what Rego sees as data; nil for none

	// Controls adds control IDs to the findings of rules, those of lint included:
	// rule -> IDs. EveryRule stands for all rules.
	Controls map[string][]string

	// Own marks the organisation's own bundle: a package that it defines replaces
	// the package of that name of all other bundles as a whole, so that an
	// organisation can change any decision. Two other bundles may not share a package.
	Own bool
}

// EveryRule is the rule in a bundle's Controls that stands for all.
const EveryRule = "*"

// Digest is of all that the bundles hold, whatever the order of their files.
func Digest(bundles ...Bundle) string {
	var files []File
	h := sha256.New()
	for _, b := range bundles {
		files = append(files, b.Files...)
		if len(b.Data) > 0 {
			src, err := json.Marshal(b.Data) // maps come out sorted by key
			if err != nil {
				src = fmt.Append(nil, err) // Compile refuses such data
			}
			fmt.Fprintf(h, "data %q %x\n", b.Name, sha256.Sum256(src))
		}
		for _, rule := range sortedKeys(b.Controls) {
			fmt.Fprintf(h, "controls %q %q %q\n", b.Name, rule, b.Controls[rule])
		}
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	for _, f := range files {
		fmt.Fprintf(h, "%q %x\n", f.Path, sha256.Sum256(f.Src))
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// Policies are compiled policies, ready to be asked. Safe for concurrent use.
type Policies struct {
	rules    []rule
	packages []Package
	// By package: what its rule "exception" lets pass.
	exceptions map[string]rego.PreparedEvalQuery
	tier       rego.PreparedEvalQuery
	tierPlace  zone.Place
	limits     Limits
}

// Compile makes policies of bundles. An error is a *zone.Error that names file and line.
func Compile(ctx context.Context, bundles ...Bundle) (*Policies, error) {
	modules, err := parse(bundles)
	if err != nil {
		return nil, err
	}
	store, err := dataStore(bundles)
	if err != nil {
		return nil, err
	}
	units, err := units(modules)
	if err != nil {
		return nil, err
	}
	compiler, err := compile(modules)
	if err != nil {
		return nil, err
	}
	p := &Policies{packages: packages(modules), rules: units, exceptions: map[string]rego.PreparedEvalQuery{}}
	for i, r := range p.rules {
		if p.rules[i].query, err = prepare(ctx, compiler, store, r.ref); err != nil {
			return nil, fmt.Errorf("policy %s/%s: %w", r.Package, r.Name, err)
		}
	}
	for _, at := range sortedKeys(modules) {
		pkg := packageName(modules[at])
		if pkg == TierPackage {
			p.tierPlace = zone.Place{Path: at, Line: 1}
		}
		if slices.ContainsFunc(modules[at].Rules, func(r *ast.Rule) bool { return r.Head.Name == "exception" }) {
			if p.exceptions[pkg], err = prepare(ctx, compiler, store, modules[at].Package.Path.String()+".exception"); err != nil {
				return nil, fmt.Errorf("policy %s/exception: %w", pkg, err)
			}
		}
	}
	if p.tier, err = prepare(ctx, compiler, store, "data."+TierPackage); err != nil {
		return nil, fmt.Errorf("package %s: %w", TierPackage, err)
	}
	return p, nil
}

// dataStore holds the bundles' data. Each name at the top belongs to one bundle.
func dataStore(bundles []Bundle) (storage.Store, error) {
	all, owner := map[string]any{}, map[string]string{}
	for _, b := range bundles {
		for name, value := range b.Data {
			if first, taken := owner[name]; taken {
				return nil, &zone.Error{
					Place: zone.Place{Path: "policies", Line: 1},
					What:  fmt.Sprintf("%s and %s both bring data.%s", first, b.Name, name),
					Help:  "rename it in one of them, or leave one of them out",
				}
			}
			all[name], owner[name] = value, b.Name
		}
	}
	src, err := json.Marshal(all)
	if err != nil {
		return nil, fmt.Errorf("data of policies: %w", err)
	}
	if len(src) > MaxTotalBytes {
		return nil, tooLarge("policies")
	}
	return inmem.NewFromReader(bytes.NewReader(src)), nil
}

func tooLarge(path string) error {
	return &zone.Error{
		Place: zone.Place{Path: path, Line: 1},
		What:  fmt.Sprintf("policies are larger than Slipway reads (%d bytes in one file, %d in all)", MaxFileBytes, MaxTotalBytes),
		Help:  "split the file, and keep what the rules do not need out of it",
	}
}

//go:embed input.schema.json
var inputSchema []byte

// InputSchema returns the JSON Schema of the document that policies see as input.
func InputSchema() []byte { return slices.Clone(inputSchema) }

// compile holds modules to strict mode, to what they may use, and to the fields
// that input has: a misspelt one would be undefined and deny nothing.
func compile(modules map[string]*ast.Module) (*ast.Compiler, error) {
	var schema any
	if err := json.Unmarshal(inputSchema, &schema); err != nil {
		return nil, fmt.Errorf("schema of the policy input: %w", err)
	}
	schemas := ast.NewSchemaSet()
	schemas.Put(ast.SchemaRootRef, schema)
	compiler := ast.NewCompiler().
		WithStrict(true).
		WithCapabilities(capabilities()).
		WithDefaultRegoVersion(ast.RegoV1).
		WithSchemas(schemas).
		WithUseTypeCheckAnnotations(true)
	if compiler.Compile(modules); compiler.Failed() {
		return nil, sourceError(compiler.Errors)
	}
	return compiler, nil
}

// parse reads all modules and lets the organisation's packages replace the others.
func parse(bundles []Bundle) (map[string]*ast.Module, error) {
	owner, modules := map[string]Bundle{}, map[string]*ast.Module{}
	var files, total int
	// The organisation's own first, so that what they replace is known.
	ordered := slices.SortedStableFunc(slices.Values(bundles), func(a, b Bundle) int { return rank(a) - rank(b) })
	for _, b := range ordered {
		for _, f := range b.Files {
			if files++; files > MaxFiles {
				return nil, &zone.Error{
					Place: zone.Place{Path: f.Path, Line: 1},
					What:  fmt.Sprintf("there are more than %d policy files", MaxFiles),
					Help:  "merge policies that belong together",
				}
			}
			if total += len(f.Src); len(f.Src) > MaxFileBytes || total > MaxTotalBytes {
				return nil, tooLarge(f.Path)
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
			first, taken := owner[pkg]
			switch {
			case taken && first.Own && !b.Own:
				continue
			case taken && first.Name != b.Name:
				return nil, &zone.Error{
					Place: zone.Place{Path: f.Path, Line: 1},
					What:  fmt.Sprintf("%s and %s both define the package %s", first.Name, b.Name, pkg),
					Help:  "leave one of them out; only policies/ of the zones repository replaces packages",
				}
			case !taken:
				owner[pkg] = b
			}
			if _, twice := modules[f.Path]; twice {
				return nil, &zone.Error{Place: zone.Place{Path: f.Path, Line: 1}, What: "two policy files have this name", Help: "rename one of the two"}
			}
			modules[f.Path] = m
		}
	}
	return modules, nil
}

func rank(b Bundle) int {
	if b.Own {
		return 0
	}
	return 1
}

func prepare(ctx context.Context, compiler *ast.Compiler, store storage.Store, query string) (rego.PreparedEvalQuery, error) {
	return rego.New(
		rego.Compiler(compiler),
		rego.Store(store),
		rego.Capabilities(capabilities()),
		rego.Query("x := "+query),
		rego.StrictBuiltinErrors(false), // as Conftest: a failing built-in makes its expression undefined
	).PrepareForEval(ctx)
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
