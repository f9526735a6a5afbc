package servers

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slipway/provider/zonefile"
	"slipway/zone"
)

// Knot is a running knotd whose zones can be updated.
type Knot struct {
	Server
	knotc, socket string
	dns           int
	zones         []zone.Name
	files         string // a template of where zone files lie
}

// StartKnot starts knotd with empty zones.
func StartKnot(t testing.TB, zones ...zone.Name) *Knot {
	t.Helper()
	s := newKnot(t)
	for _, z := range zones {
		s.empty(z)
	}
	s.zones = zones
	s.up()
	return s
}

// StartKnotOn starts knotd on a directory of zone files that somebody else writes.
func StartKnotOn(t testing.TB, dir string, zones ...zone.Name) *Knot {
	t.Helper()
	s := newKnot(t)
	s.files, s.zones = dir, zones
	s.up()
	return s
}

func newKnot(t testing.TB) *Knot {
	t.Helper()
	find(t, "knotd", "knot")
	s := &Knot{Server: Server{t: t, TSIG: newTSIG(), Dir: directory(t)}, knotc: find(t, "knotc", "knot"), dns: port(t)}
	s.Address, s.socket, s.files = fmt.Sprintf("127.0.0.1:%d", s.dns), filepath.Join(s.Dir, "knot.sock"), s.Dir
	return s
}

func (s *Knot) up() {
	s.t.Helper()
	s.start("server started", find(s.t, "knotd", "knot"), "-c", s.config(), "-s", s.socket)
}

func (s *Knot) config() string {
	s.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, `server:
    rundir: %q
    listen: 127.0.0.1@%d
    udp-workers: 1
    tcp-workers: 2
    background-workers: 1
log:
  - target: stderr
    any: info
database:
    storage: %q
    journal-db-max-size: 100M
key:
  - id: %s
    algorithm: %s
    secret: %s
acl:
  - id: slipway
    key: %s
    action: [transfer, update]
template:
  - id: default
    storage: %q
    acl: slipway
    semantic-checks: off
    zonefile-sync: -1
zone:
`, s.Dir, s.dns, s.Dir, s.TSIG.Name, s.TSIG.Algorithm, s.TSIG.Secret.Reveal(), s.TSIG.Name, s.files)
	for _, z := range s.zones {
		fmt.Fprintf(&b, "  - domain: %q\n    file: %q\n", z.FQDN(), s.path(z))
	}
	return s.write("knot.conf", b.String())
}

func (s *Knot) path(z zone.Name) string {
	s.t.Helper()
	if s.files == s.Dir {
		return filepath.Join(s.Dir, fmt.Sprintf("%x.zone", sha256.Sum256([]byte(z)))) // a percent sign means something to Knot
	}
	path, err := zonefile.Path(s.files, z)
	if err != nil {
		s.t.Fatal(err)
	}
	return path
}

func (s *Knot) empty(z zone.Name) {
	s.t.Helper()
	if err := os.WriteFile(s.path(z), []byte(Empty(z)), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// Reset gives the server an empty zone, in place of the one that it may have. It
// returns false when the server's settings have no way to write the zone's name.
func (s *Knot) Reset(z zone.Name) bool {
	s.t.Helper()
	if strings.ContainsAny(string(z), `\"`) {
		return false
	}
	if slices.Contains(s.zones, z) { // its journal and what is in memory go with it
		s.zones = slices.DeleteFunc(s.zones, func(o zone.Name) bool { return o == z })
		s.config()
		s.run(s.knotc, "-s", s.socket, "-b", "reload")
		s.run(s.knotc, "-s", s.socket, "-b", "-f", "zone-purge", "+orphan", z.FQDN())
	}
	s.zones = append(s.zones, z)
	s.empty(z)
	s.config()
	s.run(s.knotc, "-s", s.socket, "-b", "reload")
	out, err := s.try(s.knotc, "-s", s.socket, "-b", "zone-reload", z.FQDN()) // waits until it is loaded
	if err != nil {
		s.t.Logf("Knot does not take the zone %q: %s", z, out)
	}
	return err == nil
}

// Reload makes the server read a zone's file again.
func (s *Knot) Reload(z zone.Name) {
	s.t.Helper()
	s.run(s.knotc, "-s", s.socket, "-b", "zone-reload", z.FQDN())
}
