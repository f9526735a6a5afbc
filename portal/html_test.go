package portal_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"slipway/identity"
)

// pageFaults looks for what WCAG 2.2 AA and our content policy forbid and a
// program can see: it is the floor of accessibility, not all of it.
func pageFaults(source string) []string {
	doc, err := html.Parse(strings.NewReader(source))
	if err != nil {
		return []string{err.Error()}
	}
	c := &htmlCheck{ids: map[string]int{}, labels: map[string]bool{}}
	c.collect(doc)
	c.walk(doc)
	c.finish()
	return c.faults
}

type htmlCheck struct {
	faults   []string
	ids      map[string]int
	labels   map[string]bool // for="…"
	level    int             // of the heading before
	title    string
	mains    int
	h1s      int
	skip     bool
	language string
}

func (c *htmlCheck) bad(format string, args ...any) {
	c.faults = append(c.faults, fmt.Sprintf(format, args...))
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, name string) bool {
	return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == name })
}

func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.TrimSpace(b.String())
}

func within(n *html.Node, tag string) *html.Node {
	for p := n.Parent; p != nil; p = p.Parent {
		if p.Data == tag {
			return p
		}
	}
	return nil
}

func child(n *html.Node, tag string) *html.Node {
	for c := range n.ChildNodes() {
		if c.Data == tag {
			return c
		}
	}
	return nil
}

func (c *htmlCheck) collect(doc *html.Node) {
	for n := range doc.Descendants() {
		if id := attr(n, "id"); id != "" {
			if c.ids[id]++; c.ids[id] == 2 {
				c.bad("the id %q stands twice", id)
			}
		}
		if n.Data == "label" && attr(n, "for") != "" {
			c.labels[attr(n, "for")] = true
		}
	}
}

func (c *htmlCheck) walk(doc *html.Node) {
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		c.references(n)
		c.policy(n)
		switch n.Data {
		case "html":
			c.language = attr(n, "lang")
		case "title":
			c.title = text(n)
		case "main":
			c.mains++
		case "a":
			c.skip = c.skip || attr(n, "href") == "#main"
			if text(n) == "" && attr(n, "aria-label") == "" {
				c.bad("a link to %s has no words", attr(n, "href"))
			}
		case "h1", "h2", "h3", "h4", "h5", "h6":
			c.heading(n)
		case "input", "select", "textarea":
			c.control(n)
		case "button":
			if text(n) == "" {
				c.bad("a button has no words")
			}
			if attr(n, "type") == "" {
				c.bad("the button %q does not say its type", text(n))
			}
		case "img":
			if !has(n, "alt") {
				c.bad("an image has no alternative text")
			}
		case "table":
			c.table(n)
		case "fieldset":
			if child(n, "legend") == nil {
				c.bad("a group of controls has no legend")
			}
		case "form":
			if m := attr(n, "method"); m != "post" && m != "get" {
				c.bad("a form has method %q", m)
			}
			if within(n, "form") != nil {
				c.bad("a form stands in a form")
			}
		case "nav":
			if attr(n, "aria-label") == "" {
				c.bad("a navigation has no name")
			}
		}
	}
}

func (c *htmlCheck) references(n *html.Node) {
	for _, name := range []string{"for", "aria-labelledby", "aria-describedby"} {
		for _, id := range strings.Fields(attr(n, name)) {
			if c.ids[id] == 0 {
				c.bad("%s of <%s> points to %q, which is not there", name, n.Data, id)
			}
		}
	}
	if href := attr(n, "href"); len(href) > 1 && href[0] == '#' && c.ids[href[1:]] == 0 {
		c.bad("a link points to %s, which is not there", href)
	}
	if attr(n, "role") == "region" && attr(n, "aria-label") == "" && attr(n, "aria-labelledby") == "" {
		c.bad("a region has no name")
	}
}

func (c *htmlCheck) policy(n *html.Node) {
	for _, a := range n.Attr {
		if a.Key == "style" || strings.HasPrefix(a.Key, "on") {
			c.bad("<%s> has the inline attribute %s", n.Data, a.Key)
		}
		if (a.Key == "src" || a.Key == "href" || a.Key == "action") && (strings.Contains(a.Val, "//") || strings.HasPrefix(a.Val, "javascript:")) {
			c.bad("<%s> loads or goes elsewhere: %s", n.Data, a.Val)
		}
	}
	if n.Data == "style" || n.Data == "script" && attr(n, "src") == "" {
		c.bad("there is an inline <%s>", n.Data)
	}
}

func (c *htmlCheck) heading(n *html.Node) {
	level := int(n.Data[1] - '0')
	if level == 1 {
		c.h1s++
	}
	if level > c.level+1 {
		c.bad("the heading %q has level %d after level %d", text(n), level, c.level)
	}
	if text(n) == "" {
		c.bad("a heading has no words")
	}
	c.level = level
}

func (c *htmlCheck) control(n *html.Node) {
	kind := attr(n, "type")
	if kind == "hidden" {
		return
	}
	id := attr(n, "id")
	if !c.labels[id] {
		c.bad("the control %s %q has no label", n.Data, attr(n, "name"))
	}
	if (kind == "radio" || kind == "checkbox") && within(n, "fieldset") == nil {
		c.bad("the choice %q is in no group", id)
	}
	if attr(n, "aria-invalid") == "true" && attr(n, "aria-describedby") == "" {
		c.bad("the control %q is wrong, and nothing says why", id)
	}
}

func (c *htmlCheck) table(n *html.Node) {
	if cap := child(n, "caption"); cap == nil || text(cap) == "" {
		c.bad("a table has no caption")
	}
	headers := 0
	for d := range n.Descendants() {
		if d.Data == "th" {
			headers++
			if attr(d, "scope") == "" {
				c.bad("the table header %q has no scope", text(d))
			}
		}
	}
	if headers == 0 {
		c.bad("a table has no headers")
	}
	if p := n.Parent; attr(p, "role") != "region" || attr(p, "tabindex") != "0" {
		c.bad("a table cannot be scrolled with the keyboard")
	}
}

func (c *htmlCheck) finish() {
	if c.language != "en" {
		c.bad("the page does not say its language")
	}
	if !strings.HasSuffix(c.title, " – Slipway") || strings.HasPrefix(c.title, " ") {
		c.bad("the title is %q", c.title)
	}
	if c.mains != 1 {
		c.bad("there are %d main parts", c.mains)
	}
	if c.h1s != 1 {
		c.bad("there are %d first headings", c.h1s)
	}
	if !c.skip {
		c.bad("there is no way to skip to the content")
	}
}

// shot is one page in one state.
type shot struct {
	name, who, method, path string
	form                    url.Values
	status                  int
	say                     string // something that only this state says
}

// shots fills a bench with a request in every phase, and lists every page in every state.
func (b *bench) shots() []shot {
	b.t.Helper()
	ctx := b.t.Context()
	must := func(err error) {
		b.t.Helper()
		if err != nil {
			b.t.Fatal(err)
		}
	}
	live := b.ask(ana, filled())
	denied := b.ask(ana, external("vague", "purpose", "nothing", "ttl", "999999"))
	waiting := b.ask(ana, external("shop"))
	red := b.ask(ana, external("payroll", "data", "financial", "ticket", "CHG-7"))
	for _, vote := range [][2]string{{"lena@finmicro.example", "approve"}, {"sam@finmicro.example", "approve"}} {
		if w := b.decide(vote[0], red, vote[1], "fine"); w.Code != http.StatusSeeOther {
			b.t.Fatalf("vote: %d %s", w.Code, w.Body)
		}
	}
	rejected, cancelled, expired := b.ask(ana, external("casino")), b.ask(ana, external("gone")), b.ask(ana, external("late"))
	b.decide(ivy, rejected, "reject", "Not on our domains.")
	b.do(ana, "POST", "/changes/"+cancelled+"/cancel", url.Values{"reason": {"changed my mind"}})
	must(b.desk.expire(ctx, expired))
	scheduled := b.ask(ana, external("spring"))
	b.do(ana, "POST", "/changes/"+scheduled+"/schedule", url.Values{"not_before": {"2027-03-01T09:00"}})
	b.decide(ivy, scheduled, "approve", "")
	b.desk.held = true
	approved := b.ask(ana, filled("name", "held", "host", "held"))
	stopped := b.ask(ana, filled("name", "closing", "host", "closing"))
	b.desk.held = false
	must(b.desk.stop(ctx, stopped))
	failed := b.ask(tess, external("stuck"))
	b.decide(ivy, failed, "approve", "")
	stuck := b.ask(ana, external("stuck2"))
	must(b.desk.fail(ctx, stuck, "apply", "The name server did not take the domain. Somebody from Platform Ops has to look at it."))
	expiring := b.ask(ana, external("kiosk", "upstream", "http://10.1.2.3:8080", "mtls", "required"))
	b.decide(ivy, expiring, "approve", "")
	b.desk.reports = driftReports(b.now())
	link, err := b.people.IssueLink(ctx, identity.Person{ID: identity.System}, bob, "", 0)
	must(err)
	expiredLink, err := b.people.IssueLink(ctx, identity.Person{ID: identity.System}, bob, "", time.Second)
	must(err)
	b.pass(time.Minute)
	b.cookie(tess)

	empty := url.Values{}
	get := func(name, who, path string, status int, say string) shot {
		return shot{name, who, "GET", path, nil, status, say}
	}
	return []shot{
		get("sign-in", "", "/sign-in", 200, "link that an administrator gives you"),
		get("sign-in-link", "", "/sign-in/"+link, 200, "Sign in to Slipway"),
		get("sign-in-expired", "", "/sign-in/"+expiredLink, 409, "has expired"),
		{"sign-in-unknown", "", "POST", "/sign-in/guess", empty, 404, "is not known"},
		get("home", ana, "/", 200, "My requests"),
		get("home-new", bob, "/", 200, "You have not asked for anything yet"),
		get("home-approver", ivy, "/", 200, "Waiting for your decision"),
		get("request", ana, "/apps/new", 200, "appear here while you type"),
		{"request-empty", ana, "POST", "/apps/new", url.Values{"do": {"submit"}}, 422, "Some answers have to be corrected"},
		{"request-wrong", ana, "POST", "/apps/new", filled("name", "Ä", "host", "a..b", "targets", "192.0.2.10 x.example.com", "ttl", "x", "expires", "soon", "zone", "example.org"), 422, "Give either addresses"},
		{"request-checked", ana, "POST", "/apps/new", external("stall", "do", "check", "ttl", "999999"), 200, "longer than a day"},
		{"request-checked-denied", ana, "POST", "/apps/new", external("stall", "do", "check", "purpose", "nothing"), 200, "Not possible as it is"},
		get("request-revise", ana, "/apps/new?revises="+denied, 200, "This replaces what you asked for"),
		get("request-edit", ana, "/apps/new?editing=expense-tracker", 200, "Ask for this change"),
		get("changes", ana, "/changes", 200, "Launch expense-tracker"),
		get("changes-open", ivy, "/changes?show=open", 200, "Launch shop"),
		get("changes-all", bob, "/changes?show=all", 200, "Launch casino"),
		get("changes-none", bob, "/changes", 200, "There are none here"),
		get("change-live", ana, "/changes/"+live, 200, "Nothing more has to be done"),
		get("change-denied", ana, "/changes/"+denied, 200, "send a new version"),
		get("change-waiting", ana, "/changes/"+waiting, 200, "Still needed: "),
		get("change-vote", ivy, "/changes/"+waiting+"?done=withdraw", 200, "Your decision"),
		get("change-auditor", audrey, "/changes/"+waiting, 200, "you are in none of these groups"),
		{"change-refused", ivy, "POST", "/changes/" + waiting + "/votes", url.Values{"decision": {"reject"}}, 422, "Say why"},
		get("change-red", "pia@finmicro.example", "/changes/"+red, 200, "Legal: approved by"),
		get("change-voted", "lena@finmicro.example", "/changes/"+red, 200, "Take my approval back"),
		get("change-rejected", ana, "/changes/"+rejected, 200, "Not on our domains."),
		get("change-cancelled", ana, "/changes/"+cancelled, 200, "changed my mind"),
		get("change-expired", ana, "/changes/"+expired, 200, "Nobody decided in time"),
		get("change-scheduled", ana, "/changes/"+scheduled, 200, "1 Mar 2027, 09:00 UTC"),
		get("change-approved", ana, "/changes/"+approved, 200, "now put on record"),
		get("change-failed", admin, "/changes/"+stuck, 200, "Try again"),
		get("change-held", ana, "/changes/"+stopped, 200, "so somebody else must approve it"),
		get("change-held-approver", ivy, "/changes/"+stopped, 200, "Why it may go ahead"),
		get("change-unknown", ana, "/changes/none", 404, "There is no such change"),
		get("inbox", ivy, "/inbox", 200, "Why it needs you"),
		get("inbox-empty", bob, "/inbox", 200, "Nothing waits"),
		get("apps", ana, "/apps", 200, "expense-tracker"),
		get("apps-found", bob, "/apps?search=TRACKS+ana", 200, "expenses.apps.finmicro.example"),
		get("apps-none-found", bob, "/apps?search=zebra", 200, "No app fits “zebra”"),
		get("app", ana, "/apps/expense-tracker", 200, "Good until 23 Dec 2026"),
		get("app-third-party", tess, "/apps/stuck", 200, "Ask for a change"),
		get("app-unknown", ana, "/apps/none", 404, "There is no app"),
		get("drift", bob, "/drift", 200, "203.0.113.66"),
		{"drift-now", bob, "POST", "/drift", empty, 200, "Compared just now"},
		get("drift-month", bob, "/drift/report", 200, "<olga>"),
		get("drift-month-none", bob, "/drift/report?month=x", 400, "not a month"),
		get("drift-parent", bob, "/drift", 200, "What the zone above says of finmicro-apps.example"),
		get("drift-notes", bob, "/drift", 200, "only the serial"),
		get("home-drift", ivy, "/", 200, "Domains that are not as approved"),
		get("drift-approver", ivy, "/drift?done=revert", 200, "was put back"),
		{"drift-revert-refused", ivy, "POST", "/drift/apps.finmicro.example/revert", url.Values{"live": {"other"}}, 409, "not what you saw"},
		{"rollback-refused", ana, "POST", "/changes/" + scheduled + "/rollback", empty, 409, "not on main"},
		get("app-certificate-expired", ana, "/apps/kiosk", 200, "could not be reached"),
		get("certificates", ana, "/certificates", 200, "29 days left"),
		get("certificates-week", ivy, "/certificates?by=week&status=all", 200, "Week from 23 November"),
		get("certificates-third-party", tess, "/certificates", 200, "and 1 more"),
		get("certificates-none", bob, "/certificates?search=zebra", 200, "No certificate fits"),
		get("certificates-revoked", bob, "/certificates?status=revoked", 200, "revoked 1 hour ago"),
		get("certificate", ana, "/certificates/"+certificateID, 200, "it never leaves it"),
		get("certificate-renewed", ivy, "/certificates/"+certificateID+"?done=renew", 200, "new certificate, with a new key"),
		get("certificate-other", bob, "/certificates/"+certificateID, 200, "sealed file"),
		get("certificate-own-key", tess, "/certificates/"+ownKeyID, 200, "Slipway has never had it"),
		get("certificate-revoked", ana, "/certificates/"+revokedID, 200, "the newer certificate"),
		get("certificate-expired", ana, "/certificates/"+expiredID, 200, "It could not be renewed"),
		get("certificate-unknown", ana, "/certificates/none", 404, "There is no such certificate"),
		{"certificate-refused", bob, "POST", "/certificates/" + certificateID + "/renew", empty, 403, "not yours"},
		get("revoke", ana, "/certificates/"+certificateID+"/revoke", 200, "the private key"),
		{"revoke-without-reason", ana, "POST", "/certificates/" + certificateID + "/revoke", empty, 400, "is no reason"},
		{"revoke-without-why", ana, "POST", "/certificates/" + certificateID + "/revoke", url.Values{"reason": {"key-compromise"}, "why": {"x"}}, 400, "takes an explanation"},
		get("revoke-revoked", ana, "/certificates/"+revokedID+"/revoke", 409, "already"),
		get("strays", bob, "/strays", 200, "tell those who manage"),
		get("strays-manager", ivy, "/strays?done=accept", 200, "I know whose it is"),
		{"strays-refused", ivy, "POST", "/strays/" + strayID + "/accept", url.Values{"reason": {"x"}}, 400, "takes an explanation"},
		get("controls", audrey, "/controls", 200, "Changes are asked for, tested, approved"),
		get("controls-period", ivy, "/controls?framework=pci-dss&from=2026-11-01&to=2026-11-02", 200, "Nothing in this period"),
		get("controls-wrong-period", admin, "/controls?from=soon", 400, "cannot be read as a day"),
		get("controls-forbidden", bob, "/controls", 403, "open to auditors"),
		get("trust", "", "/ca", 200, "slipway-root.crt"),
		get("trust-signed-in", ana, "/ca", 200, "Fingerprint"),
		{"request-wrong-upstream", ana, "POST", "/apps/new", external("stall", "upstream", "ftp://x", "mtls", "required", "certificate", ""), 422, "no password"},
		get("account", ana, "/account", 200, "refs/for/main"),
		get("account-third-party", tess, "/account", 200, "your own requests"),
		{"account-token", ana, "POST", "/account/tokens", url.Values{"label": {"laptop"}, "days": {"30"}}, 200, "slip_"},
		{"account-refused", ana, "POST", "/account/tokens", url.Values{"label": {""}}, 400, "give the token a name"},
		get("admin", admin, "/admin", 200, "Let someone sign in"),
		{"admin-link", admin, "POST", "/admin/links", url.Values{"person": {"new@finmicro.example"}, "role": {"designer"}}, 200, "/sign-in/"},
		{"admin-refused", admin, "POST", "/admin/links", url.Values{"person": {"new"}}, 400, "write one e-mail address"},
		get("forbidden", bob, "/admin", 403, "Only administrators"),
		get("not-found", bob, "/nowhere", 404, "was not found"),
		{"not-possible", bob, "PUT", "/apps", empty, 405, "does not take PUT"},
	}
}

func TestEveryPageInEveryState(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, s := range b.shots() {
		t.Run(s.name, func(t *testing.T) {
			w := b.do(s.who, s.method, s.path, s.form)
			body := w.Body.String()
			if w.Code != s.status {
				t.Fatalf("%s %s: %d, want %d\n%s", s.method, s.path, w.Code, s.status, body)
			}
			if !strings.Contains(strings.ToLower(html.UnescapeString(body)), strings.ToLower(s.say)) {
				t.Errorf("%s does not say %q", s.path, s.say)
			}
			if failed := strings.Contains(body, "<title>Error: "); failed != (s.status >= 400) {
				t.Errorf("the title says that it failed: %v, with status %d", failed, s.status)
			}
			for _, f := range pageFaults(body) {
				t.Error(f)
			}
			for _, jargon := range []string{"%!", "<no value>", "ZgotmplZ", "<nil>", "map["} {
				if strings.Contains(body, jargon) {
					t.Errorf("%q stands in the page", jargon)
				}
			}
		})
	}
}

// The checks themselves must be able to fail.
func TestPageFaultsAreFound(t *testing.T) {
	page := func(main string) string {
		return `<!doctype html><html lang="en"><head><title>X – Slipway</title></head><body><a href="#main">Skip</a><main id="main"><h1>X</h1>` + main + `</main></body></html>`
	}
	if f := pageFaults(page("")); len(f) > 0 {
		t.Fatalf("a good page: %v", f)
	}
	for _, bad := range []string{
		`<input name="x">`, `<label for="a">A</label>`, `<p id="main"></p>`, `<h3>Y</h3>`, `<h1>Y</h1>`, `<p style="color:red">`, `<button>x</button>`, `<button type="submit"></button>`,
		`<table><tr><td>1</td></tr></table>`, `<script>1</script>`, `<a href="https://elsewhere.example/">x</a>`, `<a href="/x"></a>`, `<img src="/x">`, `<p onclick="x()">`, `<fieldset></fieldset>`,
		`<label for="r">R</label><input type="radio" id="r">`, `<a href="#none">x</a>`, `<nav></nav>`, `<form></form>`,
	} {
		if len(pageFaults(page(bad))) == 0 {
			t.Errorf("nothing is found wrong with %s", bad)
		}
	}
}
