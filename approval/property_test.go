package approval

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"unicode"
)

// draw makes a small random case: few people and few groups, so that they collide often.
func draw(rng *rand.Rand) (Subject, []Vote) {
	groups := []string{"a", "b", "c", "d"}
	some := func(most int) []string {
		var out []string
		for range rng.IntN(most + 1) {
			out = append(out, groups[rng.IntN(len(groups))])
		}
		return out
	}
	var rs []Requirement
	for i := range 1 + rng.IntN(3) {
		rs = append(rs, Requirement{Rule: fmt.Sprint("r", i), AllOf: some(2), AnyOf: some(2), Count: rng.IntN(3), Expires: 10 * day})
	}
	var cast []Vote
	for i := range rng.IntN(9) {
		v := vote([]Decision{Approve, Approve, Approve, Approve, Withdraw, Reject}[rng.IntN(6)], fmt.Sprint("p", rng.IntN(6)), "")
		v.Groups = some(3)
		if rng.IntN(12) == 0 {
			v.ChangeDigest = "sha256:c0"
		}
		if rng.IntN(12) == 0 {
			v.PolicyDigest = "sha256:p0"
		}
		v.EventID = fmt.Sprint(i)
		cast = append(cast, v)
	}
	s := subject(rs...)
	s.Requester = "p5@finmicro.example"
	return s, cast
}

// most is the size of a maximum matching, found by trying everything: each seat stays
// empty or takes any free person who may sit there.
func most(rs []Requirement, voters []Vote) int {
	var seats [][]string
	for _, r := range rs {
		for _, g := range distinct(r.AllOf) {
			seats = append(seats, []string{g})
		}
		if len(r.AnyOf) > 0 {
			for range max(1, r.Count) {
				seats = append(seats, r.AnyOf)
			}
		}
	}
	used := make([]bool, len(voters))
	var try func(i int) int
	try = func(i int) int {
		if i == len(seats) {
			return 0
		}
		best := try(i + 1)
		for v := range voters {
			if !used[v] && groupFor(seat{groups: seats[i]}, voters[v]) != "" {
				used[v] = true
				best = max(best, 1+try(i+1))
				used[v] = false
			}
		}
		return best
	}
	return try(0)
}

func TestMatchingAgainstBruteForce(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	approved := 0
	for n := range 20000 {
		s, cast := draw(rng)
		b := newBallot(s)
		b.takeAll(cast)
		o := Tally(s, cast, opened.Add(day))
		if want := most(s.Requirements, b.standing); len(o.Seats) != want {
			t.Fatalf("case %d: %d seats filled, %d can be\nrequirements %+v\nvotes %+v", n, len(o.Seats), want, s.Requirements, b.standing)
		}
		if o.Approved {
			approved++
		}
	}
	if approved < 1000 {
		t.Errorf("only %d cases were approved: the cases test too little", approved)
	}
}

func TestInvariants(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for n := range 20000 {
		s, cast := draw(rng)
		now := opened.Add(day)
		o := Tally(s, cast, now)
		fail := func(format string, args ...any) {
			t.Helper()
			t.Fatalf("case %d: %s\nsubject %+v\nvotes %+v\noutcome %+v", n, fmt.Sprintf(format, args...), s, cast, o)
		}

		voteOf := make(map[string]string)
		for _, seat := range o.Seats {
			if seat.Person == s.Requester {
				fail("the requester sits for %s", seat.Group)
			}
			if other, ok := voteOf[seat.Person]; ok {
				fail("%s sits for %s and %s", seat.Person, other, seat.Group)
			}
			voteOf[seat.Person] = seat.Group
		}
		if o.Approved && (o.Rejected || o.Expired || len(o.Missing) > 0) {
			fail("approved and something else")
		}
		if again := Tally(s, cast, now); !reflect.DeepEqual(o, again) {
			fail("the same votes came out differently: %+v", again)
		}

		// Votes that Check refuses change nothing, wherever they stand.
		strangers := []Vote{
			vote(Approve, "eve", "nowhere"), vote(Reject, "eve", "nowhere"),
			vote(Approve, "p5", "a,b,c,d"), vote(Reject, "p5", "a,b,c,d"),
			vote(Approve, "x", "a,b,c,d", content("sha256:other")), vote(Reject, "x", "a,b,c,d", policy("sha256:other")),
			vote(Approve, "x", "a,b,c,d", at(11*day)), vote("perhaps", "x", "a,b,c,d"),
		}
		at := rng.IntN(len(cast) + 1)
		more := append(append(append([]Vote(nil), cast[:at]...), strangers[rng.IntN(len(strangers))]), cast[at:]...)
		// A vote past the deadline is accepted only to stop what is approved; these approve.
		with := Tally(s, more, now)
		with.Voided, o.Voided = nil, nil
		if !reflect.DeepEqual(o, with) {
			fail("a vote without standing changed the outcome: %+v", with)
		}

		// Check and Tally agree: what Check accepts, Tally does not void.
		v := vote([]Decision{Approve, Reject}[rng.IntN(2)], fmt.Sprint("p", rng.IntN(6)), "a,c")
		before := len(Tally(s, cast, now).Voided)
		after := len(Tally(s, append(append([]Vote(nil), cast...), v), now).Voided)
		switch r := Check(s, cast, v, v.At); {
		case r == nil && after != before:
			fail("Check accepts %+v and Tally voids it", v)
		case r != nil && r.Code != AlreadyVoted && after != before+1:
			fail("Check refuses %+v (%s) and Tally counts it", v, r.Code)
		}
	}
}

func BenchmarkTally(b *testing.B) {
	s := subject(red, domain, yellow)
	var cast []Vote
	for i := range 50 {
		cast = append(cast, approves(fmt.Sprint("p", i), []string{"legal,brand", "security,legal", "product", "infosec,product"}[i%4]))
	}
	for b.Loop() {
		Tally(s, cast, opened)
	}
}

// TestPerson compares folding with the standard library's, letter by letter.
func TestPerson(t *testing.T) {
	for r := rune(1); r < 0x3000; r++ {
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			a, b := person("x"+string(r)+"@y.example"), person("X"+string(f)+"@Y.EXAMPLE")
			if a != b {
				t.Fatalf("%U and %U are two people: %q, %q", r, f, a, b)
			}
		}
	}
	for _, s := range []string{"ana@finmicro.example", " Ana <ANA@finmicro.example> ", "<ana@finmicro.example>"} {
		if person(s) != person("ana@finmicro.example") {
			t.Errorf("%q is somebody else", s)
		}
	}
	if person("ana@finmicro.example") == person("ann@finmicro.example") {
		t.Error("two people are one")
	}
}
