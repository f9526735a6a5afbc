package zone

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// This file knows how octoDNS writes one value of each type, and turns it into
// presentation form and back.

// valueOf reads one value as octoDNS does in its lenient mode. A value that
// is malformed for its type is not lost and does not stop the rest: it is kept
// as JSON, which no standard type accepts, so Validate names what is wrong.
func valueOf(typ string, n *yaml.Node) (string, error) {
	n = resolve(n)
	if v, err := strictValue(typ, n); err == nil {
		return v, nil
	}
	return jsonOf(n)
}

func strictValue(typ string, n *yaml.Node) (string, error) {
	if providerType(typ) {
		return jsonOf(n)
	}
	t, known := recordTypes[typ]
	if known && t.mapping() {
		return t.fromMapping(typ, n)
	}
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		return "", fault("it must be plain text", "write it like "+t.example)
	}
	if known && t.fields[0].kind == text {
		return textValue(n.Value)
	}
	return canonical(typ, n.Value, false)
}

// textValue reads octoDNS's TXT: outer quotes and the seams of a text cut into
// strings (`" "`) go, and a semicolon is written \;. Nothing else is an escape.
// Files dumped from Route 53 also have seams without the space (`""`), which can
// be told from text only by length: nobody cuts what fits into one string.
func textValue(s string) (string, error) {
	if len(s) >= 2 && s[0] == '"' {
		s = s[1 : len(s)-1]
	}
	s = strings.ReplaceAll(s, `" "`, "")
	if len(s) > 255 {
		s = strings.ReplaceAll(s, `""`, "")
	}
	s = strings.ReplaceAll(s, `\;`, ";")
	return canonicalText(quoteText(s), false)
}

// textYAML is the inverse of textValue.
func textYAML(value string) (string, error) {
	octets, err := unquoteText(value)
	if err != nil {
		return "", err
	}
	s := strings.ReplaceAll(octets, ";", `\;`)
	if strings.HasPrefix(s, `"`) {
		s = `"` + s + `"`
	}
	if back, err := textValue(s); err != nil || back != value {
		return "", fault(`octoDNS's YAML cannot hold this text: it has "" or " " in it`, "change the text")
	}
	return s, nil
}

// fromMapping reads a value of several fields.
func (t recordType) fromMapping(typ string, n *yaml.Node) (string, error) {
	ps, err := pairs(n)
	if err != nil {
		return "", err
	}
	have := make(map[string]*yaml.Node, len(ps))
	for _, p := range ps {
		have[p.key.Value] = resolve(p.val)
	}
	if typ == "DS" {
		legacyDS(have)
	}
	toks := make([]token, 0, len(t.fields))
	used := 0
	for _, f := range t.fields {
		v, ok := have[f.key]
		if !ok && f.alias != "" {
			v, ok = have[f.alias]
		}
		if ok {
			used++
		}
		if f.kind == params {
			ps, err := paramTokens(v)
			if err != nil {
				return "", err
			}
			toks = append(toks, ps...)
			continue
		}
		switch {
		case ok && v.Kind == yaml.ScalarNode && v.ShortTag() != "!!null":
			s := v.Value
			if octal(v) && (f.kind == u8 || f.kind == u16 || f.kind == degrees) {
				return "", faultAt(v, fmt.Sprintf("%s begins with a zero, which octoDNS takes for base 8", f.key), "take the zero away")
			}
			if f.kind == metres {
				s += "m"
			}
			toks = append(toks, token{s, f.kind == quoted || f.kind == upper})
		case ok && v.Kind != yaml.ScalarNode:
			return "", faultAt(v, f.key+" must be plain text", "")
		case f.none:
			toks = append(toks, token{"", true})
		case f.def != "":
			toks = append(toks, token{f.def, false})
		default:
			return "", faultAt(n, f.key+" is missing", "")
		}
	}
	if used != len(have) {
		return "", faultAt(n, fmt.Sprintf("it has a key that %s does not have", typ), "")
	}
	if typ == "LOC" {
		words := make([]string, len(toks))
		for i, t := range toks {
			words[i] = t.text
		}
		return canonical("LOC", strings.ToUpper(strings.Join(words, " ")), false)
	}
	return t.join(typ, toks, false)
}

// legacyDS renames the keys of octoDNS before 1.0, which were one off.
func legacyDS(have map[string]*yaml.Node) {
	if have["public_key"] == nil && have["flags"] == nil {
		return
	}
	old := map[string]*yaml.Node{}
	for now, then := range map[string]string{"key_tag": "flags", "algorithm": "protocol", "digest_type": "algorithm", "digest": "public_key"} {
		old[now] = have[then]
	}
	clear(have)
	for k, v := range old {
		if v != nil {
			have[k] = v
		}
	}
}

// paramTokens reads SVCB parameters: null for a key alone, text, or a list.
func paramTokens(n *yaml.Node) ([]token, error) {
	if n == nil || n.ShortTag() == "!!null" {
		return nil, nil
	}
	ps, err := pairs(n)
	if err != nil {
		return nil, err
	}
	var toks []token
	for _, p := range ps {
		v := resolve(p.val)
		switch {
		case v.ShortTag() == "!!null" || v.Kind == yaml.ScalarNode && v.Value == "":
			toks = append(toks, token{p.key.Value, false})
		case v.Kind == yaml.ScalarNode:
			toks = append(toks, token{p.key.Value + "=", false}, token{v.Value, true})
		case v.Kind == yaml.SequenceNode:
			var items []string
			for _, item := range v.Content {
				items = append(items, resolve(item).Value)
			}
			toks = append(toks, token{p.key.Value + "=", false}, token{strings.Join(items, ","), true})
		default:
			return nil, faultAt(v, p.key.Value+" must be text or a list", "")
		}
	}
	return toks, nil
}

// explainJSON says what is wrong with a malformed value that valueOf kept as JSON.
func explainJSON(typ, value string) error {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(value), &doc); err == nil && len(doc.Content) == 1 {
		if _, err := strictValue(typ, doc.Content[0]); err != nil {
			if e, ok := err.(*Error); ok {
				return &Error{What: e.What, Help: e.Help}
			}
		}
	}
	return fault("it is not "+typ+" data", "write it like "+recordTypes[typ].example)
}

// checkURLForward checks octoDNS's URLFWD: path, target, code, masking, query.
func checkURLForward(value string) error {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(value), &doc); err != nil || len(doc.Content) != 1 {
		return fault("it is not a mapping", "")
	}
	ps, err := pairs(doc.Content[0])
	if err != nil {
		return fault("it is not a mapping", "give path, target, code, masking and query")
	}
	allowed := map[string]string{"code": " 301 302 ", "masking": " 0 1 2 ", "query": " 0 1 ", "path": "", "target": ""}
	for _, p := range ps {
		set, ok := allowed[p.key.Value]
		if !ok {
			return fault(fmt.Sprintf("it has a key %q that URLFWD does not have", p.key.Value), "")
		}
		if set != "" && !strings.Contains(set, " "+p.val.Value+" ") {
			return fault(fmt.Sprintf("%s is %q; it must be one of%s", p.key.Value, p.val.Value, set), "")
		}
		delete(allowed, p.key.Value)
	}
	for k := range allowed {
		return fault(k+" is missing", "give path, target, code, masking and query")
	}
	return nil
}
