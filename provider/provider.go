// Package provider applies zones to the systems that serve them. A provider
// reads a zone, applies a plan and returns a receipt. One directory each;
// zonefile is the embedded one.
package provider

import (
	"context"
	"time"

	"slipway/zone"
)

// Live is a zone as a provider has it.
type Live struct {
	Zone   zone.Name
	Sets   []zone.RRSet // without SOA and DNSSEC records
	Serial uint32
	Digest string // "sha256:…" of the content without the serial
	Exists bool
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
	Serial         uint32    `json:"serial"`
	Before         string    `json:"before"` // content digests
	After          string    `json:"after"`
	Applied        bool      `json:"applied"` // false: it was already so
	At             time.Time `json:"at"`
	Name           string    `json:"-"`
}

// Provider serves zones. There are several real ones; this is the seam.
type Provider interface {
	Read(ctx context.Context, z zone.Name) (*Live, error)
	// Apply makes the zone equal to p.Desired. It may be killed at any instruction and run again.
	Apply(ctx context.Context, p Plan) (*Receipt, error)
}

// CONTRACT: replace by the real code.

// NewPlan compares desired with live.
func NewPlan(z zone.Name, desired []zone.RRSet, live *Live, changeID, commit string) Plan {
	panic("contract")
}

// Digest is the content digest of a zone's record sets, whatever their order.
func Digest(sets []zone.RRSet) string { panic("contract") }
