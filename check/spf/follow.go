package spf

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"slipway/zone"
)

// MaxFollowed ends Follow: a record that asks so often is void many times over.
const MaxFollowed = 60

// Trace is what evaluations of one record may cost and meet: the way of a sender that no term
// matches, which looks at everything that any other sender's evaluation looks at, and perhaps at more.
type Trace struct {
	Lookups int
	Voids   []string // terms that find nothing, whatever the sender's address is
	Voids4  []string // terms that find nothing for a sender with an IPv4 address, those of Voids included
	Voids6  []string // and with an IPv6 address
	Pass4   bool     // some IPv4 address passes
	Pass6   bool
	Broken  []string // why an included record makes the whole one void (permerror)
	Open    string   // the way to an included term that lets anybody pass
}

// Follow looks through a record and all that it leads to, in order (RFC 7208 section 4.6). Terms whose
// macros depend on the sender count as the one look-up that they are; where they lead is not known. So it is
// with names that the Ask does not know.
func Follow(domain zone.Name, r Record, ask Ask) (Trace, error) {
	f := &follower{ask: ask}
	f.record(r, []zone.Name{domain}, true)
	return f.Trace, f.err
}

type follower struct {
	Trace
	ask Ask
	err error
}

// record follows r, the record of the last of way. passes says that what r lets pass, passes.
func (f *follower) record(r Record, way []zone.Name, passes bool) {
	here := way[len(way)-1]
	for _, t := range r.evaluated() {
		if f.err != nil {
			return
		}
		pass := passes && t.Qualifier == '+'
		if p, ok := t.network(); ok && pass && (t.Name == "ip4" || t.Name == "ip6") {
			f.Pass4, f.Pass6 = f.Pass4 || p.Addr().Is4(), f.Pass6 || !p.Addr().Is4()
		}
		if !t.asks() {
			continue
		}
		if f.Lookups++; f.Lookups > MaxFollowed {
			return
		}
		n, ok := t.fixed(here)
		if !ok {
			continue
		}
		switch t.Name {
		case "include", "redirect":
			f.included(t, n, way, pass || passes && t.Name == "redirect")
		case "a":
			f.hosts(t, pass, n)
		case "mx":
			f.exchanges(t, pass, n)
		case "exists": // asks for A whatever the sender is (section 5.7)
			if found, known := f.look(n, "A"); known && len(found) == 0 {
				f.void(t, true, true)
			}
		}
	}
}

// fixed is the domain that a term asks about when it is the same for every sender: with no macro but d.
func (t Term) fixed(here zone.Name) (zone.Name, bool) {
	if t.Value == "" {
		return here, true
	}
	pieces, err := macros(t.Value, false)
	if err != nil {
		return "", false
	}
	var out strings.Builder
	for _, p := range pieces {
		if p.letter != 0 && p.letter != 'd' {
			return "", false
		}
		out.WriteString(p.expand(string(here)))
	}
	return name(shorten(out.String()))
}

// included follows include and redirect. A domain without one readable record makes the
// whole evaluation void (RFC 7208 sections 5.2 and 6.1).
func (f *follower) included(t Term, n zone.Name, way []zone.Name, passes bool) {
	if slices.Contains(way, n) {
		f.Broken = append(f.Broken, fmt.Sprintf("%s leads back to itself (%s)", n.Unicode(), path(append(slices.Clone(way), n))))
		return
	}
	found, known := f.look(n, "TXT")
	if !known {
		return
	}
	if len(found) == 0 {
		f.void(t, true, true)
	}
	found = slices.DeleteFunc(slices.Clone(found), func(s string) bool { return !Is(s) })
	if len(found) != 1 {
		f.Broken = append(f.Broken, fmt.Sprintf("%s has %s, where one is needed", n.Unicode(), map[bool]string{true: "no SPF record", false: "several SPF records"}[len(found) == 0]))
		return
	}
	r, err := Parse(found[0])
	if err != nil {
		f.Broken = append(f.Broken, fmt.Sprintf("the SPF record of %s is void: %v", n.Unicode(), err))
		return
	}
	if term, ok := r.Everyone(); ok && passes && f.Open == "" {
		f.Open = term + " at " + n.Unicode()
	}
	f.record(r, append(slices.Clone(way), n), passes)
}

// hosts looks for the addresses of hosts that a term compares the sender with.
func (f *follower) hosts(t Term, pass bool, hosts ...zone.Name) {
	for _, n := range hosts {
		v4, known4 := f.look(n, "A")
		v6, known6 := f.look(n, "AAAA")
		if known4 && known6 {
			f.void(t, len(v4) == 0, len(v6) == 0)
		}
		f.Pass4, f.Pass6 = f.Pass4 || pass && len(v4) > 0, f.Pass6 || pass && len(v6) > 0
	}
}

func (f *follower) exchanges(t Term, pass bool, n zone.Name) {
	found, known := f.look(n, "MX")
	if !known {
		return
	}
	if len(found) == 0 {
		f.void(t, true, true)
		return
	}
	if len(found) > MaxHosts {
		f.Broken = append(f.Broken, fmt.Sprintf("%s has %d mail servers; receivers stop at %d", n.Unicode(), len(found), MaxHosts))
		return
	}
	for _, mx := range found {
		_, host, _ := strings.Cut(mx, " ")
		if host, ok := name(host); ok && host != "." {
			f.hosts(t, pass, host)
		}
	}
}

// void notes look-ups that find nothing.
func (f *follower) void(t Term, v4, v6 bool) {
	if v4 {
		f.Voids4 = append(f.Voids4, t.String())
	}
	if v6 {
		f.Voids6 = append(f.Voids6, t.String())
	}
	if v4 && v6 {
		f.Voids = append(f.Voids, t.String())
	}
}

func (f *follower) look(n zone.Name, typ string) (values []string, known bool) {
	if f.err != nil {
		return nil, false
	}
	values, err := f.ask(n, typ)
	if err != nil && !errors.Is(err, ErrUnknown) && !errors.Is(err, ErrTemporary) {
		f.err = err
	}
	return values, err == nil
}

// path shows a way through names.
func path(names []zone.Name) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = n.Unicode()
	}
	return strings.Join(out, " → ")
}
