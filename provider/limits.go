package provider

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"slipway/zone"
)

// Digest is the content digest of a plan: SHA-256 over the RFC 8785 form of the object
// with the keys desired (the Digest of the desired sets), expect and zone. Two plans have
// the same digest when they make the same live content into the same desired one; which
// change asks for it, and in which commit it stands, is not in it. What somebody has
// released is applied under that digest, and nothing else is.
func (p Plan) Digest() string { return PlanDigest(p.Zone, p.Expect, Digest(p.Desired)) }

// PlanDigest is the digest of a plan of which only the digests are known: of the live zone
// that it was made against, and of the desired content.
func PlanDigest(z zone.Name, expect, desired string) string {
	b := appendString([]byte(`{"desired":`), desired)
	b = appendString(append(b, `,"expect":`...), expect)
	b = appendString(append(b, `,"zone":`...), string(z))
	sum := sha256.Sum256(append(b, '}'))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Counts says how many record sets a plan creates, updates and deletes, and how many were
// live before.
type Counts struct {
	Creates int `json:"creates"`
	Updates int `json:"updates"`
	Deletes int `json:"deletes"`
	Live    int `json:"live"`
}

// Edits is how many record sets differ.
func (c Counts) Edits() int { return c.Creates + c.Updates + c.Deletes }

// Counts counts a plan's edits. The plan is one of NewPlan: its edits are all that differs.
func (p Plan) Counts() Counts {
	var c Counts
	for i := range p.Edits {
		switch p.Edits[i].Op {
		case zone.Create:
			c.Creates++
		case zone.Update:
			c.Updates++
		case zone.Delete:
			c.Deletes++
		}
	}
	c.Live = len(p.Desired) - c.Creates + c.Deletes
	return c
}

// Limits are the shares of a zone's live record sets, in per cent, that one plan may
// delete and update. A zone with fewer than From record sets is not held up: there, one
// record is a large share. 100 stops nothing. The settings have the same shape, so that
// provider.Limits(settings.Limits(z)) is the limit of a zone.
type Limits struct{ Deletes, Updates, From int }

// Exceeds says whether a plan deletes or updates more of the live zone than l allows, and
// in words what it would do. A share that is just the limit is within it. Creating sets
// takes nothing away from anybody, and is never too much.
func (p Plan) Exceeds(l Limits) (why string, exceeds bool) { return p.Counts().Exceed(p.Zone, l) }

// Exceed is Exceeds of the plan that was counted.
func (c Counts) Exceed(z zone.Name, l Limits) (why string, exceeds bool) {
	if c.Live < l.From || c.Live == 0 {
		return "", false
	}
	for _, part := range []struct {
		verb     string
		n, limit int
	}{{"delete", c.Deletes, l.Deletes}, {"change", c.Updates, l.Updates}} {
		// Whole numbers: 3 of 10 is 30 % and not a little more.
		if part.limit <= 0 || part.n*100 <= part.limit*c.Live {
			continue
		}
		words := fmt.Sprintf("%s %d of its %d record sets (%s), where at most %d%% are expected at once", part.verb, part.n, c.Live, Percent(part.n, c.Live), part.limit)
		if exceeds {
			why += "; and " + words
			continue
		}
		why, exceeds = fmt.Sprintf("in zone %s it would %s", z, words), true
	}
	return why, exceeds
}

// Percent writes a share for people. What is a little more than a limit does not read as
// the limit: a share that is no whole number of per cent has a decimal, rounded up.
func Percent(n, of int) string {
	if of <= 0 {
		return "0%"
	}
	tenths := (n*1000 + of - 1) / of
	if tenths%10 == 0 {
		return fmt.Sprintf("%d%%", tenths/10)
	}
	return fmt.Sprintf("%d.%d%%", tenths/10, tenths%10)
}

// InOrder returns the plan's edits in the order in which they are made: see Order.
func (p Plan) InOrder() []zone.Edit { return slices.Concat(Order(p.Edits)...) }
