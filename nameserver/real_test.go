package nameserver_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/nameserver"
	"slipway/provider"
	"slipway/provider/zonefile"
	"slipway/zone"
)

// realZones reads the real octoDNS zones that lie beside the checkout.
func realZones(t testing.TB) map[zone.Name][]zone.RRSet {
	t.Helper()
	dir := filepath.FromSlash("../../shared/data/octodns-zones")
	paths, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	zones := map[zone.Name][]zone.RRSet{}
	for _, path := range paths {
		stem := strings.TrimSuffix(filepath.Base(path), ".yaml")
		if stem == "octodns" {
			continue // octoDNS's own settings
		}
		z, err := zone.ParseName(stem)
		if err != nil {
			t.Fatal(err)
		}
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := zone.ParseYAML(z, path, src)
		if err != nil {
			t.Fatal(err)
		}
		if zones[z], err = f.RRSets(); err != nil {
			t.Fatal(err)
		}
	}
	if len(zones) == 0 {
		t.Skip("the real zones are not there: they belong into ../shared/data/octodns-zones beside the checkout")
	}
	return zones
}

// Every record set of every real zone goes through the provider into a file, and
// comes out of the name server as it was. One zone in four is signed.
func TestRealZones(t *testing.T) {
	zones := realZones(t)
	w := newWorld(t)
	p, err := zonefile.New(zonefile.Options{Dir: w.dir})
	if err != nil {
		t.Fatal(err)
	}
	unusable, total, skipped := 0, 0, 0
	for z, sets := range zones {
		valid := slices.DeleteFunc(slices.Clone(sets), func(r zone.RRSet) bool { return r.Validate() != nil })
		for _, r := range sets {
			if err := r.Validate(); err != nil {
				unusable++
				t.Logf("not a record that DNS can serve: %v", err)
			}
		}
		zones[z] = valid
		if _, err := p.Apply(t.Context(), provider.NewPlan(z, valid, nil, "import", "commit")); err != nil {
			t.Errorf("%v", err)
			continue
		}
		live, err := p.Read(t.Context(), z)
		if err != nil || live.Digest != provider.Digest(valid) {
			t.Errorf("zone %s does not read back: %v", z, err)
		}
		w.zones = append(w.zones, nameserver.Zone{Name: z, Signed: len(w.zones)%4 == 0})
	}
	w.start()
	if err := w.Health(); err != nil {
		t.Error(err)
	}
	for z, sets := range zones {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		left, err := nameserver.Verify(ctx, w.Internal(), sets, nil)
		cancel()
		if err != nil {
			t.Errorf("zone %s: %v", z, err)
		}
		total, skipped = total+len(sets), skipped+len(left)
		for _, k := range left {
			if k.Type != "Route53Provider/ALIAS" {
				t.Logf("cannot be asked for: %s %s", k.Type, k.Name)
			}
		}
	}
	t.Logf("%d zones, %d record sets seen in the server's answers, %d cannot be asked for, %d are not valid", len(zones), total-skipped, skipped, unusable)
}

// dig sees what people see.
func TestDig(t *testing.T) {
	dig, err := exec.LookPath("dig")
	if err != nil {
		t.Skip("dig is not installed")
	}
	w := newWorld(t, nameserver.Zone{Name: "apps.finmicro.example"})
	w.write("apps.finmicro.example", fmt.Sprintf(apps, 7))
	w.start()
	host, port, _ := strings.Cut(w.Internal(), ":")
	for _, tt := range []struct{ args, want string }{
		{"expenses.apps.finmicro.example A +short", "192.0.2.10\n192.0.2.11\n"},
		{"expenses.apps.finmicro.example A +short +tcp", "192.0.2.10\n192.0.2.11\n"},
		{"menu.apps.finmicro.example CNAME +short", "expenses.apps.finmicro.example.\n"},
	} {
		out, err := exec.Command(dig, append([]string{"@" + host, "-p", port}, strings.Fields(tt.args)...)...).CombinedOutput()
		if err != nil || string(out) != tt.want {
			t.Errorf("dig %s: %v\n%s", tt.args, err, out)
		}
	}
	out, err := exec.Command(dig, "@"+host, "-p", port, "apps.finmicro.example", "AXFR", "+noall", "+answer").CombinedOutput()
	if n := strings.Count(string(out), "\n"); err != nil || n != 14 {
		t.Errorf("dig AXFR: %d records, %v\n%s", n, err, out)
	}
}

func sets(z zone.Name, n, generation int) []zone.RRSet {
	out := make([]zone.RRSet, n)
	for i := range out {
		out[i] = zone.RRSet{Name: zone.Name(fmt.Sprintf("host%06d.", i)) + z, Type: "A", TTL: 60, Values: []string{"192.0.2.1"}}
	}
	out[n/2].Values = []string{fmt.Sprintf("198.51.100.%d", generation%256)}
	return out
}

// BenchmarkApplyToAnswer is the time from the call of Apply to the first right answer
// from the name server, for one changed record: in a small zone among 1,000, and in
// larger ones.
func BenchmarkApplyToAnswer(b *testing.B) {
	for _, size := range []struct{ zones, sets int }{{1, 10}, {1000, 100}, {1, 10_000}, {1, 100_000}} {
		b.Run(fmt.Sprintf("zones=%d/sets=%d", size.zones, size.sets), func(b *testing.B) {
			w, p := many(b, size.zones, size.sets)
			z := w.zones[0].Name
			for i := 1; b.Loop(); i++ {
				desired := sets(z, size.sets, i)
				live, err := p.Summary(b.Context(), z)
				if err != nil {
					b.Fatal(err)
				}
				plan := provider.Plan{Zone: z, Desired: desired, Expect: live.Digest, ChangeID: fmt.Sprint(i), Commit: "commit"}
				if _, err := p.Apply(b.Context(), plan); err != nil {
					b.Fatal(err)
				}
				if _, err := nameserver.Verify(b.Context(), w.Internal(), desired[size.sets/2:size.sets/2+1], nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// many serves n zones of size sets each, written by a provider that tells the server.
func many(b *testing.B, n, size int) (*world, *zonefile.Provider) {
	b.Helper()
	w := newWorld(b)
	var reload func(zone.Name)
	p, err := zonefile.New(zonefile.Options{Dir: w.dir, Applied: func(z zone.Name) {
		if reload != nil {
			reload(z)
		}
	}})
	if err != nil {
		b.Fatal(err)
	}
	for i := range n {
		z := zone.Name(fmt.Sprintf("zone%04d.example", i))
		if _, err := p.Apply(b.Context(), provider.NewPlan(z, sets(z, size, 0), nil, "first", "commit")); err != nil {
			b.Fatal(err)
		}
		w.zones = append(w.zones, nameserver.Zone{Name: z})
	}
	w.start()
	reload = w.Reload
	return w, p
}

// BenchmarkStart is the time from nothing to 1,000 zones of 100 sets being answered.
func BenchmarkStart(b *testing.B) {
	w, _ := many(b, 1000, 100)
	for b.Loop() {
		s, err := nameserver.Start(b.Context(), w.options())
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Stop(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAnswer is one question and its answer over loopback.
func BenchmarkAnswer(b *testing.B) {
	for _, signed := range []bool{false, true} {
		b.Run(fmt.Sprintf("signed=%v", signed), func(b *testing.B) {
			w := newWorld(b, nameserver.Zone{Name: "apps.finmicro.example", Signed: signed})
			w.write("apps.finmicro.example", fmt.Sprintf(apps, 7))
			w.start()
			for b.Loop() {
				if got, err := nameserver.Resolve(b.Context(), w.Internal(), "expenses.apps.finmicro.example", "A", time.Second); err != nil || len(got) != 2 {
					b.Fatal(got, err)
				}
			}
		})
	}
}
