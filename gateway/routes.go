package gateway

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/url"
	"strings"

	"slipway/internal/durable"
	"slipway/zone"
)

// Bounds on a routes file. Ten thousand apps with their chains are some 30 MB.
const (
	maxRoutesFile = 64 << 20
	maxRoutes     = 50_000
	maxHosts      = 100 // names of one route: as many as a certificate has at most authorities
	maxPEM        = 64 << 10
	routesVersion = 1
)

// Route says where requests for some hosts go, and which certificate answers for them.
type Route struct {
	Hosts      []string // names as in certificates: app.example, or *.apps.example for one label more
	Upstream   *url.URL // http or https, no user, query or fragment
	Chain      []byte   // PEM, leaf first
	KeyRef     string   // of the leaf's key, for key.Manager
	ClientCAs  []byte   // PEM; who may issue certificates of clients
	ClientAuth bool     // clients without such a certificate are refused
	App        string   // for the log
}

// routeJSON is Route in the file.
type routeJSON struct {
	Hosts      []string `json:"hosts"`
	Upstream   string   `json:"upstream"`
	Chain      string   `json:"chain"`
	KeyRef     string   `json:"key"`
	ClientCAs  string   `json:"client_cas,omitempty"`
	ClientAuth bool     `json:"client_auth,omitempty"`
	App        string   `json:"app,omitempty"`
}

type routesJSON struct {
	Version int         `json:"version"`
	Routes  []routeJSON `json:"routes"`
}

// WriteRoutes puts a routes file in place as a whole. A gateway that watches it
// goes over to it without losing a request.
func WriteRoutes(path string, routes []Route) error {
	raw, err := formatRoutes(routes)
	if err != nil {
		return err
	}
	if err := durable.Write(path, raw, 0o640); err != nil {
		return fmt.Errorf("routes: %w", err)
	}
	return nil
}

func formatRoutes(routes []Route) ([]byte, error) {
	file := routesJSON{Version: routesVersion, Routes: []routeJSON{}}
	for _, r := range routes {
		if r.Upstream == nil {
			return nil, fmt.Errorf("routes: %s: no upstream", strings.Join(r.Hosts, ", "))
		}
		file.Routes = append(file.Routes, routeJSON{
			Hosts: r.Hosts, Upstream: r.Upstream.String(), Chain: string(r.Chain), KeyRef: r.KeyRef,
			ClientCAs: string(r.ClientCAs), ClientAuth: r.ClientAuth, App: r.App,
		})
	}
	raw, err := json.MarshalIndent(file, "", " ")
	if err != nil {
		return nil, fmt.Errorf("routes: %w", err)
	}
	// What a gateway would not take is not written.
	if _, err := parseRoutes(raw); err != nil {
		return nil, err
	}
	return append(raw, '\n'), nil
}

// ReadRoutes reads a routes file.
func ReadRoutes(path string) ([]Route, error) {
	raw, err := durable.Read(path, maxRoutesFile)
	if err != nil {
		return nil, fmt.Errorf("routes: %w", err)
	}
	routes, err := parseRoutes(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return routes, nil
}

func parseRoutes(raw []byte) ([]Route, error) {
	if len(raw) > maxRoutesFile {
		return nil, fmt.Errorf("routes: %d bytes are more than the %d that a routes file may have", len(raw), maxRoutesFile)
	}
	var file routesJSON
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields() // a misspelt client_auth must not mean that there is none
	if err := decoder.Decode(&file); err != nil {
		return nil, fmt.Errorf("routes: %w", err)
	}
	switch {
	case decoder.More():
		return nil, fmt.Errorf("routes: something follows the end of the file's content")
	case file.Version != routesVersion:
		return nil, fmt.Errorf("routes: version %d is not known to this version of Slipway", file.Version)
	case len(file.Routes) > maxRoutes:
		return nil, fmt.Errorf("routes: %d routes are more than %d", len(file.Routes), maxRoutes)
	}
	routes := make([]Route, 0, len(file.Routes))
	taken := map[string]bool{}
	for i, j := range file.Routes {
		r, err := j.route()
		if err != nil {
			return nil, fmt.Errorf("routes: route %d (%.100s): %w", i+1, strings.Join(j.Hosts, ", "), err)
		}
		for _, h := range r.Hosts {
			if taken[h] {
				return nil, fmt.Errorf("routes: route %d: %s has a route already", i+1, h)
			}
			taken[h] = true
		}
		routes = append(routes, r)
	}
	return routes, nil
}

func (j routeJSON) route() (Route, error) {
	r := Route{Chain: []byte(j.Chain), KeyRef: j.KeyRef, ClientCAs: []byte(j.ClientCAs), ClientAuth: j.ClientAuth, App: j.App}
	switch {
	case len(j.Hosts) == 0 || len(j.Hosts) > maxHosts:
		return r, fmt.Errorf("it has %d hosts; give one to %d", len(j.Hosts), maxHosts)
	case len(j.Chain) > maxPEM || len(j.ClientCAs) > maxPEM || len(j.KeyRef) > 4096 || len(j.App) > 256 || len(j.Upstream) > 2048:
		return r, fmt.Errorf("a part of it is too long")
	case j.KeyRef == "":
		return r, fmt.Errorf("it names no key")
	case j.ClientAuth && j.ClientCAs == "":
		return r, fmt.Errorf("clients need a certificate, but it does not say from whom")
	case bytes.Contains(r.Chain, []byte("PRIVATE KEY")) || bytes.Contains(r.ClientCAs, []byte("PRIVATE KEY")):
		return r, fmt.Errorf("there is a private key in it. Keys stay in the key store; take this one for known to others")
	}
	if block, _ := pem.Decode(r.Chain); block == nil {
		return r, fmt.Errorf("its chain is no certificate")
	}
	for _, h := range j.Hosts {
		name, err := zone.ParseName(h)
		if err != nil {
			return r, err
		}
		if rest := strings.TrimPrefix(string(name), "*."); strings.Contains(rest, "*") || net.ParseIP(rest) != nil || !strings.Contains(rest, ".") && rest != "localhost" {
			return r, fmt.Errorf("%q is no host name with a domain", h)
		}
		r.Hosts = append(r.Hosts, string(name))
	}
	u, err := parseUpstream(j.Upstream)
	r.Upstream = u
	return r, err
}

func parseUpstream(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, fmt.Errorf("its upstream is not a URL") // the URL itself may hold a password
	}
	switch {
	case u.User != nil:
		return nil, fmt.Errorf("its upstream has a user or password in it, which do not belong into a file that many read")
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "":
		return nil, fmt.Errorf("its upstream is not an http or https URL with a host")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, fmt.Errorf("its upstream has a query or a fragment; a path at most can be there")
	}
	return u, nil
}
