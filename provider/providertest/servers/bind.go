package servers

import (
	"fmt"
	"path/filepath"
	"testing"

	"slipway/zone"
)

// BIND is a running named whose zones can be updated.
type BIND struct {
	Server
	rndc, control, keyFile string
	loads                  int
}

// StartBIND starts named with empty zones.
func StartBIND(t testing.TB, zones ...zone.Name) *BIND {
	t.Helper()
	named, rndc := find(t, "named", "bind9"), find(t, "rndc", "bind9-utils")
	dns, control := port(t), port(t)
	s := &BIND{Server: Server{t: t, Address: fmt.Sprintf("127.0.0.1:%d", dns), TSIG: newTSIG(), Dir: directory(t)}, rndc: rndc, control: fmt.Sprint(control)}
	key := fmt.Sprintf("key %q { algorithm %s; secret %q; };\n", s.TSIG.Name, s.TSIG.Algorithm, s.TSIG.Secret.Reveal())
	s.keyFile = s.write("rndc.key", key)
	config := s.write("named.conf", key+fmt.Sprintf(`
options {
	directory %q;
	listen-on port %d { 127.0.0.1; };
	listen-on-v6 { none; };
	pid-file none;
	session-keyfile none;
	recursion no;
	notify no;
	dnssec-validation no;
	allow-new-zones yes;
	check-names primary ignore;
	allow-transfer { key %q; };
	querylog no;
};
controls { inet 127.0.0.1 port %d allow { 127.0.0.1; } keys { %q; }; };
`, s.Dir, dns, s.TSIG.Name, control, s.TSIG.Name))
	s.start("all zones loaded", named, "-g", "-4", "-n", "1", "-c", config)
	for _, z := range zones {
		s.Reset(z)
	}
	return s
}

// Reset gives the server an empty zone, in place of the one that it may have.
func (s *BIND) Reset(z zone.Name) bool {
	s.t.Helper()
	return s.Load(z, Empty(z))
}

// Load gives the server a zone with the content of a zone file. It returns false when
// the server's control tool has no way to write the zone's name.
func (s *BIND) Load(z zone.Name, content string) bool {
	s.t.Helper()
	return s.load(z, content, "")
}

// LoadSigned gives the server an empty zone that it signs behind the one that is updated.
func (s *BIND) LoadSigned(z zone.Name) bool {
	s.t.Helper()
	return s.load(z, Empty(z), "dnssec-policy default; inline-signing yes; ")
}

func (s *BIND) load(z zone.Name, content, more string) bool {
	s.t.Helper()
	s.rndcTry("delzone", fmt.Sprintf("%q", z))
	// Never the same file again: the zone's last one is let go of some time later.
	s.loads++
	file := s.write(fmt.Sprintf("zone%d.db", s.loads), content)
	out, err := s.rndcTry("addzone", fmt.Sprintf("%q", z), fmt.Sprintf("{ type primary; file %q; allow-update { key %q; }; %s};", filepath.Base(file), s.TSIG.Name, more))
	if err != nil {
		s.t.Logf("BIND does not take the zone %q: %s", z, out)
	}
	return err == nil
}

func (s *BIND) rndcTry(args ...string) (string, error) {
	return s.try(s.rndc, append([]string{"-s", "127.0.0.1", "-p", s.control, "-k", s.keyFile}, args...)...)
}
