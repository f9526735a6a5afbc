package inventory

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"slipway/check"
	"slipway/check/observe"
	"slipway/repo"
	"slipway/zone"
)

// Gap is something that is missing, wrong or about to break.
type Gap struct {
	Kind Kind      `json:"kind"`
	Zone zone.Name `json:"zone,omitempty"`
	Name string    `json:"name,omitempty"` // where it is about one name of the zone
	Rule string    `json:"rule,omitempty"` // the check that found it, see docs/rules
	Text string    `json:"text"`           // for people
}

// Kind is what sort of gap.
type Kind string

// The kinds of gaps, the most pressing first.
const (
	Unread       Kind = "unread"       // could not be looked at, or not as a whole
	Expiring     Kind = "expiring"     // the domain, at its registry
	Dangling     Kind = "dangling"     // points at something that is gone, or that somebody else could take
	Mail         Kind = "mail"         // somebody could send mail in the zone's name
	NoOwner      Kind = "no-owner"     // nobody known to look after the zone
	Unlocked     Kind = "unlocked"     // the domain could be transferred away
	Unclassified Kind = "unclassified" // internal or external: nobody has said
	Other        Kind = "other"        // what else the rules find
)

// Kinds are all kinds, the most pressing first.
func Kinds() []Kind {
	return []Kind{Unread, Expiring, Dangling, Mail, NoOwner, Unlocked, Unclassified, Other}
}

// soon is how long before a domain expires that is a gap.
const soon = 60 * 24 * time.Hour

// Which rules find what sort of gap. All others are Other.
var gapOf = map[string]Kind{
	"dangling-target": Dangling, "dangling-outside": Dangling, "takeover-risk": Dangling, "delegation-takeover": Dangling, "delegation-unserved": Dangling,
	"mail-unprotected": Mail, "dmarc-invalid": Mail, "dmarc-only-watches": Mail, "spf-allows-everyone": Mail, "spf-include-allows-everyone": Mail, "spf-invalid": Mail,
	"spf-multiple": Mail, "spf-broken-include": Mail, "spf-too-many-lookups": Mail, "spf-no-verdict": Mail, "spf-void-lookups": Mail, "parked-with-mail": Mail, "null-mx-with-senders": Mail,
	"dkim-weak": Mail, "dkim-invalid": Mail,
}

// Rules that say of an inventory only that it is one: nothing is declared yet, and the
// whole repository is new.
var expected = map[string]bool{
	"zone-undeclared": true, "restricted-type": true, "not-observed": true, "dns.policy/external-zone-not-allowed": true, "dns.policy/zone-owner": true,
}

// Gaps are what the inventory itself shows.
func (inv *Inventory) Gaps() []Gap {
	var out []Gap
	for _, p := range inv.Providers {
		if p.Problem != "" {
			out = append(out, Gap{Kind: Unread, Text: fmt.Sprintf("Provider %s: %s", p.Name, p.Problem)})
		}
	}
	for _, z := range inv.Zones {
		for _, p := range z.Problems {
			out = append(out, Gap{Kind: Unread, Zone: z.Name, Text: p})
		}
		if len(z.Leftovers) > 0 {
			out = append(out, Gap{Kind: Other, Zone: z.Name, Text: fmt.Sprintf("The provider serves %d things that no zone file can say; Slipway leaves them as they are.", len(z.Leftovers))})
		}
		if len(z.Owners) == 0 {
			out = append(out, Gap{Kind: NoOwner, Zone: z.Name, Text: "Nothing says who looks after this zone. Ask around, and write the answer down before it is needed."})
		}
		if r := z.Registry; r != nil {
			switch left := r.Expires.Sub(inv.At); {
			case r.Expires.IsZero():
			case left < 0:
				out = append(out, Gap{Kind: Expiring, Zone: z.Name, Text: fmt.Sprintf("The domain expired on %s. Renew it now: anybody can register it soon.", r.Expires.Format(time.DateOnly))})
			case left < soon:
				out = append(out, Gap{Kind: Expiring, Zone: z.Name, Text: fmt.Sprintf("The domain expires on %s, in %d days. Renew it at %s.", r.Expires.Format(time.DateOnly), int(left.Hours()/24), cmp.Or(r.Registrar, "its registrar"))})
			}
			if !slices.Contains(r.Status, "client transfer prohibited") && !slices.Contains(r.Status, "server transfer prohibited") {
				out = append(out, Gap{Kind: Unlocked, Zone: z.Name, Text: "The domain is not locked: whoever gets into the registrar's account can take it away. Switch the transfer lock on."})
			}
		}
	}
	return out
}

// Judge lists the zones that nobody has classified, and lets every rule look at a
// repository as if all of it were new. seen is what was asked of the DNS outside; nil: nothing.
func Judge(ctx context.Context, r *repo.Repo, tree *repo.Tree, seen *observe.Log, asOf time.Time) ([]Gap, error) {
	v, err := check.NewEngine().Run(ctx, check.Input{Repo: r, Base: r.EmptyTree(), Head: tree, AsOf: asOf, Observed: seen, Requester: check.Requester{ID: "inventory"}})
	if err != nil {
		return nil, err
	}
	settings, err := tree.Settings(ctx)
	if err != nil {
		return nil, err
	}
	out := []Gap{}
	for _, z := range slices.Sorted(maps.Keys(settings.Zones)) {
		if settings.Zones[z].Unclassified {
			out = append(out, Gap{Kind: Unclassified, Zone: z, Text: "Say in slipway.yaml whether the zone is internal or external; until then it is handled as external."})
		}
	}
	for _, f := range v.Findings {
		if expected[f.Rule] {
			continue
		}
		kind, ok := gapOf[f.Rule]
		if !ok {
			if f.Severity == check.Info {
				continue
			}
			kind = Other
		}
		out = append(out, Gap{Kind: kind, Zone: zone.Name(f.Zone), Name: string(f.Record), Rule: f.Rule, Text: f.Message})
	}
	return out, nil
}

// Sort puts gaps in order: the most pressing first, then by zone.
func Sort(gaps []Gap) {
	order := Kinds()
	slices.SortStableFunc(gaps, func(a, b Gap) int {
		return cmp.Or(slices.Index(order, a.Kind)-slices.Index(order, b.Kind), cmp.Compare(a.Zone, b.Zone), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Rule, b.Rule))
	})
}
