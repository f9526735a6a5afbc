package nameserver

import (
	"context"
	"net/netip"
	"sync/atomic"

	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"

	"slipway/zone"
)

// view is what one listener answers for. It is the only CoreDNS plugin that the
// server itself sees; the plugins of a zone hang below it.
type view struct {
	transfers bool // AXFR for this machine

	// zones by their name as it comes out of a question: lower case, escapes as
	// miekg/dns writes them, with the trailing dot. Replaced whole, never changed.
	zones atomic.Pointer[map[string]*served]
}

func (v *view) set(all map[zone.Name]*served, shown func(*served) bool) {
	zones := make(map[string]*served, len(all))
	for _, sv := range all {
		if shown(sv) {
			zones[sv.origin] = sv
		}
	}
	v.zones.Store(&zones)
}

// Name implements plugin.Handler.
func (v *view) Name() string { return "slipway" }

// ServeDNS implements plugin.Handler: the most specific zone that holds the name
// answers; without one the question is refused.
func (v *view) ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	if r.Opcode != dns.OpcodeQuery {
		return dns.RcodeNotImplemented, nil
	}
	state := request.Request{W: w, Req: r}
	sv := v.find(state.Name(), state.QType())
	if sv == nil {
		return dns.RcodeRefused, nil
	}
	if t := state.QType(); t == dns.TypeAXFR || t == dns.TypeIXFR {
		if !v.transfers || state.Proto() != "tcp" || !loopback(state.IP()) || state.Name() != sv.origin {
			return dns.RcodeRefused, nil
		}
		return sv.transfer(w, r)
	}
	return sv.chain.ServeDNS(ctx, w, r)
}

// find walks from name towards the root. A DS record set belongs to the parent
// side of a zone cut (RFC 4035 section 3.1.4.1), so a question for one at the apex
// of a zone goes to the zone above when that is served here too.
func (v *view) find(name string, qtype uint16) *served {
	zones := *v.zones.Load()
	var child *served
	for off, end := 0, false; !end; off, end = dns.NextLabel(name, off) {
		sv := zones[name[off:]]
		if sv == nil {
			continue
		}
		if off == 0 && qtype == dns.TypeDS {
			child = sv
			continue
		}
		return sv
	}
	if root := zones["."]; root != nil && name != "." {
		return root
	}
	return child
}

func loopback(ip string) bool {
	addr, err := netip.ParseAddr(ip)
	return err == nil && addr.Unmap().IsLoopback()
}
