package controls

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"slipway/audit"
	"slipway/repo"
	"slipway/zone"
)

//go:embed default
var builtIn embed.FS

// Bounds on a controls.yaml.
const (
	maxFile  = 1 << 20
	maxEach  = 5000 // frameworks, pieces, controls
	maxText  = 1000 // bytes of a title, a note or a reason
	maxNames = 500  // in one list
)

// Default reads the mapping that is built in.
func Default() (*Mapping, error) {
	m := &Mapping{Documents: map[string]string{}, NotEvidence: map[audit.Action]string{}, elsewhere: map[string]string{}}
	names, err := fs.Glob(builtIn, "default/*.yaml")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		src, err := builtIn.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if m, err = m.Extend(name, src); err != nil {
			return nil, err
		}
	}
	for i := range m.Controls {
		m.Controls[i].place = zone.Place{}
	}
	for i := range m.Pieces {
		m.Pieces[i].place = zone.Place{}
	}
	return m, nil
}

// In reads the mapping that is in force in a tree of the zones repository: the built-in
// one, as far as the tree's controls.yaml does not say otherwise.
func In(ctx context.Context, t *repo.Tree) (*Mapping, error) {
	m, err := Default()
	if err != nil {
		return nil, err
	}
	src, err := t.ReadFile(ctx, Path)
	if errors.Is(err, repo.ErrNotFound) {
		return m, nil
	}
	if err != nil {
		return nil, err
	}
	return m.Extend(Path, src)
}

// file is the form of a controls.yaml. A nil list or text says nothing, so that what
// was there before stays.
type file struct {
	Frameworks map[string]struct {
		Prefix   *string `yaml:"prefix"`
		Title    *string `yaml:"title"`
		Scope    *string `yaml:"scope"`
		LeaveOut bool    `yaml:"leave-out"`
	} `yaml:"frameworks"`
	Documents map[string]string `yaml:"documents"`
	Elsewhere map[string]string `yaml:"elsewhere"`
	Evidence  map[string]struct {
		Title     *string   `yaml:"title"`
		Events    *[]string `yaml:"events"`
		Documents *[]string `yaml:"documents"`
		Checks    *[]string `yaml:"checks"`
		Only      *bool     `yaml:"only-with-documents"`
	} `yaml:"evidence"`
	Controls map[string]struct {
		Title     *string   `yaml:"title"`
		Evidence  *[]string `yaml:"evidence"`
		Add       []string  `yaml:"add"`
		Checks    *[]string `yaml:"checks"`
		Elsewhere *string   `yaml:"elsewhere"`
		Note      *string   `yaml:"note"`
	} `yaml:"controls"`
	NotEvidence map[string]string `yaml:"not-evidence"`
}

var (
	nameForm   = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$`)
	prefixForm = regexp.MustCompile(`^[A-Z0-9]([A-Z0-9-]{0,30}[A-Z0-9])?$`)
	idForm     = regexp.MustCompile(`^[A-Z0-9-]{1,32}:[A-Za-z0-9][A-Za-z0-9.()-]{0,63}$`)
	// Names in artifact_refs are given by apps' manifests too.
	documentForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)
)

// Extend returns the mapping as a controls.yaml changes and extends it; m stays as it
// is. A fault is a *zone.Error that names file and line.
func (m *Mapping) Extend(name string, src []byte) (*Mapping, error) {
	r := &reader{path: name, into: m.clone()}
	var f file
	r.decode(src, &f)
	for _, step := range []func(*file){r.frameworks, r.texts, r.pieces, r.controls, r.notEvidence} {
		if r.err == nil {
			step(&f)
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	r.into.arrange()
	return r.into, nil
}

func (m *Mapping) clone() *Mapping {
	c := *m
	c.Frameworks, c.Controls, c.Pieces = slices.Clone(m.Frameworks), slices.Clone(m.Controls), slices.Clone(m.Pieces)
	c.Documents, c.NotEvidence, c.elsewhere = maps.Clone(m.Documents), maps.Clone(m.NotEvidence), maps.Clone(m.elsewhere)
	return &c
}

// reader reads one file into a mapping. The first fault is kept.
type reader struct {
	path string
	root *yaml.Node // for the order and the lines of what the file says
	into *Mapping
	err  error
}

func (r *reader) fail(line int, help, what string, args ...any) {
	if r.err == nil {
		r.err = &zone.Error{Place: zone.Place{Path: r.path, Line: max(1, line)}, What: fmt.Sprintf(what, args...), Help: help}
	}
}

var (
	yamlLine   = regexp.MustCompile(`line (\d+): `)
	yamlNoKey  = regexp.MustCompile(`^field (\S+) not found in type .*`)
	yamlNoType = regexp.MustCompile(`^cannot unmarshal (!!\w+)(?: .*)? into .*`)
)

const shape = "See docs/controls.md for the form of this file."

// decode reads the file strictly: what it does not know is a fault.
func (r *reader) decode(src []byte, into *file) {
	if len(src) > maxFile {
		r.fail(1, "Write only what differs from what is built in.", "the file is larger than %d KiB", maxFile>>10)
		return
	}
	d := yaml.NewDecoder(bytes.NewReader(src))
	d.KnownFields(true)
	err := d.Decode(into)
	if errors.Is(err, io.EOF) {
		return // an empty file changes nothing
	}
	if err == nil {
		if again := d.Decode(new(yaml.Node)); !errors.Is(again, io.EOF) {
			r.fail(1, "Keep one document in the file.", "there is more than one YAML document in the file")
			return
		}
		var document yaml.Node
		if err = yaml.Unmarshal(src, &document); err == nil && len(document.Content) == 1 {
			r.root = document.Content[0]
		}
	}
	if err == nil {
		return
	}
	// The decoder may find several faults; the first one is enough to begin with.
	text, line := strings.TrimSpace(strings.TrimPrefix(strings.TrimPrefix(err.Error(), "yaml: "), "unmarshal errors:")), 1
	text, _, _ = strings.Cut(text, "\n")
	if at := yamlLine.FindStringSubmatch(text); at != nil {
		line, _ = strconv.Atoi(at[1])
		text = text[strings.Index(text, at[0])+len(at[0]):]
	}
	switch {
	case yamlNoKey.MatchString(text):
		r.fail(line, shape, "the key %q is not known here", yamlNoKey.FindStringSubmatch(text)[1])
	case yamlNoType.MatchString(text):
		r.fail(line, shape, "the value in this line is of another kind than what belongs here (a text, a list in [ ], or keys below it)")
	default:
		r.fail(line, "Check indentation, quotes and brackets near this line. "+shape, "this cannot be read: %s", text)
	}
}

// section lists the keys below a top-level key in the order of the file, with their lines.
func (r *reader) section(name string) []*yaml.Node {
	var keys []*yaml.Node
	if r.root == nil {
		return nil
	}
	for i := 0; i+1 < len(r.root.Content); i += 2 {
		below := r.root.Content[i+1]
		if r.root.Content[i].Value != name || below.Kind != yaml.MappingNode {
			continue
		}
		for j := 0; j+1 < len(below.Content); j += 2 {
			if below.Content[j].Tag == "!!merge" {
				r.fail(below.Content[j].Line, "Write the entries out.", "entries under %s cannot be merged in with <<", name)
			}
			keys = append(keys, below.Content[j])
		}
	}
	if len(keys) > maxEach {
		r.fail(keys[maxEach].Line, "Write only what differs from what is built in.", "there are more than %d entries under %s", maxEach, name)
	}
	return keys
}

// text takes a line of text for people over, if the file has one.
func (r *reader) text(line int, what string, from *string, into *string) {
	if from == nil {
		return
	}
	s := strings.TrimSpace(*from)
	switch {
	case len(s) > maxText:
		r.fail(line, "Say it in fewer words.", "%s has more than %d bytes", what, maxText)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		r.fail(line, "Write it in one line of plain text.", "%s holds characters that cannot be shown in a line", what)
	}
	*into = s
}

// list takes a list of names over. each says what is wrong with one, or "".
func (r *reader) list(line int, what string, names []string, each func(string) string) []string {
	if len(names) > maxNames {
		r.fail(line, "Use patterns, or several pieces of evidence.", "%s has more than %d entries", what, maxNames)
		return nil
	}
	out := []string{}
	for _, n := range names {
		if wrong := each(n); wrong != "" {
			r.fail(line, shape, "%s: %s", what, wrong)
			return nil
		}
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

func knownAction(known map[audit.Action]audit.Meaning) func(string) string {
	return func(s string) string {
		if _, ok := known[audit.Action(s)]; !ok {
			return fmt.Sprintf("%.80q is not an action of the log; docs/events.md lists them", s)
		}
		return ""
	}
}

func checkPattern(s string) string {
	if s == "" || len(s) > 200 || strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return fmt.Sprintf("%.80q is not the ID of a rule", s)
	}
	if _, err := path.Match(s, ""); err != nil {
		return fmt.Sprintf("%.80q is not a pattern that can be read", s)
	}
	return ""
}
