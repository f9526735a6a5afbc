package client

import (
	"bytes"
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"slipway/approval"
	"slipway/audit"
	"slipway/check"
	"slipway/drift"
	"slipway/identity"
	"slipway/lifecycle"
	"slipway/repo"
	"slipway/zone"
)

// Request is what a person asks for: an app, or files of the zones repository. Exactly one of App and Files is set.
type Request struct {
	App       *repo.App          `json:"app,omitempty"`
	Files     map[string]*string `json:"files,omitempty"` // path -> text; nil deletes
	Title     string             `json:"title,omitempty"`
	Ticket    string             `json:"ticket,omitempty"`
	NotBefore time.Time          `json:"not_before,omitzero"`
	Revises   string             `json:"revises,omitempty"` // an open change of the same person
	// RequestID is chosen by the caller, at random. The server takes a repeated one for the same
	// request, so a submission that has one is tried again when its answer is lost.
	RequestID string `json:"request_id,omitempty"`
}

// Detail is everything about one change. Verdict is nil while it is not judged.
type Detail struct {
	Change  lifecycle.State `json:"change"`
	Verdict *check.Verdict  `json:"verdict"`
	Events  []audit.Receipt `json:"events"`
	Plans   []Plan          `json:"plans,omitempty"`
}

// Plan is what an apply that was stopped would make of a zone.
type Plan struct {
	Zone   string      `json:"zone"`
	Digest string      `json:"digest"` // what is released is named by it
	Why    string      `json:"why"`
	Edits  []zone.Edit `json:"edits"`
	More   int         `json:"more,omitempty"` // edits that are not listed
}

// Vote is a decision on the content that the person looked at.
type Vote struct {
	Decision     approval.Decision `json:"decision"`
	Reason       string            `json:"reason,omitempty"`
	ChangeDigest string            `json:"change_digest,omitempty"`
	PolicyDigest string            `json:"policy_digest,omitempty"`
}

// ChangesQuery selects changes. Zero fields do not select.
type ChangesQuery struct {
	Mine, Open    bool
	App           string
	Limit, Offset int
}

// AppDetail is one app with its past.
type AppDetail struct {
	App     repo.App          `json:"app"`
	Changes []lifecycle.State `json:"changes"`
	Events  []audit.Receipt   `json:"events"`
}

const (
	get  = http.MethodGet
	post = http.MethodPost
)

func api(segments ...string) []string {
	for i, s := range segments {
		segments[i] = url.PathEscape(s)
	}
	return append([]string{"api", "v1"}, segments...)
}

// Me says who the token stands for.
func (c *Client) Me(ctx context.Context) (identity.Person, error) {
	var p identity.Person
	err := c.json(ctx, call{method: get, path: api("me"), repeat: true}, &p)
	return p, err
}

// Preview judges a request without making it.
func (c *Client) Preview(ctx context.Context, r Request) (*check.Verdict, error) {
	v := new(check.Verdict)
	body := Request{App: r.App, Files: r.Files}
	if err := c.json(ctx, call{method: post, path: api("preview"), body: body, repeat: true}, v); err != nil {
		return nil, err
	}
	return v, nil
}

// Submit makes a request. It returns once the verdict is recorded; a denied change is no error.
func (c *Client) Submit(ctx context.Context, r Request) (Detail, error) {
	var d Detail
	err := c.json(ctx, call{method: post, path: api("changes"), body: r, timeout: SubmitTimeout, repeat: r.RequestID != ""}, &d)
	return d, err
}

// Changes lists changes, newest first.
func (c *Client) Changes(ctx context.Context, q ChangesQuery) ([]lifecycle.State, error) {
	v := url.Values{}
	flag(v, "mine", q.Mine)
	flag(v, "open", q.Open)
	text(v, "app", q.App)
	number(v, "limit", q.Limit)
	number(v, "offset", q.Offset)
	return c.states(ctx, call{method: get, path: api("changes"), query: v, repeat: true})
}

// Inbox lists the changes that wait for this person's decision.
func (c *Client) Inbox(ctx context.Context) ([]lifecycle.State, error) {
	return c.states(ctx, call{method: get, path: api("inbox"), repeat: true})
}

func (c *Client) states(ctx context.Context, r call) ([]lifecycle.State, error) {
	var out struct {
		Changes []lifecycle.State `json:"changes"`
	}
	err := c.json(ctx, r, &out)
	return out.Changes, err
}

// Change returns one change with its verdict and events.
func (c *Client) Change(ctx context.Context, id string) (Detail, error) {
	var d Detail
	err := c.json(ctx, call{method: get, path: api("changes", id), repeat: true}, &d)
	return d, err
}

// Wait returns the change once it reached the phase, ended, was denied or waits for people, or after the timeout as it is then.
func (c *Client) Wait(ctx context.Context, id string, phase lifecycle.Phase, timeout time.Duration) (Detail, error) {
	v := url.Values{"phase": {string(phase)}, "timeout": {timeout.String()}}
	var d Detail
	err := c.json(ctx, call{method: get, path: api("changes", id, "wait"), query: v, timeout: timeout + DefaultTimeout, repeat: true}, &d)
	return d, err
}

// Vote approves, rejects or withdraws.
func (c *Client) Vote(ctx context.Context, id string, v Vote) (lifecycle.State, error) {
	return c.act(ctx, v, id, "votes")
}

// Cancel ends one's own change.
func (c *Client) Cancel(ctx context.Context, id, reason string) (lifecycle.State, error) {
	return c.act(ctx, map[string]string{"reason": reason}, id, "cancel")
}

// Schedule keeps an approved change back until a time.
func (c *Client) Schedule(ctx context.Context, id string, notBefore time.Time) (lifecycle.State, error) {
	return c.act(ctx, map[string]time.Time{"not_before": notBefore.UTC()}, id, "schedule")
}

// Retry runs a failed step again.
func (c *Client) Retry(ctx context.Context, id string) (lifecycle.State, error) {
	return c.act(ctx, struct{}{}, id, "retry")
}

// Rollback asks, as a change of this person, that a live change be undone.
func (c *Client) Rollback(ctx context.Context, id, ticket string) (Detail, error) {
	return c.ask(ctx, map[string]string{"ticket": ticket}, "changes", id, "rollback")
}

// ask makes a change out of what is there. The server finds an open one again by itself.
func (c *Client) ask(ctx context.Context, body any, path ...string) (Detail, error) {
	var d Detail
	err := c.json(ctx, call{method: post, path: api(path...), body: body, timeout: SubmitTimeout}, &d)
	return d, err
}

// Release lets an apply be made that was stopped: just the plan with this digest.
func (c *Client) Release(ctx context.Context, id, zone, plan, reason string) (lifecycle.State, error) {
	return c.act(ctx, map[string]string{"zone": zone, "plan": plan, "reason": reason}, id, "release")
}

// act changes a change. It is never repeated: a second vote would be refused as a second one,
// which would tell the person that the first had failed.
func (c *Client) act(ctx context.Context, body any, id, what string) (lifecycle.State, error) {
	var out struct {
		Change lifecycle.State `json:"change"`
	}
	err := c.json(ctx, call{method: post, path: api("changes", id, what), body: body}, &out)
	return out.Change, err
}

// Apps lists the apps on main.
func (c *Client) Apps(ctx context.Context) ([]repo.App, error) {
	var out struct {
		Apps []repo.App `json:"apps"`
	}
	err := c.json(ctx, call{method: get, path: api("apps"), repeat: true}, &out)
	return out.Apps, err
}

// App returns one app with its changes and events.
func (c *Client) App(ctx context.Context, name string) (AppDetail, error) {
	var d AppDetail
	err := c.json(ctx, call{method: get, path: api("apps", name), repeat: true}, &d)
	return d, err
}

// Drift compares the zones, or all when none is given, with what is live now.
func (c *Client) Drift(ctx context.Context, zones []string) ([]drift.Report, error) {
	if zones == nil {
		zones = []string{}
	}
	return c.reports(ctx, call{method: post, path: api("drift"), body: map[string][]string{"zones": zones}, timeout: SubmitTimeout, repeat: true})
}

// RevertDrift makes a live zone what was approved, if its content is still the one with this digest (drift.Report.Live).
func (c *Client) RevertDrift(ctx context.Context, zone, live string) error {
	return c.json(ctx, call{method: post, path: api("drift", zone, "revert"), body: map[string]string{"live": live}, timeout: SubmitTimeout}, nil)
}

// AdoptDrift asks, as a change of this person, that what is live be approved, if it is still the content with this digest.
func (c *Client) AdoptDrift(ctx context.Context, zone, live, ticket string) (Detail, error) {
	return c.ask(ctx, map[string]string{"live": live, "ticket": ticket}, "drift", zone, "adopt")
}

// LastDrift returns what the last comparison of each zone found.
func (c *Client) LastDrift(ctx context.Context) ([]drift.Report, error) {
	return c.reports(ctx, call{method: get, path: api("drift"), repeat: true})
}

// DriftMonth returns the report of a month, such as 2026-10; "" is the last one that is over.
func (c *Client) DriftMonth(ctx context.Context, month string) (drift.Month, error) {
	var m drift.Month
	q := url.Values{}
	if month != "" {
		q.Set("month", month)
	}
	err := c.json(ctx, call{method: get, path: api("drift", "report"), query: q, repeat: true}, &m)
	return m, err
}

func (c *Client) reports(ctx context.Context, r call) ([]drift.Report, error) {
	var out struct {
		Reports []drift.Report `json:"reports"`
	}
	err := c.json(ctx, r, &out)
	return out.Reports, err
}

// Tokens lists the person's own tokens, without their secrets.
func (c *Client) Tokens(ctx context.Context) ([]identity.TokenInfo, error) {
	var out struct {
		Tokens []identity.TokenInfo `json:"tokens"`
	}
	err := c.json(ctx, call{method: get, path: api("tokens"), repeat: true}, &out)
	return out.Tokens, err
}

// NewToken makes a token. The server shows it this once.
func (c *Client) NewToken(ctx context.Context, label string, days int) (string, error) {
	var out struct {
		Token string `json:"token"`
	}
	body := struct {
		Label string `json:"label"`
		Days  int    `json:"days"`
	}{label, days}
	err := c.json(ctx, call{method: post, path: api("tokens"), body: body}, &out)
	return out.Token, err
}

// RevokeToken ends a token.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	return c.json(ctx, call{method: http.MethodDelete, path: api("tokens", id), repeat: true}, nil)
}

// Link makes a one-time sign-in link for a person. Administrators only.
func (c *Client) Link(ctx context.Context, person, role string) (string, error) {
	var out struct {
		URL string `json:"url"`
	}
	err := c.json(ctx, call{method: post, path: api("links"), body: map[string]string{"person": person, "role": role}}, &out)
	return out.URL, err
}

// Accounts lists everyone who may sign in. Administrators only.
func (c *Client) Accounts(ctx context.Context) ([]identity.Person, error) {
	var out struct {
		Accounts []identity.Person `json:"accounts"`
	}
	err := c.json(ctx, call{method: get, path: api("accounts"), repeat: true}, &out)
	return out.Accounts, err
}

// DisableAccount ends a person's sessions, tokens and links at once. Administrators only.
func (c *Client) DisableAccount(ctx context.Context, person, reason string) error {
	return c.json(ctx, call{method: post, path: api("accounts", person, "disable"), body: map[string]string{"reason": reason}, repeat: true}, nil)
}

// EnableAccount lets a disabled account be used again. Administrators only.
func (c *Client) EnableAccount(ctx context.Context, person string) error {
	return c.json(ctx, call{method: post, path: api("accounts", person, "enable"), body: struct{}{}, repeat: true}, nil)
}

// eventsPage is how many events are asked for at once.
const eventsPage = 1000

// Events reads the log in its order, or with q.Newest backwards, as far as this person may see it, page
// by page. q.Limit bounds what comes; 0 is everything.
func (c *Client) Events(ctx context.Context, q audit.Query) iter.Seq2[audit.Receipt, error] {
	return func(yield func(audit.Receipt, error) bool) {
		for left := q.Limit; ; {
			page := q
			page.Limit = eventsPage
			if q.Limit > 0 {
				page.Limit = min(left, eventsPage)
			}
			receipts, err := c.events(ctx, page)
			if err != nil {
				yield(audit.Receipt{}, err)
				return
			}
			for _, r := range receipts {
				if !yield(r, nil) {
					return
				}
			}
			left -= len(receipts)
			if len(receipts) < page.Limit || (q.Limit > 0 && left <= 0) {
				return
			}
			q.Next(receipts[len(receipts)-1])
		}
	}
}

func (c *Client) events(ctx context.Context, q audit.Query) ([]audit.Receipt, error) {
	v := url.Values{}
	text(v, "change", q.Change)
	text(v, "app", q.App)
	text(v, "zone", q.Zone)
	text(v, "record", q.Record)
	text(v, "actor", q.Actor)
	text(v, "action", string(q.Action))
	text(v, "commit", q.Commit)
	text(v, "document", q.Document)
	moment(v, "from", q.From)
	moment(v, "to", q.To)
	number(v, "limit", q.Limit)
	if q.HasAfter {
		v.Set("after", strconv.FormatUint(q.After, 10))
	}
	if q.HasBefore {
		v.Set("before", strconv.FormatUint(q.Before, 10))
	}
	flag(v, "newest", q.Newest)
	var out struct {
		Events []audit.Receipt `json:"events"`
	}
	err := c.json(ctx, call{method: get, path: api("events"), query: v, repeat: true}, &out)
	return out.Events, err
}

// Keys returns the keys that the server says its log is signed with. Whoever verifies a log
// should have them from elsewhere: a server that lies about the log lies about its keys.
func (c *Client) Keys(ctx context.Context) (audit.Keys, error) {
	answer, err := c.do(ctx, call{method: get, path: []string{"keys.json"}, repeat: true})
	if err != nil {
		return audit.Keys{}, err
	}
	return audit.ReadKeys(bytes.NewReader(answer))
}

// AllowedSigners returns the file with which git verifies Slipway's commits.
func (c *Client) AllowedSigners(ctx context.Context) (string, error) {
	answer, err := c.do(ctx, call{method: get, path: []string{"allowed_signers"}, repeat: true})
	return string(answer), err
}

func flag(v url.Values, name string, set bool) {
	if set {
		v.Set(name, "1")
	}
}

func text(v url.Values, name, s string) {
	if s != "" {
		v.Set(name, s)
	}
}

func number(v url.Values, name string, n int) {
	if n != 0 {
		v.Set(name, strconv.Itoa(n))
	}
}

func moment(v url.Values, name string, t time.Time) {
	if !t.IsZero() {
		v.Set(name, t.UTC().Format(time.RFC3339Nano))
	}
}
