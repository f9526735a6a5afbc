package main

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"slipway/audit"
	"slipway/client"
	"slipway/lifecycle"
	"slipway/nameserver"
	"slipway/repo"
	"slipway/zone"
)

// The people of the demonstration are those of the starter kit.
const (
	demoRequester = "ana@finmicro.example"
	demoApprover  = "ivy@finmicro.example"
)

// demo starts a server and takes two apps through it, by the same API that everyone uses.
func demo(ctx context.Context, s settings, out io.Writer) error {
	fmt.Fprintln(out, "Starting Slipway with the sample organisation", s.organisation.Name, "…")
	if s.gateway == "" {
		s.gateway = demoGateway
	}
	srv, err := start(ctx, s)
	if err != nil {
		return err
	}
	if err := srv.demonstrate(ctx, out); err != nil {
		return errors.Join(err, srv.close(context.WithoutCancel(ctx)))
	}
	<-ctx.Done()
	fmt.Fprintln(out, "\nStopping …")
	return srv.close(context.WithoutCancel(ctx))
}

func (srv *server) demonstrate(ctx context.Context, out io.Writer) error {
	ana, err := srv.demoClient(ctx, demoRequester, "product-manager")
	if err != nil {
		return err
	}
	upstream, err := srv.demoApp(ctx)
	if err != nil {
		return err
	}
	suffix := time.Now().UTC().Format("0102-150405")
	hostname := zone.Name("expenses-" + suffix + ".apps.finmicro.example")

	fmt.Fprintf(out, "\n%s asks for an internal app: %s\n", demoRequester, hostname)
	began := time.Now()
	id, err := srv.demoRequest(ctx, out, ana, "expense-tracker-"+suffix, "internal", hostname, upstream)
	if err != nil {
		return err
	}
	if err := follow(ctx, out, ana, id, lifecycle.Live); err != nil {
		return err
	}
	answer, err := nameserver.Resolve(ctx, srv.names.Internal(), hostname, "A", 2*time.Second)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "  live in %.1f s; nobody had to approve it. The nameserver answers %s\n",
		time.Since(began).Seconds(), strings.Join(answer, ", "))
	fmt.Fprintf(out, "  see for yourself:  dig @%s %s A +short\n", digAddress(srv.names.Internal()), hostname)
	_, port, _ := net.SplitHostPort(srv.gateway.String())
	fmt.Fprintf(out, "  over TLS:          curl --cacert <(curl -s %s/ca/root.pem) --connect-to ::%s https://%s/\n", srv.settings.baseURL, srv.gateway, net.JoinHostPort(string(hostname), port))

	public := zone.Name("feedback-" + suffix + ".finmicro-apps.example")
	fmt.Fprintf(out, "\n%s asks for a public app: %s\n", demoRequester, public)
	waiting, err := srv.demoRequest(ctx, out, ana, "feedback-"+suffix, "external", public, "")
	if err != nil {
		return err
	}
	if err := follow(ctx, out, ana, waiting, lifecycle.Waiting); err != nil {
		return err
	}

	fmt.Fprintf(out, "\nThe server stays up. Open the portal with a one-time link:\n")
	for _, p := range []struct{ id, role, does string }{
		{demoRequester, "product-manager", "asked for both apps"},
		{demoApprover, "infosec", "may approve the public one"},
	} {
		token, err := srv.people.IssueLink(ctx, itself, p.id, p.role, firstLinkValid)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "  %-24s %-28s %s/sign-in/%s\n", p.id, p.does, srv.settings.baseURL, token)
	}
	fmt.Fprintf(out, "\nVerify the log, offline:  go run ./cmd/slipway audit verify --dir %s\nPress Ctrl-C to stop.\n", srv.settings.path("audit"))
	return nil
}

// demoGateway is where the demonstration serves its app over TLS, unless --gateway says otherwise.
const demoGateway = "127.0.0.1:8443"

// demoApp is the app of the demonstration: one page, which only the gateway is meant to ask for.
func (srv *server) demoApp(ctx context.Context) (upstream string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("the demonstration's app: %w", err)
	}
	app := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, "<!doctype html>\n<html lang=\"en\"><title>Expenses</title><h1>Expenses</h1><p>This app was launched by Slipway, and %s serves it over TLS.</p></html>\n", html.EscapeString(r.Host))
	})}
	go app.Serve(l)
	srv.onClose(app.Shutdown)
	return "http://" + l.Addr().String(), nil
}

// demoClient signs a person in and returns a client that speaks as them.
func (srv *server) demoClient(ctx context.Context, id, role string) (*client.Client, error) {
	link, err := srv.people.IssueLink(ctx, itself, id, role, firstLinkValid)
	if err != nil {
		return nil, err
	}
	session, person, err := srv.people.RedeemLink(ctx, link)
	if err != nil {
		return nil, err
	}
	if err := srv.people.SignOut(ctx, session); err != nil {
		return nil, err
	}
	token, err := srv.people.IssueToken(ctx, person, "demonstration", time.Hour)
	if err != nil {
		return nil, err
	}
	return client.New("http://"+srv.listener.Addr().String(), token)
}

func (srv *server) demoRequest(ctx context.Context, out io.Writer, c *client.Client, name, exposure string, hostname zone.Name, upstream string) (string, error) {
	set, err := zone.NewRRSet(hostname, "A", 300, []string{"198.51.100.20"})
	if err != nil {
		return "", err
	}
	answer, err := c.Submit(ctx, client.Request{
		Title: "New app " + name,
		App: &repo.App{
			Name: name, Owner: demoRequester, Team: "finance-operations",
			Purpose: "Shows how an app goes live", Exposure: exposure, Data: []string{"none"},
			Expires: time.Now().AddDate(0, 6, 0).Format(time.DateOnly), Hostname: hostname, Certificate: true, Upstream: upstream,
			Records: []zone.RRSet{set},
		},
	})
	if err != nil {
		return "", err
	}
	fmt.Fprintf(out, "  change %s: %s (score %d)\n", answer.Change.ID, answer.Verdict.Tier, answer.Verdict.Score)
	for _, why := range answer.Verdict.TierReasons {
		fmt.Fprintf(out, "    because %s\n", why)
	}
	for _, f := range answer.Verdict.Findings {
		fmt.Fprintf(out, "    %s: %s\n", f.Severity, f.Message)
	}
	return answer.Change.ID, nil
}

// follow prints a change's events as they come, until it reaches a phase or can get no further.
func follow(ctx context.Context, out io.Writer, c *client.Client, id string, until lifecycle.Phase) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	shown := 0
	for {
		answer, err := c.Wait(ctx, id, until, 10*time.Second)
		if err != nil {
			return err
		}
		for _, e := range answer.Events[min(shown, len(answer.Events)):] {
			fmt.Fprintf(out, "  %s  %-18s %s\n", e.Event.Timestamp.Local().Format("15:04:05.000"), e.Event.Action, subject(e.Event))
		}
		shown = len(answer.Events)
		switch p := answer.Change.Phase; {
		case p == until:
			if p == lifecycle.Waiting {
				for _, m := range answer.Change.Missing {
					fmt.Fprintf(out, "  waits for %s\n", m.Text)
				}
			}
			return nil
		case p.Ended(), p == lifecycle.Denied, p == lifecycle.Failed:
			return fmt.Errorf("change %s is %s: %s", id, p, answer.Change.Problem)
		}
	}
}

// subject says what an event is about, in a few words.
func subject(e audit.Event) string {
	switch {
	case e.Resource.Record != "":
		return e.Resource.Record + " " + e.Resource.Type
	case e.Resource.Zone != "":
		return e.Resource.Zone
	case e.GitCommit != "":
		return "commit " + e.GitCommit[:min(12, len(e.GitCommit))]
	}
	return e.Resource.App
}
