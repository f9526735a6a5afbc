// Package provider says what a DNS provider is to Slipway: something that reads a
// zone as record sets, makes a zone equal to a plan, and returns a receipt. It owns
// the plan, the receipt and the content digest that ties the two to what was
// approved; it talks to no server itself. One directory below it holds one
// provider each, all in the same shape; zonefile is the embedded one and
// providertest the suite that every one of them passes. Read this file first, then
// digest.go, limits.go, which says what a plan is and when it takes too much at once, and
// order.go, which says in which order a plan is made so that no name breaks on the way.
package provider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"slipway/zone"
)

// DefaultTTL is the TTL in seconds of a record set that gives none, when the
// provider says nothing else: what octoDNS writes in that case.
const DefaultTTL = 3600

// Live is a zone as a provider has it.
type Live struct {
	Zone   zone.Name
	Sets   []zone.RRSet // without SOA and DNSSEC records
	Serial uint32
	Digest string // "sha256:…" of the content without the serial
	Exists bool

	// DefaultTTL is what this provider gives a set without a TTL; 0 means DefaultTTL.
	DefaultTTL int

	// ApexNS is the zone's own NS set as it is live, from a provider whose zones cannot
	// be without one. Where the approved zone says nothing about it, it is the
	// provider's business and stays as it is; see WithTTLs.
	ApexNS *zone.RRSet

	// Parts is the zone as each of several providers has it, where they should agree and do
	// not. Sets is then only a view: whatever any of them has, the first one's where they
	// differ; and Digest is of all of them together, so that it is no content's.
	Parts []Part
}

// Part is a zone as one of the providers has it that serve it together.
type Part struct {
	Provider string // what slipway.yaml calls it
	Live     *Live
}

// Plan is the whole desired content of one zone and what differs now.
type Plan struct {
	Zone     zone.Name    `json:"zone"`
	Desired  []zone.RRSet `json:"-"`
	Edits    []zone.Edit  `json:"edits"`
	Expect   string       `json:"expect"` // digest of the live zone that the plan was made against
	ChangeID string       `json:"change"`
	Commit   string       `json:"commit"`
}

// Receipt is what an apply leaves behind.
type Receipt struct {
	Provider       string    `json:"provider"`
	Zone           zone.Name `json:"zone"`
	ProviderChange string    `json:"provider_change"` // the provider's own change ID
	SerialBefore   uint32    `json:"serial_before,omitempty"`
	Serial         uint32    `json:"serial"`
	Before         string    `json:"before"` // content digests
	After          string    `json:"after"`
	Applied        bool      `json:"applied"` // false: it was already so
	At             time.Time `json:"at"`
	Name           string    `json:"-"`

	Parts []Receipt `json:"parts,omitempty"` // of each provider, where several serve the zone
}

// Provider serves zones. There are several real ones; this is the seam.
type Provider interface {
	// Read returns the zone as it is now. A zone that the provider does not have is
	// no error: it has Exists false and no sets.
	Read(ctx context.Context, z zone.Name) (*Live, error)

	// Apply makes the zone equal to p.Desired. It may be killed at any instruction
	// and run again: the same change of the same content returns the same receipt
	// and touches nothing. It refuses with a *DriftedError when the zone is neither
	// what the plan was made against nor what it asks for.
	Apply(ctx context.Context, p Plan) (*Receipt, error)
}

// Summariser is a Provider that can tell what it serves without handing it over.
// Its Live has no Sets; everything else is as Read has it.
type Summariser interface {
	Summary(ctx context.Context, z zone.Name) (*Live, error)
}

// Resumer is a Provider that makes a large plan in several steps, so that a kill may leave
// a zone between them. Resumes says whether live is what an apply of this very plan has
// left half-way, and nobody's edit: before is the zone as it was when the apply began.
type Resumer interface {
	Resumes(p Plan, live, before *Live) (bool, error)
}

// ExpectAnything as a plan's Expect makes Apply replace whatever is live, also what
// cannot be read. It is for putting a zone back to its approved state once somebody
// has decided that; a plan without any Expect is refused.
const ExpectAnything = "*"

// Errors that callers branch on.
var (
	// ErrDrifted is what a *DriftedError unwraps to.
	ErrDrifted = errors.New("the live zone is not the one that the plan was made against")
	// ErrDamaged: what the provider has for the zone cannot be read as a zone.
	ErrDamaged = errors.New("the live zone is damaged")
)

// DriftedError says that a zone was changed between plan and apply. Whoever planned
// decides: look at the zone again and plan anew, or ask a person.
type DriftedError struct {
	Zone          zone.Name
	Expect, Found string // digests
}

func (e *DriftedError) Error() string {
	return fmt.Sprintf("zone %s was not changed: somebody or something else has changed it since this change was planned, and applying now could undo that. "+
		"Compare it with the zones repository (slipway drift), then plan again (planned against %s, found %s)", e.Zone, e.Expect, e.Found)
}

func (e *DriftedError) Unwrap() error { return ErrDrifted }

// NewPlan compares desired with live. A nil live is a zone that does not exist yet.
func NewPlan(z zone.Name, desired []zone.RRSet, live *Live, changeID, commit string) Plan {
	if live == nil {
		live = &Live{Zone: z}
	}
	expect := live.Digest
	if expect == "" {
		expect = Digest(live.Sets)
	}
	edits := live.Edits(z, desired)
	return Plan{
		Zone:     z,
		Desired:  live.WithTTLs(desired),
		Edits:    edits,
		Expect:   expect,
		ChangeID: changeID,
		Commit:   commit,
	}
}

// Edits is what has to change for the zone to be as desired, sorted by name, then type. Of a
// zone whose providers do not agree it is what has to change at any of them, one edit for
// each record set: an update before a create.
func (l *Live) Edits(z zone.Name, desired []zone.RRSet) []zone.Edit {
	if len(l.Parts) == 0 {
		return zone.Diff(z, l.Sets, l.WithTTLs(desired))
	}
	byKey := make(map[zone.Key]zone.Edit)
	for _, part := range l.Parts {
		for _, e := range zone.Diff(z, part.Live.Sets, part.Live.WithTTLs(desired)) {
			key := zone.Key{Name: e.Name, Type: e.Type}
			if had, ok := byKey[key]; !ok || had.Op == zone.Create {
				byKey[key] = e
			}
		}
	}
	return slices.SortedFunc(maps.Values(byKey), func(a, b zone.Edit) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type))
	})
}

// WithTTLs returns sets as this provider would have them: with its default TTL
// where a set gives none, and with the zone's own NS set where they have none and the
// provider keeps one. It copies only when there is something to fill in.
func (l *Live) WithTTLs(sets []zone.RRSet) []zone.RRSet {
	if ns := l.ApexNS; ns != nil && !slices.ContainsFunc(sets, func(r zone.RRSet) bool { return r.Type == "NS" && r.Name == ns.Name }) {
		sets = append(slices.Clip(sets), *ns)
	}
	ttl := l.DefaultTTL
	if ttl <= 0 {
		ttl = DefaultTTL
	}
	filled := false
	for i := range sets {
		if sets[i].TTL != zone.NoTTL {
			continue
		}
		if !filled {
			sets, filled = append([]zone.RRSet(nil), sets...), true
		}
		sets[i].TTL = ttl
	}
	return sets
}

// Empty says whether there is nothing in the zone that anybody could have put there: it
// does not exist, or was made just now on a server that wants its zones made first, with
// an NS set of its own.
func (l *Live) Empty() bool {
	if !l.Exists {
		return true
	}
	var own []zone.RRSet
	if l.ApexNS != nil {
		own = []zone.RRSet{*l.ApexNS}
	}
	return l.Digest == Digest(own)
}

// Validate refuses a plan that could not be what anybody approved: one made against
// nothing, a set outside the zone, the same set twice, data that is not well formed.
func (p Plan) Validate() error {
	if p.Expect == "" {
		return fmt.Errorf("plan for zone %s: it does not say which live zone it was made against", p.Zone)
	}
	seen := make(map[zone.Key]struct{}, len(p.Desired))
	for i := range p.Desired {
		set := &p.Desired[i]
		if !set.Name.In(p.Zone) {
			return fmt.Errorf("plan for zone %s: %s %s is outside the zone", p.Zone, set.Type, set.Name)
		}
		if _, twice := seen[set.Key()]; twice {
			return fmt.Errorf("plan for zone %s: %s %s is in it twice", p.Zone, set.Type, set.Name)
		}
		seen[set.Key()] = struct{}{}
		if err := set.Validate(); err != nil {
			return fmt.Errorf("plan for zone %s: %w", p.Zone, err)
		}
	}
	return nil
}

// Listing writes values for people, and keeps a message readable when a set has
// hundreds of them.
func Listing(values []string) string {
	const most = 8
	if len(values) == 0 {
		return "nothing"
	}
	s := strings.Join(values[:min(len(values), most)], ", ")
	if more := len(values) - most; more > 0 {
		s += fmt.Sprintf(", and %d more", more)
	}
	return s
}
