package audit

import (
	"bytes"
	"encoding/json"
)

// decodeEvent reads an event from its canonical form as json.Unmarshal does, at a tenth
// of the cost. What is not spelt as canonicalEvent spells it (a member of a later
// version, an escape) it leaves to json.Unmarshal.
func decodeEvent(canonical []byte, e *Event) error {
	d := decoder{text: canonical}
	if d.event(e) {
		return nil
	}
	*e = Event{}
	return json.Unmarshal(canonical, e)
}

// decoder reads text that is known to be canonical JSON. Its methods say whether they
// understood what they met.
type decoder struct {
	text []byte
	at   int
}

func (d *decoder) event(e *Event) bool {
	return d.members(func(name string) bool {
		switch name {
		case "action":
			return d.str((*string)(&e.Action))
		case "actor":
			return d.members(func(name string) bool {
				switch name {
				case "id":
					return d.str(&e.Actor.ID)
				case "role":
					return d.str(&e.Actor.Role)
				}
				return false
			})
		case "approval_chain":
			return d.list(&e.ApprovalChain)
		case "artifact_refs":
			e.ArtifactRefs = map[string]string{}
			return d.members(func(name string) bool {
				var digest string
				ok := d.str(&digest)
				e.ArtifactRefs[name] = digest
				return ok
			})
		case "change":
			return d.str(&e.Change)
		case "details":
			return d.raw(&e.Details)
		case "event_id":
			return d.str(&e.EventID)
		case "git_commit":
			return d.str(&e.GitCommit)
		case "key_id":
			return d.str(&e.KeyID)
		case "once":
			return d.str(&e.Once)
		case "resource":
			return d.members(func(name string) bool {
				switch name {
				case "app":
					return d.str(&e.Resource.App)
				case "name":
					return d.str(&e.Resource.Name)
				case "record":
					return d.str(&e.Resource.Record)
				case "type":
					return d.str(&e.Resource.Type)
				case "zone":
					return d.str(&e.Resource.Zone)
				}
				return false
			})
		case "signature":
			return d.str(&e.Signature)
		case "timestamp":
			from := d.at
			var text string
			return d.str(&text) && e.Timestamp.UnmarshalJSON(d.text[from:d.at]) == nil
		}
		return false
	}) && d.at == len(d.text)
}

func (d *decoder) take(c byte) bool {
	if d.at >= len(d.text) || d.text[d.at] != c {
		return false
	}
	d.at++
	return true
}

// members hands each name of an object to value, which reads what follows.
func (d *decoder) members(value func(name string) bool) bool {
	if !d.take('{') {
		return false
	}
	if d.take('}') {
		return true
	}
	for {
		var name string
		if !d.str(&name) || !d.take(':') || !value(name) {
			return false
		}
		if d.take('}') {
			return true
		}
		if !d.take(',') {
			return false
		}
	}
}

// str reads a string that has no escapes.
func (d *decoder) str(s *string) bool {
	if !d.take('"') {
		return false
	}
	length := bytes.IndexByte(d.text[d.at:], '"')
	if length < 0 {
		return false
	}
	text := d.text[d.at : d.at+length]
	if bytes.IndexByte(text, '\\') >= 0 {
		return false
	}
	*s = string(text)
	d.at += length + 1
	return true
}

func (d *decoder) list(list *[]string) bool {
	if !d.take('[') {
		return false
	}
	*list = []string{}
	if d.take(']') {
		return true
	}
	for {
		var s string
		if !d.str(&s) {
			return false
		}
		*list = append(*list, s)
		if d.take(']') {
			return true
		}
		if !d.take(',') {
			return false
		}
	}
}

// raw copies any value.
func (d *decoder) raw(to *json.RawMessage) bool {
	s := scanner{text: d.text, at: d.at}
	if !s.value() {
		return false
	}
	*to = bytes.Clone(d.text[d.at:s.at])
	d.at = s.at
	return string(*to) != "null" // which json.Unmarshal takes in another way
}
