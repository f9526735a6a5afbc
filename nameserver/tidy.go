package nameserver

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/file"
	"github.com/coredns/coredns/plugin/file/tree"
	"github.com/miekg/dns"
)

// tidy stands above CoreDNS's file plugin, below the one that signs, and mends what
// that plugin gets wrong as an authoritative server.
type tidy struct {
	zone   *atomic.Pointer[file.Zone]
	origin string
	next   plugin.Handler
}

// Name implements plugin.Handler.
func (t tidy) Name() string { return "tidy" }

// ServeDNS implements plugin.Handler.
func (t tidy) ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	if r.Question[0].Qtype == dns.TypeANY {
		return dns.RcodeSuccess, w.WriteMsg(anyAnswer(r))
	}
	return t.next.ServeDNS(ctx, tidyWriter{w, t.zone.Load(), t.origin}, r)
}

// anyAnswer is what RFC 8482 section 4.2 has instead of everything there is at a
// name: the file plugin says that there is nothing, and everything would make the
// server a good amplifier of forged questions.
func anyAnswer(r *dns.Msg) *dns.Msg {
	m := new(dns.Msg)
	m.SetReply(r)
	m.Authoritative = true
	m.Answer = []dns.RR{&dns.HINFO{
		Hdr: dns.RR_Header{Name: r.Question[0].Name, Rrtype: dns.TypeHINFO, Class: dns.ClassINET, Ttl: 3600},
		Cpu: "RFC8482",
	}}
	return m
}

type tidyWriter struct {
	dns.ResponseWriter
	zone   *file.Zone
	origin string
}

func (w tidyWriter) WriteMsg(m *dns.Msg) error {
	// The sections share memory with the zone: a plugin that appends signatures
	// would write into it, from many questions at once.
	m.Answer, m.Ns, m.Extra = slices.Clip(m.Answer), slices.Clip(m.Ns), slices.Clip(m.Extra)
	name := dns.CanonicalName(m.Question[0].Name)
	switch {
	case m.Rcode == dns.RcodeNameError && name == w.origin:
		// The apex of a zone with nothing but SOA and NS exists all the same.
		m.Rcode = dns.RcodeSuccess
	case len(m.Answer) > 0 && name != w.origin && emptyNonTerminal(w.zone, name):
		// A wildcard does not stand in for a name that exists only because there are
		// names below it (RFC 4592 section 2.2.2).
		m.Rcode, m.Answer, m.Ns, m.Extra = dns.RcodeSuccess, nil, []dns.RR{w.zone.SOA}, nil
	}
	return w.ResponseWriter.WriteMsg(m)
}

// emptyNonTerminal reports whether name has no records and names below it do.
func emptyNonTerminal(z *file.Zone, name string) bool {
	if _, found := z.Tree.Search(name); found {
		return false
	}
	next, found := z.Tree.Next(name)
	return found && tree.Less(next, name) != 0 && dns.IsSubDomain(name, next.Name())
}
