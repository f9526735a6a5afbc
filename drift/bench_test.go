package drift_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"slipway/drift"
	"slipway/provider"
	"slipway/provider/providertest/servers"
	"slipway/provider/rfc2136"
	"slipway/repo"
	"slipway/repo/cache"
	"slipway/zone"
)

// BenchmarkScan compares 1,000 zones of 1,000 record sets on BIND with what was approved, over
// zone transfers on loopback, beside dig transferring the same zones one after the other. The
// metric x-dig is how many times as long as dig a scan takes:
//
//   - cold: nothing is known; all approved zones are read from Git and all transfers taken apart
//   - restarted: a process that starts on the directory of one that has scanned before
//   - commit: as restarted, after a commit that changed one zone and was applied
//   - whole: the same process again, by whole transfers
//   - again: the same process again, asking what has changed since
func BenchmarkScan(b *testing.B) {
	dig, err := exec.LookPath("dig")
	if err != nil {
		b.Skip("dig is not installed: it is in Debian's package bind9-dnsutils")
	}
	const zones, sets = 1000, 1000
	s := servers.StartBIND(b)
	files := map[string]string{}
	var config, batch strings.Builder
	config.WriteString("organisation: Fin Micro Ltd\nproviders:\n  dns: {type: zonefile}\nzones:\n  directory: zones\n")
	var names []zone.Name
	write := func(z zone.Name, content []zone.RRSet) {
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
	}
	for i := range zones {
		z := zone.Name(fmt.Sprintf("zone%03d.example", i))
		names = append(names, z)
		write(z, varied(z, sets))
		fmt.Fprintf(&config, "  %s: {provider: dns}\n", z)
		fmt.Fprintf(&batch, "%s AXFR\n", z)
	}
	files[repo.SettingsPath] = config.String()
	git := b.TempDir()
	tr := committedIn(b, git, files)
	dir := b.TempDir()
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
	type process struct {
		p       *rfc2136.Provider
		scanner *drift.Scanner
	}
	start := func(dir string) process {
		p, err := rfc2136.New(b.Context(), rfc2136.Settings{Server: s.Address, KeyName: s.TSIG.Name, KeySecret: s.TSIG.Secret, Journal: filepath.Join(dir, "provider")})
		if err != nil {
			b.Fatal(err)
		}
		return process{p, &drift.Scanner{Cache: cache.Open(filepath.Join(dir, "drift"), cache.DefaultLimit)}}
	}
	scan := func(b *testing.B, tr *repo.Tree, now process, look func(context.Context, provider.Provider, zone.Name) (*provider.Live, error)) {
		g, ctx := errgroup.WithContext(b.Context())
		g.SetLimit(4)
		for _, z := range names {
			g.Go(func() error {
				live, err := look(ctx, now.p, z)
				if err != nil {
					return err
				}
				r, err := now.scanner.CompareLive(ctx, tr, z, now.p, live, drift.Circumstances{}, noon)
				if err == nil && len(r.Differences) != 0 {
					err = fmt.Errorf("%s: %d differences", z, len(r.Differences))
				}
				return err
			})
		}
		if err := g.Wait(); err != nil {
			b.Fatal(err)
		}
	}
	dug := min(transfer(), transfer(), transfer())
	fresh := func(b *testing.B) *repo.Tree { // nothing of it was read before
		r, err := repo.Open(b.Context(), git)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { r.Close() })
		tr, err := r.Tree(b.Context(), "HEAD")
		if err != nil {
			b.Fatal(err)
		}
		return tr
	}
	first := start(dir)
	scan(b, tr, first, drift.Glance)
	edits := 0
	for _, mode := range []struct {
		name   string
		before func(b *testing.B) (*repo.Tree, process)
		look   func(context.Context, provider.Provider, zone.Name) (*provider.Live, error)
	}{
		{"cold", func(b *testing.B) (*repo.Tree, process) { return fresh(b), start(b.TempDir()) }, drift.Glance},
		{"restarted", func(b *testing.B) (*repo.Tree, process) { return fresh(b), start(dir) }, drift.Glance},
		{"commit", func(b *testing.B) (*repo.Tree, process) {
			edits++
			changed := varied(names[0], sets)
			changed[0].TTL = 1000 + edits
			write(names[0], changed)
			return committedIn(b, git, map[string]string{"zones/" + string(names[0]) + ".yaml": files["zones/"+string(names[0])+".yaml"]}), start(dir)
		}, drift.Glance},
		{"whole", func(b *testing.B) (*repo.Tree, process) { return fresh(b), first }, drift.Look},
		{"again", func(b *testing.B) (*repo.Tree, process) { return fresh(b), first }, drift.Glance},
	} {
		b.Run(mode.name, func(b *testing.B) {
			b.ReportAllocs()
			var spent time.Duration
			for b.Loop() {
				b.StopTimer()
				tr, now := mode.before(b)
				if mode.name == "again" || mode.name == "whole" {
					scan(b, tr, now, mode.look) // that of the commit before
				}
				b.StartTimer()
				began := time.Now()
				scan(b, tr, now, mode.look)
				spent += time.Since(began)
			}
			b.ReportMetric(float64(spent)/float64(b.N)/float64(dug), "x-dig")
			b.ReportMetric(zones*sets/(spent.Seconds()/float64(b.N)), "records/s")
		})
	}
}

// committedIn makes a commit of files in a zones repository, which it makes if need be.
func committedIn(t testing.TB, dir string, files map[string]string) *repo.Tree {
	t.Helper()
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
