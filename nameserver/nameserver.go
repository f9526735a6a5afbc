// Package nameserver is the embedded authoritative DNS server: CoreDNS in this
// process, serving the zone files of provider/zonefile.
package nameserver

import (
	"context"
	"time"

	"slipway/zone"
)

// CONTRACT: replace by the real code.
type Server struct{}

// Zone is one zone to serve.
type Zone struct {
	Name     zone.Name
	External bool // also answered on the external listener
	Signed   bool // DNSSEC, with a key made in KeyDir
}

type Options struct {
	Dir      string                                    // zone files, <zone>.zone
	KeyDir   string                                    // DNSSEC keys
	Internal string                                    // listen address for all zones, "127.0.0.1:0" picks a port
	External string                                    // listen address for external zones only; "" for none
	Zones    func(ctx context.Context) ([]Zone, error) // asked at start and by Refresh
}

func Start(ctx context.Context, o Options) (*Server, error) { panic("contract") }
func (s *Server) Internal() string                          { panic("contract") } // address:port, UDP and TCP
func (s *Server) External() string                          { panic("contract") }
func (s *Server) Reload(z zone.Name)                        { panic("contract") } // that zone's file changed
func (s *Server) Refresh(ctx context.Context) error         { panic("contract") } // the set of zones changed
func (s *Server) DS(z zone.Name) ([]string, error)          { panic("contract") } // for the parent, presentation form
func (s *Server) Stop() error                               { panic("contract") }

// Resolve asks server (address:port) for a record set over UDP, then TCP when truncated.
func Resolve(ctx context.Context, server string, name zone.Name, typ string, timeout time.Duration) ([]string, error) {
	panic("contract")
}

// Verify asks server until every set in sets answers as wanted (and every key in gone does not), or ctx ends.
// Types that are a provider's own are skipped and returned.
func Verify(ctx context.Context, server string, sets []zone.RRSet, gone []zone.Key) (skipped []zone.Key, err error) {
	panic("contract")
}
