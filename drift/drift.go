// Package drift compares live zones with the last approved commit and says
// what differs, in data and in plain sentences. It changes nothing: whether a
// difference is put back or adopted is decided elsewhere. Read this file first, then
// scanner.go, which compares the same zones again and again, and sentence.go.
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
)

// Difference is one record set that is not as approved.
type Difference struct {
	Kind     Kind        `json:"kind"`
	Zone     zone.Name   `json:"zone"`
	Name     zone.Name   `json:"name"`
	Type     string      `json:"type"`
	Approved *zone.RRSet `json:"approved,omitempty"`
	Live     *zone.RRSet `json:"live,omitempty"`
	Detail   string      `json:"detail,omitempty"` // Damaged: what the provider says
}

// Report is one zone's comparison.
type Report struct {
	Zone        zone.Name    `json:"zone"`
	Commit      string       `json:"commit"` // the approved one
	Serial      uint32       `json:"serial"`
	Differences []Difference `json:"differences"`
	Digest      string       `json:"digest"` // of the differences; "" when none
	Live        string       `json:"live"`   // content digest of the live zone; what a person decides on
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
	r := &Report{Zone: z, Commit: commit, Serial: live.Serial, Live: live.Digest, At: now}
	edits := zone.Diff(z, live.WithTTLs(approved), live.Sets)
	differences := make([]Difference, 0, len(edits))
	for _, e := range edits { // sorted by name, then type
		d := Difference{Zone: z, Name: e.Name, Type: e.Type, Approved: e.Before, Live: e.After}
		switch e.Op {
		case zone.Create:
			d.Kind = Extra
		case zone.Delete:
			d.Kind = Missing
		default:
			d.Kind = Changed
		}
		differences = append(differences, d)
	}
	r.set(differences)
	return r
}

// set gives the report its differences and their digest: SHA-256 over their RFC 8785
// form. The same drift found twice has the same digest, so it is reported once.
func (r *Report) set(differences []Difference) {
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
