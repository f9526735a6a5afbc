package cert

import "time"

// Seen is a certificate in a Certificate Transparency log.
type Seen struct {
	ID        string    `json:"id"` // stable for a certificate and its precertificate
	Names     []string  `json:"names"`
	Serial    string    `json:"serial"`
	Issuer    string    `json:"issuer"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	Log       string    `json:"log"`
	Index     uint64    `json:"index"`
	Time      time.Time `json:"time"` // when the log took it
	DER       []byte    `json:"-"`

	// Unreadable says why the entry, which has one of our names in it, is no certificate that can be read.
	Unreadable string `json:"unreadable,omitempty"`
}

// Stray is a certificate that did not come from here, and what a person has said of it.
type Stray struct {
	Seen
	At       time.Time `json:"at"` // found
	Accepted string    `json:"accepted,omitempty"`
	By       string    `json:"by,omitempty"`
	Reason   string    `json:"reason,omitempty"`
}

// AcceptDetails goes with accept-certificate.
type AcceptDetails struct {
	ID     string `json:"id"`
	Reason string `json:"reason"`
}
