package lint

import "slipway/zone"

// Targets returns the names that a record set points at: those that it would lead
// astray if they went away.
func Targets(r zone.RRSet) []zone.Name { return targets(r) }
