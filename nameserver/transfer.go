package nameserver

import (
	"github.com/miekg/dns"
)

// transferMessage is about how many bytes of records go into one message of a
// transfer: a quarter of what fits (RFC 5936 section 3.4), so that none has to be
// measured exactly and the receiver can begin early.
const transferMessage = 16 << 10

// transfer answers AXFR (RFC 5936). IXFR gets the whole zone, as RFC 1995 section 4
// allows, or the SOA record alone when the asker is up to date.
func (sv *served) transfer(w dns.ResponseWriter, r *dns.Msg) (int, error) {
	z := sv.data.Load()
	if z == nil || sv.unsigned() {
		return dns.RcodeServerFailure, nil
	}
	var serial uint32
	if r.Question[0].Qtype == dns.TypeIXFR && len(r.Ns) == 1 {
		if soa, ok := r.Ns[0].(*dns.SOA); ok {
			serial = soa.Serial
		}
	}
	records, err := z.Transfer(serial)
	if err != nil {
		return dns.RcodeServerFailure, err
	}
	err = send(w, r, records)
	for range records { // the sender waits for its reader, also after an error
	}
	if err != nil {
		return dns.RcodeServerFailure, err
	}
	return dns.RcodeSuccess, nil // it is written: nothing is left to say
}

func send(w dns.ResponseWriter, r *dns.Msg, records <-chan []dns.RR) error {
	m := new(dns.Msg)
	size := 0
	begin := func() {
		m = new(dns.Msg)
		m.SetReply(r)
		m.Authoritative, m.Compress, size = true, true, 0
	}
	begin()
	for rrs := range records {
		for _, rr := range rrs {
			m.Answer = append(m.Answer, rr)
			if size += dns.Len(rr); size < transferMessage {
				continue
			}
			if err := w.WriteMsg(m); err != nil {
				return err
			}
			begin()
		}
	}
	if len(m.Answer) == 0 {
		return nil
	}
	return w.WriteMsg(m)
}
