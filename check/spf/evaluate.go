package spf

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"slipway/zone"
)

// Check is check_host for the reverse-path of a sender, or its HELO name where that is empty (RFC
// 7208 sections 2.4 and 4). An error is of the Ask; that the DNS does not answer is no error but TempError.
func Check(s Sender, ask Ask) (Outcome, error) {
	s.IP = s.IP.Unmap() // an IPv4 sender is one however its address is written (section 5)
	if s.From == "" {
		s.From = "postmaster@" + s.Helo
	}
	i := strings.LastIndexByte(s.From, '@')
	local, domain := s.From[:max(i, 0)], s.From[i+1:]
	if local == "" {
		local = "postmaster" // section 4.3
	}
	domain = strings.TrimSuffix(domain, ".")
	start, ok := name(domain)
	if !ok || !strings.Contains(domain, ".") || strings.HasPrefix(domain, "[") {
		return Outcome{Result: None, Problem: fmt.Sprintf("%q is no domain", domain)}, nil // section 4.3
	}
	e := &evaluation{sender: s, ask: ask, local: local, origin: domain}
	result, from := e.host(start)
	switch {
	case e.err != nil:
		return Outcome{}, e.err
	case result == Fail:
		e.out.Explanation = e.explain(from)
		if e.err != nil {
			return Outcome{}, e.err
		}
	}
	if result != TempError && result != PermError {
		e.out.Problem = ""
	}
	e.out.Result = result
	return e.out, nil
}

// evaluation is one run of check_host.
type evaluation struct {
	sender        Sender
	local, origin string // the parts of the reverse-path
	ask           Ask
	out           Outcome
	err           error // of the Ask, neither temporary nor an answer
}

// stop is why an evaluation ends without a match or a miss.
type stop struct {
	result  Result // TempError or PermError
	problem string
}

func permanent(format string, args ...any) *stop {
	return &stop{PermError, fmt.Sprintf(format, args...)}
}

// source is the record that a result came from: its explanation counts.
type source struct {
	record Record
	domain zone.Name
}

// host is check_host for one domain. The source is the one whose exp= explains the result: of a redirect, the
// domain that it leads to (section 6.2).
func (e *evaluation) host(domain zone.Name) (Result, source) {
	record, found, s := e.record(domain)
	if s != nil {
		return e.halt(s), source{}
	}
	if !found {
		return None, source{}
	}
	from := source{record, domain}
	for _, t := range record.evaluated() {
		if t.asks() {
			if e.out.Lookups++; e.out.Lookups > MaxLookups {
				return e.halt(permanent("it takes more than %d look-ups", MaxLookups)), from
			}
		}
		if t.Name == "redirect" && t.Qualifier == 0 {
			return e.redirect(t, domain)
		}
		matches, s := e.match(t, domain)
		if s != nil {
			return e.halt(s), from
		}
		if matches {
			e.out.Term, e.out.At = t.String(), domain
			return map[byte]Result{'+': Pass, '-': Fail, '~': SoftFail, '?': Neutral}[t.Qualifier], from
		}
	}
	return Neutral, from // section 4.7
}

func (e *evaluation) halt(s *stop) Result {
	if e.out.Problem == "" {
		e.out.Problem = s.problem
	}
	return s.result
}

// record selects the one SPF record of a domain (section 4.5).
func (e *evaluation) record(domain zone.Name) (Record, bool, *stop) {
	txts, s := e.query(domain, "TXT", false)
	if s != nil {
		return Record{}, false, s
	}
	txts = slices.DeleteFunc(slices.Clone(txts), func(s string) bool { return !Is(s) })
	switch len(txts) {
	case 0:
		return Record{}, false, nil
	case 1:
	default:
		return Record{}, false, permanent("%s has %d SPF records", domain.Unicode(), len(txts))
	}
	r, err := Parse(txts[0])
	if err != nil {
		return Record{}, false, permanent("the SPF record of %s is void: %v", domain.Unicode(), err)
	}
	return r, true, nil
}

// redirect ends an evaluation with that of another domain (section 6.1).
func (e *evaluation) redirect(t Term, domain zone.Name) (Result, source) {
	next, ok, s := e.target(t, domain)
	if s == nil && !ok {
		s = permanent("%s of %s leads to no domain", t, domain.Unicode())
	}
	if s != nil {
		return e.halt(s), source{}
	}
	result, from := e.host(next)
	if result == None {
		return e.halt(permanent("%s of %s leads to %s, which has no SPF record", t, domain.Unicode(), next.Unicode())), from
	}
	return result, from
}

// match asks whether a mechanism matches the sender (section 5).
func (e *evaluation) match(t Term, domain zone.Name) (bool, *stop) {
	switch t.Name {
	case "all":
		return true, nil
	case "ip4", "ip6":
		p, _ := t.network()
		return p.Contains(e.sender.IP), nil
	}
	target, ok, s := e.target(t, domain)
	if s != nil || !ok { // what is no name exists nowhere
		return false, s
	}
	switch t.Name {
	case "include":
		return e.include(t, domain, target)
	case "a":
		return e.address(t, target)
	case "mx":
		return e.exchange(t, target)
	case "ptr":
		names, s := e.validated()
		return slices.ContainsFunc(names, func(n zone.Name) bool { return n.In(target) }), s
	case "exists": // asks for A whatever the sender's address is (section 5.7)
		found, s := e.query(target, "A", true)
		return len(found) > 0, s
	}
	return false, nil
}

// include maps the result of another domain (section 5.2).
func (e *evaluation) include(t Term, domain, target zone.Name) (bool, *stop) {
	result, _ := e.host(target)
	switch result {
	case Pass:
		return true, nil
	case TempError, PermError:
		return false, &stop{result, e.out.Problem}
	case None:
		return false, permanent("%s of %s leads to %s, which has no SPF record", t, domain.Unicode(), target.Unicode())
	}
	return false, nil
}

// addressType is what the sender's address is looked for among.
func (e *evaluation) addressType() string {
	if e.sender.IP.Is4() {
		return "A"
	}
	return "AAAA"
}

// address matches the sender with the addresses of a name.
func (e *evaluation) address(t Term, target zone.Name) (bool, *stop) {
	found, s := e.query(target, e.addressType(), true)
	if s != nil {
		return false, s
	}
	v4, v6, _ := t.lengths()
	bits := v6
	if e.sender.IP.Is4() {
		bits = v4
	}
	for _, text := range found {
		a, err := netip.ParseAddr(text)
		if err != nil {
			continue
		}
		if p, err := a.Prefix(bits); err == nil && p.Contains(e.sender.IP) {
			return true, nil
		}
	}
	return false, nil
}

// exchange matches the sender with the mail servers of a name.
func (e *evaluation) exchange(t Term, target zone.Name) (bool, *stop) {
	found, s := e.query(target, "MX", true)
	if s != nil {
		return false, s
	}
	if len(found) > MaxHosts {
		return false, permanent("%s has %d mail servers; receivers stop at %d", target.Unicode(), len(found), MaxHosts)
	}
	for _, mx := range found {
		_, host, _ := strings.Cut(mx, " ")
		n, ok := name(host)
		if !ok || n == "." { // null MX (RFC 7505)
			continue
		}
		if ok, s := e.address(t, n); ok || s != nil {
			return ok, s
		}
	}
	return false, nil
}

// validated lists the names of the sender's address that have that address (section 5.5). An error
// of the DNS only leaves names out.
func (e *evaluation) validated() ([]zone.Name, *stop) {
	found, s := e.query(reverseName(e.sender.IP), "PTR", true)
	if s != nil {
		return nil, forgive(s)
	}
	var out []zone.Name
	for _, text := range found[:min(len(found), MaxHosts)] {
		n, ok := name(text)
		if !ok {
			continue
		}
		addresses, s := e.query(n, e.addressType(), true)
		if s != nil {
			if s = forgive(s); s != nil {
				return nil, s
			}
			continue
		}
		if slices.ContainsFunc(addresses, func(a string) bool { ip, err := netip.ParseAddr(a); return err == nil && ip == e.sender.IP }) {
			out = append(out, n)
		}
	}
	return out, nil
}

// forgive passes over a failure of the DNS.
func forgive(s *stop) *stop {
	if s.result == TempError {
		return nil
	}
	return s
}

// query asks. Where the answer is to be found nothing in, it counts (section 4.6.4).
func (e *evaluation) query(n zone.Name, typ string, counts bool) ([]string, *stop) {
	if e.err != nil {
		return nil, &stop{TempError, ""}
	}
	values, err := e.ask(n, typ)
	switch {
	case errors.Is(err, ErrTemporary):
		return nil, &stop{TempError, fmt.Sprintf("the DNS gives no answer about %s %s", n.Unicode(), typ)}
	case err != nil:
		e.err = err
		return nil, &stop{TempError, ""}
	}
	if counts && len(values) == 0 {
		if e.out.Voids++; e.out.Voids > MaxVoids {
			return nil, permanent("more than %d look-ups find nothing, the last of them %s %s", MaxVoids, n.Unicode(), typ)
		}
	}
	return values, nil
}

// target is the domain that a term asks about: its domain-spec expanded, or the record's own domain.
func (e *evaluation) target(t Term, domain zone.Name) (zone.Name, bool, *stop) {
	if t.Value == "" {
		return domain, true, nil
	}
	text, s := e.expand(t.Value, domain, false)
	if s != nil {
		return "", false, s
	}
	n, ok := name(shorten(text))
	return n, ok, nil
}

// expand replaces the macros of a string (section 7).
func (e *evaluation) expand(text string, domain zone.Name, explains bool) (string, *stop) {
	pieces, err := macros(text, explains)
	if err != nil {
		return "", permanent("%v", err)
	}
	var out strings.Builder
	for _, p := range pieces {
		value, s := e.value(p.letter, domain)
		if s != nil {
			return "", s
		}
		out.WriteString(p.expand(value))
	}
	return out.String(), nil
}

// value is what a macro letter stands for (section 7.2).
func (e *evaluation) value(letter byte, domain zone.Name) (string, *stop) {
	switch letter {
	case 's':
		return e.local + "@" + e.origin, nil
	case 'l':
		return e.local, nil
	case 'o':
		return e.origin, nil
	case 'd':
		return string(domain), nil
	case 'i':
		return dotted(e.sender.IP), nil
	case 'p':
		return e.validatedName(domain)
	case 'v':
		if e.sender.IP.Is4() {
			return "in-addr", nil
		}
		return "ip6", nil
	case 'h':
		return e.sender.Helo, nil
	case 'c':
		return e.sender.IP.String(), nil
	case 'r':
		if e.sender.Receiver == "" {
			return "unknown", nil
		}
		return e.sender.Receiver, nil
	case 't':
		return strconv.FormatInt(e.sender.At.Unix(), 10), nil
	}
	return "", nil
}

// validatedName is the one that %{p} shows: the domain itself, else one below it, else any (section 7.3).
func (e *evaluation) validatedName(domain zone.Name) (string, *stop) {
	names, s := e.validated()
	if s != nil {
		return "", s
	}
	if slices.Contains(names, domain) {
		return string(domain), nil
	}
	for _, n := range names {
		if n.In(domain) {
			return string(n), nil
		}
	}
	if len(names) > 0 {
		return string(names[0]), nil
	}
	return "unknown", nil
}

// explain is the text of exp= (section 6.2), "" whenever anything about it is wrong.
func (e *evaluation) explain(from source) string {
	exp, has := from.record.modifier("exp")
	if !has {
		return ""
	}
	n, ok, s := e.target(exp, from.domain)
	if !ok || s != nil {
		return ""
	}
	txts, s := e.query(n, "TXT", false)
	if s != nil || len(txts) != 1 {
		return ""
	}
	for _, c := range []byte(txts[0]) {
		if c < ' ' || c > '~' {
			return ""
		}
	}
	text, s := e.expand(txts[0], from.domain, true)
	if s != nil {
		return ""
	}
	return text
}
