package inbound

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"slipway/audit"
	"slipway/lifecycle"
	"slipway/repo"
	"slipway/zone"
)

const (
	// Grace is how long a report may stay unexplained: a provider may tell of an apply
	// before Slipway has its receipt on record.
	Grace = 10 * time.Minute
	// settleBack is how long after it came a report is still looked at, for a server that
	// was down.
	settleBack = 7 * 24 * time.Hour
	// attributeBack is how long before drift was found the edit may have been made.
	attributeBack = 7 * 24 * time.Hour
)

// settles are the kinds of acts that an approved change has to explain.
var settles = map[Kind]bool{DNSChange: true, Cluster: true, Domain: true}

// Settle concludes what was received: a report that is now explained is matched, one that
// is still not after Grace is out of band, and drift that a report explains gets its
// author. It may be killed and run again: each conclusion is on record once.
func (s *Service) Settle(ctx context.Context) error {
	s.settling.Lock()
	defer s.settling.Unlock()
	tree, settings, err := s.o.Main(ctx)
	if err != nil {
		return err
	}
	err = s.walk(ctx, &s.settled, audit.ReceiveReport, func(e audit.Event, due bool) error {
		if !due || e.Change != "" {
			return nil
		}
		d, err := read(e)
		if err != nil || !settles[d.Kind] {
			return nil // of another version, or nothing that a change has to explain
		}
		return s.conclude(ctx, tree, settings, e, d)
	})
	if err != nil {
		return err
	}
	return s.walk(ctx, &s.credited, audit.DetectDrift, func(e audit.Event, _ bool) error { return s.attribute(ctx, e) })
}

// mark is the last event up to which everything was done. The zero value is none.
type mark struct {
	index uint64
	set   bool
}

// walk hands over the events of an action since m, and says which of them are due: older
// than Grace, so that nothing that matters to them is still to come. m moves behind those
// that were due when all before them were.
func (s *Service) walk(ctx context.Context, m *mark, action audit.Action, do func(e audit.Event, due bool) error) error {
	now := s.o.Now()
	q := audit.Query{Action: action, From: now.Add(-settleBack), After: m.index, HasAfter: m.set, Limit: s.page}
	for passing := true; ; {
		page, err := s.o.Log.Index().Events(ctx, q)
		if err != nil {
			return err
		}
		for _, r := range page {
			due := r.Event.Timestamp.Before(now.Add(-Grace))
			if err := do(r.Event, due); err != nil {
				return err
			}
			if passing = passing && due; passing {
				*m = mark{r.Index, true}
			}
		}
		if len(page) < s.page {
			return nil
		}
		q.Next(page[len(page)-1])
	}
}

// conclude says what a report means by now, once.
func (s *Service) conclude(ctx context.Context, tree *repo.Tree, settings *repo.Settings, e audit.Event, d details) error {
	once := "settle/" + e.EventID
	if _, settled, err := s.o.Log.Index().Once(ctx, once); err != nil || settled {
		return err
	}
	if err := s.recall(ctx, settings, e, &d.Report); err != nil {
		return err
	}
	found, err := s.correlate(ctx, tree, settings, &d.Report)
	if err != nil {
		return err
	}
	d.Event, d.How = e.EventID, found.how
	out := audit.Event{Actor: system, Action: audit.MatchReport, Resource: e.Resource, Change: found.change, ArtifactRefs: e.ArtifactRefs, Once: once}
	if out.Resource.App == "" {
		out.Resource.App = found.app
	}
	if found.how == "" {
		out.Action = audit.DetectOutOfBand
		s.o.Logger.Warn("a source reports an act that no approved change explains", "source", d.Source, "kind", d.Kind, "by", d.By, "zone", e.Resource.Zone, "at", d.At)
	}
	return s.append(ctx, out, d)
}

// recall reads again, from the document, what of a report had no room in its event. Where
// the document was erased, or its source is none any more, that stays unseen.
func (s *Service) recall(ctx context.Context, settings *repo.Settings, e audit.Event, r *Report) error {
	if !r.unseen() {
		return nil
	}
	raw, err := s.o.Log.Documents().Get(ctx, e.ArtifactRefs["report"])
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	all, err := Parse(settings.Record.Sources[r.Source].Type, raw, e.Timestamp)
	if err != nil {
		return nil // it is of another type by now
	}
	if i := slices.IndexFunc(all, func(x Report) bool { return x.ID == r.ID }); i >= 0 {
		r.beyond = all[i].beyond
	}
	return nil
}

// attributed are the details of attribute-drift.
type attributed struct {
	Digest string `json:"digest"` // of the drift
	Drift  string `json:"drift"`  // event ID of detect-drift
	Edits  []by   `json:"edits"`
}

type by struct {
	Name   zone.Name `json:"name"`
	Type   string    `json:"type"`
	By     string    `json:"by"`
	At     time.Time `json:"at"`
	Source string    `json:"source"`
	ID     string    `json:"id"`
}

// attribute says of a drift who made it, where reports tell.
func (s *Service) attribute(ctx context.Context, drift audit.Event) error {
	d, err := lifecycle.Decode[lifecycle.DriftDetails](drift)
	if err != nil {
		return nil // of another version
	}
	reports, err := s.events(ctx, audit.Query{Zone: drift.Resource.Zone, Action: audit.ReceiveReport, Newest: true,
		From: drift.Timestamp.Add(-attributeBack), To: drift.Timestamp.Add(Grace)})
	if err != nil {
		return err
	}
	for _, e := range reports {
		r, err := read(e.Event)
		if err != nil || e.Event.Change != "" || r.Kind != DNSChange || r.By == "" {
			continue
		}
		a := attributed{Digest: d.Digest, Drift: drift.EventID}
		for _, x := range d.Differences {
			if slices.ContainsFunc(r.Edits, func(e Edit) bool { return string(e.Name) == x.Name && (e.Type == "" || e.Type == x.Type) }) || len(r.Edits) == 0 && string(r.Zone) == drift.Resource.Zone {
				a.Edits = append(a.Edits, by{zone.Name(x.Name), x.Type, r.By, r.At, r.Source, r.ID})
			}
		}
		if len(a.Edits) == 0 {
			continue
		}
		err = s.append(ctx, audit.Event{
			Actor: system, Action: audit.AttributeDrift, Resource: drift.Resource, ArtifactRefs: e.Event.ArtifactRefs,
			Once: "attribute/" + drift.EventID + "/" + e.Event.EventID,
		}, a)
		if err != nil {
			return err
		}
	}
	return nil
}
