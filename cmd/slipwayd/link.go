package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// link prints a sign-in link that rests on nobody's word but the server's own, for whoever
// can stop the server and read its keys. It is how a second administrator signs in who does not
// depend on the first, and the way back in when no administrator can sign in any more.
func link(ctx context.Context, s settings, person, role string, out io.Writer) (err error) {
	srv := &server{settings: s}
	if _, err := os.Stat(s.path("zones.git")); errors.Is(err, fs.ErrNotExist) {
		return usageError{fmt.Errorf("--data %s: no server has run there yet; start it once, and it prints the first link", s.data)}
	}
	if srv.log, err = s.logger(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, srv.close(context.WithoutCancel(ctx))) }()
	for _, step := range []func(context.Context) error{srv.lock, srv.openKeys, srv.openRecord, srv.openZones, srv.openPeople} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	token, err := srv.people.IssueLink(ctx, itself, person, role, firstLinkValid)
	if err != nil {
		return err
	}
	base := s.baseURL
	if base == "" {
		base = "http://" + s.listen
	}
	_, err = fmt.Fprintf(out, "Sign-in link for %s, good once and for a day after the server is started again:\n  %s/sign-in/%s\n", person, base, token)
	return err
}
