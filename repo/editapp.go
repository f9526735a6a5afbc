package repo

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"slipway/zone"
)

// EditApp changes record sets in an app's manifest, and no line of it beside theirs: an edit
// with After puts that in the place of what is there, one without takes it out. A set that the
// manifest does not have is refused, and so is an edit for which another line, or a comment,
// would have to change. The error is a *zone.Error that says where and why.
func EditApp(file string, src []byte, edits []zone.Edit) ([]byte, error) {
	for _, e := range edits {
		next, err := editApp(file, src, e)
		if err != nil {
			return nil, err
		}
		src = next
	}
	return src, nil
}

func editApp(file string, src []byte, e zone.Edit) ([]byte, error) {
	before, err := ParseApp(file, src)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(before.Records, func(r zone.RRSet) bool { return r.Name == e.Name && r.Type == e.Type })
	refuse := func(line int, what string) error {
		return &zone.Error{Place: zone.Place{Path: file, Line: line}, What: fmt.Sprintf("%s %s cannot be changed here by itself: %s", e.Type, e.Name.Unicode(), what), Help: "edit the manifest by hand"}
	}
	if at < 0 {
		return nil, refuse(max(before.Lines["records"], 1), "the app has no such record")
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(src, &doc); err != nil || len(doc.Content) != 1 {
		return nil, refuse(1, "the manifest is not one mapping")
	}
	list, end := recordList(doc.Content[0])
	item := before.Records[at].Place.Line
	if list == nil || aliased(list) || list.Style&yaml.FlowStyle != 0 || at >= len(list.Content) {
		return nil, refuse(item, "its records are not written one below the other")
	}
	lines := strings.SplitAfter(string(src), "\n")
	if end == 0 {
		end = len(lines) + 1
	}
	if at+1 < len(list.Content) {
		end = list.Content[at+1].Line
	}
	// Lines that are blank or a comment belong to what comes after them.
	for end > item+1 && end-2 < len(lines) && blankOrComment(lines[end-2]) {
		end--
	}
	first := lines[item-1]
	dash := itemStart.FindString(first)
	if dash == "" || list.Content[at].Line != item {
		return nil, refuse(item, "it does not begin on a line of its own")
	}
	var text string
	want := slices.Clone(before.Records)
	if e.After == nil {
		want = slices.Delete(want, at, at+1)
	} else {
		set := *e.After
		set.Place, set.Extra = want[at].Place, ""
		want[at] = set
		if text, err = itemText(set, list.Content[at].Style&yaml.FlowStyle != 0, dash, strings.TrimRight(strings.Join(lines[item-1:end-1], ""), "\r\n")); err != nil {
			return nil, err
		}
		if strings.HasSuffix(first, "\r\n") {
			text = strings.ReplaceAll(text, "\n", "\r\n")
		}
	}
	out := strings.Join(lines[:item-1], "") + text + strings.Join(lines[end-1:], "")
	if len(want) == 0 {
		want = nil
	}
	after, err := ParseApp(file, []byte(out))
	expect := before.clone()
	expect.Records = want
	switch {
	case err != nil || !sameApp(expect, after):
		return nil, refuse(item, "it is laid out in a way that cannot be edited without touching other lines")
	case e.After != nil && !zone.SameComments(string(src), out):
		return nil, refuse(item, "there are comments in it, which would be lost")
	}
	return []byte(out), nil
}

var itemStart = regexp.MustCompile(`^[ \t]*- +`)

// recordList is the list of records, and the line of the key after it; 0 when there is none.
func recordList(root *yaml.Node) (list *yaml.Node, end int) {
	for i := 0; i+1 < len(root.Content); i += 2 {
		switch {
		case list != nil:
			return list, root.Content[i].Line
		case root.Content[i].Value == "records" && root.Content[i+1].Kind == yaml.SequenceNode:
			list = root.Content[i+1]
		}
	}
	return list, 0
}

// trailing is what may stand behind an item on its line.
var trailing = regexp.MustCompile(`\}([ \t]+#[^\n]*)$`)

// itemText writes a record set as an item, in the style of the one whose place it takes.
func itemText(set zone.RRSet, flowed bool, dash, old string) (string, error) {
	node := recordNode(set)
	if !flowed {
		node.Style = 0
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(node); err != nil {
		return "", fmt.Errorf("%s %s: %w", set.Type, set.Name, err)
	}
	if err := enc.Close(); err != nil {
		return "", fmt.Errorf("%s %s: %w", set.Type, set.Name, err)
	}
	text := strings.TrimRight(out.String(), "\n")
	text = dash + strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", len(dash)))
	if m := trailing.FindStringSubmatch(old); flowed && m != nil {
		text += m[1]
	}
	return text + "\n", nil
}

func blankOrComment(line string) bool {
	line = strings.TrimSpace(line)
	return line == "" || strings.HasPrefix(line, "#")
}
