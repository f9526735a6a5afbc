package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"slipway/check/observe"
)

// resolvConf names the resolvers of this machine (resolv.conf(5)).
const resolvConf = "/etc/resolv.conf"

// outside is whether and how a command looks at what is not in the repository.
type outside struct {
	online                   bool
	resolver, record, replay string
}

func (s *outside) flags(c *cobra.Command) {
	f := c.Flags()
	f.BoolVar(&s.online, "online", false, "also ask the DNS, and web servers for mail policies, about what lies outside the repository")
	f.StringVar(&s.resolver, "resolver", "", "with --online: the resolver to ask, address or address:port (default: the first of "+resolvConf+")")
	f.StringVar(&s.record, "record", "", "with --online: write the answers to this file")
	f.StringVar(&s.replay, "replay", "", "judge by the answers in this file instead of asking")
}

// open begins to look, and returns the time to judge as of: the one that was asked for, else that
// of the recording, else now.
func (s *outside) open(t *tool, o *comparison, when time.Time) (time.Time, error) {
	switch {
	case s.replay != "" && s.online:
		return when, &usage{what: "--online asks and --replay does not", help: "Leave one of the two out."}
	case !s.online && (s.resolver != "" || s.record != ""):
		return when, &usage{what: "--resolver and --record need --online"}
	case s.replay != "":
		f, err := os.Open(s.replay)
		if errors.Is(err, fs.ErrNotExist) {
			return when, &usage{what: "--replay " + s.replay + ": there is no such file"}
		}
		if err != nil {
			return when, err
		}
		defer f.Close()
		set, err := observe.Read(s.replay, f)
		if err != nil {
			return when, err
		}
		o.seen = observe.Replay(set)
		if when.IsZero() {
			when = set.At
		}
		return when, nil
	}
	if when.IsZero() {
		when = t.now()
	}
	if !s.online {
		return when, nil
	}
	r, err := observe.SystemResolver(resolvConf)
	if s.resolver != "" {
		r, err = observe.NewResolver(s.resolver)
	}
	if err != nil {
		return when, &usage{what: err.Error(), help: "Name one with --resolver, for example --resolver 192.0.2.53."}
	}
	o.seen = observe.Online(r, observe.NewFetcher(nil, r.DialPublic), when)
	return when, nil
}

// keep writes what was seen to the file of --record.
func (s *outside) keep(o *comparison) error {
	if s.record == "" {
		return nil
	}
	if err := os.WriteFile(s.record, o.seen.Set().Bytes(), 0o644); err != nil {
		return fmt.Errorf("--record: %w", err)
	}
	return nil
}
