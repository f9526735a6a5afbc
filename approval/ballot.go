package approval

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

// MaxReason bounds the reason that comes with a vote: it goes into the log for good.
const MaxReason = 4096

// Check says whether a vote may be cast now. nil means yes. cast holds the votes
// recorded so far, in the log's order.
func Check(s Subject, cast []Vote, v Vote, now time.Time) *Refusal {
	if !s.Open {
		return refuse(Closed, "This change takes no votes now: it has been decided, stopped or not been judged yet. Look at its page for where it stands.")
	}
	b := newBallot(s)
	b.takeAll(cast)
	return b.refusal(v, now)
}

// Tally counts the votes as of now. It trusts nothing that Check would have refused.
// Nobody counts for two groups on one change: the assignment of people to groups is a maximum matching.
//
// cast is in the log's order, and that order decides which vote of a person is the latest:
// clocks step back, the log does not. now matters for expiry alone.
func Tally(s Subject, cast []Vote, now time.Time) Outcome {
	b := newBallot(s)
	b.takeAll(cast)

	filled := fill(s.Requirements, b.standing)
	o := Outcome{
		Counted:  make(map[string]string),
		Voided:   b.voided,
		Deadline: b.deadline,
		Rejected: b.rejected,
		Seats:    filled.seats(s.Requirements, b.standing),
		Missing:  filled.missing(s.Requirements, b.standing),
	}
	for _, seat := range o.Seats {
		if _, ok := o.Counted[seat.Group]; !ok {
			o.Counted[seat.Group] = seat.Person
		}
	}
	o.Approved = !o.Rejected && b.bound() && len(o.Missing) == 0
	o.Expired = !o.Approved && !o.Rejected && b.past(now)
	return o
}

// ballot is the votes on one subject, taken one by one.
type ballot struct {
	subject  Subject
	deadline time.Time       // zero: none
	involved map[string]bool // who asked for the change or wrote it
	sponsors map[string]bool // who may have asked for it in the requester's name
	needed   map[string]bool // groups that some requirement names
	standing []Vote          // approvals in force, at most one a person, oldest first
	voters   map[string]bool // the people of standing
	voided   []Vote
	rejected bool
}

func newBallot(s Subject) *ballot {
	b := &ballot{subject: s, involved: make(map[string]bool), sponsors: make(map[string]bool), needed: make(map[string]bool), voters: make(map[string]bool)}
	b.involved[person(s.Requester)] = true
	for _, a := range s.Authors {
		b.involved[person(a)] = true
	}
	for _, p := range s.Vouched {
		b.sponsors[person(p)] = true
	}
	for _, r := range s.Requirements {
		for _, g := range r.AnyOf {
			b.needed[g] = true
		}
		for _, g := range r.AllOf {
			b.needed[g] = true
		}
		if r.Expires > 0 {
			if d := s.Opened.Add(r.Expires); b.deadline.IsZero() || d.Before(b.deadline) {
				b.deadline = d
			}
		}
	}
	return b
}

func (b *ballot) takeAll(cast []Vote) {
	for _, v := range cast {
		b.take(v)
	}
}

// take counts one recorded vote, unless it should never have been recorded.
func (b *ballot) take(v Vote) {
	switch r := b.refusal(v, v.At); {
	case r == nil:
	case r.Code == AlreadyVoted, r.Code == NothingToWithdraw:
		return // repeats what stands; nothing is lost by not counting it
	default:
		b.voided = append(b.voided, v)
		return
	}
	switch v.Decision {
	case Approve:
		b.standing = append(b.standing, v)
		b.voters[person(v.Person)] = true
	case Withdraw:
		b.drop(v.Person)
	case Reject:
		b.drop(v.Person)
		b.rejected = true
	}
}

// refusal holds every rule of voting, in the order in which a person should hear of them.
func (b *ballot) refusal(v Vote, at time.Time) *Refusal {
	switch v.Decision {
	case Approve, Reject, Withdraw:
	default:
		return refuse(BadDecision, "%q is not a decision. Use approve, reject or withdraw.", v.Decision)
	}
	if b.rejected {
		return refuse(Closed, "This change was rejected, which ended it. Whoever asked for it can ask again with a new change.")
	}
	// A change that was approved in time lives on past its deadline, for example until its
	// planned hour. Until then a person may still stop it, but nobody can add to its approval.
	if b.past(at) && (v.Decision == Approve || !b.complete()) {
		return refuse(Expired, "The time to decide on this change ended on %s. Whoever asked for it can ask again with a new change.",
			b.deadline.UTC().Format("2 January 2006 at 15:04 UTC"))
	}
	if v.Decision == Withdraw {
		// No digests are compared here: taking an approval back can only make the gate stricter.
		if !b.stands(v.Person) {
			return refuse(NothingToWithdraw, "You have no vote in force on this change, so there is nothing to take back. A vote on an earlier version does not count any more.")
		}
		return nil
	}
	if b.involved[person(v.Person)] {
		if v.Decision == Reject {
			return refuse(SelfApproval, "This is your own change: you asked for it or wrote a part of it, so somebody else must decide on it. To stop it, cancel it instead.")
		}
		return refuse(SelfApproval, "This is your own change: you asked for it or wrote a part of it, so somebody else must approve it. Ask %s.", b.whom())
	}
	if r := b.impersonation(v); r != nil {
		return r
	}
	if !b.member(v) {
		return refuse(NotAMember, "This change is decided by %s, and you are in none of these groups. Ask one of their members, or ask an administrator to add you to a group.", b.whom())
	}
	if v.Decision == Reject && strings.TrimSpace(v.Reason) == "" {
		return refuse(NoReason, "Say why you reject this change: the person who asked for it needs to know what to do differently.")
	}
	if v.Decision == Approve && strings.TrimSpace(v.Reason) == "" && b.overrides(v) {
		return refuse(NoReason, "This change goes against a rule, and you are asked whether it may go ahead all the same. Say why: your reason is kept with your approval.")
	}
	if len(v.Reason) > MaxReason {
		return refuse(NoReason, "The reason is longer than %d bytes. Shorten it, and link to a document for the rest.", MaxReason)
	}
	if !b.bound() || v.ChangeDigest != b.subject.ChangeDigest {
		return refuse(StaleContent, "The change is not the one that you looked at: its content is different now. Look at it again, then decide.")
	}
	if v.PolicyDigest != b.subject.PolicyDigest {
		return refuse(StalePolicy, "The rules changed after you looked at this change, and it was judged anew. Look at it again, then decide.")
	}
	if v.Decision == Approve && b.stands(v.Person) {
		return refuse(AlreadyVoted, "You have approved this change already; once is enough. To take it back, withdraw your approval.")
	}
	return nil
}

// impersonation refuses a vote that cannot be told from the requester's own: whoever made a
// sign-in link for somebody could have used it up and acted in their name.
func (b *ballot) impersonation(v Vote) *Refusal {
	for _, p := range v.Vouched {
		if b.involved[person(p)] {
			return refuse(SelfApproval, "You are signed in by a link that goes back to %s, who asked for this change or wrote a part of it, so your vote could be theirs. "+
				"Ask another administrator for a sign-in link, sign in by it, and decide then; or leave it to another member of %s.", p, b.whom())
		}
	}
	if b.sponsors[person(v.Person)] {
		return refuse(SelfApproval, "Whoever asked for this change is signed in by a link that goes back to you, so it could be your own. "+
			"Leave the decision to another member of %s.", b.whom())
	}
	return nil
}

// bound reports whether there is a judged content to vote on. The zero Subject is approved by nothing.
func (b *ballot) bound() bool {
	return b.subject.ChangeDigest != "" && b.subject.PolicyDigest != ""
}

func (b *ballot) past(at time.Time) bool {
	return !b.deadline.IsZero() && !at.Before(b.deadline)
}

func (b *ballot) complete() bool {
	return b.bound() && len(fill(b.subject.Requirements, b.standing).missing(b.subject.Requirements, b.standing)) == 0
}

// member reports whether the person may decide on the change at all. Nobody without a name may.
func (b *ballot) member(v Vote) bool {
	if person(v.Person) == "" {
		return false
	}
	for _, g := range v.Groups {
		if b.needed[g] {
			return true
		}
	}
	return false
}

// overrides reports whether the vote may count as the override of a rule. Who could
// fill such a seat says why, whichever seat their vote fills in the end.
func (b *ballot) overrides(v Vote) bool {
	return slices.ContainsFunc(b.subject.Requirements, func(r Requirement) bool {
		return r.Reason && slices.ContainsFunc(v.Groups, func(g string) bool {
			return slices.Contains(r.AnyOf, g) || slices.Contains(r.AllOf, g)
		})
	})
}

func (b *ballot) stands(who string) bool { return b.voters[person(who)] }

func (b *ballot) drop(who string) {
	if !b.stands(who) {
		return
	}
	delete(b.voters, person(who))
	b.standing = slices.DeleteFunc(b.standing, func(v Vote) bool { return person(v.Person) == person(who) })
}

func (b *ballot) whom() string {
	var groups []string
	for _, r := range b.subject.Requirements {
		groups = append(groups, append(append([]string(nil), r.AllOf...), r.AnyOf...)...)
	}
	if len(groups) == 0 {
		return "an administrator: no group is named for it in slipway.yaml"
	}
	return List(distinct(groups), "or")
}

// person is the form in which two spellings of one identity are equal: Git's
// "Name <address>" reduced to the address, spaces trimmed, case folded. Folding takes
// the whole orbit of each letter, so that the Kelvin sign is no second k: taking two
// people for one only ever makes the gate stricter.
func person(s string) string {
	s = strings.TrimSpace(s)
	if open := strings.LastIndexByte(s, '<'); open >= 0 && strings.HasSuffix(s, ">") {
		s = strings.TrimSpace(s[open+1 : len(s)-1])
	}
	return strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && r != 'k' && r != 's' {
			return unicode.ToUpper(r) // the least of its orbit, found quickly
		}
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		return least
	}, s)
}

func refuse(code, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Text: fmt.Sprintf(format, args...)}
}
