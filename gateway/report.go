package gateway

import (
	"encoding/json"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// statusClientGone stands in the log for a client that did not wait for its answer.
const statusClientGone = 499

// Counters is what has gone on since the start.
type Counters struct {
	Connections    atomic.Int64 // open now
	Refused        atomic.Int64 // connections over the limits
	Handshakes     atomic.Int64 // that came to their end
	Resumed        atomic.Int64 // of these, by session ticket
	UnknownNames   atomic.Int64 // handshakes for a name without a route
	Requests       atomic.Int64
	Failed         atomic.Int64 // answered with 5xx, by the app or for it
	Misdirected    atomic.Int64
	UpstreamErrors atomic.Int64 // apps that could not be reached or did not answer
	Reloads        atomic.Int64
	BadRoutes      atomic.Int64 // routes files that could not be used
}

// list is every counter with its name in the status.
func (c *Counters) list() []counter {
	return []counter{
		{"connections", "gauge", c.Connections.Load()},
		{"connections_refused_total", "counter", c.Refused.Load()},
		{"handshakes_total", "counter", c.Handshakes.Load()},
		{"handshakes_resumed_total", "counter", c.Resumed.Load()},
		{"handshakes_unknown_name_total", "counter", c.UnknownNames.Load()},
		{"requests_total", "counter", c.Requests.Load()},
		{"requests_failed_total", "counter", c.Failed.Load()},
		{"requests_misdirected_total", "counter", c.Misdirected.Load()},
		{"upstream_errors_total", "counter", c.UpstreamErrors.Load()},
		{"routes_reloads_total", "counter", c.Reloads.Load()},
		{"routes_bad_total", "counter", c.BadRoutes.Load()},
	}
}

type counter struct {
	name, kind string
	value      int64
}

// Counters are the gateway's, to be read at any time.
func (g *Gateway) Counters() *Counters { return &g.counters }

// status answers with the counters: /metrics for Prometheus, anything else in JSON.
func (g *Gateway) status() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/metrics" {
			w.Header().Set("Content-Type", "text/plain; version=0.0.4")
			for _, c := range g.counters.list() {
				fmt.Fprintf(w, "# TYPE slipway_gateway_%s %s\nslipway_gateway_%s %d\n", c.name, c.kind, c.name, c.value)
			}
			return
		}
		all := map[string]int64{"hosts": int64(len(g.table.Load().hosts))}
		for _, c := range g.counters.list() {
			all[c.name] = c.value
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(all)
	})
}

// account writes a request down: without its query, where people's secrets are.
func (g *Gateway) account(r *http.Request, x *exchange, begun time.Time) {
	app := ""
	if x.backend != nil {
		app = x.backend.App
	}
	if x.writer.status >= 500 {
		g.counters.Failed.Add(1)
	}
	if !g.log.Enabled(r.Context(), slog.LevelInfo) {
		return
	}
	g.log.Info("gateway: request", "app", app, "host", clipped(r.Host), "method", clipped(r.Method), "path", clipped(r.URL.EscapedPath()),
		"status", x.writer.status, "bytes", x.writer.bytes, "duration", g.o.Now().Sub(begun), "client", r.RemoteAddr, "protocol", r.Proto, "request", x.id)
}

func clipped(s string) string {
	if len(s) > 512 {
		return s[:512] + "…"
	}
	return s
}

// What a page says in place of an app. It tells nothing of what is behind the gateway.
var problems = map[int]struct{ title, why, next string }{
	http.StatusBadGateway: {"This app does not answer",
		"The address is right and the connection to it is safe, but the app behind it cannot be reached at the moment.",
		"Try again in a few minutes. If it stays like this, tell the people who run the app."},
	http.StatusGatewayTimeout: {"This app takes too long to answer",
		"The app was reached, but did not answer in time.",
		"Try again in a few minutes. What you sent may have arrived, so look before you send it again."},
	http.StatusRequestEntityTooLarge: {"That is too much to send",
		"What you sent is larger than apps here accept.",
		"Send a smaller file, or ask the people who run the app for another way."},
	http.StatusMisdirectedRequest: {"This address has to be opened anew",
		"Your browser used a connection that was made for another address, or before this one was changed.",
		"Load the page again. If it stays like this, close the browser and open it again."},
	http.StatusMethodNotAllowed: {"This kind of request is not accepted",
		"Apps here are not asked in this way.",
		"Open the address in a browser."},
}

var page = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{{.Title}}</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:15vh auto;padding:0 1rem;color:#1b1b1b}small{color:#555}</style></head>
<body><main><h1>{{.Title}}</h1><p>{{.Why}}</p><p>{{.Next}}</p><p><small>Number of this request, for those who look into it: {{.ID}}</small></p></main></body></html>
`))

func problemPage(x *exchange, r *http.Request, status int) {
	p := problems[status]
	h := x.writer.Header()
	clear(h) // what an app began to say is no part of this
	if x.close {
		h.Set("Connection", "close")
	}
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		x.writer.WriteHeader(status)
		page.Execute(x.writer, map[string]string{"Title": p.title, "Why": p.why, "Next": p.next, "ID": x.id})
		return
	}
	h.Set("Content-Type", "text/plain; charset=utf-8")
	x.writer.WriteHeader(status)
	fmt.Fprintf(x.writer, "%s. %s %s (%s)\n", p.title, p.why, p.next, x.id)
}
