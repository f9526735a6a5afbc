package pack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"slipway/zone"
)

// Where packs stand in a zones repository.
const (
	LockPath  = "policies/packs.lock"
	Directory = "policies/packs"

	maxLock  = 256 << 10
	maxPacks = 64
	maxKeys  = 32
)

// BundlePath is where the repository keeps a pack's bundle.
func BundlePath(name string) string { return Directory + "/" + name + ".tar.gz" }

// Lock is policies/packs.lock: the packs in force, each pinned by the digest of its
// bundle, and the keys whose signatures count.
type Lock struct {
	Keys  []Key
	Packs []Pin
}

// Pin is one pinned pack.
type Pin struct {
	Name    string `yaml:"name" json:"name"`
	Version string `yaml:"version" json:"version"`
	Source  string `yaml:"source" json:"source"` // where it came from, and where update looks
	Digest  string `yaml:"digest" json:"digest"`
	// One of the two stands: the key that signed the bundle, or the reason why it
	// counts without a signature.
	Key      string `yaml:"key,omitempty" json:"key,omitempty"`
	Unsigned string `yaml:"unsigned,omitempty" json:"unsigned,omitempty"`
}

// Pin returns the pin of a name.
func (l *Lock) Pin(name string) (Pin, bool) {
	i := slices.IndexFunc(l.Packs, func(p Pin) bool { return p.Name == name })
	if i < 0 {
		return Pin{}, false
	}
	return l.Packs[i], true
}

// Set adds or replaces a pin.
func (l *Lock) Set(p Pin) {
	l.Packs = slices.DeleteFunc(l.Packs, func(q Pin) bool { return q.Name == p.Name })
	l.Packs = append(l.Packs, p)
	slices.SortFunc(l.Packs, func(a, b Pin) int { return strings.Compare(a.Name, b.Name) })
}

// lockFile is the file's form.
type lockFile struct {
	Version int               `yaml:"version"`
	Keys    map[string]string `yaml:"keys,omitempty"`
	Packs   []yaml.Node       `yaml:"packs"`
}

const lockVersion = 1

// ParseLock reads a packs.lock. What it does not know, or cannot hold anything
// against, is a *zone.Error: a lock is never half in force.
func ParseLock(path string, src []byte) (*Lock, error) {
	fault := func(line int, what, help string, args ...any) error {
		return &zone.Error{Place: zone.Place{Path: path, Line: max(1, line)}, What: fmt.Sprintf(what, args...), Help: help}
	}
	if len(src) > maxLock {
		return nil, fault(1, "the file is larger than %d KiB", "Pin fewer packs.", maxLock>>10)
	}
	var f lockFile
	if err := strict(src, &f); err != nil {
		return nil, fault(1, "the file is not as slipway pack writes it: %v", "Let slipway pack add and slipway pack update write it.", err)
	}
	switch {
	case f.Version != lockVersion:
		return nil, fault(1, "the file is of version %d; this Slipway reads version %d", "Use a Slipway that reads it.", f.Version, lockVersion)
	case len(f.Packs) > maxPacks || len(f.Keys) > maxKeys:
		return nil, fault(1, "the file holds more than %d packs or %d keys", "Merge packs that belong together.", maxPacks, maxKeys)
	}
	l := &Lock{}
	for name, public := range f.Keys {
		k := Key{Name: name, Public: public}
		if !namePattern.MatchString(name) {
			return nil, fault(1, "the key name %q is not of lower-case letters, digits and hyphens", "Rename the key.", name)
		}
		if _, err := k.algorithms(); err != nil {
			return nil, fault(1, "the key %s cannot be used: %v", "Put the public half of the key there.", name, err)
		}
		l.Keys = append(l.Keys, k)
	}
	slices.SortFunc(l.Keys, func(a, b Key) int { return strings.Compare(a.Name, b.Name) })
	for _, node := range f.Packs {
		var p Pin
		one, err := yaml.Marshal(&node)
		if err == nil {
			err = strict(one, &p)
		}
		if err != nil {
			return nil, fault(node.Line, "the pack is not as slipway pack writes it: %v", "", err)
		}
		if what := l.objection(p); what != "" {
			return nil, fault(node.Line, "%s", "Let slipway pack add and slipway pack update write it.", what)
		}
		l.Packs = append(l.Packs, p)
	}
	slices.SortFunc(l.Packs, func(a, b Pin) int { return strings.Compare(a.Name, b.Name) })
	return l, nil
}

// objection says in a sentence what speaks against a pin, "" for nothing.
func (l *Lock) objection(p Pin) string {
	_, twice := l.Pin(p.Name)
	trusted := slices.ContainsFunc(l.Keys, func(k Key) bool { return k.Name == p.Key })
	switch {
	case !namePattern.MatchString(p.Name):
		return fmt.Sprintf("the pack name %q is not of lower-case letters, digits and hyphens", p.Name)
	case twice:
		return fmt.Sprintf("the pack %s is pinned twice", p.Name)
	case !versionPattern.MatchString(p.Version):
		return fmt.Sprintf("the pack %s has the version %q, which is not one such as 1.2.0", p.Name, p.Version)
	case !digestPattern.MatchString(p.Digest):
		return fmt.Sprintf("the pack %s is not pinned by a digest (sha256: and 64 hexadecimal digits)", p.Name)
	case p.Source == "" || len(p.Source) > 1024:
		return fmt.Sprintf("the pack %s does not say where it came from", p.Name)
	case (p.Key == "") == (strings.TrimSpace(p.Unsigned) == ""):
		return fmt.Sprintf("the pack %s must name either the key that signed it, or the reason why it counts unsigned", p.Name)
	case p.Key != "" && !trusted:
		return fmt.Sprintf("the pack %s is signed by the key %s, which is not under keys", p.Name, p.Key)
	}
	return ""
}

// strict decodes one YAML document without unknown keys.
func strict(src []byte, into any) error {
	d := yaml.NewDecoder(bytes.NewReader(src))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		return err
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return errors.New("more than one document")
	}
	return nil
}

const lockHeader = `# The policy packs in force, written by slipway pack. A change to this file is a
# change of policy: see what it would decide differently with slipway pack diff.
`

// Marshal writes the file.
func (l *Lock) Marshal() ([]byte, error) {
	out := struct {
		Version int               `yaml:"version"`
		Keys    map[string]string `yaml:"keys,omitempty"`
		Packs   []Pin             `yaml:"packs"`
	}{Version: lockVersion, Keys: map[string]string{}, Packs: l.Packs}
	if out.Packs == nil {
		out.Packs = []Pin{}
	}
	for _, k := range l.Keys {
		out.Keys[k.Name] = k.Public
	}
	var b bytes.Buffer
	b.WriteString(lockHeader)
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := errors.Join(e.Encode(out), e.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", LockPath, err)
	}
	if _, err := ParseLock(LockPath, b.Bytes()); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
