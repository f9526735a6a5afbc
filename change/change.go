// Package change owns the difference between two commits of the zones
// repository: record-set edits, app-manifest edits and edits of other governed
// files, with a digest of the content that approvals bind to. It judges nothing.
// Read change.go, then compute.go; digest.go says what an approval is of.
package change

import (
	"slipway/repo"
	"slipway/zone"
)

// Change is what a merge of head would do to base.
type Change struct {
	Base   string `json:"base"`   // commit
	Head   string `json:"head"`   // commit, or "" for a work tree
	Digest string `json:"digest"` // "sha256:…" of the content of all edits, independent of commits, comments and formatting of zone files

	Creates int         `json:"creates"` // record sets
	Updates int         `json:"updates"`
	Deletes int         `json:"deletes"`
	Edits   []zone.Edit `json:"edits"`           // of zones as served: zone files and apps together; sorted by zone, name, type
	Apps    []AppEdit   `json:"apps,omitempty"`  // sorted by name
	Files   []FileEdit  `json:"files,omitempty"` // slipway.yaml, policies, domains and whatever else; sorted by path
}

// AppEdit is the change of one app's manifest. Before is nil for create, After for delete.
type AppEdit struct {
	Op     zone.Op   `json:"op"`
	Name   string    `json:"name"`
	Before *repo.App `json:"before,omitempty"`
	After  *repo.App `json:"after,omitempty"`
}

// FileEdit is the change of a file that is neither a zone nor an app.
type FileEdit struct {
	Op     zone.Op `json:"op"`
	Path   string  `json:"path"`
	Kind   string  `json:"kind"`   // settings | policy | domain | other
	Digest string  `json:"digest"` // "sha256:…" of the new content, "" for delete
}

// Empty reports whether the change does nothing that is governed.
func (c *Change) Empty() bool { return len(c.Edits)+len(c.Apps)+len(c.Files) == 0 }

// Kinds of files that are neither zones nor apps.
const (
	KindSettings = "settings"
	KindPolicy   = "policy"
	KindDomain   = "domain"
	KindOther    = "other"
)

// Zones returns the zones that have edits, sorted.
func (c *Change) Zones() []zone.Name {
	var out []zone.Name
	for _, e := range c.Edits {
		if len(out) == 0 || out[len(out)-1] != e.Zone {
			out = append(out, e.Zone)
		}
	}
	return out
}
