package repo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"slipway/zone"
)

// FormatApp lays an app's manifest out as Marshal writes one: keys in the order of
// the documentation, one record a line. What it says does not change, which is checked, and
// comments stay; where one could not, the manifest is returned as it is.
func FormatApp(file string, src []byte) ([]byte, error) {
	before, err := ParseApp(file, src)
	if err != nil {
		return nil, err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(src, &doc); err != nil || len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return src, nil
	}
	root := doc.Content[0]
	root.Style = 0
	sortFields(root, appKeys)
	for i := 0; i+1 < len(root.Content); i += 2 {
		v := root.Content[i+1]
		switch key := root.Content[i].Value; {
		case aliased(v):
			return src, nil
		case key == "records" && v.Kind == yaml.SequenceNode && len(v.Content) > 0:
			v.Style = 0
			for _, item := range v.Content {
				sortFields(item, []string{"name", "type", "ttl", "values", "value"})
				oneLine(item)
			}
		default:
			oneLine(v)
		}
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if err := enc.Close(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	after, err := ParseApp(file, out.Bytes())
	if err != nil || !sameApp(before, after) || !zone.SameComments(string(src), out.String()) {
		return src, nil
	}
	return out.Bytes(), nil
}

// sortFields puts a mapping's keys in the given order.
func sortFields(n *yaml.Node, order []string) {
	if n.Kind != yaml.MappingNode {
		return
	}
	type field struct{ key, value *yaml.Node }
	var fields []field
	for i := 0; i+1 < len(n.Content); i += 2 {
		fields = append(fields, field{n.Content[i], n.Content[i+1]})
	}
	slices.SortStableFunc(fields, func(a, b field) int {
		return slices.Index(order, a.key.Value) - slices.Index(order, b.key.Value)
	})
	n.Content = n.Content[:0]
	for _, f := range fields {
		n.Content = append(n.Content, f.key, f.value)
	}
}

// oneLine writes lists and mappings on one line where no comment in them needs lines of its
// own, and text without quotes that it does not need.
func oneLine(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode {
		if n.ShortTag() == "!!str" && !strings.Contains(n.Value, "\n") {
			n.Style, n.Tag = 0, "!!str" // the encoder puts it in quotes if it needs them
		}
		return
	}
	n.Style = yaml.FlowStyle
	for _, m := range n.Content {
		oneLine(m)
		if m.HeadComment+m.LineComment+m.FootComment != "" || m.Kind != yaml.ScalarNode && m.Style != yaml.FlowStyle {
			n.Style = 0
		}
	}
}

func aliased(n *yaml.Node) bool {
	return n.Anchor != "" || n.Kind == yaml.AliasNode || slices.ContainsFunc(n.Content, aliased)
}

func sameApp(a, b *App) bool {
	x, err := json.Marshal(a)
	if err != nil {
		return false
	}
	y, err := json.Marshal(b)
	return err == nil && bytes.Equal(x, y)
}
