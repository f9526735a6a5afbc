package repo

import (
	"slipway/secret"
)

// Part is something outside of the server as slipway.yaml names it: a type, and settings
// that are texts. Credentials among them are references (package secret). Which types and
// settings there are is the business of the package that opens it.
type Part struct {
	Type   string
	Params map[string]string
}

// RecordSettings say what guards the record when the server itself cannot be trusted,
// who is told what happens, and who may report to it.
type RecordSettings struct {
	Witnesses  map[string]Part // package audit/witness
	Quorum     int             // how many of them have to cosign a checkpoint; default all
	Timestamps map[string]Part // RFC 3161 authorities, package audit/timestamp
	Mirrors    map[string]Part // write-once copies, package audit/mirror
	Forward    map[string]Part // SIEMs and other readers, package audit/forward
	Sources    map[string]Part // those who report what happened outside, package inbound
}

const maxParts = 64 // of one sort

func (p *settingsParser) readRecord(f field) {
	r := &p.s.Record
	sorts := map[string]struct {
		into *map[string]Part
		like string
	}{
		"witnesses": {&r.Witnesses, "witness"}, "timestamps": {&r.Timestamps, "rfc3161"}, "mirrors": {&r.Mirrors, "s3"},
		"forward": {&r.Forward, "syslog"}, "sources": {&r.Sources, "cloudtrail"},
	}
	quorum := field{}
	for _, k := range p.fields(f.value, "record", []string{"witnesses", "quorum", "timestamps", "mirrors", "forward", "sources"}) {
		if k.name == "quorum" {
			quorum, r.Quorum = k, p.number(k.value, "record quorum", 1, maxParts)
			continue
		}
		sort := sorts[k.name]
		parts := p.fields(k.value, "record "+k.name, nil)
		if len(parts) > maxParts {
			p.fail(k.value, "name fewer", "record %s has %d entries, and at most %d are allowed", k.name, len(parts), maxParts)
		}
		*sort.into = map[string]Part{}
		for _, v := range parts {
			if !appName.MatchString(v.name) {
				p.fail(v.key, "use small letters, digits and hyphens", "record %s: the name %q cannot be used", k.name, v.name)
			}
			(*sort.into)[v.name] = p.part(v, "record "+k.name+" "+v.name, sort.like)
		}
	}
	if quorum.key != nil && r.Quorum > len(r.Witnesses) {
		p.fail(quorum.value, "name more witnesses, or ask for fewer", "record quorum: %d of %d witnesses can never cosign", r.Quorum, len(r.Witnesses))
	}
	if r.Quorum == 0 {
		r.Quorum = len(r.Witnesses)
	}
}

// part reads a type and its settings. like is the type that an error shows as example.
func (p *settingsParser) part(f field, what, like string) Part {
	out := Part{Params: map[string]string{}}
	for _, k := range p.fields(f.value, what, nil) {
		v := p.text(k.value, what+" "+k.name)
		if _, err := secret.Parse(v); err != nil && v != "" && secret.NamesSecret(k.name) { // the error does not repeat v
			p.fail(k.value, err.Error(), "%s: %s is not where a credential is kept", what, k.name)
		}
		if k.name == "type" {
			out.Type = v
		} else {
			out.Params[k.name] = v
		}
	}
	if out.Type == "" {
		p.fail(f.key, "add type, for example `type: "+like+"`", "%s has no type", what)
	}
	return out
}
