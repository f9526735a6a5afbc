// Package pack owns policy packs: versioned, signed OPA bundles of policies and
// data that an organisation takes from elsewhere, pinned by digest in
// policies/packs.lock of the zones repository and kept there as files, so that a
// verdict needs no network and can be reached again years later. The package
// never talks to a network (pack/fetch does) and judges nothing. Read Open for what
// a bundle must be before anything in it counts, then lock.go and pinned.go.
package pack

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"

	"slipway/check/policy"
)

// Pack is a bundle whose digest, signature and form have been checked.
type Pack struct {
	Name        string   `json:"name"`    // "email-auth"
	Version     string   `json:"version"` // "1.2.0"
	Title       string   `json:"title"`
	Description string   `json:"description"`
	Digest      string   `json:"digest"`              // "sha256:…" of the bundle's bytes
	SignedBy    string   `json:"signed_by,omitempty"` // name of the key; "" for an unsigned one
	Roots       []string `json:"roots"`               // what of Rego's data is its own: "packs/email_auth"

	Policies []policy.File `json:"-"` // without tests; data documents as Rego constants
	Tests    []policy.File `json:"-"`

	// Controls adds control IDs to findings, by rule; policy.EveryRule is all rules.
	Controls map[string][]string `json:"controls,omitempty"`
}

// Bundle is the pack as the engine judges by it.
func (p *Pack) Bundle() policy.Bundle {
	return policy.Bundle{Name: p.Name + " " + p.Version, Files: p.Policies, Controls: p.Controls}
}

// Digest returns the digest of a bundle's bytes.
func Digest(src []byte) string {
	sum := sha256.Sum256(src)
	return "sha256:" + hex.EncodeToString(sum[:])
}

var (
	namePattern    = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$`)
	versionPattern = regexp.MustCompile(`^(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})(-[0-9A-Za-z.-]{1,64})?$`)
	digestPattern  = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	identifier     = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
)

// Fault says what is wrong with a bundle, for people.
type Fault struct {
	Pack string // its name, or where it came from
	What string
	Help string
}

func (f *Fault) Error() string { return fmt.Sprintf("pack %s: %s", f.Pack, f.What) }

// Open reads a bundle. A bundle that is signed must be signed by one of keys; with
// no keys at all, or without a signature, the pack comes back with no SignedBy,
// and whether that is enough is the caller's to decide. Errors are *Fault.
func Open(src []byte, keys []Key) (*Pack, error) {
	files, err := unpack(src)
	if err != nil {
		return nil, err
	}
	return open(files, Digest(src), keys)
}

func open(files []File, digest string, keys []Key) (*Pack, error) {
	m, err := manifestOf(files)
	if err != nil {
		return nil, err
	}
	name := m.name
	signer, err := verify(name, files, keys)
	if err != nil {
		return nil, err
	}
	// The files go to OPA's reader in our own writing of the archive: what was
	// checked here and what is read there cannot differ.
	reader := bundle.NewCustomReader(bundle.NewTarballLoader(bytes.NewReader(archive(files)))).
		WithRegoVersion(ast.RegoV1).
		WithProcessAnnotations(true).
		WithSizeLimitBytes(policy.MaxFileBytes).
		WithLazyLoadingMode(false).
		WithSkipBundleVerification(true) // done above, against the keys of the lock alone
	b, err := reader.Read()
	if err != nil {
		return nil, &Fault{Pack: name, What: "it is not a bundle that OPA reads: " + err.Error(), Help: "Its maker should run slipway pack build, which says the same."}
	}
	p := &Pack{
		Name: name, Version: m.Revision, Digest: digest, SignedBy: signer, Roots: m.Roots,
		Title: m.text("title"), Description: m.text("description"),
	}
	where := func(path string) string { return fmt.Sprintf("pack:%s@%s/%s", p.Name, p.Version, path) }
	for _, f := range files {
		if !strings.HasSuffix(f.Path, bundle.RegoExt) {
			continue
		}
		one := policy.File{Path: where(f.Path), Src: f.Src}
		if policy.IsTest(f.Path) {
			p.Tests = append(p.Tests, one)
		} else {
			p.Policies = append(p.Policies, one)
		}
	}
	for _, root := range m.Roots {
		constants, controls, err := dataAt(b.Data, root)
		if err != nil {
			return nil, &Fault{Pack: name, What: err.Error(), Help: "Data documents stand below the pack's root, as objects whose keys are Rego names."}
		}
		if constants != nil {
			p.Policies = append(p.Policies, policy.File{Path: where("data.json#" + root), Src: constants})
		}
		for rule, ids := range controls {
			if p.Controls == nil {
				p.Controls = map[string][]string{}
			}
			p.Controls[rule] = append(p.Controls[rule], ids...)
		}
	}
	if len(p.Policies) == 0 {
		return nil, &Fault{Pack: name, What: "it holds neither policies nor data"}
	}
	return p, nil
}

// manifest is the part of OPA's .manifest that counts here.
type manifest struct {
	name     string
	Revision string         `json:"revision"`
	Roots    []string       `json:"roots"`
	Rego     int            `json:"rego_version"`
	Metadata map[string]any `json:"metadata"`
}

func (m *manifest) text(key string) string {
	s, _ := m.Metadata[key].(string)
	return s
}

// manifestOf reads the manifest before anything else of a bundle is believed.
func manifestOf(files []File) (*manifest, error) {
	i := slices.IndexFunc(files, func(f File) bool { return f.Path == bundle.ManifestExt })
	if i < 0 {
		return nil, &Fault{Pack: "bundle", What: "it has no .manifest, so it says neither its name nor its version", Help: `Add a file .manifest: {"revision": "1.0.0", "roots": ["packs/mine"], "rego_version": 1, "metadata": {"name": "mine"}}`}
	}
	var m manifest
	if err := json.Unmarshal(files[i].Src, &m); err != nil {
		return nil, &Fault{Pack: "bundle", What: "its .manifest is not valid: " + err.Error()}
	}
	m.name = m.text("name")
	switch {
	case !namePattern.MatchString(m.name):
		return nil, &Fault{Pack: "bundle", What: fmt.Sprintf("its .manifest names it %q", m.name), Help: "metadata.name is lower-case letters, digits and hyphens, such as email-auth."}
	case !versionPattern.MatchString(m.Revision):
		return nil, &Fault{Pack: m.name, What: fmt.Sprintf("its .manifest gives the version %q", m.Revision), Help: "revision is a version such as 1.2.0."}
	case m.Rego != 1:
		return nil, &Fault{Pack: m.name, What: "its .manifest does not say that it is written in Rego v1", Help: `Add "rego_version": 1.`}
	case len(m.Roots) == 0 || len(m.Roots) > 16:
		return nil, &Fault{Pack: m.name, What: "its .manifest does not say which part of the policies is its own", Help: `Add "roots": ["packs/` + strings.ReplaceAll(m.name, "-", "_") + `"].`}
	}
	for _, root := range m.Roots {
		for _, part := range strings.Split(root, "/") {
			if !identifier.MatchString(part) {
				return nil, &Fault{Pack: m.name, What: fmt.Sprintf("its root %q is not a path of Rego names", root), Help: "Write a root as packs/email_auth."}
			}
		}
	}
	return &m, nil
}

// dataAt turns the data document at root into a Rego module of constants, so
// that data has a digest, a place and a package as policies have. It also reads
// the document "controls".
func dataAt(data map[string]any, root string) (src []byte, controls map[string][]string, err error) {
	var at any = data
	for _, part := range strings.Split(root, "/") {
		object, ok := at.(map[string]any)
		if !ok {
			return nil, nil, fmt.Errorf("the data document at %s is not an object", root)
		}
		if at, ok = object[part]; !ok {
			return nil, nil, nil
		}
	}
	object, ok := at.(map[string]any)
	if !ok {
		return nil, nil, fmt.Errorf("the data document at %s is not an object", root)
	}
	if len(object) == 0 {
		return nil, nil, nil
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "package %s\n", strings.ReplaceAll(root, "/", "."))
	for _, key := range slices.Sorted(maps.Keys(object)) {
		if !identifier.MatchString(key) {
			return nil, nil, fmt.Errorf("the data document %s/%s has a name that Rego cannot hold", root, key)
		}
		value, err := json.Marshal(object[key])
		if err != nil {
			return nil, nil, fmt.Errorf("data document %s/%s: %w", root, key, err)
		}
		fmt.Fprintf(&b, "\n%s := %s\n", key, value)
	}
	if _, mapped := object["controls"]; mapped {
		if controls, err = readControls(object["controls"]); err != nil {
			return nil, nil, err
		}
	}
	return b.Bytes(), controls, nil
}

func readControls(x any) (map[string][]string, error) {
	bad := errors.New(`the data document controls is not of the form {"rule": ["CONTROL", …]}`)
	object, ok := x.(map[string]any)
	if !ok {
		return nil, bad
	}
	controls := map[string][]string{}
	for rule, list := range object {
		ids, ok := list.([]any)
		if !ok {
			return nil, bad
		}
		for _, id := range ids {
			s, ok := id.(string)
			if !ok || s == "" || len(s) > 64 {
				return nil, bad
			}
			controls[rule] = append(controls[rule], s)
		}
	}
	return controls, nil
}

// Disjoint checks that no two packs claim the same part of the policies.
func Disjoint(packs []*Pack) error {
	for i, a := range packs {
		for _, b := range packs[:i] {
			for _, x := range a.Roots {
				for _, y := range b.Roots {
					if bundle.RootPathsOverlap(x, y) {
						return &Fault{Pack: a.Name, What: fmt.Sprintf("it and the pack %s both bring %s", b.Name, x), Help: "Keep one of the two."}
					}
				}
			}
		}
	}
	return nil
}
