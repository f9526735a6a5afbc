package flow

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"slipway/audit"
	"slipway/drift"
	"slipway/lifecycle"
	"slipway/provider"
	"slipway/repo"
	"slipway/zone"
)

// This file compares one zone and keeps the record of what was found. driftscan.go says when, mend.go and
// autorevert.go what becomes of it, delegation.go does the same for what parents say, and driftreport.go
// counts a month.

// How a drift ended.
const (
	driftGone      = "gone"      // the zone is as approved again
	driftChanged   = "changed"   // it differs in another way now, which has its own event
	driftOverwrite = "overwrite" // a person decided, or a rule, that the approved content replaces it
)

// subject is what of a zone a report is about.
type subject struct {
	zone  zone.Name
	scope drift.Scope
}

func (a subject) String() string {
	if a.scope == drift.Content {
		return string(a.zone)
	}
	return string(a.scope) + "/" + string(a.zone)
}

// reports are the latest comparisons.
type reports struct {
	mu sync.Mutex // held for the length of a map operation
	by map[subject]drift.Report
}

func newReports() *reports { return &reports{by: make(map[subject]drift.Report)} }

func (r *reports) put(rep drift.Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.by[subject{rep.Zone, rep.Scope}] = rep
}

func (r *reports) all() map[subject]drift.Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.by)
}

// driftOf compares one zone. nil: there is nothing to compare now.
func (s *Service) driftOf(ctx context.Context, main *repo.Tree, z zone.Name, thorough bool) (*drift.Report, error) {
	unlock, err := s.zones.take(ctx, string(z))
	if err != nil {
		return nil, err
	}
	defer unlock()
	p, err := s.provider(ctx, main, z)
	if err != nil {
		return nil, err
	}
	look := drift.Glance
	if thorough {
		look = drift.Look
	}
	live, err := look(ctx, p, z)
	if errors.Is(err, provider.ErrDamaged) {
		rep := drift.NewReport(z, drift.Content, main.Commit(), []drift.Difference{{Kind: drift.Damaged, Zone: z, Name: z, Detail: short(err.Error(), 500)}}, s.now())
		// The name that apply.go gives to what cannot be read.
		sum := sha256.Sum256([]byte(err.Error()))
		rep.Digest = "damaged:" + hex.EncodeToString(sum[:])
		s.lastRun.put(*rep)
		return rep, s.recordReport(ctx, rep, rep.Digest, "")
	}
	if err != nil {
		return nil, err
	}
	last, err := s.lastReceipt(ctx, z)
	if err != nil {
		return nil, err
	}
	if !live.Exists && last.commit == "" {
		return nil, nil // never served yet
	}
	approved, c := main, drift.Circumstances{Serial: last.serial}
	// Only a zone that differs is worth the question whether it is about to change.
	same, err := s.scanner.Same(ctx, main, z, live)
	if err != nil {
		return nil, err
	}
	if !same {
		if c.Coming, err = s.coming(ctx, main, z); err != nil {
			return nil, err
		}
		if len(c.Coming) > 0 {
			if last.commit == "" {
				return nil, nil // the first that is ever served of it
			}
			if approved, err = s.o.Repo.Tree(ctx, last.commit); err != nil {
				return nil, err
			}
		}
	}
	if c.Unmanaged, err = s.unmanaged.of(ctx, p, live, thorough); err != nil {
		return nil, err
	}
	rep, err := s.scanner.CompareLive(ctx, approved, z, p, live, c, s.now())
	if err != nil {
		return nil, err
	}
	if len(rep.Differences) == 0 {
		return rep, s.found(ctx, rep, "")
	}
	rule, held, err := s.mayPutBack(ctx, main, rep)
	if err != nil {
		return nil, err
	}
	if held != "" {
		rep.Notes = append(rep.Notes, drift.Note{Kind: drift.Attention, Detail: held})
	}
	if err := s.found(ctx, rep, held); err != nil || rule == nil {
		return rep, err
	}
	return s.putBackByRule(ctx, main, rule, rep, p)
}

// compare compares one zone with a commit and records what differs, or no longer does. The caller holds the
// zone's lock.
func (s *Service) compare(ctx context.Context, approved *repo.Tree, z zone.Name, p provider.Provider, live *provider.Live) (*drift.Report, error) {
	rep, err := s.scanner.CompareLive(ctx, approved, z, p, live, drift.Circumstances{}, s.now())
	if err != nil {
		return nil, err
	}
	return rep, s.found(ctx, rep, "")
}

// found records what a comparison found.
func (s *Service) found(ctx context.Context, rep *drift.Report, held string) error {
	s.lastRun.put(*rep)
	if len(rep.Differences) == 0 {
		return s.endDrift(ctx, rep.Zone, system, "", lifecycle.DriftEndDetails{How: driftGone, Scope: string(rep.Scope)})
	}
	return s.recordReport(ctx, rep, rep.Live, held)
}

// unmanagedOf is what zones hold that is not Slipway's business, asked for when a zone has changed.
type unmanagedOf struct {
	mu sync.Mutex // held for the length of a map operation
	by map[zone.Name]unmanagedAt
}

type unmanagedAt struct {
	live string // digest
	list []provider.Unmanaged
}

func (u *unmanagedOf) of(ctx context.Context, p provider.Provider, live *provider.Live, anew bool) ([]provider.Unmanaged, error) {
	var list func(context.Context, zone.Name) ([]provider.Unmanaged, error)
	switch p := p.(type) {
	case interface {
		Others(context.Context, zone.Name) ([]provider.Unmanaged, error)
	}:
		list = p.Others
	case interface {
		Unmanaged(context.Context, zone.Name) ([]provider.Unmanaged, error)
	}:
		list = p.Unmanaged
	default:
		return nil, nil
	}
	u.mu.Lock()
	known, ok := u.by[live.Zone]
	u.mu.Unlock()
	if ok && known.live == live.Digest && !anew {
		return known.list, nil
	}
	found, err := list(ctx, live.Zone)
	if err != nil {
		return nil, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.by == nil {
		u.by = make(map[zone.Name]unmanagedAt)
	}
	u.by[live.Zone] = unmanagedAt{live.Digest, found}
	return found, nil
}

// newestDrift is the newest event of an action about one subject.
func (s *Service) newestDrift(ctx context.Context, about subject, action audit.Action) (audit.Receipt, bool, error) {
	q := audit.Query{Zone: string(about.zone), Action: action, Newest: true, Limit: 1}
	for {
		page, err := s.o.Log.Index().Events(ctx, q)
		if err != nil {
			return audit.Receipt{}, false, err
		}
		for _, r := range page {
			d, err := lifecycle.Decode[struct{ Scope string }](r.Event)
			if err == nil && d.Scope == string(about.scope) {
				return r, true, nil
			}
		}
		if len(page) < q.Limit {
			return audit.Receipt{}, false, nil
		}
		q.Next(page[len(page)-1])
		q.Limit = 100
	}
}

// openDrift is the drift of a zone that is on record and has not ended.
func (s *Service) openDrift(ctx context.Context, about subject) (d lifecycle.DriftDetails, since string, open bool, err error) {
	found, ok, err := s.newestDrift(ctx, about, audit.DetectDrift)
	if err != nil || !ok {
		return d, "", false, err
	}
	ended, ok, err := s.newestDrift(ctx, about, audit.ResolveDrift)
	if err != nil || ok && ended.Index > found.Index {
		return d, ended.Event.EventID, false, err
	}
	d, err = lifecycle.Decode[lifecycle.DriftDetails](found.Event)
	return d, found.Event.EventID, err == nil, err
}

// recordReport records what a report found. held says why nobody but a person puts it back.
func (s *Service) recordReport(ctx context.Context, rep *drift.Report, live, held string) error {
	d := lifecycle.DriftDetails{Digest: rep.Digest, Live: live, Commit: rep.Commit, Serial: rep.Serial, Count: len(rep.Differences),
		Scope: string(rep.Scope), Held: held, Kinds: make(map[string]int), Notes: make(map[string]int), Differences: []lifecycle.Differs{}}
	for i, x := range rep.Differences {
		if d.Kinds[string(x.Kind)]++; i < lifecycle.MaxListed {
			d.Differences = append(d.Differences, lifecycle.Differs{Kind: string(x.Kind), Name: string(x.Name), Type: x.Type})
		}
	}
	for _, n := range rep.Notes {
		d.Notes[string(n.Kind)]++
	}
	return s.recordDrift(ctx, rep.Zone, d, rep)
}

// recordDrift records a difference, once for as long as it stays the same.
func (s *Service) recordDrift(ctx context.Context, z zone.Name, d lifecycle.DriftDetails, rep *drift.Report) error {
	about := subject{z, drift.Scope(d.Scope)}
	now, since, open, err := s.openDrift(ctx, about)
	if err != nil || open && now.Digest == d.Digest && now.Live == d.Live && (d.Held == "" || now.Held == d.Held) {
		return err
	}
	if open {
		if err := s.endDrift(ctx, z, system, "", lifecycle.DriftEndDetails{How: driftChanged, Scope: d.Scope}); err != nil {
			return err
		}
	}
	if about.scope == drift.Content {
		// It is decided on this very content already, and nothing has been applied since.
		if ok, err := s.overwritable(ctx, z, d.Live); err != nil || ok && !open {
			return err
		}
	}
	refs := make(map[string]string)
	if rep != nil {
		if refs["drift"], err = s.keep(ctx, "drift report", rep); err != nil {
			return err
		}
	}
	resource := audit.Resource{Zone: string(z)}
	if len(d.Differences) == 1 {
		resource.Record, resource.Type = d.Differences[0].Name, d.Differences[0].Type
	}
	raw, err := lifecycle.Encode(d)
	if err != nil {
		return err
	}
	_, err = s.o.Log.Append(ctx, audit.Event{
		Actor: system, Action: audit.DetectDrift, Timestamp: s.now(), Resource: resource, GitCommit: d.Commit, ArtifactRefs: refs, Details: raw,
		Once: fmt.Sprintf("drift/%s/%s/%s/%s", about, d.Digest, d.Live, since),
	})
	if err == nil {
		first := ""
		if len(d.Differences) > 0 {
			first = d.Differences[0].Kind + " " + d.Differences[0].Type + " " + d.Differences[0].Name
		}
		s.o.Logger.Warn("a live zone is not as approved", "zone", z, "differences", d.Count, "first", first, "scope", d.Scope, "held", d.Held)
	}
	return err
}

// endDrift ends a zone's drift of end's scope, if there is one on record.
func (s *Service) endDrift(ctx context.Context, z zone.Name, by audit.Actor, change string, end lifecycle.DriftEndDetails) error {
	d, since, open, err := s.openDrift(ctx, subject{z, drift.Scope(end.Scope)})
	if err != nil || !open {
		return err
	}
	end.Digest, end.Live = d.Digest, d.Live
	raw, err := lifecycle.Encode(end)
	if err != nil {
		return err
	}
	_, err = s.o.Log.Append(ctx, audit.Event{
		Actor: by, Action: audit.ResolveDrift, Timestamp: s.now(), Resource: audit.Resource{Zone: string(z)}, GitCommit: d.Commit, Change: change, Details: raw,
		Once: "drift-end/" + since,
	})
	return err
}

// coming are the merged changes that have still to be applied to a zone, and what main says in the end.
func (s *Service) coming(ctx context.Context, main *repo.Tree, z zone.Name) ([]drift.Coming, error) {
	open, err := s.openChanges(ctx)
	if err != nil {
		return nil, err
	}
	var out []drift.Coming
	for _, st := range open {
		if st.Commit == "" {
			continue
		}
		pending, err := s.pendingZones(ctx, st)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(pending, z) {
			continue
		}
		t, err := s.targetAt(ctx, st.Commit, z)
		if err != nil {
			return nil, err
		}
		out = append(out, drift.Coming{Change: st.ID, Sets: t.sets})
	}
	if len(out) == 0 {
		return nil, nil
	}
	t, err := s.targetAt(ctx, main.Commit(), z)
	if err != nil {
		return nil, err
	}
	return append(out, drift.Coming{Change: out[len(out)-1].Change, Sets: t.sets}), nil
}

// receiptOf is the last apply of a zone, with the serial that it left.
type receiptOf struct {
	commit string // "" when there is none
	serial uint32
}

func (s *Service) lastReceipt(ctx context.Context, z zone.Name) (receiptOf, error) {
	e, ok, err := s.newest(ctx, audit.Query{Zone: string(z), Action: audit.ApplyZone})
	if err != nil || !ok {
		return receiptOf{}, err
	}
	d, err := lifecycle.Decode[lifecycle.ApplyDetails](e.Event)
	return receiptOf{d.Commit, d.Receipt.Serial}, err
}

// onItsWay reports whether a merged change has still to be applied to a zone.
func (s *Service) onItsWay(ctx context.Context, z zone.Name) (bool, error) {
	open, err := s.openChanges(ctx)
	if err != nil {
		return false, err
	}
	for _, st := range open {
		if st.Commit == "" {
			continue
		}
		pending, err := s.pendingZones(ctx, st)
		if err != nil || slices.Contains(pending, z) {
			return err == nil, err
		}
	}
	return false, nil
}

// LastDrift is what the latest comparisons of this server found; for zones that it has not
// compared since it started, what is on record.
func (s *Service) LastDrift(ctx context.Context) ([]drift.Report, error) {
	latest := s.lastRun.all()
	q := audit.Query{Action: audit.DetectDrift, Newest: true}
	for {
		events, err := s.o.Log.Index().Events(ctx, q)
		if err != nil {
			return nil, explain("read the record", err)
		}
		for _, r := range events {
			rep, err := s.onRecord(ctx, r.Event, latest)
			if err != nil {
				return nil, explain("read the record", err)
			}
			if rep != nil {
				latest[subject{rep.Zone, rep.Scope}] = *rep
			}
		}
		if len(events) < 1000 {
			break
		}
		q.Next(events[len(events)-1])
	}
	for about, rep := range latest {
		if len(rep.Differences) == 0 {
			continue
		}
		who, err := s.attributed(ctx, rep)
		if err != nil {
			return nil, explain("read the record", err)
		}
		rep.Notes = slices.Concat(rep.Notes, who)
		latest[about] = rep
	}
	return slices.SortedFunc(maps.Values(latest), func(a, b drift.Report) int {
		return cmp.Or(cmp.Compare(a.Zone, b.Zone), cmp.Compare(a.Scope, b.Scope))
	}), nil
}

// attributed is who made the edits of a drift, where a provider's own log has told since.
func (s *Service) attributed(ctx context.Context, rep drift.Report) (notes []drift.Note, err error) {
	said, err := s.o.Log.Index().Events(ctx, audit.Query{Zone: string(rep.Zone), Action: audit.AttributeDrift, Newest: true, Limit: 20})
	if err != nil {
		return nil, err
	}
	for _, r := range said {
		d, err := lifecycle.Decode[attribution](r.Event)
		if err != nil || d.Digest != rep.Digest {
			continue
		}
		for _, e := range d.Edits[:min(len(d.Edits), lifecycle.MaxListed)] {
			if e.By != "" {
				notes = append(notes, drift.Note{Kind: drift.Attributed, Name: zone.Name(e.Name), Type: e.Type, Detail: fmt.Sprintf("%s, says %s.", short(e.By, 200), short(e.Source, 100))})
			}
		}
	}
	return notes, nil
}

// attribution is what attribute-drift says that matters here.
type attribution struct {
	Digest string `json:"digest"`
	Edits  []struct {
		Name   string `json:"name"`
		Type   string `json:"type"`
		By     string `json:"by"`
		Source string `json:"source"`
	} `json:"edits"`
}

// onRecord is the state of a zone that is not known otherwise, as of the newest event about it.
func (s *Service) onRecord(ctx context.Context, e audit.Event, latest map[subject]drift.Report) (*drift.Report, error) {
	d, err := lifecycle.Decode[lifecycle.DriftDetails](e)
	if err != nil {
		return nil, err
	}
	about := subject{zone.Name(e.Resource.Zone), drift.Scope(d.Scope)}
	if _, known := latest[about]; known {
		return nil, nil
	}
	d, _, open, err := s.openDrift(ctx, about)
	if err != nil {
		return nil, err
	}
	rep := &drift.Report{Zone: about.zone, Scope: about.scope, Commit: d.Commit, Serial: d.Serial, At: e.Timestamp}
	if !open {
		return rep, nil
	}
	// The whole of it, with what was approved and what is live; the event alone where that was erased.
	if raw, err := s.o.Log.Documents().Get(ctx, e.ArtifactRefs["drift"]); err == nil {
		whole := new(drift.Report)
		if json.Unmarshal(raw, whole) == nil && whole.Digest == d.Digest {
			return whole, nil
		}
	}
	rep.Digest, rep.Live = d.Digest, d.Live
	for _, x := range d.Differences {
		rep.Differences = append(rep.Differences, drift.Difference{Kind: drift.Kind(x.Kind), Zone: about.zone, Name: zone.Name(x.Name), Type: x.Type})
	}
	return rep, nil
}
