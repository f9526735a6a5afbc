// Package repo owns the zones repository: a Git repository whose main branch
// says what DNS should be. It reads trees at a commit (settings, zones, apps),
// makes proposals, merges with a signature, and hosts the repository over smart
// HTTP. It decides nothing: who may merge is the business of approval and flow.
// Read repo.go, then tree.go and settings.go.
package repo

import (
	"time"

	"slipway/zone"
)

// Settings is slipway.yaml.
type Settings struct {
	Organisation    string      // display name
	Domain          zone.Name   // the organisation's domain: owner of zones, e-mail domain of its people
	Brands          []string    // words that only Legal may let out in a public name
	AllowedExternal []zone.Name // external zone names that may be changed (seed policy); empty: every external zone listed in Zones
	ZonesDirectory  string      // default "zones"; "." for an octoDNS repository with zones at the root
	Zones           map[zone.Name]Zone
	Groups          map[string]Group
	Approvals       map[string]ApprovalRule // by rule name: yellow, red, new-domain, …
	Providers       map[string]Provider
	RestrictedTypes map[string][]string // record type -> groups that may edit it; default MX, TXT, CAA, NS, DS, DNSKEY: platform-ops
	ThirdParties    []string            // e-mail domains of known third parties; anyone outside Domain counts too
	Administrators  []string            // may manage accounts; approve nothing by that
	TTL             TTLBounds
	Drift           DriftSettings
	SOA             map[string]string // mname, rname overrides; optional
	Raw             []byte            // the file as read
	Path            string
}

type Zone struct {
	Visibility string // "internal" | "external"
	Owner      zone.Name
	Provider   string
	DNSSEC     string // "" | "required"
	Parked     bool
}

type Group struct {
	Members []string // e-mail addresses, lower case
}

type ApprovalRule struct {
	AnyOf, AllOf []string
	Count        int           // distinct people; for AnyOf, default 1
	Expires      time.Duration // default 7 days; "7d", "36h"
	Ticket       bool          // ticket: required
}

type Provider struct {
	Type   string            // "zonefile", …
	Params map[string]string // everything else, as strings
}

type TTLBounds struct{ Min, Max int } // seconds

type DriftSettings struct{ Interval time.Duration } // default 5 minutes

// App is one micro app: apps/<name>.yaml.
type App struct {
	Name        string            `json:"name"` // the file's base name
	Owner       string            `json:"owner"`
	Team        string            `json:"team"`
	Purpose     string            `json:"purpose"`
	Exposure    string            `json:"exposure"`          // internal | external
	Data        []string          `json:"data"`              // none | pii | financial | health
	Expires     string            `json:"expires,omitempty"` // RFC 3339 full-date
	Hostname    zone.Name         `json:"hostname"`
	Certificate bool              `json:"certificate"`
	Upstream    string            `json:"upstream,omitempty"`
	ThirdParty  string            `json:"third_party,omitempty"` // name of a third party that runs or asked for it
	Records     []zone.RRSet      `json:"records"`
	Artifacts   map[string]string `json:"artifacts,omitempty"`
	Path        string            `json:"path"`
	Lines       map[string]int    `json:"-"` // line of each top-level key, for findings
}

// PathChange is one file that differs between two commits; an empty blob means absent.
type PathChange struct {
	Path             string
	OldBlob, NewBlob string
}

// Person is a Git identity.
type Person struct{ Name, Email string }

// Proposal is a new commit on top of Base that is not on main.
type Proposal struct {
	Base    string            // commit
	Files   map[string][]byte // path -> content; nil deletes
	Author  Person
	Message string
	When    time.Time
}

// Merge asks for one signed commit on main.
type Merge struct {
	ChangeID string
	Expect   string // the commit that main must be at
	Tree     string // tree to commit (from MergeTree)
	Head     string // the proposal's commit: second parent
	Author   Person
	Message  string    // subject and body; trailers are added
	Trailers []Trailer // Change-Id, Requested-by, Approved-by, Tier, Change-Digest, Policy-Digest, Event-Id
	When     time.Time
}

type Trailer struct{ Key, Value string }
