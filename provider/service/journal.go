package service

import (
	"time"

	"slipway/provider/journal"
)

// maxEntry bounds one journal file, in bytes.
const maxEntry = 16 << 10

// entry is what the journal knows of the last apply of one zone. It is written before
// the service is told anything, and again once the zone was found as asked for. Nothing
// is believed of it but that an apply was begun or finished: what is live is always read.
type entry struct {
	Change string `json:"change"`
	Commit string `json:"commit"`
	Asked  string `json:"asked"` // content digests: what the plan desires
	Before string `json:"before"`
	After  string `json:"after"`
	Live   string `json:"live"` // what was last seen live

	SerialBefore uint32 `json:"serial_before,omitempty"`

	// Once finished.
	ProviderChange string    `json:"provider_change,omitempty"`
	Serial         uint32    `json:"serial,omitempty"`
	At             time.Time `json:"at,omitzero"`
}

func (e entry) done() bool { return e.ProviderChange != "" }

// Journal keeps the entries: see package journal.
type Journal = journal.Journal[entry]

// OpenJournal opens the journal in dir; with "" it is in memory and dies with the process.
func OpenJournal(dir string) (*Journal, error) { return journal.Open[entry](dir, maxEntry) }
