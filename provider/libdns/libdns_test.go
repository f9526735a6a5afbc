package libdns_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	lib "github.com/libdns/libdns"

	"slipway/provider"
	"slipway/provider/libdns"
	"slipway/provider/providertest"
	"slipway/provider/service/servicetest"
	"slipway/secret"
	"slipway/zone"
)

const (
	z     = servicetest.Z
	token = servicetest.Secret // must appear in no error
)

func open(t *testing.T, journal string, c libdns.Client) *libdns.Provider {
	t.Helper()
	p, err := libdns.New(t.Context(), libdns.Settings{
		Journal: journal, Client: c, Settle: []time.Duration{time.Second},
		Sleep: func(context.Context, time.Duration) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newMemory() *memory { return &memory{zones: map[string][]lib.RR{}} }

func TestProvider(t *testing.T) {
	var m *memory
	providertest.Suite{
		Backend: func(t *testing.T) func() provider.Provider {
			m = newMemory()
			dir := t.TempDir()
			return func() provider.Provider { return open(t, dir, m) }
		},
		Prepare: func(_ *testing.T, z zone.Name) bool {
			m.mu.Lock()
			defer m.mu.Unlock()
			if _, there := m.zones[z.FQDN()]; !there {
				m.zones[z.FQDN()] = nil
			}
			return true
		},
	}.Run(t)
}

// start is a zone, and target a plan for it that has every kind of edit.
func start() *memory {
	m := newMemory()
	rr := func(name, typ, data string) lib.RR {
		return lib.RR{Name: name, Type: typ, TTL: 300 * time.Second, Data: data}
	}
	m.zones[z.FQDN()] = []lib.RR{
		rr("@", "NS", "ns1.example.net."), rr("@", "SOA", "ns1.example.net. hostmaster.example.net. 7 3600 600 86400 300"),
		rr("menu", "A", "192.0.2.1"), rr("menu", "A", "192.0.2.2"), rr("old", "A", "192.0.2.3"), rr("old", "TXT", "goes"),
		rr("moved", "A", "192.0.2.4"), rr("same", "MX", "10 mail.example.net."), rr("away", "URL", "https://www.example.net/"),
	}
	return m
}

func target(t *testing.T, p provider.Provider) provider.Plan {
	slow := servicetest.A("slow", "192.0.2.5", "192.0.2.6")
	return servicetest.Plan(t, p, "change", servicetest.A("menu", "192.0.2.2", "192.0.2.9"), slow,
		zone.RRSet{Name: "moved." + z, Type: "CNAME", TTL: 300, Values: []string{"host.example.net."}},
		zone.RRSet{Name: "same." + z, Type: "MX", TTL: 600, Values: []string{"10 mail.example.net."}})
}

// Whatever happens at whatever point of an apply, the next one ends where the plan does,
// says that this change made it so, and takes nothing with it.
func TestEveryInterruption(t *testing.T) {
	m := start()
	p := open(t, t.TempDir(), m)
	plan := target(t, p)
	before := m.steps
	if r, err := p.Apply(t.Context(), plan); err != nil || !r.Applied {
		t.Fatalf("undisturbed: %+v, %v", r, err)
	}
	steps := m.steps - before
	if steps < 20 {
		t.Fatalf("only %d steps", steps)
	}
	for how, name := range map[fault]string{refuse: "error", die: "kill", blow: "panic"} {
		for at := 1; at <= steps; at++ {
			m, dir := start(), t.TempDir()
			p := open(t, dir, m)
			plan := target(t, p)
			m.how, m.failAt = how, m.steps+at
			// On a goroutine of its own, which may end without coming back.
			done := make(chan bool)
			go func() {
				defer close(done)
				p.Apply(t.Context(), plan)
			}()
			<-done
			m.failAt = 0
			r, err := open(t, dir, m).Apply(t.Context(), plan)
			if err != nil || !r.Applied || r.Before != plan.Expect || r.After != provider.Digest(plan.Desired) {
				t.Fatalf("%s at step %d of %d, and run again: %+v, %v", name, at, steps, r, err)
			}
			writes := m.writes
			again, err := open(t, dir, m).Apply(t.Context(), plan)
			if err != nil || !reflect.DeepEqual(again, r) || m.writes != writes {
				t.Errorf("%s at step %d: a third run gives %+v, %v", name, at, again, err)
			}
			kept, err := p.Unmanaged(t.Context(), z)
			if err != nil || len(kept) != 1 || kept[0].Type != "URL" {
				t.Errorf("%s at step %d: what is not managed: %+v, %v", name, at, kept, err)
			}
		}
	}
}

// A plan that stopped half-way is not gone on with over somebody's edit.
func TestEditAfterInterruption(t *testing.T) {
	m, dir := start(), t.TempDir()
	p := open(t, dir, m)
	plan := target(t, p)
	m.failAt = m.steps + 8
	if _, err := p.Apply(t.Context(), plan); err == nil {
		t.Fatal("not interrupted")
	}
	m.failAt = 0
	m.zones[z.FQDN()] = append(m.zones[z.FQDN()], lib.RR{Name: "byhand", Type: "A", TTL: 300 * time.Second, Data: "192.0.2.66"})
	if _, err := p.Apply(t.Context(), plan); !errors.Is(err, provider.ErrDrifted) {
		t.Errorf("somebody's record was taken away: %v", err)
	}
}

// Packages that do not keep to the contract are got through record by record.
func TestSloppy(t *testing.T) {
	m := start()
	p := open(t, t.TempDir(), sloppy{m})
	plan := target(t, p)
	if r, err := p.Apply(t.Context(), plan); err != nil || !r.Applied {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestZones(t *testing.T) {
	p := open(t, t.TempDir(), start())
	if names, err := p.Zones(t.Context()); err != nil || len(names) != 1 || names[0] != z {
		t.Errorf("%v, %v", names, err)
	}
	if live, err := p.Read(t.Context(), "other.example"); err != nil || live.Exists {
		t.Errorf("%+v, %v", live, err)
	}
}

func TestReceiptIsHonest(t *testing.T) {
	m := start()
	p := open(t, t.TempDir(), m)
	r, err := p.Apply(t.Context(), target(t, p))
	if err != nil || !strings.HasPrefix(r.ProviderChange, "none:") || r.Serial != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestSettings(t *testing.T) {
	if got := libdns.Services(); len(got) < 15 {
		t.Errorf("%d services", len(got))
	}
	for _, name := range libdns.Services() {
		texts, refs, ok := libdns.Fields(name)
		s := libdns.Settings{Service: name, Journal: t.TempDir(), Texts: map[string]string{}, Refs: map[string]secret.Ref{}}
		if _, err := libdns.New(t.Context(), s); err == nil || !ok {
			t.Errorf("%s needs no credentials", name)
		}
		for _, key := range texts {
			s.Texts[key] = "https://box.example.net/admin"
			if key == "endpoint" {
				s.Texts[key] = "ovh-eu"
			}
		}
		for _, key := range refs {
			s.Refs[key] = "env:X"
		}
		if _, err := libdns.New(t.Context(), s); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		s.Texts["no-such"] = "x"
		if _, err := libdns.New(t.Context(), s); err == nil {
			t.Errorf("%s takes any setting", name)
		}
	}
	for want, s := range map[string]libdns.Settings{
		"must be one of":    {Service: "he", Journal: t.TempDir()},
		"directory":         {Service: "desec", Refs: map[string]secret.Ref{"token": "env:X"}},
		"https://":          {Service: "mailinabox", Texts: map[string]string{"api-url": "http://box.example", "email": "x"}, Refs: map[string]secret.Ref{"password": "env:X"}},
		"name of a region":  {Service: "ovh", Texts: map[string]string{"endpoint": "https://evil.example"}, Refs: map[string]secret.Ref{"application-key": "env:X", "application-secret": "env:X", "consumer-key": "env:X"}},
		"where the credent": {Service: "gandi", Journal: t.TempDir()},
	} {
		if _, err := libdns.New(t.Context(), s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
