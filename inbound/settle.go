package inbound

import (
	"context"
	"slices"
	"time"

	"slipway/audit"
	"slipway/lifecycle"
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
	now := s.o.Now()
	tree, settings, err := s.o.Main(ctx)
	if err != nil {
		return err
	}
	received, err := s.events(ctx, audit.Query{Action: audit.ReceiveReport, From: now.Add(-settleBack), To: now.Add(-Grace)})
	if err != nil {
		return err
	}
	for _, e := range received {
		if e.Event.Change != "" {
			continue
		}
		d, err := read(e.Event)
		if err != nil || !settles[d.Kind] {
			continue // of another version, or nothing that a change has to explain
		}
		once := "settle/" + e.Event.EventID
		if _, settled, err := s.o.Log.Index().Once(ctx, once); err != nil || settled {
			if err != nil {
				return err
			}
			continue
		}
		found, err := s.correlate(ctx, tree, settings, &d.Report)
		if err != nil {
			return err
		}
		d.Event, d.How = e.Event.EventID, found.how
		out := audit.Event{Actor: system, Action: audit.MatchReport, Resource: e.Event.Resource, Change: found.change, ArtifactRefs: e.Event.ArtifactRefs, Once: once}
		if out.Resource.App == "" {
			out.Resource.App = found.app
		}
		if found.how == "" {
			out.Action = audit.DetectOutOfBand
			s.o.Logger.Warn("a source reports an act that no approved change explains", "source", d.Source, "kind", d.Kind, "by", d.By, "zone", e.Event.Resource.Zone, "at", d.At)
		}
		if err := s.append(ctx, out, d); err != nil {
			return err
		}
	}
	return s.attribute(ctx, now)
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

// attribute says of drift that was found lately who made it, where a report tells.
func (s *Service) attribute(ctx context.Context, now time.Time) error {
	drifts, err := s.events(ctx, audit.Query{Action: audit.DetectDrift, From: now.Add(-settleBack)})
	if err != nil {
		return err
	}
	for _, drift := range drifts {
		d, err := lifecycle.Decode[lifecycle.DriftDetails](drift.Event)
		if err != nil {
			continue // of another version
		}
		reports, err := s.events(ctx, audit.Query{Zone: drift.Event.Resource.Zone, Action: audit.ReceiveReport, Newest: true,
			From: drift.Event.Timestamp.Add(-attributeBack), To: drift.Event.Timestamp.Add(Grace)})
		if err != nil {
			return err
		}
		for _, e := range reports {
			r, err := read(e.Event)
			if err != nil || e.Event.Change != "" || r.Kind != DNSChange || r.By == "" {
				continue
			}
			a := attributed{Digest: d.Digest, Drift: drift.Event.EventID}
			for _, x := range d.Differences {
				if slices.ContainsFunc(r.Edits, func(e Edit) bool { return string(e.Name) == x.Name && (e.Type == "" || e.Type == x.Type) }) || len(r.Edits) == 0 && string(r.Zone) == drift.Event.Resource.Zone {
					a.Edits = append(a.Edits, by{zone.Name(x.Name), x.Type, r.By, r.At, r.Source, r.ID})
				}
			}
			if len(a.Edits) == 0 {
				continue
			}
			err = s.append(ctx, audit.Event{
				Actor: system, Action: audit.AttributeDrift, Resource: drift.Event.Resource, ArtifactRefs: e.Event.ArtifactRefs,
				Once: "attribute/" + drift.Event.EventID + "/" + e.Event.EventID,
			}, a)
			if err != nil {
				return err
			}
		}
	}
	return nil
}
