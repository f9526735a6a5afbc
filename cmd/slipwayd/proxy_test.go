package main

import (
	"net/http"
	"testing"
)

func TestClientAddress(t *testing.T) {
	proxies, err := parseProxies([]string{"10.0.0.5", "192.168.0.0/16"})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		peer, forwarded, want string
	}{
		"no proxy":                    {"203.0.113.9:4000", "", "203.0.113.9"},
		"a header from a stranger":    {"203.0.113.9:4000", "198.51.100.1", "203.0.113.9"},
		"behind the proxy":            {"10.0.0.5:4000", "198.51.100.1", "198.51.100.1"},
		"behind two proxies":          {"10.0.0.5:4000", "198.51.100.1, 192.168.3.4", "198.51.100.1"},
		"a forged first address":      {"10.0.0.5:4000", "127.0.0.1, 198.51.100.1", "198.51.100.1"},
		"nonsense":                    {"10.0.0.5:4000", "somebody", "10.0.0.5"},
		"IPv4 in IPv6":                {"[::ffff:10.0.0.5]:4000", "198.51.100.1", "198.51.100.1"},
		"the proxy itself":            {"10.0.0.5:4000", "", "10.0.0.5"},
		"no port, as some servers do": {"@", "", "@"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &http.Request{RemoteAddr: c.peer, Header: http.Header{}}
			if c.forwarded != "" {
				r.Header.Set("X-Forwarded-For", c.forwarded)
			}
			if got := clientAddress(proxies)(r); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
	if _, err := parseProxies([]string{"proxy.example"}); err == nil {
		t.Error("a name is accepted; names change, and whoever changes them is trusted")
	}
}
