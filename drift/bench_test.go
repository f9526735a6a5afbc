package drift_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/drift"
	"slipway/provider/providertest/servers"
	"slipway/provider/rfc2136"
	"slipway/repo"
	"slipway/zone"
)

// BenchmarkScan compares zones on BIND with what was approved, over zone transfers on
// loopback, beside dig transferring the same zones one after the other. The metric
// x-dig is how many times as long as dig a scan takes.
func BenchmarkScan(b *testing.B) {
	dig, err := exec.LookPath("dig")
	if err != nil {
		b.Skip("dig is not installed: it is in Debian's package bind9-dnsutils")
	}
	const zones, sets = 100, 1000
	s := servers.StartBIND(b)
	files := map[string]string{}
	var config, batch strings.Builder
	config.WriteString("organisation: Fin Micro Ltd\nproviders:\n  dns: {type: zonefile}\nzones:\n  directory: zones\n")
	var names []zone.Name
	for i := range zones {
		z := zone.Name(fmt.Sprintf("zone%03d.example", i))
		names = append(names, z)
		content := varied(z, sets)
		var yaml, text bytes.Buffer
		text.WriteString(servers.Empty(z))
		if err := zone.WriteYAML(&yaml, z, content); err != nil {
			b.Fatal(err)
		}
		for _, set := range content {
			fmt.Fprintf(&text, "%s %d IN %s %s\n", set.Name.FQDN(), set.TTL, set.Type, set.Values[0])
		}
		if !s.Load(z, text.String()) {
			b.Fatalf("BIND does not load %s", z)
		}
		files["zones/"+string(z)+".yaml"] = yaml.String()
		fmt.Fprintf(&config, "  %s: {provider: dns}\n", z)
		fmt.Fprintf(&batch, "%s AXFR\n", z)
	}
	files[repo.SettingsPath] = config.String()
	tr := committed(b, files)
	p, err := rfc2136.New(b.Context(), rfc2136.Settings{Server: s.Address, KeyName: s.TSIG.Name, KeySecret: s.TSIG.Secret})
	if err != nil {
		b.Fatal(err)
	}
	list := filepath.Join(b.TempDir(), "zones")
	if err := os.WriteFile(list, []byte(batch.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	host, port, _ := strings.Cut(s.Address, ":")
	transfer := func() time.Duration {
		began := time.Now()
		cmd := exec.Command(dig, "@"+host, "-p", port, "-y", fmt.Sprintf("%s:%s:%s", s.TSIG.Algorithm, s.TSIG.Name, s.TSIG.Secret.Reveal()), "-f", list)
		var lines counter
		cmd.Stdout = &lines
		if err := cmd.Run(); err != nil || lines < zones*sets {
			b.Fatalf("dig: %d lines, %v", lines, err)
		}
		return time.Since(began)
	}
	scanner := new(drift.Scanner)
	scan := func(b *testing.B) {
		for _, z := range names {
			r, err := scanner.Compare(b.Context(), tr, z, p, noon)
			if err != nil || len(r.Differences) != 0 {
				b.Fatalf("%s: %+v, %v", z, r, err)
			}
		}
	}
	dug := transfer()
	for range 2 {
		dug = min(dug, transfer())
	}
	for _, first := range []bool{true, false} {
		name := "again"
		if first {
			name = "first"
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var spent time.Duration
			for b.Loop() {
				if first {
					b.StopTimer()
					if p, err = rfc2136.New(b.Context(), rfc2136.Settings{Server: s.Address, KeyName: s.TSIG.Name, KeySecret: s.TSIG.Secret}); err != nil {
						b.Fatal(err)
					}
					scanner = new(drift.Scanner)
					b.StartTimer()
				}
				began := time.Now()
				scan(b)
				spent += time.Since(began)
			}
			b.ReportMetric(float64(spent)/float64(b.N)/float64(dug), "x-dig")
			b.ReportMetric(zones*sets/(spent.Seconds()/float64(b.N)), "records/s")
		})
	}
}

// committed makes a zones repository with one commit.
func committed(t testing.TB, files map[string]string) *repo.Tree {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"init", "-q"}, {"add", "-A"}, {"-c", "user.name=Ana", "-c", "user.email=ana@finmicro.example", "commit", "-qm", "zones"}} {
		if out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	r, err := repo.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	tr, err := r.Tree(t.Context(), "HEAD")
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// counter counts lines.
type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(bytes.Count(p, []byte("\n")))
	return len(p), nil
}
