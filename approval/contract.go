package approval

import "time"

// CONTRACT: replace by the real code.

// Check says whether a vote may be cast now. nil means yes.
func Check(s Subject, cast []Vote, v Vote, now time.Time) *Refusal { panic("contract") }

// Tally counts the votes as of now. It trusts nothing that Check would have refused.
// Nobody counts for two groups on one change: the assignment of people to groups is a maximum matching.
func Tally(s Subject, cast []Vote, now time.Time) Outcome { panic("contract") }
