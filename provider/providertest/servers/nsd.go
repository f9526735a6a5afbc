package servers

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"slipway/provider/zonefile"
	"slipway/zone"
)

// NSD is a running nsd that reads a directory of zone files.
type NSD struct {
	Server
	control, config string
}

// StartNSDOn starts nsd on a directory of zone files that somebody else writes.
func StartNSDOn(t testing.TB, dir string, zones ...zone.Name) *NSD {
	t.Helper()
	nsd, dns := find(t, "nsd", "nsd"), port(t)
	s := &NSD{Server: Server{t: t, Address: fmt.Sprintf("127.0.0.1:%d", dns), TSIG: newTSIG(), Dir: directory(t)}, control: find(t, "nsd-control", "nsd")}
	var b strings.Builder
	fmt.Fprintf(&b, `server:
	ip-address: 127.0.0.1
	port: %d
	username: ""
	chroot: ""
	zonesdir: %q
	pidfile: ""
	database: ""
	zonelistfile: %q
	xfrdfile: %q
	xfrdir: %q
	server-count: 1
	verbosity: 1
remote-control:
	control-enable: yes
	control-interface: %q
`, dns, dir, filepath.Join(s.Dir, "zone.list"), filepath.Join(s.Dir, "xfrd.state"), s.Dir, filepath.Join(s.Dir, "nsd.sock"))
	for _, z := range zones {
		path, err := zonefile.Path(dir, z)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "zone:\n\tname: %q\n\tzonefile: %q\n", z.FQDN(), path)
	}
	s.config = s.write("nsd.conf", b.String())
	s.start("nsd started", nsd, "-d", "-c", s.config)
	return s
}

// Reload makes the server read a zone's file again. It comes back before it is done.
func (s *NSD) Reload(z zone.Name) {
	s.t.Helper()
	s.run(s.control, "-c", s.config, "reload", string(z))
}
