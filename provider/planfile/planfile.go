// Package planfile keeps what an apply would do in a file that is bound to content: which
// live zones it was planned against, what they are to be, and at which providers, all by
// digest, with the edits for people to read. Such a file can be reviewed, kept, and held
// against what would be done later: the least difference shows. It asks no provider and
// applies nothing; the digest of each of its plans is that under which a server holds and
// releases the same plan. Read this file first, then parse.go and compare.go.
package planfile

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gowebpki/jcs"

	"slipway/provider"
	"slipway/zone"
)

// Version is the form of the files that are written. Another form has another number.
const Version = 1

// File is everything that one look at the zones of a repository found to do.
type File struct {
	Version int         `json:"slipway_plan"`
	Made    time.Time   `json:"made_at"`
	Commit  string      `json:"commit"`       // "" for files on disk
	Tree    string      `json:"tree"`         // Git's name for what the files say
	Of      []zone.Name `json:"of,omitempty"` // the zones that were asked about; none: all
	Plans   []Plan      `json:"plans"`        // by zone, then provider, also where nothing is to be done

	Digest string `json:"digest"` // of everything else: see Sum
}

// Plan is what one provider would be made to do to one zone.
type Plan struct {
	Zone     zone.Name       `json:"zone"`
	Provider string          `json:"provider"` // what slipway.yaml calls it
	Type     string          `json:"type"`
	Exists   bool            `json:"exists"` // the provider has the zone
	Serial   uint32          `json:"serial,omitempty"`
	Live     string          `json:"live"`    // content digests
	Desired  string          `json:"desired"` //
	Plan     string          `json:"plan"`    // provider.Plan.Digest: binds the three together
	Counts   provider.Counts `json:"counts"`
	Exceeds  string          `json:"exceeds,omitempty"` // in words, when it takes too much at once
	Lasts    int             `json:"lasts,omitempty"`   // seconds for which old answers may still be given: the longest TTL of what changes or goes
	Others   int             `json:"others,omitempty"`  // record sets of a partial zone that are left alone
	Notes    []string        `json:"notes,omitempty"`   // what else a reader should know
	Edits    []Edit          `json:"edits"`             // in the order in which they are made
}

// Edit is the change of one record set. Before is nil for a create, After for a delete.
type Edit struct {
	Op     zone.Op     `json:"op"`
	Name   zone.Name   `json:"name"`
	Type   string      `json:"type"`
	Before *zone.RRSet `json:"before,omitempty"`
	After  *zone.RRSet `json:"after,omitempty"`
}

// Of makes the plan of one zone at one provider.
func Of(p provider.Plan, name, typ string, live *provider.Live, limits provider.Limits) Plan {
	desired := p.Expect
	if len(p.Edits) > 0 {
		desired = provider.Digest(p.Desired)
	}
	out := Plan{
		Zone: p.Zone, Provider: name, Type: typ, Exists: live.Exists, Serial: live.Serial,
		Live: p.Expect, Desired: desired, Plan: provider.PlanDigest(p.Zone, p.Expect, desired), Counts: p.Counts(), Edits: make([]Edit, 0, len(p.Edits)),
	}
	out.Exceeds, _ = out.Counts.Exceed(p.Zone, limits)
	apex, proofs := false, false
	for _, e := range p.InOrder() {
		if e.Before != nil {
			out.Lasts = max(out.Lasts, e.Before.TTL)
		}
		apex = apex || e.Type == "NS" && e.Name == p.Zone
		proofs = proofs || e.Op == zone.Delete && e.Type == "TXT" && strings.HasPrefix(string(e.Name), "_acme-challenge.")
		out.Edits = append(out.Edits, Edit{e.Op, e.Name, e.Type, e.Before, e.After})
	}
	if !live.Exists && len(p.Desired) > 0 {
		out.Notes = append(out.Notes, "the provider does not have the zone yet: it is made, or has to be made there first where the provider cannot")
	}
	if apex {
		out.Notes = append(out.Notes, "it changes the zone's own NS records: the parent's delegation and the servers have to go with it")
	}
	if proofs {
		out.Notes = append(out.Notes, "it deletes _acme-challenge records: a server leaves those alone that it has written for a certificate which is being issued just now")
	}
	return out
}

// New puts plans into a file, in their order.
func New(commit, tree string, of []zone.Name, plans []Plan, at time.Time) (*File, error) {
	f := &File{Version: Version, Made: at.UTC(), Commit: commit, Tree: tree, Of: slices.Sorted(slices.Values(of)), Plans: slices.Clone(plans)}
	if f.Plans == nil {
		f.Plans = []Plan{}
	}
	slices.SortFunc(f.Plans, func(a, b Plan) int { return cmp.Or(cmp.Compare(a.Zone, b.Zone), cmp.Compare(a.Provider, b.Provider)) })
	sum, err := f.Sum()
	f.Digest = sum
	return f, err
}

// Empty says whether there is nothing to do.
func (f *File) Empty() bool {
	return !slices.ContainsFunc(f.Plans, func(p Plan) bool { return len(p.Edits) > 0 })
}

// Sum is the digest of a file: SHA-256 over the RFC 8785 form of its JSON without the keys
// digest and made_at. Looking again at the same things gives the same digest.
func (f *File) Sum() (string, error) {
	type all File
	raw, err := json.Marshal(struct {
		all
		Made   string `json:"made_at,omitempty"` // these two stand before those of the file, and are empty
		Digest string `json:"digest,omitempty"`
	}{all: all(*f)})
	if err != nil {
		return "", fmt.Errorf("plan file: %w", err)
	}
	form, err := jcs.Transform(raw)
	if err != nil {
		return "", fmt.Errorf("plan file: %w", err)
	}
	h := sha256.Sum256(form)
	return "sha256:" + hex.EncodeToString(h[:]), nil
}

// Bytes is the file as it is kept, laid out for people too.
func (f *File) Bytes() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(f); err != nil {
		return nil, fmt.Errorf("plan file: %w", err)
	}
	return b.Bytes(), nil
}
