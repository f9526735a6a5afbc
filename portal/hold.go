package portal

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"slipway/flow"
	"slipway/identity"
	"slipway/lifecycle"
	"slipway/zone"
)

// This file shows applies that were stopped because they would take too much of a zone, and releases them.

// releasers is who may release one, for ACCESS.md.
const releasers = "the groups that may approve yellow changes, and nobody who had a part in this one"

// heldPlan is a stopped apply as one person sees it.
type heldPlan struct {
	lifecycle.Hold
	Edits       []edit
	More        int  // edits that are not listed
	Known       bool // what it would do can still be read
	CanRelease  bool
	CantRelease string // why somebody who could be asked may not
}

// plan is a stopped apply in the API.
type plan struct {
	Zone   string      `json:"zone"`
	Digest string      `json:"digest"`
	Why    string      `json:"why"`
	Edits  []zone.Edit `json:"edits"`
	More   int         `json:"more,omitempty"`
}

// plans are what the stopped applies of a change would do.
func (s *server) plans(ctx context.Context, p identity.Person, st lifecycle.State) []plan {
	var all []plan
	for _, h := range st.Held {
		edits, _ := s.planned(ctx, p, h)
		all = append(all, plan{Zone: h.Zone, Digest: h.Plan, Why: h.Why, Edits: append([]zone.Edit{}, edits[:min(len(edits), maxEdits)]...), More: max(len(edits)-maxEdits, 0)})
	}
	return all
}

// planned reads the document of a stopped apply. Documents can be erased: what happened stays on record without
// them. A third party is not shown it, since there may be more in it than they asked for.
func (s *server) planned(ctx context.Context, reader identity.Person, h lifecycle.Hold) (edits []zone.Edit, known bool) {
	if !isInsider(reader) {
		return nil, true
	}
	raw, err := s.Record.Documents().Get(ctx, h.Document)
	var p struct {
		Edits []zone.Edit `json:"edits"`
	}
	if err == nil {
		err = json.Unmarshal(raw, &p)
	}
	if err != nil {
		s.Logger.Warn("the plan of a stopped apply cannot be read", "zone", h.Zone, "error", err)
	}
	return p.Edits, err == nil
}

func (s *server) heldPlans(ctx context.Context, p identity.Person, st lifecycle.State) ([]heldPlan, error) {
	if len(st.Held) == 0 {
		return nil, nil
	}
	settings, err := s.Settings(ctx)
	if err != nil {
		return nil, err
	}
	var all []heldPlan
	for _, h := range st.Held {
		edits, known := s.planned(ctx, p, h)
		v := heldPlan{Hold: h, Edits: recordEdits(edits[:min(len(edits), maxEdits)]), More: max(len(edits)-maxEdits, 0), Known: known}
		if h.Release == nil {
			refusal := flow.MayRelease(settings, p, st, h, s.Now())
			v.CanRelease = refusal == nil && known
			if refusal != nil && (st.Requester == p.ID || len(p.Groups) > 0) {
				v.CantRelease = refusal.Text
			}
		}
		all = append(all, v)
	}
	return all, nil
}

// holders are the groups whose members may release what was stopped.
func holders(st lifecycle.State) []string {
	for _, h := range st.Held {
		if h.Release == nil && len(h.Groups) > 0 {
			return h.Groups
		}
	}
	return []string{"administrators"}
}

func (s *server) apiRelease(w http.ResponseWriter, r *request) error {
	var b struct {
		Zone   zone.Name `json:"zone"`
		Plan   string    `json:"plan"`
		Reason string    `json:"reason"`
	}
	return s.apiAct(w, r, &b, func(ctx context.Context, id string) (lifecycle.State, error) {
		return s.Service.ReleaseApply(ctx, r.person, id, b.Zone, b.Plan, b.Reason, via(r))
	})
}

func (s *server) releasePage(w http.ResponseWriter, r *request) error {
	return s.act(w, r, "release", func(ctx context.Context, id string, f url.Values) error {
		_, err := s.Service.ReleaseApply(ctx, r.person, id, zone.Name(f.Get("zone")), f.Get("plan"), f.Get("reason"), "portal")
		return err
	})
}
