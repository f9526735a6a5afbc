package drift

import (
	"fmt"
	"slices"

	"slipway/provider"
	"slipway/zone"
)

// Sentence says for people what differs and what that means.
func (d Difference) Sentence() string {
	if d.Provider != "" {
		at := d.Provider
		d.Provider = ""
		return "At the provider " + at + ": " + d.Sentence()
	}
	name := d.Name.Unicode()
	switch d.Kind {
	case Missing:
		return fmt.Sprintf("%s %s was approved with %s, but it is not live: nobody who asks for it gets an answer.", d.Type, name, content(d.Approved))
	case Extra:
		return fmt.Sprintf("%s %s is live with %s, but nobody approved it.", d.Type, name, content(d.Live))
	case Damaged:
		return fmt.Sprintf("Zone %s cannot be compared, because what its provider has cannot be read as a zone; it was probably edited by hand. "+
			"Apply the approved zone again to mend it. (%s)", name, d.Detail)
	case Delegation, DS, Glue:
		return d.Detail
	}
	switch {
	case d.Approved == nil || d.Live == nil:
		return fmt.Sprintf("%s %s is not as approved.", d.Type, name)
	case d.Approved.TTL != d.Live.TTL && slices.Equal(d.Approved.Values, d.Live.Values) && d.Approved.Extra == d.Live.Extra:
		return fmt.Sprintf("%s %s is live with a TTL of %s, but a TTL of %s was approved.", d.Type, name, seconds(d.Live.TTL), seconds(d.Approved.TTL))
	}
	return fmt.Sprintf("%s %s is live with %s, but %s was approved.", d.Type, name, content(d.Live), content(d.Approved))
}

// Sentence says for people what differs and why that is no drift.
func (n Note) Sentence() string {
	what := ""
	if n.Name != "" {
		what = n.Type + " " + n.Name.Unicode() + ": "
	}
	switch {
	case n.Kind == Normalised && n.Approved != nil && n.Live != nil:
		return fmt.Sprintf("%s%s Approved is %s, live is %s.", what, n.Detail, content(n.Approved), content(n.Live))
	case n.Kind == Pending && n.Change != "":
		return fmt.Sprintf("%s%s (%s)", what, n.Detail, n.Change)
	}
	return what + n.Detail
}

// Words says in two or three words why a note is no drift.
func (k NoteKind) Words() string {
	switch k {
	case SerialOnly:
		return "only the serial"
	case Normalised:
		return "spelled otherwise"
	case Pending:
		return "on its way"
	case Unmanaged:
		return "left alone"
	case Attention:
		return "needs a person"
	case Attributed:
		return "who did it"
	}
	return string(k)
}

// Words says in a few words how a record set differs.
func (k Kind) Words() string {
	switch k {
	case Changed:
		return "not as approved"
	case Missing:
		return "approved, but not live"
	case Extra:
		return "live, but never approved"
	case Damaged:
		return "cannot be read"
	case Delegation:
		return "delegation at the parent"
	case DS:
		return "DS at the parent"
	case Glue:
		return "glue at the parent"
	}
	return string(k)
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
