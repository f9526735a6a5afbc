package zone

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// dumped is how octoDNS lays its files out.
var dumped = style{step: 2, dash: 2, eol: "\n"}

// WriteYAML writes a zone as a new octoDNS YAML file: the form that Format gives to
// one that is there. A set that is not valid, or that YAML cannot hold, is an error.
func WriteYAML(w io.Writer, zone Name, sets []RRSet) error {
	sets = slices.Clone(sets)
	sortSets(sets)
	type name struct {
		key  string
		sets []RRSet
	}
	var names []name
	for i, r := range sets {
		switch {
		case !r.Name.In(zone):
			return fmt.Errorf("zone %s: %w", zone, r.fault("it is not in the zone", "put it into its own zone"))
		case i > 0 && r.Key() == sets[i-1].Key():
			return fmt.Errorf("zone %s: %w", zone, r.fault("it is there twice", "put all values into one record set"))
		}
		if err := r.Validate(); err != nil {
			return fmt.Errorf("zone %s: %w", zone, err)
		}
		if i == 0 || r.Name != sets[i-1].Name {
			names = append(names, name{key: r.Name.Relative(zone)})
		}
		last := &names[len(names)-1]
		last.sets = append(last.sets, r)
	}
	slices.SortStableFunc(names, func(a, b name) int { return natural(a.key, b.key) })
	var b strings.Builder
	b.WriteString("---\n")
	if len(names) == 0 {
		b.Reset()
		b.WriteString("--- {}\n")
	}
	for _, n := range names {
		body := &yaml.Node{Kind: yaml.SequenceNode}
		for _, r := range n.sets {
			rec, err := recordNode(r)
			if err != nil {
				return fmt.Errorf("zone %s: %w", zone, err)
			}
			body.Content = append(body.Content, rec)
		}
		if len(body.Content) == 1 {
			body = body.Content[0]
		}
		for _, l := range dumped.field(n.key, body) {
			b.WriteString(l)
			b.WriteByte('\n')
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// InDNS says whether DNS itself knows the set's type, so that a zone file can hold it; others
// are a provider's or octoDNS's own.
func (r RRSet) InDNS() bool { return inMaster(r.Type) }

// Fields cuts a value's presentation form into its parts, with quotes and the escapes
// inside them resolved.
func Fields(value string) ([]string, error) {
	toks, err := tokens(value)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(toks))
	for i, t := range toks {
		out[i] = t.text
	}
	return out, nil
}

// QuoteText writes text as the value of a TXT record, in strings of 255 octets.
func QuoteText(octets string) string { return quoteText(octets) }
