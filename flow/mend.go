package flow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"slipway/check"
	"slipway/drift"
	"slipway/identity"
	"slipway/lifecycle"
	"slipway/provider"
	"slipway/repo"
	"slipway/zone"
)

// This file is what people do about a zone that is not as approved: put it back, or ask that what is live
// be approved. Both are bound to the live content that the person saw.

// looked is a zone as it is live, with what reads and changes it.
type looked struct {
	main *repo.Tree
	p    provider.Provider
	live *provider.Live
}

// lookAt reads a live zone that somebody wants to do something about. The caller holds the zone's lock.
func (s *Service) lookAt(ctx context.Context, z zone.Name, seen string) (*looked, error) {
	main, err := s.main(ctx)
	if err != nil {
		return nil, explain("read the zones repository", err)
	}
	zones, err := allZones(ctx, main)
	if err != nil {
		return nil, explain("read the zones repository", err)
	}
	if !slices.Contains(zones, z) {
		return nil, fault(NotFound, "Look at the list of zones: slipway drift --last.", "There is no zone %q.", short(string(z), 100))
	}
	if busy, err := s.onItsWay(ctx, z); err != nil || busy {
		if err != nil {
			return nil, explain("read the record", err)
		}
		return nil, fault(Conflict, "Wait until it is live, then compare again.", "A change to the zone %s is on its way to the name servers at this moment.", z)
	}
	p, err := s.provider(ctx, main, z)
	if err != nil {
		return nil, explain("reach the provider of the zone "+string(z), err)
	}
	live, err := p.Read(ctx, z)
	switch {
	case errors.Is(err, provider.ErrDamaged):
		return nil, &Error{Code: Conflict, Message: fmt.Sprintf("What is live of the zone %s cannot be read: %s.", z, short(err.Error(), 500)), Help: "Repair it by hand, then compare again.", Detail: err}
	case err != nil:
		return nil, explain("read the zone "+string(z), err)
	case live.Digest != seen:
		return nil, fault(Conflict, "Compare it again (slipway drift), look at what differs now, then decide.", "The zone %s is not what you saw any more.", z)
	}
	return &looked{main, p, live}, nil
}

// RevertDrift makes a live zone what was approved last. It approves nothing: what it brings back had been
// approved. Who decided it, and on which live content, is on record before anything happens.
func (s *Service) RevertDrift(ctx context.Context, by identity.Person, z zone.Name, live string) error {
	settings, err := s.settings(ctx)
	if err != nil {
		return explain("read the settings", err)
	}
	if by.ID == "" || !MayRevertDrift(settings, by.ID) {
		return fault(Forbidden, "Ask one of them, or adopt what is live: that is a change like any other.",
			"Only the groups that approve changes of medium risk may put a zone back: %s.", strings.Join(menders(settings), ", "))
	}
	unlock, err := s.zones.take(ctx, string(z))
	if err != nil {
		return explain("put the zone back", err)
	}
	defer unlock()
	l, err := s.lookAt(ctx, z, live)
	if err != nil {
		return err
	}
	return explain("put the zone "+string(z)+" back", s.putBack(ctx, by, z, l))
}

// menders are the groups that may put a zone back.
func menders(settings *repo.Settings) []string {
	r := settings.Approvals["yellow"]
	return slices.Concat(r.AnyOf, r.AllOf)
}

// MayRevertDrift reports whether a person is in one of the groups that may put a zone back.
func MayRevertDrift(settings *repo.Settings, person string) bool {
	may := menders(settings)
	return slices.ContainsFunc(settings.GroupsOf(person), func(g string) bool { return slices.Contains(may, g) })
}

func (s *Service) putBack(ctx context.Context, by identity.Person, z zone.Name, l *looked) error {
	want, err := s.approvedOf(ctx, l.main, z)
	if err != nil {
		return err
	}
	if want.is(l.live) {
		return fault(Conflict, "", "The zone %s is as approved: there is nothing to put back.", z)
	}
	if _, err := s.compare(ctx, want.tree, z, l.p, l.live); err != nil {
		return err
	}
	// The decision comes first. Killed after it, the next start goes on with what was decided.
	if decided, err := s.overwritable(ctx, z, l.live.Digest); err != nil || !decided {
		if err != nil {
			return err
		}
		if err := s.endDrift(ctx, z, actor(by.ID, by.Role), "", lifecycle.DriftEndDetails{How: driftOverwrite}); err != nil {
			return err
		}
	}
	err = s.replace(ctx, z, l.p, l.live, want)
	if errors.Is(err, provider.ErrDrifted) {
		return &Error{Code: Conflict, Message: fmt.Sprintf("The zone %s was changed at this very moment.", z), Help: "Compare it again, look at what differs now, then decide.", Detail: err}
	}
	return err
}

// AdoptDrift asks, as a change by the person, that main say what is live. It is checked and approved as
// every change; until then the zone stays as it is, and drifted.
func (s *Service) AdoptDrift(ctx context.Context, by identity.Person, z zone.Name, live, ticket, via string) (lifecycle.State, *check.Verdict, error) {
	settings, err := s.settings(ctx)
	if err != nil {
		return lifecycle.State{}, nil, explain("read the settings", err)
	}
	if outside := by.ThirdParty || settings.ThirdParty(by.ID); by.ID == "" || outside && len(settings.GroupsOf(by.ID)) == 0 {
		return lifecycle.State{}, nil, fault(Forbidden, "Ask one of them.", "Only the organisation's own people may adopt what is live.")
	}
	sub := Submission{By: by, Via: via, Title: line("Adopt what is live in "+z.Unicode(), MaxTitle), Ticket: ticket, Adopts: live}
	same := func(o lifecycle.State) bool { // its zones are known once it is judged
		return o.Adopts == live && (len(o.Zones) == 0 || slices.Contains(o.Zones, string(z)))
	}
	return s.submitOnce(ctx, sub, "adopt "+string(z), same, func() (string, error) { return s.adopted(ctx, by, z, sub) })
}

// adopted is a commit on top of main that says of a zone what is live.
func (s *Service) adopted(ctx context.Context, by identity.Person, z zone.Name, sub Submission) (string, error) {
	unlock, err := s.zones.take(ctx, string(z))
	if err != nil {
		return "", explain("adopt the zone", err)
	}
	defer unlock()
	l, err := s.lookAt(ctx, z, sub.Adopts)
	if err != nil {
		return "", err
	}
	want, err := s.targetAt(ctx, l.main.Commit(), z)
	if err != nil {
		return "", explain("read the zones repository", err)
	}
	rep := drift.Between(z, l.main.Commit(), want.sets, l.live, s.now())
	if len(rep.Differences) == 0 {
		return "", fault(Conflict, "", "The zone %s is as approved: there is nothing to adopt.", z)
	}
	files, err := adoptedFiles(ctx, l.main, z, rep.Differences)
	if err != nil {
		return "", explain("write what is live into the repository", err)
	}
	head, err := s.o.Repo.Propose(ctx, repo.Proposal{
		Base: l.main.Commit(), Files: files,
		Author: repo.Person{Name: by.ID, Email: by.ID}, Message: sub.Title, When: s.now(),
	})
	return head, explain("write what is live into the repository", err)
}

// adoptedFiles are the files that say what is live: each record set is changed in the file that has it, the zone's
// or an app's, and what nobody has is the zone's.
func adoptedFiles(ctx context.Context, main *repo.Tree, z zone.Name, differences []drift.Difference) (map[string][]byte, error) {
	if slices.ContainsFunc(differences, func(d drift.Difference) bool { return d.Provider != "" }) {
		return nil, fault(Refused, "Put it back instead, or make the providers agree.", "The providers of the zone %s do not agree with each other, so there is no one content that could be adopted.", z)
	}
	own, err := main.ZonePath(ctx, z)
	if err != nil && !errors.Is(err, repo.ErrNotFound) {
		return nil, err
	}
	files := make(map[string][]byte)
	apps := make(map[string][]zone.Edit)
	var rest []drift.Difference
	for _, d := range differences {
		if d.Approved == nil || d.Approved.Place.Path == own {
			rest = append(rest, d)
			continue
		}
		apps[d.Approved.Place.Path] = append(apps[d.Approved.Place.Path], zone.Edit{Zone: z, Name: d.Name, Type: d.Type, Before: d.Approved, After: d.Live})
	}
	for path, edits := range apps {
		if files[path], err = adoptIntoApp(ctx, main, path, edits); err != nil {
			return nil, err
		}
	}
	if len(rest) == 0 {
		return files, nil
	}
	if own == "" {
		return nil, fault(Refused, "Put it back instead, or add a file for the zone first.", "The zone %s has no file on main, only apps say what is in it, and none of them says anything of %s %s.", z, rest[0].Type, rest[0].Name)
	}
	f, err := main.ZoneFile(ctx, z)
	if err != nil {
		return nil, err
	}
	if err := adopt(f, rest); err != nil {
		return nil, err
	}
	files[own] = f.Bytes()
	return files, nil
}

// adoptIntoApp is an app's manifest as what is live has it. A TTL that it does not give is not written into it.
func adoptIntoApp(ctx context.Context, main *repo.Tree, path string, edits []zone.Edit) ([]byte, error) {
	src, err := main.ReadFile(ctx, path)
	if err != nil {
		return nil, err
	}
	app, err := repo.ParseApp(path, src)
	if err != nil {
		return nil, err
	}
	for i, e := range edits {
		at := slices.IndexFunc(app.Records, func(r zone.RRSet) bool { return r.Name == e.Name && r.Type == e.Type })
		if e.After == nil || at < 0 || app.Records[at].TTL != zone.NoTTL || e.After.TTL != e.Before.TTL {
			continue
		}
		set := *e.After
		set.TTL = zone.NoTTL
		edits[i].After = &set
	}
	return repo.EditApp(path, src, edits)
}

// adopt writes what is live into a zone's file.
func adopt(f *zone.File, differences []drift.Difference) error {
	for _, d := range differences {
		if d.Live == nil {
			if _, err := f.Remove(zone.Key{Name: d.Name, Type: d.Type}); err != nil {
				return err
			}
			continue
		}
		set := *d.Live
		if d.Approved != nil {
			set.Extra = d.Approved.Extra
		}
		if err := f.Put(set); err != nil {
			return err
		}
	}
	return nil
}
