package main

import (
	"net"
	"strings"

	"github.com/miekg/dns"
	"github.com/rogpeppe/go-internal/testscript"
)

// nameserver answers DNS questions from a file of records, in place of the world outside. The
// script finds its address in $NAMESERVER. A name without records does not exist.
func nameserver(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: nameserver FILE")
	}
	var rrs []dns.RR
	parser := dns.NewZoneParser(strings.NewReader(ts.ReadFile(args[0])), ".", args[0])
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		rrs = append(rrs, rr)
	}
	ts.Check(parser.Err())
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	ts.Check(err)
	ready := make(chan struct{})
	server := &dns.Server{PacketConn: packets, NotifyStartedFunc: func() { close(ready) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetRcode(q, dns.RcodeNameError)
		for _, rr := range rrs {
			if strings.EqualFold(rr.Header().Name, q.Question[0].Name) {
				m.Rcode = dns.RcodeSuccess
				if rr.Header().Rrtype == q.Question[0].Qtype {
					m.Answer = append(m.Answer, rr)
				}
			}
		}
		w.WriteMsg(m)
	})}
	go server.ActivateAndServe()
	<-ready
	ts.Defer(func() { server.Shutdown() })
	ts.Setenv("NAMESERVER", packets.LocalAddr().String())
}
