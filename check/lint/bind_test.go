package lint

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/change"
	"slipway/check/observe"
)

// bind serves zones from files with BIND on a port of this machine. It signs those for which
// options of dnssec-signzone are given, and puts their DS records, or those of the zone named
// instead, into the zone "test" above them.
type bindZone struct {
	name, options string // "" leaves the zone unsigned
	ds            string // the zone whose DS records stand at the parent; "-" for none
}

func bind(t *testing.T, zones []bindZone) string {
	t.Helper()
	named := findTool(t, "named")
	signer, keygen := findTool(t, "dnssec-signzone"), findTool(t, "dnssec-keygen")
	dir := t.TempDir()
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	command := func(name string, args ...string) {
		c := exec.CommandContext(t.Context(), name, args...)
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%s %q: %v\n%s", name, args, err, out)
		}
	}
	const head = "$TTL 300\n@ SOA ns.test. h.test. 1 3600 600 86400 300\n@ NS ns.test.\n"
	parent := head + "ns A 127.0.0.1\n"
	config := ""
	for _, z := range zones {
		write(z.name, head+"www A 9.9.9.9\n")
		file := z.name
		if z.options != "" {
			algorithm := "ED25519"
			if strings.Contains(z.options, "-H 10") {
				algorithm = "RSASHA256" // with the short keys of days gone by
				command(keygen, "-q", "-a", algorithm, "-b", "1024", "-f", "KSK", z.name)
				command(keygen, "-q", "-a", algorithm, "-b", "1024", z.name)
			} else {
				command(keygen, "-q", "-a", algorithm, "-f", "KSK", z.name)
				command(keygen, "-q", "-a", algorithm, z.name)
			}
			command(signer, append(append([]string{"-S", "-o", z.name, "-f", z.name + ".signed"}, strings.Fields(z.options)...), z.name)...)
			file += ".signed"
		}
		config += fmt.Sprintf("zone %q { type primary; file %q; };\n", z.name, file)
		parent += z.name + ". NS ns.test.\n"
	}
	for _, z := range zones {
		from := z.name
		if z.ds != "" {
			from = z.ds
		}
		set, err := os.ReadFile(filepath.Join(dir, "dsset-"+from+"."))
		if err == nil {
			parent += strings.ReplaceAll(string(set), from+".", z.name+".")
		}
	}
	write("test", parent)

	hold, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(hold.Addr().String())
	hold.Close() // BIND takes it; another program could come first, which the test would report
	write("named.conf", fmt.Sprintf(`options { directory %q; listen-on port %s { 127.0.0.1; }; listen-on-v6 { none; }; recursion no;
pid-file none; session-keyfile none; managed-keys-directory %q; dnssec-validation no; notify no; };
controls { };
zone "test" { type primary; file "test"; };
`, dir, port, dir)+config)
	c := exec.Command(named, "-g", "-n", "1", "-c", filepath.Join(dir, "named.conf"))
	log, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	drained := make(chan struct{})
	t.Cleanup(func() { c.Process.Kill(); <-drained; c.Wait() })
	running := make(chan string, 1)
	go func() {
		defer close(drained)
		var said []string
		for lines := bufio.NewScanner(log); lines.Scan(); {
			said = append(said, lines.Text())
			if strings.HasSuffix(lines.Text(), " running") {
				running <- ""
			}
		}
		select {
		case running <- "BIND ended:\n" + strings.Join(said, "\n"):
		default:
		}
	}()
	if failed := <-running; failed != "" {
		t.Fatal(failed)
	}
	return "127.0.0.1:" + port
}

// findTool finds a program of BIND's packages, or skips the test.
func findTool(t *testing.T, name string) string {
	t.Helper()
	for _, candidate := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	t.Skipf("%s is not installed (Debian packages bind9 and bind9-utils)", name)
	return ""
}

// Zones that BIND's own tools sign and BIND serves are judged as they are, and again from the recording.
func TestDNSSECOfBIND(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	server := bind(t, []bindZone{
		{name: "sound.test", options: "-x"},
		{name: "nsec3.test", options: "-3 - -H 0"},
		{name: "old.test", options: "-3 aabbccdd -H 10"},
		{name: "unsigned.test"},
		{name: "island.test", options: "-x", ds: "-"},
		{name: "other.test", options: "-x", ds: "sound.test"},
	})
	w := world(t)
	for _, c := range []struct {
		name  string
		later time.Duration
		want  []string
	}{
		{"sound.test", 0, nil},
		{"sound.test", 28 * day, []string{"dnssec-expires-soon"}},
		{"sound.test", 31 * day, []string{"dnssec-broken"}},
		{"nsec3.test", 0, nil},
		{"old.test", 0, []string{"dnssec-weak", "dnssec-weak", "dnssec-weak", "dnssec-weak"}},
		{"unsigned.test", 0, []string{"dnssec-missing"}},
		{"island.test", 0, []string{"dnssec-missing"}},
		{"other.test", 0, []string{"dnssec-broken"}},
	} {
		t.Run(fmt.Sprint(c.name, c.later), func(t *testing.T) {
			head := w.Head(t, []byte("-- zones/"+c.name+".yaml --\nshop: {type: A, ttl: 300, value: 9.9.9.10}\n"))
			ch, err := change.Compute(t.Context(), w.Repo, w.Base, head)
			if err != nil {
				t.Fatal(err)
			}
			settings, err := w.Head(t, []byte("-- slipway.yaml --\ndomain: test\nzones:\n  "+c.name+": {dnssec: required}\n")).Settings(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			judged := func(seen *observe.Log) []string {
				found, err := Run(t.Context(), Input{Change: ch, Base: w.Base, Head: head, Settings: settings, AsOf: now.Add(c.later), Observed: seen})
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, f := range notOfApex(found) {
					got = append(got, f.Rule)
					t.Log(f.Message)
				}
				return got
			}
			r, err := observe.NewResolver(server)
			if err != nil {
				t.Fatal(err)
			}
			live := observe.Online(r, observe.NewFetcher(nil, r.DialPublic), now)
			if got := judged(live); !slices.Equal(got, c.want) {
				t.Errorf("live: got %q, want %q", got, c.want)
			}
			if got := judged(observe.Replay(live.Set())); !slices.Equal(got, c.want) {
				t.Errorf("replayed: got %q, want %q", got, c.want)
			}
		})
	}
}
