// Package drift compares live zones with the last approved commit, and what their parents
// say of them with what they are, and says what differs, in data and in plain sentences. It
// changes nothing: whether a difference is put back or adopted is decided elsewhere. Read
// this file first, then notes.go (what differs and is no drift), scanner.go (the same zones
// compared again and again), delegation.go and parent.go (NS, DS and glue at the parent),
// month.go (a month's drift in numbers) and sentence.go.
package drift

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/gowebpki/jcs"

	"slipway/provider"
	"slipway/repo"
	"slipway/zone"
)

// Kind is how a record set differs.
type Kind string

const (
	Changed Kind = "changed" // there, with other content
	Missing Kind = "missing" // approved, not live
	Extra   Kind = "extra"   // live, not approved
	Damaged Kind = "damaged" // the live zone cannot be read at all; Name is the zone

	// What the parent says of a zone. These come in reports of the scope Parent only.
	Delegation Kind = "delegation" // NS at the parent, and whether who is named there answers
	DS         Kind = "ds"         // the parent vouches for other keys than the zone is signed with
	Glue       Kind = "glue"       // the parent has other addresses of the zone's name servers
)

// Scope is what of a zone a report compares.
type Scope string

const (
	Content Scope = ""       // its record sets
	Parent  Scope = "parent" // what the zone above says of it
)

// Difference is one record set that is not as approved.
type Difference struct {
	Kind     Kind        `json:"kind"`
	Zone     zone.Name   `json:"zone"`
	Name     zone.Name   `json:"name"`
	Type     string      `json:"type"`
	Approved *zone.RRSet `json:"approved,omitempty"` // in the scope Parent: what the zone itself has
	Live     *zone.RRSet `json:"live,omitempty"`     // in the scope Parent: what the parent has
	Provider string      `json:"provider,omitempty"` // that differs, where several serve the zone and do not agree
	Detail   string      `json:"detail,omitempty"`   // Damaged: what the provider says; of a parent: what is wrong, for people
}

// Report is one zone's comparison.
type Report struct {
	Zone        zone.Name    `json:"zone"`
	Scope       Scope        `json:"scope,omitempty"`
	Commit      string       `json:"commit"` // the approved one
	Serial      uint32       `json:"serial"`
	Differences []Difference `json:"differences"`
	Digest      string       `json:"digest"`          // of the differences; "" when none
	Notes       []Note       `json:"notes,omitempty"` // what differs, and is no drift
	Live        string       `json:"live"`            // content digest of the live zone; what a person decides on
	At          time.Time    `json:"at"`
}

// Compare compares one zone as t says it should be with what p has. A zone that
// differs in nothing but its serial has not drifted. When p can say what it has
// without handing it over, an unchanged zone costs one digest.
func Compare(ctx context.Context, t *repo.Tree, z zone.Name, p provider.Provider, now time.Time) (*Report, error) {
	return new(Scanner).Compare(ctx, t, z, p, now)
}

// Between compares a live zone with the approved record sets of a commit.
func Between(z zone.Name, commit string, approved []zone.RRSet, live *provider.Live, now time.Time) *Report {
	return Classify(z, commit, approved, live, Circumstances{}, now)
}

// NewReport is a report of these differences.
func NewReport(z zone.Name, scope Scope, commit string, differences []Difference, now time.Time) *Report {
	r := &Report{Zone: z, Scope: scope, Commit: commit, At: now}
	r.set(differences)
	return r
}

// set gives the report its differences and their digest: SHA-256 over their RFC 8785
// form. The same drift found twice has the same digest, so it is reported once.
func (r *Report) set(differences []Difference) {
	if differences == nil {
		differences = []Difference{}
	}
	r.Differences = differences
	if len(differences) == 0 {
		return
	}
	raw, _ := json.Marshal(differences) // strings and numbers always marshal
	if canonical, err := jcs.Transform(raw); err == nil {
		raw = canonical
	}
	sum := sha256.Sum256(raw)
	r.Digest = "sha256:" + hex.EncodeToString(sum[:])
}
