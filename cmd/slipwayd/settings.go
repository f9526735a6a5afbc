package main

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"slipway/starter"
)

const eventKeysVariable = "SLIPWAY_EVENT_KEYS"

// settings are the server's own: where it keeps things and where it listens.
// Everything that an organisation decides is in slipway.yaml, under review.
type settings struct {
	data            string
	listen          string
	baseURL         string
	dns             string
	dnsExternal     string
	resolver        string // "": parents of zones that are not ours are not asked
	gateway         string
	gatewayRedirect string
	temporal        string
	namespace       string
	logFormat       string
	logLevel        string
	index           indexPlace
	proxies         []string // whose X-Forwarded-For is believed
	eventKeys       string   // URI of the store that the first event key is made in; "" is the keys directory
	repository      string   // first start only: an existing zones repository to take over

	// Only for the first start, when the zones repository is made.
	organisation starter.Organisation
}

func (s *settings) register(f *pflag.FlagSet) {
	sample := starter.Sample()
	f.StringVar(&s.data, "data", "slipway-data", "directory of the repository, the log, zones and keys")
	f.StringVar(&s.listen, "listen", "127.0.0.1:8470", "address of the portal, the API and Git")
	f.StringVar(&s.baseURL, "base-url", "", "address that people use, when a proxy stands before the server (default http://LISTEN)")
	f.StringSliceVar(&s.proxies, "trust-proxy", nil, "addresses or networks of proxies before the server, whose X-Forwarded-For is believed")
	f.StringVar(&s.dns, "dns", "127.0.0.1:8453", "address of the embedded nameserver for all zones")
	f.StringVar(&s.dnsExternal, "dns-external", "127.0.0.1:8454", "address of the embedded nameserver for external zones only")
	f.StringVar(&s.resolver, "resolver", "", "recursive resolver, ADDRESS or ADDRESS:PORT, through which the zones above external zones are found and their NS, DS and glue compared (default: none are asked; see docs/drift.md)")
	f.StringVar(&s.gateway, "gateway", "", "address of a gateway in this process, which serves apps with an upstream over TLS (default: none; see slipwayd gateway)")
	f.StringVar(&s.gatewayRedirect, "gateway-redirect", "", "address for HTTP that sends everybody to the gateway (default: none)")
	s.index.register(f)
	f.StringVar(&s.temporal, "temporal", "", "address of a Temporal cluster (default: embedded)")
	f.StringVar(&s.namespace, "temporal-namespace", "slipway", "namespace in the Temporal cluster")
	f.StringVar(&s.logFormat, "log-format", "text", "text or json")
	f.StringVar(&s.logLevel, "log-level", "warn", "debug, info, warn or error")
	f.StringVar(&s.eventKeys, "event-keys", os.Getenv(eventKeysVariable), "URI of the store whose key signs events, such as pkcs11:… or vault:… (default: a sealed file in the keys directory; also SLIPWAY_EVENT_KEYS; see docs/keys.md)")
	f.StringVar(&s.repository, "repository", "", "first start only: an existing octoDNS repository (with slipway.yaml) to take over, history and all")
	f.StringVar(&s.organisation.Name, "organisation", sample.Name, "first start only: the organisation's name")
	f.StringVar(&s.organisation.Domain, "domain", sample.Domain, "first start only: the organisation's domain")
	f.StringVar(&s.organisation.Admin, "admin", "", "first start only: e-mail address of the first administrator (default admin@DOMAIN)")
}

// logger writes to standard error, so that standard output stays for people.
func (s settings) logger() (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.logLevel)); err != nil {
		return nil, usageError{fmt.Errorf("--log-level %q: use debug, info, warn or error", s.logLevel)}
	}
	o := &slog.HandlerOptions{Level: level}
	switch s.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(os.Stderr, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(os.Stderr, o)), nil
	}
	return nil, usageError{fmt.Errorf("--log-format %q: use text or json", s.logFormat)}
}

// check refuses what cannot work before anything is touched.
func (s settings) check() error {
	for flag, address := range map[string]string{"listen": s.listen, "dns": s.dns, "dns-external": s.dnsExternal} {
		if flag == "dns-external" && address == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(address); err != nil {
			return usageError{fmt.Errorf("--%s %q: give ADDRESS:PORT, for example 127.0.0.1:8470", flag, address)}
		}
	}
	_, err := parseProxies(s.proxies)
	return err
}

func (s settings) path(elem ...string) string {
	return filepath.Join(append([]string{s.data}, elem...)...)
}
