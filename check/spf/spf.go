// Package spf owns SPF (RFC 7208): it reads records, says for one sender what a receiver
// would make of them (Check, the check_host function of section 4), and how much of the DNS
// an evaluation can ask for on its longest way (Follow). It asks nothing itself: answers come
// through an Ask, so that they can be recorded and replayed, and it judges nothing: what a result
// means is for rules to say. Read this file first, then record.go and macro.go (the grammar),
// evaluate.go and follow.go.
package spf

import (
	"errors"
	"net/netip"
	"time"

	"slipway/zone"
)

// Limits of an evaluation (RFC 7208 section 4.6.4).
const (
	MaxLookups = 10 // terms that ask DNS
	MaxVoids   = 2  // look-ups that find nothing
	MaxHosts   = 10 // names of one mx term; names that are looked at for ptr and %{p}
)

// Result is what check_host says of a sender (RFC 7208 section 2.6).
type Result string

// The results.
const (
	None      Result = "none"      // no record speaks about the domain
	Neutral   Result = "neutral"   // the record says nothing about the sender
	Pass      Result = "pass"      // it may send
	Fail      Result = "fail"      // it may not
	SoftFail  Result = "softfail"  // it probably may not
	TempError Result = "temperror" // the DNS did not answer
	PermError Result = "permerror" // the record cannot be obeyed
)

// Sender is a machine that sends mail, and what it says of itself.
type Sender struct {
	IP       netip.Addr
	From     string // the reverse-path, "ana@example.org"; "" when it is empty, as in bounces
	Helo     string
	Receiver string    // the name of the machine that asks, for %{r}
	At       time.Time // for %{t}
}

// Ask answers one question of the DNS, aliases followed: the addresses of A and AAAA, the joined strings of each TXT
// record, "preference exchange" of MX, the names of PTR. No values and no error: nothing is there.
type Ask func(n zone.Name, typ string) ([]string, error)

// Errors of an Ask. Any other ends the evaluation and is returned.
var (
	// ErrTemporary says that the DNS failed to answer, which is a part of a receiver's life.
	ErrTemporary = errors.New("the DNS gave no answer")
	// ErrUnknown says that nobody looked. What depends on it is not known.
	ErrUnknown = errors.New("it is not known what the DNS says")
)

// Outcome is a result and how it came about.
type Outcome struct {
	Result      Result
	Term        string    // that decided, as it stands in its record; "" when none did
	At          zone.Name // the domain of that record
	Problem     string    // in words, of an error
	Explanation string    // of a fail, from exp=; "" when there is none
	Lookups     int       // terms that asked DNS
	Voids       int       // look-ups that found nothing
}
