package approval

import (
	"slices"
	"strings"
	"testing"
	"time"
)

var opened = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

var (
	yellow = Requirement{Rule: "yellow", AnyOf: []string{"infosec", "platform-ops"}, Count: 1, Expires: 7 * day}
	red    = Requirement{Rule: "red", AllOf: []string{"legal", "security", "product"}, Expires: 14 * day, Ticket: true}
	// A soft-mandatory rule speaks against the change: InfoSec alone may override it.
	override = Requirement{Rule: "override", AnyOf: []string{"infosec"}, Count: 1, Reason: true}
	domain   = Requirement{Rule: "new-domain", AllOf: []string{"legal", "brand"}, Expires: 3 * day}
)

func subject(r ...Requirement) Subject {
	return Subject{
		ChangeDigest: "sha256:c1", PolicyDigest: "sha256:p1",
		Requester: "ana@finmicro.example", Authors: []string{"Ana <ana@finmicro.example>", "bob@finmicro.example"},
		Requirements: r, Open: true, Opened: opened,
	}
}

// vote writes a vote as "person groups,…": short enough for tables.
func vote(d Decision, who, groups string, more ...func(*Vote)) Vote {
	v := Vote{Person: who + "@finmicro.example", Decision: d, ChangeDigest: "sha256:c1", PolicyDigest: "sha256:p1", At: opened.Add(time.Hour), Via: "cli"}
	if groups != "" {
		v.Groups = strings.Split(groups, ",")
	}
	if d == Reject {
		v.Reason = "the name misleads customers"
	}
	for _, m := range more {
		m(&v)
	}
	return v
}

func at(d time.Duration) func(*Vote)   { return func(v *Vote) { v.At = opened.Add(d) } }
func as(person string) func(*Vote)     { return func(v *Vote) { v.Person = person } }
func because(why string) func(*Vote)   { return func(v *Vote) { v.Reason = why } }
func content(d string) func(*Vote)     { return func(v *Vote) { v.ChangeDigest = d } }
func policy(d string) func(*Vote)      { return func(v *Vote) { v.PolicyDigest = d } }
func closed(s Subject) Subject         { s.Open = false; return s }
func unjudged(s Subject) Subject       { s.ChangeDigest = ""; return s }
func vouched(by ...string) func(*Vote) { return func(v *Vote) { v.Vouched = by } }
func askedOnTheWordOf(s Subject, p ...string) Subject {
	s.Vouched = p
	return s
}
func votes(v ...Vote) []Vote           { return v }
func approves(who, groups string) Vote { return vote(Approve, who, groups) }

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name string
		s    Subject
		cast []Vote
		v    Vote
		code string // "" for accepted
		says string // a part of the text
	}{
		{"a member approves", subject(yellow), nil, approves("ivy", "infosec"), "", ""},
		{"a member rejects with a reason", subject(yellow), nil, vote(Reject, "ivy", "infosec"), "", ""},
		{"any of several groups will do", subject(yellow), nil, approves("oz", "canteen,platform-ops"), "", ""},
		{"the requester", subject(yellow), nil, approves("ana", "infosec"), SelfApproval, "Ask InfoSec or Platform Ops"},
		{"the requester in capitals", subject(yellow), nil, vote(Approve, "", "infosec", as(" ANA@Finmicro.Example ")), SelfApproval, ""},
		{"the requester with a Kelvin sign", Subject{ChangeDigest: "c", PolicyDigest: "p", Requester: "kim@x.example", Open: true, Opened: opened, Requirements: []Requirement{yellow}},
			nil, vote(Approve, "", "infosec", as("\u212Aim@x.example")), SelfApproval, ""},
		{"a commit's author", subject(yellow), nil, approves("bob", "infosec"), SelfApproval, ""},
		{"a commit's author as Git writes it", subject(yellow), nil, vote(Approve, "", "infosec", as("Bob B. <BOB@finmicro.example>")), SelfApproval, ""},
		{"the requester cannot reject either", subject(yellow), nil, vote(Reject, "ana", "infosec"), SelfApproval, "cancel"},
		{"signed in by the requester's link", subject(yellow), nil, vote(Approve, "ivy", "infosec", vouched("ana@finmicro.example", "slipway")), SelfApproval, "another administrator"},
		{"signed in by the link of one whom the requester let in", subject(yellow), nil, vote(Approve, "ivy", "infosec", vouched("adam@finmicro.example", "ANA@finmicro.example")), SelfApproval, "goes back to ANA"},
		{"signed in by an author's link", subject(yellow), nil, vote(Approve, "ivy", "infosec", vouched("bob@finmicro.example")), SelfApproval, ""},
		{"rejection by the requester's link", subject(yellow), nil, vote(Reject, "ivy", "infosec", vouched("ana@finmicro.example")), SelfApproval, ""},
		{"signed in by somebody else's link", subject(yellow), nil, vote(Approve, "ivy", "infosec", vouched("adam@finmicro.example", "slipway")), "", ""},
		{"who made the requester's link", askedOnTheWordOf(subject(yellow), "ivy@finmicro.example"), nil, approves("ivy", "infosec"), SelfApproval, "could be your own"},
		{"both signed in by one administrator", askedOnTheWordOf(subject(yellow), "adam@finmicro.example"), nil, vote(Approve, "ivy", "infosec", vouched("adam@finmicro.example")), "", ""},
		{"a recorded vote by the requester's link can be given anew", subject(yellow), votes(vote(Approve, "ivy", "infosec", vouched("ana@finmicro.example"))), approves("ivy", "infosec"), "", ""},
		{"a stranger", subject(yellow), nil, approves("eve", "marketing"), NotAMember, "InfoSec or Platform Ops"},
		{"nobody", subject(yellow), nil, vote(Approve, "", "infosec", as(" ")), NotAMember, ""},
		{"groups are compared exactly", subject(yellow), nil, approves("eve", "InfoSec"), NotAMember, ""},
		{"a change that needs nobody", subject(), nil, approves("ivy", "infosec"), NotAMember, "administrator"},
		{"a requirement without groups", subject(Requirement{Rule: "odd", Count: 1}), nil, approves("ivy", "infosec"), NotAMember, "administrator"},
		{"rejection without a reason", subject(yellow), nil, vote(Reject, "ivy", "infosec", because("  \n")), NoReason, "Say why"},
		{"an override without a reason", subject(yellow, override), nil, approves("ivy", "infosec"), NoReason, "goes against a rule"},
		{"an override with a blank reason", subject(override), nil, vote(Approve, "ivy", "infosec", because(" \t")), NoReason, "Say why"},
		{"an override with a reason", subject(yellow, override), nil, vote(Approve, "ivy", "infosec", because("agreed with the owner")), "", ""},
		{"the tier's approver, who may not override, needs none", subject(yellow, override), nil, approves("omar", "platform-ops"), "", ""},
		{"an override can be taken back without a reason", subject(override), votes(vote(Approve, "ivy", "infosec", because("x"))), vote(Withdraw, "ivy", "infosec"), "", ""},
		{"a reason without an end", subject(yellow), nil, vote(Reject, "ivy", "infosec", because(strings.Repeat("x", MaxReason+1))), NoReason, "longer"},
		{"another content", subject(yellow), nil, vote(Approve, "ivy", "infosec", content("sha256:c0")), StaleContent, "again"},
		{"no content", subject(yellow), nil, vote(Approve, "ivy", "infosec", content("")), StaleContent, ""},
		{"nothing judged yet", unjudged(subject(yellow)), nil, vote(Approve, "ivy", "infosec", content("")), StaleContent, ""},
		{"another policy", subject(yellow), nil, vote(Approve, "ivy", "infosec", policy("sha256:p0")), StalePolicy, "rules changed"},
		{"closed", closed(subject(yellow)), nil, approves("ivy", "infosec"), Closed, ""},
		{"after a rejection", subject(yellow), votes(vote(Reject, "ivy", "infosec")), approves("oz", "platform-ops"), Closed, "rejected"},
		{"a rejection that did not count", subject(yellow), votes(vote(Reject, "eve", "marketing")), approves("oz", "platform-ops"), "", ""},
		{"twice", subject(red), votes(approves("lea", "legal")), approves("lea", "legal"), AlreadyVoted, "once is enough"},
		{"twice in another spelling", subject(red), votes(approves("lea", "legal")), vote(Approve, "", "legal", as("LEA@finmicro.example")), AlreadyVoted, ""},
		{"again after withdrawal", subject(red), votes(approves("lea", "legal"), vote(Withdraw, "lea", "")), approves("lea", "legal"), "", ""},
		{"again after new content", subject(red), votes(vote(Approve, "lea", "legal", content("sha256:c0"))), approves("lea", "legal"), "", ""},
		{"a change of mind", subject(red), votes(approves("lea", "legal")), vote(Reject, "lea", "legal"), "", ""},
		{"withdrawal", subject(red), votes(approves("lea", "legal")), vote(Withdraw, "lea", ""), "", ""},
		{"withdrawal of nothing", subject(red), nil, vote(Withdraw, "lea", "legal"), NothingToWithdraw, ""},
		{"withdrawal of another's vote", subject(red), votes(approves("lea", "legal")), vote(Withdraw, "sam", "security"), NothingToWithdraw, ""},
		{"withdrawal of a void vote", subject(red), votes(vote(Approve, "lea", "legal", content("sha256:c0"))), vote(Withdraw, "lea", "legal"), NothingToWithdraw, ""},
		{"too late", subject(yellow), nil, vote(Approve, "ivy", "infosec", at(7*day)), Expired, "9 March 2026 at 09:00 UTC"},
		{"in the last second", subject(yellow), nil, vote(Approve, "ivy", "infosec", at(7*day-time.Second)), "", ""},
		{"the shortest expiry holds", subject(red, domain), nil, vote(Approve, "lea", "legal", at(4*day)), Expired, ""},
		{"too late to reject", subject(yellow), nil, vote(Reject, "ivy", "infosec", at(8*day)), Expired, ""},
		{"stopping an approved change after its deadline", subject(yellow), votes(approves("ivy", "infosec")), vote(Reject, "oz", "platform-ops", at(8*day)), "", ""},
		{"withdrawing after the deadline", subject(yellow), votes(approves("ivy", "infosec")), vote(Withdraw, "ivy", "infosec", at(8*day)), "", ""},
		{"no second life after that", subject(yellow), votes(approves("ivy", "infosec"), vote(Withdraw, "ivy", "", at(8*day))), vote(Approve, "oz", "platform-ops", at(8*day)), Expired, ""},
		{"no such decision", subject(yellow), nil, vote("maybe", "ivy", "infosec"), BadDecision, "approve, reject or withdraw"},
		{"no decision", subject(yellow), nil, vote("", "ivy", "infosec"), BadDecision, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := Check(c.s, c.cast, c.v, c.v.At)
			code, text := "", ""
			if r != nil {
				code, text = r.Code, r.Error()
			}
			if code != c.code {
				t.Fatalf("got %q (%s), want %q", code, text, c.code)
			}
			if !strings.Contains(text, c.says) {
				t.Errorf("text %q does not say %q", text, c.says)
			}
		})
	}
}

func TestTally(t *testing.T) {
	two := Requirement{Rule: "two", AnyOf: []string{"infosec", "platform-ops"}, Count: 2, Expires: 7 * day}
	both := Requirement{Rule: "both", AllOf: []string{"legal"}, AnyOf: []string{"infosec"}, Count: 1, Expires: 7 * day}
	for _, c := range []struct {
		name    string
		s       Subject
		cast    []Vote
		after   time.Duration
		is      string // approved | rejected | expired | open
		seats   string // "group=person …" in order
		missing string // texts, joined by "; "
		voided  int
	}{
		{"green needs nobody", subject(), nil, 0, "approved", "", "", 0},
		{"the zero subject is not approved", Subject{}, nil, 0, "open", "", "", 0},
		{"no groups, no approval", subject(Requirement{Rule: "odd"}), votes(approves("ivy", "infosec")), 0, "open", "",
			"approvers that nobody has named: an administrator must give the rule “odd” its groups in slipway.yaml", 1},
		{"yellow waits", subject(yellow), nil, 0, "open", "", "one approver from InfoSec or Platform Ops", 0},
		{"yellow by one", subject(yellow), votes(approves("ivy", "infosec")), 0, "approved", "infosec=ivy", "", 0},
		{"one person does not approve and override", subject(yellow, override), votes(vote(Approve, "ivy", "infosec", because("x"))), 0, "open", "infosec=ivy", "one approver from InfoSec (ivy@finmicro.example counts for InfoSec already, and nobody counts twice)", 0},
		{"approved and overridden", subject(yellow, override), votes(approves("omar", "platform-ops"), vote(Approve, "ivy", "infosec", because("x"))), 0, "approved", "platform-ops=omar infosec=ivy", "", 0},
		{"a recorded override without a reason does not count", subject(override), votes(approves("ivy", "infosec")), 0, "open", "", "one approver from InfoSec", 1},
		{"yellow by the requester's link", subject(yellow), votes(vote(Approve, "ivy", "infosec", vouched("ana@finmicro.example"))), 0, "open", "", "one approver from InfoSec or Platform Ops", 1},
		{"yellow by the requester alone", subject(yellow), votes(approves("ana", "infosec")), 0, "open", "", "one approver from InfoSec or Platform Ops", 1},
		{"a count of zero is one", subject(Requirement{Rule: "r", AnyOf: []string{"infosec"}}), nil, 0, "open", "", "one approver from InfoSec", 0},
		{"two of any", subject(two), votes(approves("ivy", "infosec")), 0, "open", "infosec=ivy",
			"one approver from InfoSec or Platform Ops (ivy@finmicro.example counts for InfoSec already, and nobody counts twice)", 0},
		{"two of one group", subject(two), votes(approves("ivy", "infosec"), approves("ida", "infosec")), 0, "approved", "infosec=ivy infosec=ida", "", 0},
		{"one person in both groups is one", subject(two), votes(approves("ivy", "infosec,platform-ops")), 0, "open", "infosec=ivy",
			"one approver from InfoSec or Platform Ops (ivy@finmicro.example counts for InfoSec already, and nobody counts twice)", 0},
		{"a count beyond all people", subject(Requirement{Rule: "r", AnyOf: []string{"infosec"}, Count: 1 << 40}), votes(approves("ivy", "infosec")), 0, "open", "infosec=ivy",
			"1099511627775 approvers from InfoSec, each a different person (ivy@finmicro.example counts for InfoSec already, and nobody counts twice)", 0},
		{"red by three", subject(red), votes(approves("lea", "legal"), approves("sam", "security"), approves("pat", "product")), 0, "approved", "legal=lea security=sam product=pat", "", 0},
		{"red by two", subject(red), votes(approves("lea", "legal"), approves("pat", "product")), 0, "open", "legal=lea product=pat", "one approver from Security", 0},
		{"red by one who is in all", subject(red), votes(approves("lea", "legal,security,product")), 0, "open", "legal=lea",
			"one approver each from Security and Product, two different people (lea@finmicro.example counts for Legal already, and nobody counts twice)", 0},
		{"who is in two makes room", subject(red), votes(approves("lea", "legal,security"), approves("lou", "legal"), approves("pat", "product")), 0, "approved", "legal=lou security=lea product=pat", "", 0},
		{"a chain of moves", subject(red), votes(approves("a", "legal,security"), approves("b", "security,product"), approves("c", "legal")), 0, "approved", "legal=c security=a product=b", "", 0},
		{"a repeated group is one seat", subject(Requirement{Rule: "r", AllOf: []string{"legal", "legal"}}), votes(approves("lea", "legal")), 0, "approved", "legal=lea", "", 0},
		{"two requirements share no person", subject(red, domain), votes(approves("lea", "legal"), approves("sam", "security"), approves("pat", "product"), approves("bea", "brand")), 0, "open",
			"legal=lea security=sam product=pat brand=bea", "one approver from Legal (lea@finmicro.example counts for Legal already, and nobody counts twice)", 0},
		{"two requirements, five people", subject(red, domain), votes(approves("lea", "legal"), approves("sam", "security"), approves("pat", "product"), approves("bea", "brand"), approves("lou", "legal")), 0, "approved",
			"legal=lea security=sam product=pat legal=lou brand=bea", "", 0},
		{"all of and any of in one rule", subject(both), votes(approves("lea", "legal,infosec")), 0, "open", "legal=lea", "one approver from InfoSec (lea@finmicro.example counts for Legal already, and nobody counts twice)", 0},
		{"a rejection ends it", subject(red), votes(approves("lea", "legal"), vote(Reject, "sam", "security"), approves("pat", "product")), 0, "rejected", "legal=lea",
			"one approver each from Security and Product, two different people", 1},
		{"a rejection after approval, while open", subject(yellow), votes(approves("ivy", "infosec"), vote(Reject, "oz", "platform-ops")), 0, "rejected", "infosec=ivy", "", 0},
		{"a stranger's rejection", subject(yellow), votes(vote(Reject, "eve", "marketing"), approves("ivy", "infosec")), 0, "approved", "infosec=ivy", "", 1},
		{"a rejection of old content", subject(yellow), votes(vote(Reject, "ivy", "infosec", content("sha256:c0"))), 0, "open", "", "one approver from InfoSec or Platform Ops", 1},
		{"the latest vote counts", subject(yellow), votes(approves("ivy", "infosec"), vote(Withdraw, "ivy", "infosec")), 0, "open", "", "one approver from InfoSec or Platform Ops", 0},
		{"withdrawn and given again", subject(yellow), votes(approves("ivy", "infosec"), vote(Withdraw, "ivy", ""), approves("ivy", "infosec")), 0, "approved", "infosec=ivy", "", 0},
		{"the log's order beats the clock", subject(yellow), votes(vote(Approve, "ivy", "infosec", at(2*time.Hour)), vote(Withdraw, "ivy", "", at(time.Hour))), 0, "open", "", "one approver from InfoSec or Platform Ops", 0},
		{"a repeated vote is no second one", subject(two), votes(approves("ivy", "infosec"), approves("ivy", "infosec")), 0, "open", "infosec=ivy",
			"one approver from InfoSec or Platform Ops (ivy@finmicro.example counts for InfoSec already, and nobody counts twice)", 0},
		{"new content voids", subject(red), votes(vote(Approve, "lea", "legal", content("sha256:c0")), approves("sam", "security")), 0, "open", "security=sam",
			"one approver each from Legal and Product, two different people", 1},
		{"a new policy voids", subject(yellow), votes(vote(Approve, "ivy", "infosec", policy("sha256:p0"))), 0, "open", "", "one approver from InfoSec or Platform Ops", 1},
		{"expired", subject(yellow), nil, 7 * day, "expired", "", "one approver from InfoSec or Platform Ops", 0},
		{"not yet expired", subject(yellow), nil, 7*day - 1, "open", "", "one approver from InfoSec or Platform Ops", 0},
		{"approved in time stays approved", subject(yellow), votes(approves("ivy", "infosec")), 30 * day, "approved", "infosec=ivy", "", 0},
		{"a late vote does not count", subject(yellow), votes(vote(Approve, "ivy", "infosec", at(7*day))), 8 * day, "expired", "", "one approver from InfoSec or Platform Ops", 1},
		{"withdrawn past the deadline", subject(yellow), votes(approves("ivy", "infosec"), vote(Withdraw, "ivy", "", at(8*day))), 8 * day, "expired", "", "one approver from InfoSec or Platform Ops", 0},
		{"no expiry", subject(Requirement{Rule: "r", AnyOf: []string{"infosec"}, Count: 1}), nil, 9999 * day, "open", "", "one approver from InfoSec", 0},
		{"a closed subject is tallied all the same", closed(subject(yellow)), votes(approves("ivy", "infosec")), 0, "approved", "infosec=ivy", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := Tally(c.s, c.cast, opened.Add(c.after))
			if got := standing(o); got != c.is {
				t.Errorf("is %s, want %s", got, c.is)
			}
			if got := seated(o); got != c.seats {
				t.Errorf("seats %q, want %q", got, c.seats)
			}
			var texts []string
			for _, m := range o.Missing {
				texts = append(texts, m.Text)
			}
			if got := strings.Join(texts, "; "); got != c.missing {
				t.Errorf("missing %q,\n   want %q", got, c.missing)
			}
			if len(o.Voided) != c.voided {
				t.Errorf("voided %d, want %d: %+v", len(o.Voided), c.voided, o.Voided)
			}
			for g, p := range o.Counted {
				if !slices.ContainsFunc(o.Seats, func(s Seat) bool { return s.Group == g && s.Person == p }) {
					t.Errorf("%s counts for %s without a seat", p, g)
				}
			}
		})
	}
}

func TestDeadline(t *testing.T) {
	if d := Tally(subject(red, domain, yellow), nil, opened).Deadline; !d.Equal(opened.Add(3 * day)) {
		t.Errorf("deadline %s, want the shortest of all", d)
	}
	if d := Tally(subject(), nil, opened).Deadline; !d.IsZero() {
		t.Errorf("deadline %s, want none", d)
	}
}

// standing names an outcome, and fails by its name if it is two things at once.
func standing(o Outcome) string {
	var is []string
	for name, yes := range map[string]bool{"approved": o.Approved, "rejected": o.Rejected, "expired": o.Expired} {
		if yes {
			is = append(is, name)
		}
	}
	if len(is) == 0 {
		return "open"
	}
	slices.Sort(is)
	return strings.Join(is, "+")
}

func seated(o Outcome) string {
	var out []string
	for _, s := range o.Seats {
		out = append(out, s.Group+"="+strings.TrimSuffix(s.Person, "@finmicro.example"))
	}
	return strings.Join(out, " ")
}

func TestText(t *testing.T) {
	for _, c := range []struct {
		r    Requirement
		want string
	}{
		{yellow, "One approver from InfoSec or Platform Ops"},
		{red, "One approver each from Legal, Security and Product, three different people"},
		{Requirement{AllOf: []string{"legal"}}, "One approver from Legal"},
		{Requirement{AnyOf: []string{"dns", "sre", "it"}, Count: 2}, "Two approvers from DNS, SRE or IT, each a different person"},
		{Requirement{AnyOf: []string{"a"}, Count: 12}, "12 approvers from A, each a different person"},
		{Requirement{AllOf: []string{"legal", "brand"}, AnyOf: []string{"infosec"}}, "One approver each from Legal and Brand, two different people, and one approver from InfoSec"},
		{Requirement{Rule: "odd"}, "Nobody can approve this: the rule “odd” names no group in slipway.yaml"},
	} {
		if got := c.r.Text(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
	for id, want := range map[string]string{"infosec": "InfoSec", "platform-ops": "Platform Ops", "head_of-legal": "Head of Legal", "": "", "-": "-", "équipe": "Équipe", "\xff": "\ufffd"} {
		if got := GroupName(id); got != want {
			t.Errorf("GroupName(%q) = %q, want %q", id, got, want)
		}
	}
}
