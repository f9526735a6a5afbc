// Package drift compares live zones with the last approved commit and says
// what differs. It changes nothing.
package drift

import (
	"context"
	"time"

	"slipway/provider"
	"slipway/repo"
	"slipway/zone"
)

type Kind string

const (
	Changed Kind = "changed" // there, with other content
	Missing Kind = "missing" // approved, not live
	Extra   Kind = "extra"   // live, not approved
)

// Difference is one record set that is not as approved.
type Difference struct {
	Kind     Kind        `json:"kind"`
	Zone     zone.Name   `json:"zone"`
	Name     zone.Name   `json:"name"`
	Type     string      `json:"type"`
	Approved *zone.RRSet `json:"approved,omitempty"`
	Live     *zone.RRSet `json:"live,omitempty"`
}

// Report is one zone's comparison.
type Report struct {
	Zone        zone.Name    `json:"zone"`
	Commit      string       `json:"commit"` // the approved one
	Serial      uint32       `json:"serial"`
	Differences []Difference `json:"differences"`
	Digest      string       `json:"digest"` // of the differences; "" when none
	At          time.Time    `json:"at"`
}

// CONTRACT: replace by the real code.

// Compare compares one zone.
func Compare(ctx context.Context, t *repo.Tree, z zone.Name, p provider.Provider, now time.Time) (*Report, error) {
	panic("contract")
}
