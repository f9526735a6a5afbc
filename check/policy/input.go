package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"

	"slipway/cert/assess"
	"slipway/change"
	"slipway/check/finding"
	"slipway/repo"
	"slipway/zone"
)

// Input is the document that policies see as input. Its JSON form is a promise
// to everyone who writes policies: docs/policy-input.md describes it; names are
// added, never renamed. Lists are never null.
type Input struct {
	Organisation  Organisation      `json:"organisation"`
	Requester     Requester         `json:"requester"`
	AsOf          string            `json:"as_of"` // RFC 3339, UTC
	Zones         []Zone            `json:"zones"` // every zone that the change touches
	Change        Change            `json:"change"`
	Apps          []App             `json:"apps"`         // every app whose manifest the change touches
	Certificates  []assess.Facts    `json:"certificates"` // that the apps of the change want
	Signals       []Signal          `json:"signals"`
	Findings      []finding.Finding `json:"findings"`
	ApprovalRules []string          `json:"approval_rules"` // names of the rules in slipway.yaml

	// Added when rules are asked: "zone", the zone that is asked about, and
	// "app", the app, when there is just one.
}

// Organisation is whose names these are.
type Organisation struct {
	Name            string      `json:"name"`
	Domain          zone.Name   `json:"domain"`
	Brands          []string    `json:"brands"`
	AllowedExternal []zone.Name `json:"allowed_external"`
}

// Requester is who asks.
type Requester struct {
	ID         string   `json:"id"` // "" when nobody is recorded
	Role       string   `json:"role"`
	Groups     []string `json:"groups"`
	ThirdParty bool     `json:"third_party"`
}

// Zone is what slipway.yaml says about a zone.
type Zone struct {
	Name       zone.Name `json:"name"`
	Owner      zone.Name `json:"owner"`
	Visibility string    `json:"visibility"` // internal | external | "" when undeclared
	DNSSEC     string    `json:"dnssec"`
	Provider   string    `json:"provider"`
	Parked     bool      `json:"parked"`
	MaxEdits   int       `json:"max_edits"` // usual at most in one change; 0 when slipway.yaml does not say
	MaxDeletes int       `json:"max_deletes"`
}

// Change is what the change would do.
type Change struct {
	Base    string            `json:"base"`
	Head    string            `json:"head"`
	Digest  string            `json:"digest"`
	Creates int               `json:"creates"`
	Updates int               `json:"updates"`
	Deletes int               `json:"deletes"`
	Edits   []Edit            `json:"edits"`
	Files   []change.FileEdit `json:"files"` // settings, policies, domains and whatever else
}

// Edit is the change of one record set, and the app it belongs to ("" for the platform's own).
type Edit struct {
	zone.Edit
	App string `json:"app"`
}

// App is an app's manifest as it would become, or as it was when it is removed,
// with what it says no longer.
type App struct {
	repo.App
	Op               zone.Op  `json:"op"`
	Data             []string `json:"data"`
	PreviousOwner    *string  `json:"previous_owner"`    // null for create
	PreviousExposure *string  `json:"previous_exposure"` // null for create
	PreviousData     []string `json:"previous_data"`
}

// Signal is a fact that bears on risk, before it is weighed.
type Signal struct {
	Name   string    `json:"name"`
	Value  float64   `json:"value"`
	Reason string    `json:"reason"`
	Record string    `json:"record"`
	Zone   zone.Name `json:"zone"`
}

// NewChange is c as policies see it.
func NewChange(c *change.Change) Change {
	apps := map[string]string{} // path -> app
	for _, a := range c.Apps {
		for _, app := range []*repo.App{a.Before, a.After} {
			if app != nil {
				apps[app.Path] = a.Name
			}
		}
	}
	out := Change{
		Base: c.Base, Head: c.Head, Digest: c.Digest,
		Creates: c.Creates, Updates: c.Updates, Deletes: c.Deletes,
		Edits: make([]Edit, 0, len(c.Edits)), Files: list(c.Files),
	}
	for _, e := range c.Edits {
		out.Edits = append(out.Edits, Edit{Edit: e, App: apps[e.Place.Path]})
	}
	return out
}

// NewApp is an app's edit as policies see it.
func NewApp(e change.AppEdit) App {
	now := e.After
	if now == nil {
		now = e.Before
	}
	a := App{App: *now, Op: e.Op, Data: list(now.Data), PreviousData: []string{}}
	a.Records = list(a.Records)
	if e.Before != nil {
		a.PreviousOwner, a.PreviousExposure, a.PreviousData = &e.Before.Owner, &e.Before.Exposure, list(e.Before.Data)
	}
	return a
}

// value is the document without zone and app.
func (in Input) value() (ast.Object, error) {
	in.Organisation.Brands = list(in.Organisation.Brands)
	in.Organisation.AllowedExternal = list(in.Organisation.AllowedExternal)
	in.Requester.Groups = list(in.Requester.Groups)
	in.Zones, in.Apps, in.Certificates = list(in.Zones), list(in.Apps), list(in.Certificates)
	in.Signals, in.Findings = list(in.Signals), list(in.Findings)
	in.ApprovalRules = list(in.ApprovalRules)
	v, err := toValue(in)
	if errors.Is(err, errTooLarge) {
		place := zone.Place{Path: "zones", Line: 1}
		if len(in.Change.Edits) > 0 {
			place = in.Change.Edits[0].Place
		}
		return nil, &zone.Error{
			Place: place,
			What:  fmt.Sprintf("the change is larger than the %d MiB that policies can look at", MaxInput>>20),
			Help:  "split it into changes of fewer records",
		}
	}
	if err != nil {
		return nil, err
	}
	doc, ok := v.(ast.Object)
	if !ok {
		return nil, fmt.Errorf("policy input is a %T", v)
	}
	if len(in.Apps) == 1 {
		doc.Insert(ast.StringTerm("app"), doc.Get(ast.StringTerm("apps")).Value.(*ast.Array).Elem(0))
	}
	return doc, nil
}

// about returns doc with the zone that is asked about. doc itself stays as it is.
func about(doc ast.Object, z Zone) (ast.Object, error) {
	v, err := toValue(z)
	if err != nil {
		return nil, err
	}
	out := ast.NewObject()
	doc.Foreach(func(k, v *ast.Term) { out.Insert(k, v) })
	out.Insert(ast.StringTerm("zone"), ast.NewTerm(v))
	return out, nil
}

var errTooLarge = errors.New("too large")

func toValue(x any) (ast.Value, error) {
	src, err := json.Marshal(x)
	if err != nil {
		return nil, fmt.Errorf("policy input: %w", err)
	}
	if len(src) > MaxInput {
		return nil, errTooLarge
	}
	v, err := ast.ValueFromReader(bytes.NewReader(src))
	if err != nil {
		return nil, fmt.Errorf("policy input: %w", err)
	}
	return v, nil
}

// list makes null an empty list, which is what a policy's "some x in" expects.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return slices.Clip(s)
}
