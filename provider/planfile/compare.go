package planfile

import (
	"fmt"

	"slipway/zone"
)

// Difference is one way in which what would be done now is not what was planned.
type Difference struct {
	Zone     zone.Name `json:"zone"`
	Provider string    `json:"provider"`
	What     What      `json:"what"`
	Text     string    `json:"text"` // in plain words
}

// What differs.
type What string

// Differences.
const (
	OtherLive    What = "live"      // the provider has another zone now
	OtherDesired What = "desired"   // the repository asks for something else now
	Done         What = "done"      // it was made meanwhile, by whomever
	Missing      What = "missing"   // the plan has it, and there is nothing to compare with now
	Unplanned    What = "unplanned" // it would be done now, and the plan knows nothing of it
)

// Changed lists why planned is not what would be done now, by zone and provider; nothing when
// it still is. Which commit the two are of does not matter: what counts is what they say.
func Changed(planned, now *File) []Difference {
	var out []Difference
	a, b := planned.Plans, now.Plans
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && before(a[0], b[0]):
			out = append(out, Difference{a[0].Zone, a[0].Provider, Missing, fmt.Sprintf("zone %s at %s is in the plan, and is not in the repository any more, or not there", a[0].Zone, a[0].Provider)})
			a = a[1:]
		case len(a) == 0 || before(b[0], a[0]):
			if len(b[0].Edits) > 0 { // with nothing to do, there is nothing that nobody has seen
				out = append(out, Difference{b[0].Zone, b[0].Provider, Unplanned, fmt.Sprintf("zone %s at %s is not in the plan, and would be changed", b[0].Zone, b[0].Provider)})
			}
			b = b[1:]
		default:
			if what, text := a[0].changed(b[0]); what != "" {
				out = append(out, Difference{a[0].Zone, a[0].Provider, what, fmt.Sprintf("zone %s at %s: %s", a[0].Zone, a[0].Provider, text)})
			}
			a, b = a[1:], b[1:]
		}
	}
	return out
}

func (p Plan) changed(now Plan) (What, string) {
	switch {
	case p.Plan == now.Plan && p.Exists == now.Exists:
		return "", ""
	case p.Desired != now.Desired:
		return OtherDesired, "the repository asks for something else now than when the plan was made"
	case now.Live == p.Desired && now.Exists:
		return Done, "what was planned is live already"
	}
	return OtherLive, "what is live was changed since the plan was made"
}
