package libdns

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	lib "github.com/libdns/libdns"

	"slipway/provider"
	"slipway/provider/service"
	"slipway/secret"
	"slipway/zone"
)

// passes bounds how often the rest of a plan is tried in another way. Not every package
// keeps to libdns's contract, least of all for sets of several records; what a pass left
// undone, the next one makes record by record.
const passes = 3

// check refuses what no such service can hold, or this one.
func (p *Provider) check(_ zone.Name, set zone.RRSet) error {
	switch {
	case !set.InDNS() && set.Type != "ALIAS":
		return fmt.Errorf("%s %s: records of the type %s can only be set at the service that knows it", set.Type, set.Name, set.Type)
	case set.Extra != "":
		return fmt.Errorf("%s %s has settings that Slipway cannot make at this service (%s): take them away, or leave this set out of the zones repository", set.Type, set.Name, set.Extra)
	case p.about.noTTL && set.TTL != p.s.DefaultTTL:
		return fmt.Errorf("%s %s: this service has no TTLs: leave it away", set.Type, set.Name)
	case set.TTL < p.about.minTTL:
		return fmt.Errorf("%s %s has a TTL of %d, and %s takes %d seconds at least", set.Type, set.Name, set.TTL, p.s.Service, p.about.minTTL)
	}
	return nil
}

// Write implements service.Zone. Nothing here is made as a whole; service.Apply has
// written into the journal what was begun.
func (s *state) Write(ctx context.Context, parts [][]zone.Edit) (string, error) {
	if !s.live.Exists {
		return "", service.Refused(errors.New("there is no such zone at the service: add it there first"))
	}
	asked := slices.Concat(parts...)
	calls := 0
	for pass := range passes {
		for _, part := range parts {
			for _, e := range part {
				n, err := s.edit(ctx, e, pass > 0)
				calls += n
				if err != nil {
					return "", fmt.Errorf("%s %s %s: %w", e.Op, e.Type, e.Name, err)
				}
			}
		}
		if err := s.load(ctx); err != nil {
			return "", err
		}
		if parts = provider.Order(s.left(asked)); len(parts) == 0 {
			break
		}
		// Perhaps it only does not show yet; then nothing is to be made again.
		if pass < len(s.p.s.Settle) {
			if err := s.p.s.Sleep(ctx, s.p.s.Settle[pass]); err != nil {
				return "", err
			}
			if err := s.load(ctx); err != nil {
				return "", err
			}
			if parts = provider.Order(s.left(asked)); len(parts) == 0 {
				break
			}
		}
	}
	return fmt.Sprintf("none: this service gives changes no names (%d calls)", calls), nil
}

// left is what is not yet as edits ask for. It looks at their record sets alone: what
// somebody else adds to the zone meanwhile is not to be taken out again.
func (s *state) left(edits []zone.Edit) []zone.Edit {
	now := make(map[zone.Key]*zone.RRSet, len(s.live.Sets))
	for i := range s.live.Sets {
		now[s.live.Sets[i].Key()] = &s.live.Sets[i]
	}
	var have, want []zone.RRSet
	for _, e := range edits {
		if set := now[zone.Key{Name: e.Name, Type: e.Type}]; set != nil {
			have = append(have, *set)
		}
		if e.After != nil {
			want = append(want, *e.After)
		}
	}
	return zone.Diff(s.zone, have, want)
}

// edit makes one edit, and returns how many calls it took. single makes it record by
// record: what is missing is added first, then what is too much is taken away.
func (s *state) edit(ctx context.Context, e zone.Edit, single bool) (calls int, err error) {
	old := s.raw[zone.Key{Name: e.Name, Type: e.Type}]
	var add []string
	var remove []lib.Record
	if e.After != nil {
		add = e.After.Values
	}
	retimed := e.Before != nil && e.After != nil && e.Before.TTL != e.After.TTL
	for value, r := range old {
		switch {
		case e.After == nil || !slices.Contains(e.After.Values, value):
			remove = append(remove, r)
		case single && retimed:
			remove = append(remove, r) // and added again below, with the new TTL
		case single:
			add = slices.DeleteFunc(slices.Clone(add), func(v string) bool { return v == value })
		}
	}
	zoneName := s.zone.FQDN()
	call := func(what string, f func(ctx context.Context) ([]lib.Record, error)) error {
		calls++
		return s.call(ctx, what, func(ctx context.Context) error { _, err := f(ctx); return err })
	}
	del := func() error {
		if len(remove) == 0 {
			return nil
		}
		return call("delete records", func(ctx context.Context) ([]lib.Record, error) { return s.client.DeleteRecords(ctx, zoneName, remove) })
	}
	if e.After == nil {
		return calls, del()
	}
	next, err := s.libRecords(*e.After, add)
	if err != nil {
		return calls, err
	}
	switch {
	case e.Op == zone.Update && !single:
		return calls, call("set records", func(ctx context.Context) ([]lib.Record, error) { return s.client.SetRecords(ctx, zoneName, next) })
	case retimed || e.After.Type == "CNAME" || e.After.Type == "ALIAS":
		if err := del(); err != nil {
			return calls, err
		}
		remove = nil
	}
	if len(next) > 0 {
		if err := call("add records", func(ctx context.Context) ([]lib.Record, error) { return s.client.AppendRecords(ctx, zoneName, next) }); err != nil {
			return calls, err
		}
	}
	return calls, del()
}

// call makes one call of somebody else's code: with a time limit, without panics, and
// without a credential in its errors.
func (s *state) call(ctx context.Context, what string, f func(ctx context.Context) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, s.p.s.Timeout)
	defer cancel()
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s: the libdns package failed: %s", what, s.p.hide(fmt.Sprint(r)))
		}
	}()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := f(ctx); err != nil {
		return &foreignError{text: what + ": " + s.p.hide(err.Error()), ended: ended(ctx, err)}
	}
	return nil
}

// foreignError is an error of a libdns package, as text: what it wraps may hold the
// request with the credentials in it, so of its causes only an ended context is kept.
type foreignError struct {
	text  string
	ended error
}

func (e *foreignError) Error() string { return e.text }
func (e *foreignError) Unwrap() error { return e.ended }

func ended(ctx context.Context, err error) error {
	for _, cause := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, cause) {
			return cause
		}
	}
	return ctx.Err()
}

// maxErrorText bounds what is kept of an error's text, in bytes.
const maxErrorText = 2000

// hide takes the credentials out of a text, in the forms that a request may have them.
func (p *Provider) hide(text string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, v := range p.hidden {
		for _, form := range []string{v.Reveal(), url.QueryEscape(v.Reveal()), url.PathEscape(v.Reveal())} {
			if form != "" {
				text = strings.ReplaceAll(text, form, secret.Mask)
			}
		}
	}
	if len(text) > maxErrorText {
		text = text[:maxErrorText] + "…"
	}
	return text
}
