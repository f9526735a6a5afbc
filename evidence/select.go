package evidence

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sort"
	"time"

	"slipway/audit"
	"slipway/repo"
	"slipway/zone"
)

// SubjectError says what is wrong with what was asked for, for people.
type SubjectError struct{ What string }

func (e *SubjectError) Error() string { return e.What }

func ask(what string, args ...any) error { return &SubjectError{fmt.Sprintf(what, args...)} }

// tidy checks a subject and brings it into its one form.
func (s *Subject) tidy() error {
	named := 0
	for _, n := range []string{s.App, s.Change, s.Zone} {
		if n != "" {
			named++
		}
		if len(n) > 253 {
			return ask("%.40q… is no name of an app, a change or a zone", n)
		}
	}
	period := !s.From.IsZero() || !s.To.IsZero()
	switch {
	case named > 1:
		return ask("a bundle is about one app, one change or one zone: name one of them")
	case named == 0 && !period:
		return ask("name an app, a change or a zone, or give a period")
	case named == 1 && period:
		return ask("a bundle about an app, a change or a zone has all of its history: give no period with it")
	case named == 0 && s.Complete:
		return ask("a bundle of a period is complete as it is: ask for a complete one with an app, a change or a zone only")
	case s.App != "" && !repo.ValidAppName(s.App):
		return ask("%q is no name of an app", s.App)
	case !s.From.IsZero() && !s.To.IsZero() && !s.From.Before(s.To):
		return ask("the period ends before it begins")
	}
	if s.Zone != "" {
		name, err := zone.ParseName(s.Zone)
		if err != nil {
			return ask("the zone %q: %v", s.Zone, err)
		}
		s.Zone = string(name)
	}
	s.From, s.To = s.From.UTC().Truncate(time.Millisecond), s.To.UTC().Truncate(time.Millisecond)
	return nil
}

// period reports whether the subject is a stretch of time and not a thing.
func (s Subject) period() bool { return s.App == "" && s.Change == "" && s.Zone == "" }

// String names a subject in a sentence.
func (s Subject) String() string {
	when := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	switch {
	case s.App != "":
		return "the app " + s.App
	case s.Change != "":
		return "the change " + s.Change
	case s.Zone != "":
		return "the zone " + s.Zone
	case s.To.IsZero():
		return "everything since " + when(s.From)
	case s.From.IsZero():
		return "everything until " + when(s.To)
	}
	return "everything from " + when(s.From) + " to " + when(s.To)
}

// selector says which events of a log are about a subject. The exporter asks it about what the
// index finds, the verifier of a complete bundle about everything: docs/evidence.md has the rule.
type selector struct {
	s       Subject
	changes map[string]bool // that have to do with it
	names   map[string]bool // of an app's records
	zones   map[string]bool // that those are in
	drift   map[string]bool // by zone and digest
	strays  map[string]bool // certificates that did not come from here
}

func newSelector(s Subject) *selector {
	sel := &selector{s: s, changes: map[string]bool{}, names: map[string]bool{}, zones: map[string]bool{}, drift: map[string]bool{}, strays: map[string]bool{}}
	if s.Change != "" {
		sel.changes[s.Change] = true
	}
	return sel
}

// direct reports whether an event names the subject itself.
func (s *selector) direct(e *audit.Event) bool {
	switch {
	case s.s.App != "":
		return e.Resource.App == s.s.App
	case s.s.Zone != "":
		return e.Resource.Zone == s.s.Zone
	case s.s.Change != "":
		return e.Change == s.s.Change
	}
	return true
}

// learn takes an event in before any is judged: a change belongs to the subject from its first
// event on, even when only a later one shows it.
func (s *selector) learn(e *audit.Event) {
	if !s.direct(e) || s.s.period() {
		return
	}
	if e.Change != "" && s.s.Change == "" {
		s.changes[e.Change] = true
	}
	switch e.Action {
	case audit.CreateDNSRecord, audit.UpdateDNSRecord, audit.DeleteDNSRecord:
		if s.s.App != "" {
			s.names[e.Resource.Record], s.zones[e.Resource.Zone] = true, true
		}
	}
}

// about judges the events in the order of the log.
func (s *selector) about(e *audit.Event) bool {
	if s.direct(e) || e.Change != "" && s.changes[e.Change] {
		s.remember(e)
		return true
	}
	switch e.Action {
	case audit.ReportDrift:
		return s.s.Zone != "" // of the whole organisation
	case audit.AcceptCertificate:
		return s.strays[detail(e).ID]
	case audit.ResolveDrift, audit.AttributeDrift:
		return s.drift[e.Resource.Zone+" "+detail(e).Digest]
	case audit.DetectDrift, audit.DetectCertificate, audit.ReceiveReport, audit.DetectOutOfBand:
	default:
		return false
	}
	named := s.names[e.Resource.Record]
	if e.Action == audit.DetectDrift {
		for _, d := range detail(e).Differences {
			named = named || s.names[d.Name]
		}
		named = named && s.zones[e.Resource.Zone]
	}
	if named {
		s.remember(e)
	}
	return named
}

// remember keeps what later events refer to.
func (s *selector) remember(e *audit.Event) {
	switch e.Action {
	case audit.DetectDrift:
		s.drift[e.Resource.Zone+" "+detail(e).Digest] = true
	case audit.DetectCertificate:
		s.strays[detail(e).ID] = true
	}
}

// details are those by which events refer to others.
type details struct {
	ID          string `json:"id"`
	Digest      string `json:"digest"`
	Size        uint64 `json:"size"`
	Because     string `json:"because"`
	Differences []struct {
		Name string `json:"name"`
	} `json:"differences"`
}

func detail(e *audit.Event) (d details) {
	_ = json.Unmarshal(e.Details, &d) // an event of another form refers to nothing
	return d
}

// finder collects the events of a subject, by the index.
type finder struct {
	log   *audit.Reader
	found map[uint64]*audit.Event
	size  uint64
}

// query takes all that the index finds, and hands it on.
func (f *finder) query(ctx context.Context, q audit.Query, use func(*audit.Event)) error {
	const page = 5000
	for q.Limit = page; ; {
		got, err := f.log.Index().Events(ctx, q)
		if err != nil {
			return err
		}
		for _, r := range got {
			if r.Index >= f.size {
				return nil // newer than the checkpoint
			}
			if len(f.found) >= MaxEvents {
				return tooMany()
			}
			f.found[r.Index] = &r.Event
			if use != nil {
				use(&r.Event)
			}
		}
		if len(got) < page {
			return nil
		}
		q.Next(got[len(got)-1])
	}
}

func tooMany() error {
	return ask("It has more than %d events, which is more than one bundle holds: take it out in periods (--from, --to).", MaxEvents)
}

// find returns which events are about a subject, in the order of the log.
func find(ctx context.Context, log *audit.Reader, s Subject) ([]uint64, error) {
	f := &finder{log: log, found: map[uint64]*audit.Event{}, size: log.Tree().Size}
	sel := newSelector(s)
	var err error
	switch {
	case s.App != "":
		err = f.query(ctx, audit.Query{App: s.App}, sel.learn)
	case s.Zone != "":
		err = f.query(ctx, audit.Query{Zone: s.Zone}, sel.learn)
	}
	for _, id := range slices.Sorted(maps.Keys(sel.changes)) {
		if err == nil {
			err = f.query(ctx, audit.Query{Change: id}, nil)
		}
	}
	if err == nil {
		err = f.around(ctx, sel)
	}
	if err != nil {
		return nil, err
	}
	named := false
	for _, e := range f.found {
		named = named || sel.direct(e)
	}
	if !named {
		return nil, nil // what is about everything is not about this
	}
	var about []uint64
	for _, i := range slices.Sorted(maps.Keys(f.found)) {
		if sel.about(f.found[i]) {
			about = append(about, i)
		}
	}
	return about, nil
}

// around looks for what is about the subject without naming it.
func (f *finder) around(ctx context.Context, sel *selector) error {
	var queries []audit.Query
	for _, z := range slices.Sorted(maps.Keys(sel.zones)) {
		for _, a := range []audit.Action{audit.DetectDrift, audit.AttributeDrift, audit.ResolveDrift} {
			queries = append(queries, audit.Query{Zone: z, Action: a})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(sel.names)) {
		for _, a := range []audit.Action{audit.DetectCertificate, audit.ReceiveReport, audit.DetectOutOfBand} {
			queries = append(queries, audit.Query{Record: name, Action: a})
		}
	}
	if sel.s.Change == "" {
		queries = append(queries, audit.Query{Action: audit.AcceptCertificate})
	}
	if sel.s.Zone != "" {
		queries = append(queries, audit.Query{Action: audit.ReportDrift})
	}
	for _, q := range queries {
		if err := f.query(ctx, q, nil); err != nil {
			return err
		}
	}
	return nil
}

// span finds the events of a period: the times at which events were recorded never run
// backwards in a log, so it costs a few reads however long the log is.
func span(ctx context.Context, log *audit.Reader, s Subject) (from, to uint64, err error) {
	since := func(t time.Time) (uint64, error) {
		var failed error
		i := sort.Search(int(log.Tree().Size), func(i int) bool {
			raw, err := log.Entry(ctx, uint64(i))
			if err != nil {
				failed = cmp.Or(failed, err)
				return true
			}
			e, err := audit.OpenEntry(raw)
			if err != nil {
				failed = cmp.Or(failed, fmt.Errorf("log: event %d: %w", i, err))
				return true
			}
			return !e.Recorded.Before(t)
		})
		return uint64(i), failed
	}
	to = log.Tree().Size
	if from, err = since(s.From); err != nil {
		return 0, 0, err
	}
	if !s.To.IsZero() {
		if to, err = since(s.To); err != nil {
			return 0, 0, err
		}
	}
	return from, to, nil
}
