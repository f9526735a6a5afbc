package main

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

// clientAddress returns who really asks, for the limits on guessing: behind a proxy that
// the operator named, the last address that this proxy added to X-Forwarded-For; otherwise the
// connection's own. A header from anybody else is not believed, or it would be a way
// around the limits.
func clientAddress(proxies []netip.Prefix) func(*http.Request) string {
	return func(r *http.Request) string {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil {
			return r.RemoteAddr
		}
		address := peer.Addr().Unmap()
		hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		for len(hops) > 0 && trusted(proxies, address) {
			hop, err := netip.ParseAddr(strings.TrimSpace(hops[len(hops)-1]))
			if err != nil {
				break
			}
			address, hops = hop.Unmap(), hops[:len(hops)-1]
		}
		return address.String()
	}
}

func trusted(proxies []netip.Prefix, address netip.Addr) bool {
	for _, p := range proxies {
		if p.Contains(address) {
			return true
		}
	}
	return false
}

// parseProxies reads addresses and networks, such as 10.0.0.5 or 10.1.0.0/16.
func parseProxies(list []string) ([]netip.Prefix, error) {
	var proxies []netip.Prefix
	for _, s := range list {
		prefix, err := netip.ParsePrefix(s)
		if err != nil {
			address, addressErr := netip.ParseAddr(s)
			if addressErr != nil {
				return nil, usageError{fmt.Errorf("--trust-proxy %q: give an address or a network, such as 10.0.0.5 or 10.1.0.0/16", s)}
			}
			prefix = netip.PrefixFrom(address, address.BitLen())
		}
		proxies = append(proxies, prefix.Masked())
	}
	return proxies, nil
}
