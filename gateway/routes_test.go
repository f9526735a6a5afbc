package gateway

import (
	"bytes"
	"crypto/tls"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

func TestBadRoutesFilesChangeNothing(t *testing.T) {
	b := newBed(t)
	app := echo(t)
	good := b.route(t, app.URL, "app.example")
	b.write(t, good)
	g, _ := b.start(t)
	c := b.client(t, g)
	raw, err := os.ReadFile(b.options.RoutesFile)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"cut off":       string(raw[:len(raw)/2]),
		"empty":         "",
		"of later":      `{"version":2,"routes":[]}`,
		"misspelt":      strings.Replace(string(raw), `"app"`, `"aap"`, 1),
		"with password": strings.Replace(string(raw), "http://", "http://user:pw@", 1),
	} {
		before := g.Counters().BadRoutes.Load()
		if err := os.WriteFile(b.options.RoutesFile, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		until(t, name, func() bool { return g.Counters().BadRoutes.Load() > before })
		if r, _ := get(t, c, "https://app.example/"); r.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", name, r.Status)
		}
	}
	if !strings.Contains(b.log.String(), "the old routes stay in force") || strings.Contains(b.log.String(), "user:pw") {
		t.Error(b.log.String())
	}

	// What is wrong with one route is that route's alone.
	broken, lost := b.route(t, app.URL, "app.example"), b.route(t, app.URL, "lost.example")
	broken.KeyRef = lost.KeyRef
	if err := b.keys.Destroy(t.Context(), lost.KeyRef); err != nil {
		t.Fatal(err)
	}
	before := g.Counters().Reloads.Load()
	b.write(t, broken, b.route(t, app.URL, "second.example"))
	until(t, "the reload", func() bool { return g.Counters().Reloads.Load() > before })
	for _, host := range []string{"app.example", "second.example"} {
		if r, _ := get(t, b.client(t, g), "https://"+host); r.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", host, r.Status)
		}
	}
	until(t, "the log", func() bool { return strings.Contains(b.log.String(), "old_route_stays=true") })

	// And a route that is gone is gone.
	b.write(t)
	until(t, "the empty table", func() bool { return len(g.table.Load().hosts) == 0 })
	if _, err := b.dial(t, g, &tls.Config{ServerName: "app.example"}); err == nil {
		t.Error("a route that is gone was served")
	}
}

func TestRoutesThatAreNotReady(t *testing.T) {
	b := newBed(t)
	good := b.route(t, "http://127.0.0.1:1", "app.example")
	other := b.route(t, "http://127.0.0.1:1", "other.example")
	for want, change := range map[string]func(r *Route){
		"for another key":      func(r *Route) { r.KeyRef = other.KeyRef },
		"is not for":           func(r *Route) { r.Hosts = []string{"else.example"} },
		"does not hang":        func(r *Route) { r.Chain = append(r.Chain, other.Chain...) },
		"something else":       func(r *Route) { r.Chain = append(r.Chain, "x"...) },
		"its key":              func(r *Route) { r.KeyRef = "file:none?pin=x" },
		"issuers of its":       func(r *Route) { r.ClientAuth, r.ClientCAs = true, []byte("x") },
		"is not for *.example": func(r *Route) { r.Hosts = []string{"*.example"} },
	} {
		r := good
		r.Chain = bytes.Clone(good.Chain)
		change(&r)
		made, problems := newBuilder(b.keys, nil).build(t.Context(), []Route{r}, &table{}, time.Now())
		if want == "is not for *.example" { // "wildcard.example" is not "app.example"
			want = "is not for"
		}
		if len(problems) != 1 || !strings.Contains(problems[0].err.Error(), want) || len(made.hosts) != 0 {
			t.Errorf("%s: %v", want, problems)
		}
	}
}

func FuzzRoutes(f *testing.F) {
	b := newBed(f)
	b.write(f, b.route(f, "https://127.0.0.1:8443/x", "app.example", "*.many.example"))
	raw, err := os.ReadFile(b.options.RoutesFile)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"version":1,"routes":[{"hosts":["*"],"upstream":"file:///etc/passwd","chain":"","key":"x"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		routes, err := parseRoutes(raw)
		if err != nil {
			return
		}
		raw, err = formatRoutes(routes)
		if err != nil {
			t.Fatalf("what was read is not written: %v", err)
		}
		again, err := parseRoutes(raw)
		if err != nil || len(again) != len(routes) {
			t.Fatalf("%v", err)
		}
		for i, r := range routes {
			if r.Upstream.User != nil || r.ClientAuth && len(r.ClientCAs) == 0 || again[i].Upstream.String() != r.Upstream.String() {
				t.Errorf("%+v", r)
			}
			if _, err := certificates(r.Chain); err == nil && len(r.Hosts) == 0 {
				t.Errorf("%+v", r)
			}
		}
	})
}
