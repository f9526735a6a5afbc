package controls

import (
	"fmt"
	"slices"

	"slipway/audit"
	"slipway/zone"
)

// This file takes over what each section of a controls.yaml says.

func (r *reader) frameworks(f *file) {
	for _, key := range r.section("frameworks") {
		name, from := key.Value, f.Frameworks[key.Value]
		i := slices.IndexFunc(r.into.Frameworks, func(w Framework) bool { return w.Name == name })
		switch {
		case !nameForm.MatchString(name):
			r.fail(key.Line, "Use lower-case letters, digits and hyphens.", "the framework's name %.80q cannot be used", name)
			return
		case from.LeaveOut && i < 0:
			r.fail(key.Line, "Take the line out.", "there is no framework %s that could be left out", name)
			return
		case from.LeaveOut:
			r.into.leftOut = append(slices.Clone(r.into.leftOut), r.into.Frameworks[i].Prefix)
			r.into.Frameworks = slices.Delete(r.into.Frameworks, i, i+1)
			r.into.Controls = slices.DeleteFunc(r.into.Controls, func(c Control) bool { return c.Framework == name })
			continue
		case i < 0:
			r.into.Frameworks = append(r.into.Frameworks, Framework{Name: name})
			i = len(r.into.Frameworks) - 1
		}
		to := &r.into.Frameworks[i]
		r.text(key.Line, "the title", from.Title, &to.Title)
		r.text(key.Line, "the scope", from.Scope, &to.Scope)
		if from.Prefix != nil && to.Prefix != "" && *from.Prefix != to.Prefix {
			r.fail(key.Line, "Findings name its controls by that prefix. Make a framework of your own beside it.", "the prefix of %s is %s and cannot become another", name, to.Prefix)
			return
		}
		if from.Prefix != nil {
			to.Prefix = *from.Prefix
		}
		switch {
		case !prefixForm.MatchString(to.Prefix):
			r.fail(key.Line, "Write prefix: FIN, with capital letters, digits and hyphens. Its controls are then FIN:something.", "the framework %s has no prefix that can be used", name)
		case to.Title == "":
			r.fail(key.Line, "Write title: and what people call it.", "the framework %s has no title", name)
		case slices.ContainsFunc(r.into.Frameworks, func(w Framework) bool { return w.Prefix == to.Prefix && w.Name != name }):
			r.fail(key.Line, "Choose another one.", "the prefix %s is that of another framework", to.Prefix)
		}
	}
}

// texts takes over documents and the reasons that controls share.
func (r *reader) texts(f *file) {
	for _, s := range []struct {
		name       string
		from, into map[string]string
	}{{"documents", f.Documents, r.into.Documents}, {"elsewhere", f.Elsewhere, r.into.elsewhere}} {
		for _, key := range r.section(s.name) {
			if !documentForm.MatchString(key.Value) {
				r.fail(key.Line, "Use letters, digits, hyphens, underscores and dots.", "the name %.80q under %s cannot be used", key.Value, s.name)
				return
			}
			said, text := s.from[key.Value], ""
			r.text(key.Line, "the text of "+key.Value, &said, &text)
			if text == "" {
				r.fail(key.Line, "Write in a sentence what it is.", "%s under %s has no text", key.Value, s.name)
			}
			s.into[key.Value] = text
		}
	}
}

func (r *reader) pieces(f *file) {
	action := knownAction(audit.Actions())
	document := func(s string) string {
		if _, ok := r.into.Documents[s]; !ok {
			return fmt.Sprintf("%.80q is no document that is known; name it under documents: with a sentence of what it is", s)
		}
		return ""
	}
	for _, key := range r.section("evidence") {
		name, from := key.Value, f.Evidence[key.Value]
		if !nameForm.MatchString(name) {
			r.fail(key.Line, "Use lower-case letters, digits and hyphens.", "the name %.80q under evidence cannot be used", name)
			return
		}
		i := slices.IndexFunc(r.into.Pieces, func(p Piece) bool { return p.Name == name })
		if i < 0 {
			r.into.Pieces = append(r.into.Pieces, Piece{Name: name, Events: []audit.Action{}, Documents: []string{}})
			i = len(r.into.Pieces) - 1
		}
		to := &r.into.Pieces[i]
		to.place = zone.Place{Path: r.path, Line: key.Line}
		r.text(key.Line, "the title of "+name, from.Title, &to.Title)
		if from.Events != nil {
			to.Events = []audit.Action{}
			for _, a := range r.list(key.Line, "the events of "+name, *from.Events, action) {
				to.Events = append(to.Events, audit.Action(a))
			}
		}
		if from.Documents != nil {
			to.Documents = r.list(key.Line, "the documents of "+name, *from.Documents, document)
		}
		if from.Checks != nil {
			to.Checks = r.list(key.Line, "the checks of "+name, *from.Checks, checkPattern)
		}
		if from.Only != nil {
			to.OnlyWithDocuments = *from.Only
		}
		switch {
		case to.OnlyWithDocuments && len(to.Documents) == 0:
			r.fail(key.Line, "Name the documents, or take the line out.", "the evidence %s asks for documents and names none", name)
		case to.Title == "":
			r.fail(key.Line, "Write title: and what it shows, in a sentence.", "the evidence %s has no title", name)
		case len(to.Events)+len(to.Documents)+len(to.Checks) == 0:
			r.fail(key.Line, "Name events, documents or checks.", "the evidence %s is nothing that could be shown", name)
		}
	}
}

func (r *reader) controls(f *file) {
	piece := func(s string) string {
		if _, ok := r.into.Piece(s); !ok {
			return fmt.Sprintf("there is no evidence of the name %.80q; slipway controls --format json lists them, and evidence: adds some", s)
		}
		return ""
	}
	for _, key := range r.section("controls") {
		id, from := key.Value, f.Controls[key.Value]
		if !idForm.MatchString(id) {
			r.fail(key.Line, "Write it like SOC2:CC8.1: the framework's prefix, a colon and the control's number.", "%.80q is not the ID of a control", id)
			return
		}
		framework, ok := r.into.framework(id)
		if !ok {
			r.fail(key.Line, "Name it under frameworks: with this prefix and a title.", "the control %s belongs to no framework that is known", id)
			return
		}
		i := slices.IndexFunc(r.into.Controls, func(c Control) bool { return c.ID == id })
		if i < 0 {
			r.into.Controls = append(r.into.Controls, Control{ID: id, Framework: framework.Name})
			i = len(r.into.Controls) - 1
		}
		to := &r.into.Controls[i]
		to.place = zone.Place{Path: r.path, Line: key.Line}
		r.text(key.Line, "the title of "+id, from.Title, &to.Title)
		r.text(key.Line, "the note of "+id, from.Note, &to.Note)
		if from.Evidence != nil || from.Add != nil {
			names := to.Evidence
			if from.Evidence != nil {
				names = *from.Evidence
			}
			names = slices.Concat(names, from.Add)
			to.Evidence, to.Elsewhere = r.list(key.Line, "the evidence of "+id, names, piece), ""
		}
		if from.Checks != nil {
			to.Checks = r.list(key.Line, "the checks of "+id, *from.Checks, checkPattern)
		}
		if from.Elsewhere != nil {
			if from.Evidence != nil || from.Add != nil || from.Checks != nil {
				r.fail(key.Line, "Keep one of the two. What the evidence does not show belongs under note.", "%s has both evidence here and elsewhere", id)
				return
			}
			to.Evidence, to.Checks = nil, nil
			r.text(key.Line, "where the evidence of "+id+" is", from.Elsewhere, &to.Elsewhere)
			if shared, ok := r.into.elsewhere[to.Elsewhere]; ok {
				to.Elsewhere = shared
			}
		}
		if to.Title == "" {
			r.fail(key.Line, "Write title: and what it asks for, in your own words.", "the control %s has no title", id)
		}
	}
}

// notEvidence comes last: nothing may be evidence and not.
func (r *reader) notEvidence(f *file) {
	action := knownAction(audit.Actions())
	for _, key := range r.section("not-evidence") {
		if wrong := action(key.Value); wrong != "" {
			r.fail(key.Line, shape, "%s", wrong)
			return
		}
		said, text := f.NotEvidence[key.Value], ""
		r.text(key.Line, "the reason for "+key.Value, &said, &text)
		if text == "" {
			r.fail(key.Line, "Write in a sentence why not.", "nothing says why %s is no evidence", key.Value)
		}
		r.into.NotEvidence[audit.Action(key.Value)] = text
	}
	for _, p := range r.into.Pieces {
		for _, a := range p.Events {
			if _, both := r.into.NotEvidence[a]; both {
				r.fail(p.place.Line, "Take it away from one of the two.", "the action %s is under not-evidence, and among the events of %s", a, p.Name)
			}
		}
	}
}
