package nameserver

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
)

// listener is one address, over UDP and TCP on the same port, and the zones that
// it answers for.
type listener struct {
	view *view

	tcp    net.Listener
	udp    net.PacketConn
	server *dnsserver.Server
	done   sync.WaitGroup // the two serving goroutines
}

// portTries bounds the search for a port that is free for both UDP and TCP when
// the system may choose: it looks at TCP ports only.
const portTries = 32

func (l *listener) start(address string) error {
	var err error
	for range portTries {
		if l.tcp, l.udp, err = bind(address); err == nil {
			break
		}
		if _, port, _ := net.SplitHostPort(address); port != "0" || !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
	}
	if err != nil {
		return err
	}
	// A server is built from its configuration and given sockets that are already
	// bound, as CoreDNS's own tests do: no Corefile, no process-wide list of
	// directives, no signal handlers, and as many servers in one process as wanted.
	config := &dnsserver.Config{
		Zone:   ".",
		Plugin: []plugin.Plugin{func(plugin.Handler) plugin.Handler { return l.view }},
	}
	l.server, err = dnsserver.NewServer("dns://"+l.tcp.Addr().String(), []*dnsserver.Config{config})
	if err != nil {
		return errors.Join(err, l.tcp.Close(), l.udp.Close())
	}
	// Both end with an error when the sockets are closed, which is how they stop.
	l.done.Go(func() { l.server.Serve(l.tcp) })
	l.done.Go(func() { l.server.ServePacket(l.udp) })
	return nil
}

func (l *listener) address() string {
	if l.tcp == nil {
		return ""
	}
	return l.tcp.Addr().String()
}

func (l *listener) stop() error {
	if l.server == nil {
		return nil
	}
	err := l.server.Stop()
	// A server that was stopped before it had begun to serve has not closed these.
	l.tcp.Close()
	l.udp.Close()
	l.done.Wait()
	if err != nil {
		return fmt.Errorf("stop DNS listener %s: %w", l.address(), err)
	}
	return nil
}

// bind takes one port for TCP and UDP. DNS needs both: long answers and zone
// transfers go over TCP (RFC 7766).
func bind(address string) (net.Listener, net.PacketConn, error) {
	tcp, err := net.Listen("tcp", address)
	if err != nil {
		return nil, nil, plain(address, "TCP", err)
	}
	udp, err := net.ListenPacket("udp", tcp.Addr().String())
	if err != nil {
		tcp.Close()
		return nil, nil, plain(tcp.Addr().String(), "UDP", err)
	}
	return tcp, udp, nil
}

// plain says what an operator can do about a port that cannot be had.
func plain(address, transport string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s over %s is already in use by another program: stop that program or choose another port: %w", address, transport, err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s over %s may not be used by this account: ports below 1024 need a privilege, so choose a higher one or grant it: %w", address, transport, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s is not an address of this machine: %w", address, err)
	case strings.Contains(err.Error(), "missing port"):
		return fmt.Errorf("%q has no port: write it as address:port, for example 127.0.0.1:5353: %w", address, err)
	}
	return fmt.Errorf("%s over %s: %w", address, transport, err)
}
