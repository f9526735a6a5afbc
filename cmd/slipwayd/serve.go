package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"slipway/audit"
	"slipway/flow"
	"slipway/identity"
	"slipway/repo"
)

// firstLinkValid is how long the first administrator's sign-in link can be used.
const firstLinkValid = 24 * time.Hour

// serve runs the server until ctx ends.
func serve(ctx context.Context, s settings, out io.Writer) error {
	fmt.Fprintln(out, "Starting Slipway …")
	srv, err := start(ctx, s)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, `Slipway is up.
  portal        %s
  zones (git)   %s/git/zones.git
  nameserver    dig @%s
  data          %s
`, srv.settings.baseURL, srv.settings.baseURL, digAddress(srv.names.Internal()), s.data)
	if err := srv.greetAdministrator(ctx, out); err != nil {
		return errors.Join(err, srv.close(context.WithoutCancel(ctx)))
	}
	fmt.Fprintln(out, "Press Ctrl-C to stop.")
	<-ctx.Done()
	fmt.Fprintln(out, "\nStopping …")
	return srv.close(context.WithoutCancel(ctx))
}

// greetAdministrator prints a one-time sign-in link for as long as nobody has signed in.
func (srv *server) greetAdministrator(ctx context.Context, out io.Writer) error {
	signedIn, err := srv.record.Index().Events(ctx, audit.Query{Action: audit.SignIn, Limit: 1})
	if err != nil {
		return err
	}
	if len(signedIn) > 0 {
		return nil
	}
	_, settings, err := srv.main(ctx)
	if err != nil {
		return err
	}
	if len(settings.Administrators) == 0 {
		fmt.Fprintln(out, "\nNobody can sign in yet: slipway.yaml names no administrators. Add `administrators: [you@…]` to it.")
		return nil
	}
	admin := settings.Administrators[0]
	token, err := srv.people.IssueLink(ctx, itself, admin, "administrator", firstLinkValid)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nFirst administrator: %s\nSign in once, within a day, with this link:\n  %s/sign-in/%s\n\n", admin, srv.settings.baseURL, token)
	return nil
}

// itself is who acts when the server does.
var itself = identity.Person{ID: identity.System}

// digAddress turns host:port into dig's words.
func digAddress(address string) string {
	host, port, _ := strings.Cut(address, ":")
	return host + " -p " + port
}

// gitPerson finds who fetches or pushes: a personal token is the password, the user name does not matter.
func (srv *server) gitPerson(r *http.Request) (repo.Person, error) {
	p, err := identity.PersonOf(r.Context()) // the portal has let them in
	return repo.Person{Name: p.Role, Email: p.ID}, err
}

// receivePush turns `git push origin HEAD:refs/for/main` into a change.
// Push options: title=…, ticket=…, not-before=RFC 3339, revises=CHANGE.
func (srv *server) receivePush(ctx context.Context, _ repo.Person, commit string, options []string, progress io.Writer) error {
	by, err := identity.PersonOf(ctx)
	if err != nil {
		return err
	}
	sub := flow.Submission{
		By:   by,
		Via:  "push",
		Head: commit,
	}
	for _, option := range options {
		name, value, _ := strings.Cut(option, "=")
		switch name {
		case "title":
			sub.Title = value
		case "ticket":
			sub.Ticket = value
		case "revises":
			sub.Revises = value
		case "not-before":
			t, err := time.Parse(time.RFC3339, value)
			if err != nil {
				return fmt.Errorf("push option not-before=%s: give a time such as 2027-01-31T09:00:00Z", value)
			}
			sub.NotBefore = t
		default:
			return fmt.Errorf("push option %q is not known; use title, ticket, not-before or revises", name)
		}
	}
	state, verdict, err := srv.changes.Submit(ctx, sub, progress)
	if err != nil {
		return err
	}
	fmt.Fprintf(progress, "%s/changes/%s\n", srv.settings.baseURL, state.ID)
	if verdict != nil && verdict.Denied {
		return errors.New("denied; mend what is named above and push again")
	}
	return nil
}

// reindex rebuilds the index of a stopped server from the log alone.
func reindex(ctx context.Context, s settings, out io.Writer) error {
	srv := &server{settings: s}
	if err := srv.lock(ctx); err != nil {
		return err
	}
	defer srv.close(context.WithoutCancel(ctx))
	if err := srv.openKeys(ctx); err != nil {
		return err
	}
	o, err := srv.auditOptions(ctx)
	if err != nil {
		return err
	}
	began, last := time.Now(), time.Time{}
	var events uint64
	err = audit.Reindex(ctx, o, func(done, total uint64) {
		events = total
		if now := time.Now(); now.Sub(last) > time.Second {
			fmt.Fprintf(out, "%d of %d events\n", done, total)
			last = now
		}
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Rebuilt the index of %d events in %s.\n", events, time.Since(began).Round(time.Millisecond))
	return nil
}
