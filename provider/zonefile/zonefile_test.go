package zonefile_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"slipway/provider"
	"slipway/provider/providertest"
	"slipway/provider/zonefile"
	"slipway/zone"
)

const z = zone.Name("apps.finmicro.example")

func open(t testing.TB, o zonefile.Options) *zonefile.Provider {
	t.Helper()
	p, err := zonefile.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestProvider(t *testing.T) {
	providertest.Run(t, func(t *testing.T) func() provider.Provider {
		dir := t.TempDir()
		return func() provider.Provider { return open(t, zonefile.Options{Dir: dir}) }
	})
}

// another is a zone of n hosts whose second half differs from generation to
// generation.
func another(n, generation int) []zone.RRSet {
	sets := make([]zone.RRSet, n)
	for i := range sets {
		address := fmt.Sprintf("192.0.2.%d", i%256)
		if i >= n/2 {
			address = fmt.Sprintf("198.51.100.%d", generation%256)
		}
		sets[i] = zone.RRSet{Name: zone.Name(fmt.Sprintf("host-%06d.", i)) + z, Type: "A", TTL: 300, Values: []string{address}}
	}
	return sets
}

func apply(t testing.TB, p *zonefile.Provider, change string, desired []zone.RRSet) *provider.Receipt {
	t.Helper()
	live, err := p.Summary(t.Context(), z)
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Apply(t.Context(), provider.Plan{Zone: z, Desired: desired, Expect: live.Digest, ChangeID: change, Commit: "commit"})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func path(t testing.TB, dir string, z zone.Name) string {
	t.Helper()
	path, err := zonefile.Path(dir, z)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	told := 0
	at := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	p := open(t, zonefile.Options{Dir: dir, Applied: func(zone.Name) { told++ }, Now: func() time.Time { return at }})
	r := apply(t, p, "change\n$INCLUDE /etc/passwd", another(4, 1))
	if r.Serial != uint32(at.Unix()) || r.ProviderChange != fmt.Sprintf("zonefile:%s:%d", z, r.Serial) || !r.At.Equal(at) || told != 1 {
		t.Errorf("receipt %+v, told %d times", r, told)
	}
	text, err := os.ReadFile(path(t, dir, z))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(text, []byte("written by Slipway")) || bytes.Contains(text, []byte("\n$INCLUDE")) {
		t.Errorf("file:\n%s", text)
	}
	info, err := os.Stat(path(t, dir, z))
	if err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}

	// A hand edit under a forged header is still found, and still refused.
	forged := bytes.Replace(text, []byte("192.0.2.1"), []byte("192.0.2.66"), 1)
	if err := os.WriteFile(path(t, dir, z), forged, 0o644); err != nil {
		t.Fatal(err)
	}
	live, err := p.Summary(t.Context(), z)
	if err != nil || live.Digest == r.After {
		t.Errorf("a hand edit is not seen: %+v, %v", live, err)
	}
	_, err = p.Apply(t.Context(), provider.Plan{Zone: z, Desired: another(4, 2), Expect: r.After, ChangeID: "next"})
	if !errors.Is(err, provider.ErrDrifted) {
		t.Errorf("an apply over a hand edit: %v", err)
	}

	// A file that is no zone any more.
	if err := os.WriteFile(path(t, dir, z), append(text, "nonsense (\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Read(t.Context(), z); !errors.Is(err, provider.ErrDamaged) {
		t.Errorf("read of a damaged file: %v", err)
	}
	plan := provider.Plan{Zone: z, Desired: another(4, 1), Expect: r.After, ChangeID: "mend"}
	if _, err := p.Apply(t.Context(), plan); !errors.Is(err, provider.ErrDamaged) {
		t.Errorf("apply over a damaged file: %v", err)
	}
	plan.Expect = provider.ExpectAnything
	if mended, err := p.Apply(t.Context(), plan); err != nil || mended.Serial != r.Serial+1 || mended.After != r.After || !mended.Applied {
		t.Errorf("mending a damaged file: %+v, %v", mended, err)
	}
}

func TestSerialGoesRound(t *testing.T) {
	dir := t.TempDir()
	p := open(t, zonefile.Options{Dir: dir, Now: func() time.Time { return time.Unix(1<<32-2, 0) }})
	for i, want := range []uint32{1<<32 - 2, 1<<32 - 1, 1, 2} {
		if r := apply(t, p, fmt.Sprint(i), another(2, i)); r.Serial != want {
			t.Errorf("apply %d: serial %d, want %d", i, r.Serial, want)
		}
	}
}

func TestStem(t *testing.T) {
	seen := map[string]zone.Name{}
	long := zone.Name(strings.Repeat("abcdefgh.", 27) + "example")
	for name, want := range map[zone.Name]string{
		"finmicro.example":          "finmicro.example",
		"0/25.2.0.192.in-addr.arpa": "0%2f25.2.0.192.in-addr.arpa",
		`a\.b.example`:              "a%5c.b.example",
		"*.example":                 "%2a.example",
		".":                         "%root",
		"root":                      "root",
		long:                        "%long-",
		"x" + long:                  "%long-",
	} {
		got, err := zonefile.Stem(name)
		if err != nil || !strings.HasPrefix(got, want) || len(got) > 210 {
			t.Errorf("%s: %q, %v, want %q", name, got, err, want)
		}
		if other, twice := seen[got]; twice {
			t.Errorf("%s and %s have the same file", name, other)
		}
		seen[got] = name
	}
	for _, bad := range []zone.Name{"", "..", "../etc/passwd", "UPPER.example", "a.example.", "a\x00b", "/etc/passwd\n"} {
		if got, err := zonefile.Stem(bad); err == nil && (strings.ContainsAny(got, "/\x00\n") || got == ".." || got == ".") {
			t.Errorf("%q becomes %q", bad, got)
		}
	}
}

// BIND and its relatives load what is written, NS record made up or not.
func TestNamedCheckzone(t *testing.T) {
	checkzone, err := exec.LookPath("named-checkzone")
	if err != nil {
		t.Skip("named-checkzone (BIND) is not installed")
	}
	dir := t.TempDir()
	p := open(t, zonefile.Options{Dir: dir})
	for i, desired := range [][]zone.RRSet{
		{},
		another(10, 1),
		{{Name: z, Type: "NS", TTL: 300, Values: []string{"ns1.example.net."}}, {Name: z, Type: "ALIAS", TTL: 300, Values: []string{"app.example.net."}},
			{Name: z, Type: "TXT", TTL: 300, Values: []string{`"v=spf1 -all"`}}, {Name: `sp\032ace.` + z, Type: "A", TTL: 300, Values: []string{"192.0.2.1"}}},
	} {
		apply(t, p, fmt.Sprint(i), desired)
		if out, err := exec.Command(checkzone, "-k", "ignore", string(z), path(t, dir, z)).CombinedOutput(); err != nil {
			text, _ := os.ReadFile(path(t, dir, z))
			t.Errorf("%v\n%s\n%s", err, out, text)
		}
	}
}

func TestLockEndsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	p := open(t, zonefile.Options{Dir: dir, Applied: func(zone.Name) {}})
	held, release := make(chan struct{}), make(chan struct{})
	slow := open(t, zonefile.Options{Dir: dir, Applied: func(zone.Name) { close(held); <-release }})
	done := make(chan struct{})
	go func() { defer close(done); apply(t, slow, "slow", another(2, 1)) }()
	<-held
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := p.Apply(ctx, provider.NewPlan(z, another(2, 2), nil, "waits", "commit")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting for a lock: %v", err)
	}
	close(release)
	<-done
	apply(t, p, "after", another(2, 3))
}

// TestKilled kills a process with SIGKILL again and again while it applies one zone
// after the other, and looks at what it left: the file is always one whole version,
// no lock stays behind, and the change that was under way can be run again.
func TestKilled(t *testing.T) {
	const env = "SLIPWAY_TEST_APPLY_DIR"
	if dir := os.Getenv(env); dir != "" {
		p := open(t, zonefile.Options{Dir: dir})
		for i := 0; ; i++ {
			apply(t, p, fmt.Sprintf("change-%d", i%2), another(400, i%2))
			if i == 0 {
				fmt.Println("ready")
			}
		}
	}
	if testing.Short() {
		t.Skip("kills processes for a while")
	}
	dir := t.TempDir()
	digests := []string{provider.Digest(another(400, 0)), provider.Digest(another(400, 1))}
	for kill := range 20 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$", "-test.v")
		cmd.Env = append(os.Environ(), env+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for buf := make([]byte, 256); ; {
			n, err := out.Read(buf)
			if err != nil {
				t.Fatalf("the process ended by itself: %v %s", err, buf[:n])
			}
			if bytes.Contains(buf[:n], []byte("ready")) {
				break
			}
		}
		time.Sleep(time.Duration(kill*kill%37) * 300 * time.Microsecond) // where it is hit must vary
		cmd.Process.Kill()
		cmd.Wait()

		p := open(t, zonefile.Options{Dir: dir})
		live, err := p.Read(t.Context(), z)
		if err != nil {
			t.Fatalf("kill %d: %v", kill, err)
		}
		if live.Digest != digests[0] && live.Digest != digests[1] {
			t.Fatalf("kill %d: the zone is neither version: %s", kill, live.Digest)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		for i := range 2 {
			r, err := p.Apply(ctx, provider.Plan{Zone: z, Desired: another(400, i), Expect: provider.ExpectAnything, ChangeID: fmt.Sprintf("change-%d", i), Commit: "commit"})
			if err != nil || !r.Applied {
				t.Fatalf("kill %d: change-%d cannot be run again: %+v, %v", kill, i, r, err)
			}
		}
		cancel()
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 { // the zone and the lock directory
		t.Errorf("files after all: %v, %v", entries, err)
	}
}

func BenchmarkApply(b *testing.B) {
	for _, n := range []int{10, 1000, 100_000} {
		b.Run(fmt.Sprintf("sets=%d", n), func(b *testing.B) {
			p := open(b, zonefile.Options{Dir: b.TempDir()})
			versions := [][]zone.RRSet{another(n, 0), another(n, 1)}
			for i := 0; b.Loop(); i++ {
				apply(b, p, fmt.Sprint(i), versions[i%2])
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	p := open(b, zonefile.Options{Dir: b.TempDir()})
	apply(b, p, "first", another(1000, 0))
	b.Run("Read", func(b *testing.B) {
		for b.Loop() {
			if _, err := p.Read(b.Context(), z); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Summary", func(b *testing.B) {
		for b.Loop() {
			if _, err := p.Summary(b.Context(), z); err != nil {
				b.Fatal(err)
			}
		}
	})
}
