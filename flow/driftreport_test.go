package flow

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"slipway/audit"
	"slipway/drift"
	"slipway/lifecycle"
)

// What happened in a month is counted once it is over, from the log, also of months without a server.
func TestMonthlyDrift(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := context.Background()
	st := w.submit(green("apart", "192.0.2.40"))
	w.reaches(st.ID, lifecycle.Live)
	begin := monthOf(w.now())

	// Found, changed, and put back by a person; then found and undone by hand.
	w.edited(appsZone, "192.0.2.40", "192.0.2.66")
	seen := w.compared(appsZone)
	raw, err := json.Marshal(map[string]any{"digest": seen.Digest, "edits": []map[string]string{{"name": "apart.apps.finmicro.example", "type": "A", "by": "olga", "source": "cloudtrail"}}})
	w.must(err)
	_, err = w.log.Append(ctx, audit.Event{Actor: system, Action: audit.AttributeDrift, Timestamp: w.now(), Resource: audit.Resource{Zone: string(appsZone)}, Details: raw, Once: "attributed"})
	w.must(err)
	if open, err := w.flow.LastDrift(ctx); err != nil || !slices.ContainsFunc(open, func(r drift.Report) bool {
		return slices.ContainsFunc(r.Notes, func(n drift.Note) bool {
			return n.Kind == drift.Attributed && n.Sentence() == "A apart.apps.finmicro.example: olga, says cloudtrail."
		})
	}) {
		t.Errorf("nobody says who it was: %+v, %v", open, err)
	}
	w.edited(appsZone, "192.0.2.66", "192.0.2.67")
	w.must(w.flow.RevertDrift(ctx, ivy, appsZone, w.compared(appsZone).Live))
	w.edited(appsZone, "192.0.2.40", "192.0.2.66")
	w.compared(appsZone)
	w.edited(appsZone, "192.0.2.66", "192.0.2.40")
	w.compared(appsZone)

	now, err := w.flow.DriftMonth(ctx, drift.MonthName(w.now()))
	w.must(err)
	if now.Whole || now.Found != 2 || now.Ended != 2 || now.Open != 0 || now.How[drift.EndedPerson] != 1 || now.How[drift.EndedItself] != 1 ||
		!slices.Equal(now.People, []drift.Count{{Name: "olga", N: 1}}) || !slices.Equal(now.Kinds, []drift.Count{{Name: "changed", N: 2}}) {
		t.Errorf("%+v", now)
	}
	w.must(w.flow.reportDrift(ctx))
	reports := func() []audit.Receipt {
		found, err := w.log.Index().Events(ctx, audit.Query{Action: audit.ReportDrift})
		w.must(err)
		return found
	}
	if found := reports(); len(found) != 0 {
		t.Errorf("a month that is not over is on record: %+v", found)
	}
	_, err = w.flow.DriftMonth(ctx, "2001-01")
	w.refused(err, NotFound)
	_, err = w.flow.DriftMonth(ctx, "october")
	w.refused(err, Invalid)

	// Three months later a server starts again: each month gets its report, once.
	w.must(w.flow.Stop(ctx))
	w.later(begin.AddDate(0, 3, 5).Sub(w.now()))
	w.startFlow()
	changed := w.log.Index().Watch(ctx)
	for deadline := time.After(30 * time.Second); len(reports()) < 3; {
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%d reports", len(reports()))
		}
	}
	w.must(w.flow.reportDrift(ctx))
	found := reports()
	if len(found) != 3 {
		t.Fatalf("%d reports", len(found))
	}
	d, err := lifecycle.Decode[reportDetails](found[0].Event)
	w.must(err)
	if d != (reportDetails{Month: drift.MonthName(begin), Found: 2, Ended: 2, Zones: 1}) || found[0].Event.Resource.Name != d.Month {
		t.Errorf("%+v", d)
	}
	second, err := lifecycle.Decode[reportDetails](found[1].Event)
	w.must(err)
	if second.Found != 0 || second.Before != 2 {
		t.Errorf("%+v", second)
	}
	m, err := w.flow.DriftMonth(ctx, d.Month)
	w.must(err)
	if !m.Whole || m.Found != 2 || m.Trend != drift.TrendFirst {
		t.Errorf("%+v", m)
	}
	if last, err := w.flow.DriftMonth(ctx, ""); err != nil || last.Month != drift.MonthName(begin.AddDate(0, 2, 0)) || last.Trend != drift.TrendLess || len(last.Before) != 2 {
		t.Errorf("%+v, %v", last, err)
	}
}
