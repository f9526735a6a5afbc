package rfc2136_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"slipway/provider"
	"slipway/provider/providertest/servers"
	"slipway/provider/rfc2136"
	"slipway/secret"
	"slipway/zone"
)

// hosts is a zone of n hosts; every other one differs from generation to generation. The
// values are long, so that few of them fill a message.
func hosts(n, generation int) []zone.RRSet {
	sets := make([]zone.RRSet, n)
	for i := range sets {
		text := fmt.Sprintf("%d", i)
		if i%2 == 1 {
			text = fmt.Sprintf("%d of %d", i, generation)
		}
		sets[i] = zone.RRSet{Name: zone.Name(fmt.Sprintf("host-%06d.", i)) + z, Type: "TXT", TTL: 300, Values: []string{zone.QuoteText(fmt.Sprintf("%-250s", text))}}
	}
	return sets
}

func read(t testing.TB, p provider.Provider) *provider.Live {
	t.Helper()
	live, err := p.Read(t.Context(), z)
	if err != nil {
		t.Fatal(err)
	}
	return live
}

func apply(t testing.TB, p provider.Provider, plan provider.Plan) *provider.Receipt {
	t.Helper()
	r, err := p.Apply(t.Context(), plan)
	if err != nil {
		t.Fatalf("apply %s: %v", plan.ChangeID, err)
	}
	return r
}

// broken is a network on which the nth read or write fails, once. A write that fails
// has arrived: the server does what it says, and nobody hears of it.
type broken struct {
	left atomic.Int64
}

func (b *broken) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	return &brokenConn{c, b}, err
}

func (b *broken) breaks() bool { return b.left.Add(-1) == 0 }

type brokenConn struct {
	net.Conn
	b *broken
}

var errBroken = errors.New("the network is broken")

func (c *brokenConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if c.b.breaks() {
		return n, errBroken
	}
	return n, err
}

func (c *brokenConn) Read(p []byte) (int, error) {
	if c.b.breaks() {
		return 0, errBroken
	}
	return c.Conn.Read(p)
}

// A plan of several messages is made whole however the network breaks in it: at once when
// the answer is all that was lost, else when it is run again.
func TestBrokenNetwork(t *testing.T) {
	s := servers.StartBIND(t, z)
	network := new(broken)
	set := settings(s.Server, t.TempDir())
	set.Dial = network.dial
	healthy := open(t, settings(s.Server, t.TempDir()))
	const n = 250 // of which half change, in two messages
	apply(t, healthy, provider.NewPlan(z, hosts(n, 0), read(t, healthy), "first", "commit"))
	for at := int64(1); ; at++ {
		network.left.Store(0)
		p := open(t, set)
		before := read(t, healthy)
		plan := provider.NewPlan(z, hosts(n, int(at)), before, fmt.Sprintf("change-%d", at), "commit")
		network.left.Store(at)
		_, err := p.Apply(t.Context(), plan)
		unbroken := network.left.Load() > 0
		network.left.Store(0)
		if err != nil && !errors.Is(err, errBroken) {
			t.Fatalf("broken at %d: %v", at, err)
		}
		if errors.Is(err, provider.ErrDrifted) {
			t.Fatalf("broken at %d, and taken for somebody's edit: %v", at, err)
		}
		r := apply(t, open(t, set), plan)
		if after := read(t, healthy); !r.Applied || r.Before != before.Digest || r.After != after.Digest || r.Serial != after.Serial {
			t.Fatalf("broken at %d and run again: %+v, live %s serial %d", at, r, after.Digest, after.Serial)
		}
		if again := apply(t, open(t, set), plan); !reflect.DeepEqual(again, r) {
			t.Fatalf("broken at %d, and the third run has another receipt:\n%+v\n%+v", at, r, again)
		}
		// Two messages, two serials: nothing was made twice.
		if made := r.Serial - before.Serial; made != 2 {
			t.Errorf("broken at %d: %d updates were made", at, made)
		}
		if unbroken {
			t.Logf("broken at %d moments", at-1)
			return
		}
	}
}

// A zone that was left half-way is known for what it is, and another's edit of it too.
func TestLeftHalfWay(t *testing.T) {
	s := servers.StartBIND(t, z)
	set := settings(s.Server, t.TempDir())
	healthy := open(t, set)
	const n = 250
	apply(t, healthy, provider.NewPlan(z, hosts(n, 0), read(t, healthy), "first", "commit"))
	before := read(t, healthy)
	dials := 0
	set.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if dials++; dials == 3 { // a transfer, the first message, and then no more
			return nil, errBroken
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	plan := provider.NewPlan(z, hosts(n, 1), before, "change", "commit")
	if _, err := open(t, set).Apply(t.Context(), plan); !errors.Is(err, errBroken) {
		t.Fatal(err)
	}
	live := read(t, healthy)
	if live.Digest == before.Digest || live.Digest == provider.Digest(live.WithTTLs(hosts(n, 1))) {
		t.Fatal("the apply did not stop half-way")
	}
	again := provider.NewPlan(z, hosts(n, 1), live, "change", "commit")
	resumes := func(p provider.Plan) bool {
		t.Helper()
		ok, err := healthy.Resumes(p, read(t, healthy), &provider.Live{Sets: hosts(n, 0)})
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	if !resumes(again) {
		t.Error("a zone that an apply has left half-way is not known for that")
	}
	other := again
	other.ChangeID = "other"
	if resumes(other) {
		t.Error("another change takes it for its own")
	}
	edited := append(live.Sets[:len(live.Sets):len(live.Sets)], zone.RRSet{Name: "extra." + z, Type: "A", TTL: 60, Values: []string{"203.0.113.66"}})
	apply(t, open(t, settings(s.Server, t.TempDir())), provider.NewPlan(z, edited, live, "by hand", "commit"))
	if resumes(again) {
		t.Error("somebody's edit is taken for a part of the apply")
	}
	apply(t, open(t, settings(s.Server, t.TempDir())), provider.NewPlan(z, live.Sets, read(t, healthy), "by hand", "commit"))
	if r := apply(t, healthy, again); r.Before != before.Digest {
		t.Errorf("gone on from half-way: before %s, want %s", r.Before, before.Digest)
	}
}

// TestKilled kills a process with SIGKILL again and again while it applies plans of
// several messages, and goes on from what it left.
func TestKilled(t *testing.T) {
	const env = "SLIPWAY_TEST_RFC2136"
	const n = 250
	plan := func(p *rfc2136.Provider, generation int) provider.Plan {
		return provider.NewPlan(z, hosts(n, generation), read(t, p), fmt.Sprintf("change-%d", generation), "commit")
	}
	if words := strings.Fields(os.Getenv(env)); len(words) == 3 {
		p := open(t, rfc2136.Settings{Name: "test", Server: words[0], Journal: words[1], KeyName: "slipway.test", KeySecret: secret.New(words[2])})
		for i := 0; ; i++ {
			apply(t, p, plan(p, i%200))
			if i == 0 {
				fmt.Println("ready")
			}
		}
	}
	if testing.Short() {
		t.Skip("kills processes for a while")
	}
	s := servers.StartBIND(t, z)
	journal := t.TempDir()
	for kill := range 8 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$", "-test.v")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %s", env, s.Address, journal, s.TSIG.Secret.Reveal()))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for buf := make([]byte, 4096); ; {
			n, err := out.Read(buf)
			if err != nil {
				t.Fatalf("the process ended by itself: %v %s", err, buf[:n])
			}
			if bytes.Contains(buf[:n], []byte("ready")) {
				break
			}
		}
		time.Sleep(time.Duration(kill*kill%37) * 3 * time.Millisecond) // where it is hit must vary
		cmd.Process.Kill()
		cmd.Wait()
		p := open(t, settings(s.Server, journal))
		r := apply(t, p, plan(p, 200+kill))
		if live := read(t, p); !r.Applied || live.Digest != r.After || live.Serial != r.Serial {
			t.Fatalf("kill %d: %+v, live %s serial %d", kill, r, live.Digest, live.Serial)
		}
	}
}

// Somebody else changes the zone in the very moment between the reading and the update.
func TestChangedMeanwhile(t *testing.T) {
	s := servers.StartBIND(t, z)
	other := open(t, settings(s.Server, t.TempDir()))
	set := settings(s.Server, t.TempDir())
	dials := 0
	set.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if dials++; dials == 2 { // the first is the reading, the second the update
			apply(t, other, provider.NewPlan(z, hosts(3, 9), read(t, other), "other", "commit"))
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	p := open(t, set)
	plan := provider.NewPlan(z, hosts(3, 1), read(t, other), "mine", "commit")
	_, err := p.Apply(t.Context(), plan)
	if !errors.Is(err, provider.ErrDrifted) {
		t.Errorf("a zone that was changed between reading and update: %v", err)
	}
	if live := read(t, other); live.Digest != provider.Digest(live.WithTTLs(hosts(3, 9))) {
		t.Error("the other's change was undone")
	}
}

// What the server refuses is said in words that name what to do, and no error or log
// shows the key.
func TestRefusals(t *testing.T) {
	s := servers.StartBIND(t, z)
	knot := servers.StartKnot(t, z)
	var log bytes.Buffer
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	good := s.TSIG.Secret.Reveal()
	for name, tt := range map[string]struct {
		change func(*rfc2136.Settings)
		want   string
	}{
		"another key":       {func(s *rfc2136.Settings) { s.KeyName = "other.test" }, "does not know the TSIG key"},
		"another secret":    {func(s *rfc2136.Settings) { s.KeySecret = secret.New("QW5vdGhlciBzZWNyZXQgb2YgMzIgYnl0ZXMuLi4uLi4=") }, "signature wrong"},
		"another algorithm": {func(s *rfc2136.Settings) { s.KeyAlgorithm = "hmac-sha512" }, "does not know the TSIG key"},
		"another time":      {func(s *rfc2136.Settings) { s.Now = func() time.Time { return time.Now().Add(-time.Hour) } }, "clock"},
		"nobody there":      {func(s *rfc2136.Settings) { s.Server = "127.0.0.1:1" }, "connect to 127.0.0.1:1"},
	} {
		for server, at := range map[string]servers.Server{"BIND": s.Server, "Knot": knot.Server} {
			set := settings(at, t.TempDir())
			tt.change(&set)
			_, err := open(t, set).Read(t.Context(), z)
			if err == nil || !strings.Contains(err.Error(), tt.want) && !(server == "Knot" && strings.Contains(err.Error(), "TSIG")) {
				t.Errorf("%s, %s: %v, want %q", server, name, err, tt.want)
			}
			slog.Error("refused", "error", err, "settings", set)
			fmt.Fprintf(&log, "%v %+v %#v\n", err, set, set)
		}
	}
	for _, bad := range []rfc2136.Settings{
		{}, {Server: "x"}, {Server: "x", KeyName: "k"}, {Server: "x", KeyName: "k", KeySecret: secret.New("not base 64!")},
		{Server: "x", KeyName: "k", KeySecret: secret.New("c2hvcnQ=")}, {Server: "x", KeyName: "K.", KeySecret: s.TSIG.Secret},
		{Server: "x", KeyName: "k", KeySecret: s.TSIG.Secret, KeyAlgorithm: "hmac-md5"}, {Server: "x", KeyName: "k", KeySecret: s.TSIG.Secret, DefaultTTL: -1},
	} {
		_, err := rfc2136.New(t.Context(), bad)
		if err == nil {
			t.Errorf("%+v was taken", bad)
		}
		fmt.Fprintln(&log, err)
	}
	for _, text := range []string{good, "not base 64!", "c2hvcnQ=", "QW5vdGhl"} {
		if strings.Contains(log.String(), text) {
			t.Errorf("the secret %q is shown in\n%s", text, log.String())
		}
	}
}

// A server that signs the zone behind the one that is updated shows another serial than
// it compares, and all that signing makes stays out of sight.
func TestSignedZone(t *testing.T) {
	s := servers.StartBIND(t)
	s.LoadSigned(z)
	p := open(t, settings(s.Server, t.TempDir()))
	for i := range 3 {
		live := read(t, p)
		for _, set := range live.Sets {
			if set.Type == "DNSKEY" || set.Type == "RRSIG" || set.Type == "CDS" {
				t.Fatalf("%s %s is taken for somebody's", set.Type, set.Name)
			}
		}
		r := apply(t, p, provider.NewPlan(z, hosts(3, i), live, fmt.Sprint(i), "commit"))
		if after := read(t, p); after.Digest != r.After {
			t.Errorf("change %d: live %s, receipt %s", i, after.Digest, r.After)
		}
	}
}
