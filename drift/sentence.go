package drift

import (
	"fmt"
	"slices"

	"slipway/provider"
	"slipway/zone"
)

// Sentence says for people what differs and what that means.
func (d Difference) Sentence() string {
	name := d.Name.Unicode()
	switch d.Kind {
	case Missing:
		return fmt.Sprintf("%s %s was approved with %s, but it is not live: nobody who asks for it gets an answer.", d.Type, name, content(d.Approved))
	case Extra:
		return fmt.Sprintf("%s %s is live with %s, but nobody approved it.", d.Type, name, content(d.Live))
	case Damaged:
		return fmt.Sprintf("Zone %s cannot be compared, because what its provider has cannot be read as a zone; it was probably edited by hand. "+
			"Apply the approved zone again to mend it. (%s)", name, d.Detail)
	}
	switch {
	case d.Approved == nil || d.Live == nil:
		return fmt.Sprintf("%s %s is not as approved.", d.Type, name)
	case d.Approved.TTL != d.Live.TTL && slices.Equal(d.Approved.Values, d.Live.Values) && d.Approved.Extra == d.Live.Extra:
		return fmt.Sprintf("%s %s is live with a TTL of %s, but a TTL of %s was approved.", d.Type, name, seconds(d.Live.TTL), seconds(d.Approved.TTL))
	}
	return fmt.Sprintf("%s %s is live with %s, but %s was approved.", d.Type, name, content(d.Live), content(d.Approved))
}

// content names a set's values, and its settings where it has no values of its own.
func content(set *zone.RRSet) string {
	if set == nil {
		return "nothing"
	}
	if len(set.Values) == 0 && set.Extra != "" {
		return "the settings " + set.Extra
	}
	s := provider.Listing(set.Values)
	if set.Extra != "" {
		s += " and the settings " + set.Extra
	}
	return s
}

func seconds(ttl int) string {
	if ttl == 1 {
		return "1 second"
	}
	return fmt.Sprintf("%d seconds", ttl)
}
