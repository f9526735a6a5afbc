package caa

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"slipway/zone"
)

// Request is a certificate that an authority is to issue.
type Request struct {
	Name      zone.Name // "*.…" for a wildcard
	Authority []string  // domains by which the authority knows itself: "letsencrypt.org"
	Account   string    // URI of our account there (RFC 8657 section 3); "" for none, or AnyAccount
	Method    string    // how control of the name is proved (RFC 8657 section 4): "dns-01"
}

// AnyAccount is the account of who does not know it: a condition on one account counts as met.
const AnyAccount = "*"

// Decision is whether the authority may issue.
type Decision struct {
	Permitted bool
	At        zone.Name // where the records stand that decided; "" when there are none
	Reason    string    // for people
}

// Lookup returns the values of the CAA record set at a name, aliases followed; none when
// there is none. An error is of an answer that could not be had.
type Lookup func(ctx context.Context, name zone.Name) ([]string, error)

// known are the tags that every authority for the web understands: RFC 8659, RFC 9495 and
// the contacts of the CA/Browser Forum's Baseline Requirements (appendix A).
var known = []string{"issue", "issuewild", "iodef", "issuemail", "contactemail", "contactphone"}

// Permits decides as the authority must (RFC 8659 section 3): the record set of the
// name itself counts, or of the nearest name above that has one. What cannot be looked up or
// read permits nothing. The error is the lookup's.
func Permits(ctx context.Context, q Request, lookup Lookup) (Decision, error) {
	name, wildcard := q.Name, false
	if base, ok := strings.CutPrefix(string(q.Name), "*."); ok {
		name, wildcard = zone.Name(base), true
	}
	for at := name; at != "." && at != ""; at = at.Parent() {
		values, err := lookup(ctx, at)
		if err != nil {
			return Decision{At: at, Reason: fmt.Sprintf("The CAA records of %s cannot be looked up, and no authority may issue while that is so.", at.Unicode())}, fmt.Errorf("CAA of %s: %w", at, err)
		}
		if len(values) > 0 {
			d := decide(q, at, values, wildcard)
			d.At = at
			return d, nil
		}
	}
	return Decision{Permitted: true, Reason: fmt.Sprintf("Neither %s nor any name above it has CAA records, so every authority may issue.", q.Name.Unicode())}, nil
}

func decide(q Request, at zone.Name, values []string, wildcard bool) Decision {
	var issue, issuewild []Property
	for _, v := range values {
		p, err := ParseValue(v)
		if err != nil {
			return refuse("A CAA record of %s cannot be read (%s), so no authority may issue.", at.Unicode(), v)
		}
		switch {
		case p.Tag == "issue":
			issue = append(issue, p)
		case p.Tag == "issuewild":
			issuewild = append(issuewild, p)
		case p.Critical() && !slices.Contains(known, p.Tag):
			return refuse("A CAA record of %s is critical and of the unknown kind %q, so no authority may issue (RFC 8659 section 4.1).", at.Unicode(), p.Tag)
		}
	}
	relevant, kind := issue, "issue"
	if wildcard && len(issuewild) > 0 {
		relevant, kind = issuewild, "issuewild" // section 4.3: then issue does not count
	}
	if len(relevant) == 0 {
		return Decision{Permitted: true, Reason: fmt.Sprintf("The CAA records of %s do not limit who may issue.", at.Unicode())}
	}
	var others, why []string
	for _, p := range relevant {
		issuer := p.Issuer()
		if !slices.ContainsFunc(q.Authority, func(a string) bool { return strings.EqualFold(a, issuer.Domain) }) || issuer.Domain == "" {
			if issuer.Domain != "" {
				others = append(others, issuer.Domain)
			}
			continue
		}
		reason := issuer.unmet(q)
		if reason == "" {
			return Decision{Permitted: true, Reason: fmt.Sprintf("A CAA record of %s names %s.", at.Unicode(), issuer.Domain)}
		}
		why = append(why, reason)
	}
	us := strings.Join(q.Authority, ", ")
	switch {
	case len(why) > 0:
		return refuse("The CAA records of %s name %s, but %s.", at.Unicode(), us, strings.Join(why, "; "))
	case len(others) > 0:
		slices.Sort(others)
		return refuse("The %s records of %s allow %s, and not %s.", kind, at.Unicode(), strings.Join(slices.Compact(others), ", "), us)
	}
	return refuse("The %s records of %s allow no authority at all.", kind, at.Unicode())
}

// unmet says which parameter rules the request out, "" for none. Parameters that RFC 8657
// does not know are between the authority and us, and rule nothing out here.
func (i Issuer) unmet(q Request) string {
	var accounts, methods []string
	for _, p := range i.Parameters {
		switch p.Tag {
		case "accounturi":
			accounts = append(accounts, p.Value)
		case "validationmethods":
			methods = append(methods, p.Value)
		}
	}
	switch {
	// RFC 8657 section 3: several, or none of the authority's, cannot be met.
	case len(accounts) > 1:
		return "name more than one account in one record, which no account can meet"
	case len(accounts) == 1 && q.Account == AnyAccount:
		// The methods still count.
	case len(accounts) == 1 && q.Account == "":
		return "only for the account " + accounts[0] + ", and we have none there"
	case len(accounts) == 1 && accounts[0] != q.Account:
		return "only for the account " + accounts[0] + ", and ours is " + q.Account
	}
	switch {
	case len(methods) > 1:
		return "name the ways of proof twice in one record, which no way can meet"
	case len(methods) == 1 && (q.Method == "" || !slices.Contains(strings.Split(methods[0], ","), q.Method)):
		return fmt.Sprintf("only after proof by %s, and ours is %s", strings.ReplaceAll(methods[0], ",", ", "), orNone(q.Method))
	}
	return ""
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func refuse(format string, args ...any) Decision {
	return Decision{Reason: fmt.Sprintf(format, args...)}
}
