package portal_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"slipway/approval"
	"slipway/audit"
	"slipway/audit/audittest"
	"slipway/check"
	"slipway/flow"
	"slipway/identity"
	"slipway/key"
	"slipway/lifecycle"
	"slipway/portal"
	"slipway/provider"
	"slipway/provider/zonefile"
	"slipway/repo"
	"slipway/starter"
	"slipway/zone"
)

// office is a server of real parts, behind all its doors.
type office struct {
	t      *testing.T
	url    string
	tool   string // the command line
	repo   *repo.Repo
	record *audit.Log
	people *identity.Service
	flow   *flow.Service
	stop   func() // the workflows; votes are still taken

	mu    sync.Mutex
	ahead time.Duration // of the real clock, for what is decided about changes
	n     int
}

func (o *office) must(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

func (o *office) now() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return time.Now().Add(o.ahead)
}

func newOffice(t *testing.T) *office {
	t.Helper()
	ctx, dir := context.Background(), audittest.TempDir(t)
	o := &office{t: t, tool: filepath.Join(dir, "slipway")}
	build := exec.Command("go", "build", "-o", o.tool, "./cmd/slipway")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the command line cannot be built: %v\n%s", err, out)
	}
	quiet := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	store, err := key.OpenStore(filepath.Join(dir, "keys"), []byte("a test's passphrase"))
	o.must(err)
	signer := func(name string) *key.Signer {
		s, err := store.Signer(ctx, name, true)
		o.must(err)
		return s
	}
	commits, err := signer("commits").SSH()
	o.must(err)
	record, err := audit.Open(ctx, audit.Options{Dir: filepath.Join(dir, "audit"), Origin: "slipway.finmicro.example/log", Events: signer("events"), Log: signer("log"), Now: o.now, Logger: quiet})
	o.must(err)
	t.Cleanup(func() { record.Close(ctx) })
	o.record = record

	kit, err := starter.Kit(starter.Sample())
	o.must(err)
	source, err := fs.ReadFile(kit, "slipway.yaml")
	o.must(err)
	settings := string(source)
	for old, fresh := range map[string]string{
		"security: {members: [sam@finmicro.example]}": "security: {members: [sam@finmicro.example, lena@finmicro.example]}",
		"administrators: [admin@finmicro.example]":    "administrators: [admin@finmicro.example, bea@finmicro.example, omar@finmicro.example]",
	} {
		if !strings.Contains(settings, old) {
			t.Fatalf("the starter kit has no %q", old)
		}
		settings = strings.Replace(settings, old, fresh, 1)
	}
	own := fstest.MapFS{}
	o.must(fs.WalkDir(kit, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		own[path] = &fstest.MapFile{}
		own[path].Data, err = fs.ReadFile(kit, path)
		return err
	}))
	own["slipway.yaml"].Data = []byte(settings)
	made, err := repo.Create(ctx, filepath.Join(dir, "zones.git"), own, repo.Person{Name: "Slipway", Email: "slipway@finmicro.example"}, time.Now(), commits)
	o.must(err)
	o.repo = made
	t.Cleanup(func() { made.Close() })
	current := func(ctx context.Context) (*repo.Settings, error) {
		main, err := made.Tree(ctx, "refs/heads/main")
		if err != nil {
			return nil, err
		}
		return main.Settings(ctx)
	}
	o.people, err = identity.New(ctx, record, func(ctx context.Context, id string) ([]string, bool, bool, error) {
		s, err := current(ctx)
		if err != nil {
			return nil, false, false, err
		}
		return s.GroupsOf(id), s.ThirdParty(id), slices.Contains(s.Administrators, id), nil
	}, time.Now)
	o.must(err)
	files, err := zonefile.New(zonefile.Options{Dir: filepath.Join(dir, "zones")})
	o.must(err)
	o.flow, err = flow.Start(ctx, flow.Options{
		DataDir: filepath.Join(dir, "workflows"), Repo: made, Log: record, Engine: check.NewEngine(), Signer: commits, Now: o.now, Logger: quiet,
		Provider: func(context.Context, *repo.Tree, zone.Name) (provider.Provider, error) { return files, nil },
		Verify:   func(context.Context, *repo.Tree, zone.Name, []zone.RRSet, []zone.Key) error { return nil }, // what is approved is the subject here, not what is served
	})
	o.must(err)
	o.stop = sync.OnceFunc(func() { o.flow.Stop(ctx) })
	t.Cleanup(o.stop)

	server := httptest.NewUnstartedServer(nil)
	o.url = "http://" + server.Listener.Addr().String()
	server.Config.Handler, err = portal.New(portal.Options{
		Service: o.flow, Identity: o.people, Record: record, Settings: current, Git: http.NotFoundHandler(), BaseURL: o.url, Logger: quiet, Now: o.now,
	})
	o.must(err)
	server.Start()
	t.Cleanup(server.Close)
	return o
}

// guest is somebody who has signed in, with what each door asks for.
type guest struct {
	person        identity.Person
	cookie, token string
}

// enter signs somebody in by a link from by.
func (o *office) enter(by identity.Person, id string) guest {
	o.t.Helper()
	ctx := context.Background()
	link, err := o.people.IssueLink(ctx, by, id, "", 0)
	o.must(err)
	session, p, err := o.people.RedeemLink(ctx, link)
	o.must(err)
	token, err := o.people.IssueToken(ctx, p, "test", 0)
	o.must(err)
	return guest{p, session, token}
}

// commit makes a commit on main that asks for an app, by other hands than Slipway's.
func (o *office) commit(files map[string][]byte, author, committer string) string {
	o.t.Helper()
	ctx := context.Background()
	main, err := o.repo.Resolve(ctx, "refs/heads/main")
	o.must(err)
	made, err := o.repo.Propose(ctx, repo.Proposal{Base: main, Files: files, Author: repo.Person{Name: author, Email: author}, Message: "An app", When: time.Now()})
	o.must(err)
	cmd := exec.Command("git", "-C", o.repo.Dir(), "commit-tree", made+"^{tree}", "-p", main, "-m", "An app")
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL="+author, "GIT_COMMITTER_NAME=C", "GIT_COMMITTER_EMAIL="+committer)
	out, err := cmd.Output()
	o.must(err)
	return strings.TrimSpace(string(out))
}

// ask makes a change that waits for approval: yellow, or red when it handles personal data.
func (o *office) ask(by guest, data string, hands ...string) lifecycle.State {
	o.t.Helper()
	o.n++
	name := fmt.Sprintf("app-%d", o.n)
	host := name + ".finmicro-apps.example"
	sub := flow.Submission{By: by.person, Via: "api", Files: map[string][]byte{"apps/" + name + ".yaml": fmt.Appendf(nil, `owner: %s
team: finance-operations
purpose: Shows who may decide
exposure: external
data: [%s]
expires: 2027-06-30
hostname: %s
certificate: false
records:
  - {name: %s, type: A, ttl: 300, values: [198.51.100.7]}
`, by.person.ID, data, host, host)}}
	if len(hands) == 2 {
		sub.Via, sub.Head, sub.Files = "push", o.commit(sub.Files, hands[0], hands[1]), nil
	}
	st, _, err := o.flow.Submit(context.Background(), sub, nil)
	o.must(err)
	if st.Phase != lifecycle.Waiting {
		o.t.Fatalf("%s is %s: %s", name, st.Phase, st.Problem)
	}
	return st
}

// ballot is one vote to be cast.
type ballot struct {
	voter                guest
	decision             approval.Decision
	reason               string
	changeDigest, policy string // instead of the current ones
}

// doors are the ways to vote. Each returns the code of the refusal, "" for a vote that was
// taken, and anything else for what must not happen.
var doors = map[string]func(o *office, st lifecycle.State, b ballot) string{
	"core": func(o *office, st lifecycle.State, b ballot) string {
		_, err := o.flow.Vote(context.Background(), b.voter.person, st.ID, b.decision, b.reason, b.changeDigest, b.policy, "api")
		if r, ok := errors.AsType[*approval.Refusal](err); ok {
			return r.Code
		}
		if err != nil {
			return "error: " + err.Error()
		}
		return ""
	},
	"API": func(o *office, st lifecycle.State, b ballot) string {
		body, err := json.Marshal(map[string]string{"decision": string(b.decision), "reason": b.reason, "change_digest": b.changeDigest, "policy_digest": b.policy})
		o.must(err)
		r, err := http.NewRequest("POST", o.url+"/api/v1/changes/"+st.ID+"/votes", bytes.NewReader(body))
		o.must(err)
		r.Header.Set("Authorization", "Bearer "+b.voter.token)
		code, answer := o.send(r)
		var said struct {
			Error struct{ Code, Refusal string }
		}
		switch {
		case code == http.StatusOK:
			return ""
		case json.Unmarshal(answer, &said) == nil && code == http.StatusUnprocessableEntity && said.Error.Code == "refused":
			return said.Error.Refusal
		}
		return fmt.Sprintf("status %d: %s", code, answer)
	},
	"portal": func(o *office, st lifecycle.State, b ballot) string {
		form := url.Values{"decision": {string(b.decision)}, "reason": {b.reason}, "change_digest": {b.changeDigest}, "policy_digest": {b.policy}}
		r, err := http.NewRequest("POST", o.url+"/changes/"+st.ID+"/votes", strings.NewReader(form.Encode()))
		o.must(err)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.AddCookie(&http.Cookie{Name: "slipway", Value: b.voter.cookie})
		code, page := o.send(r)
		if code == http.StatusSeeOther {
			return ""
		}
		if found := regexp.MustCompile(`data-refusal="([a-z-]+)"`).FindSubmatch(page); found != nil && code == http.StatusUnprocessableEntity {
			return string(found[1])
		}
		return fmt.Sprintf("status %d", code)
	},
	"command line": func(o *office, st lifecycle.State, b ballot) string {
		args := map[approval.Decision][]string{
			approval.Approve: {"approve", st.ID, "--yes"}, approval.Withdraw: {"approve", st.ID, "--withdraw"}, approval.Reject: {"reject", st.ID, "--yes", "--reason", b.reason},
		}[b.decision]
		cmd := exec.Command(o.tool, append(args, "--change-digest", b.changeDigest, "--policy-digest", b.policy)...)
		cmd.Env = append(os.Environ(), "SLIPWAY_SERVER="+o.url, "SLIPWAY_TOKEN="+b.voter.token, "HOME="+o.t.TempDir())
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		err := cmd.Run()
		found := regexp.MustCompile(`(?m)^  Rule: ([a-z-]+)$`).FindStringSubmatch(stderr.String())
		switch {
		case err == nil:
			return ""
		case found != nil && cmd.ProcessState.ExitCode() == 1:
			return found[1]
		case b.reason == "" && strings.Contains(stderr.String(), "--reason is missing") && cmd.ProcessState.ExitCode() == 2:
			return approval.NoReason // said before anybody is asked
		}
		return fmt.Sprintf("exit %d: %s", cmd.ProcessState.ExitCode(), &stderr)
	},
}

func (o *office) send(r *http.Request) (int, []byte) {
	o.t.Helper()
	answer, err := http.DefaultTransport.RoundTrip(r) // without following redirects
	o.must(err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	o.must(err)
	return answer.StatusCode, body
}

// Every rule of voting, through every door: none is more lenient than another.
func TestEveryRuleAtEveryDoor(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a whole server")
	}
	o := newOffice(t)
	server := identity.Person{ID: identity.System}
	at := func(name string) string { return name + "@finmicro.example" }
	join := func(name string) guest { return o.enter(server, at(name)) }
	adminG, anaG, bobG, ivyG, omarG, lenaG, samG, piaG := join("admin"), join("ana"), join("bob"), join("ivy"), join("omar"), join("lena"), join("sam"), join("pia")
	ivyByAdmin := o.enter(adminG.person, at("ivy"))
	ivyByBeaByAdmin := o.enter(o.enter(adminG.person, at("bea")).person, at("ivy"))
	anaByOmar := o.enter(omarG.person, at("ana"))

	vote := func(st lifecycle.State, g guest, d approval.Decision) {
		t.Helper()
		_, err := o.flow.Vote(context.Background(), g.person, st.ID, d, "it misleads", st.Subject.ChangeDigest, st.Subject.PolicyDigest, "api")
		o.must(err)
	}
	other := "sha256:" + strings.Repeat("0", 64)
	yellow := func(by guest, hands ...string) func() lifecycle.State {
		return func() lifecycle.State { return o.ask(by, "none", hands...) }
	}
	red := func(votes ...guest) func() lifecycle.State {
		return func() lifecycle.State {
			st := o.ask(anaG, "pii")
			for _, g := range votes {
				vote(st, g, approval.Approve)
			}
			return st
		}
	}
	approve := func(g guest) ballot { return ballot{voter: g, decision: approval.Approve} }
	cases := []ruling{
		{"a member approves", yellow(anaG), approve(ivyG), "", ""},
		{"the requester", yellow(omarG), approve(omarG), approval.SelfApproval, lifecycle.Waiting},
		{"the requester rejects", yellow(omarG), ballot{voter: omarG, decision: approval.Reject, reason: "no"}, approval.SelfApproval, lifecycle.Waiting},
		{"a commit's author", yellow(anaG, at("ivy"), at("ana")), approve(ivyG), approval.SelfApproval, lifecycle.Waiting},
		{"a commit's committer", yellow(anaG, at("ana"), at("ivy")), approve(ivyG), approval.SelfApproval, lifecycle.Waiting},
		{"signed in by the requester's link", yellow(adminG), approve(ivyByAdmin), approval.SelfApproval, lifecycle.Waiting},
		{"signed in by one whom the requester let in", yellow(adminG), approve(ivyByBeaByAdmin), approval.SelfApproval, lifecycle.Waiting},
		{"signed in by an author's link", yellow(anaG, at("admin"), at("ana")), approve(ivyByAdmin), approval.SelfApproval, lifecycle.Waiting},
		{"who made the requester's link", yellow(anaByOmar), approve(omarG), approval.SelfApproval, lifecycle.Waiting},
		{"the same person by another link", yellow(adminG), approve(ivyG), "", ""},
		{"no member", yellow(anaG), approve(bobG), approval.NotAMember, lifecycle.Waiting},
		{"one person for two groups", red(piaG), approve(lenaG), "", lifecycle.Waiting},
		{"three people for three groups", red(piaG, lenaG), approve(samG), "", ""},
		{"twice", red(lenaG), approve(lenaG), approval.AlreadyVoted, lifecycle.Waiting},
		{"other content", yellow(anaG), ballot{voter: ivyG, decision: approval.Approve, changeDigest: other}, approval.StaleContent, lifecycle.Waiting},
		{"other rules", yellow(anaG), ballot{voter: ivyG, decision: approval.Approve, policy: other}, approval.StalePolicy, lifecycle.Waiting},
		{"a rejection without a reason", yellow(anaG), ballot{voter: ivyG, decision: approval.Reject}, approval.NoReason, lifecycle.Waiting},
		{"a reason without an end", yellow(anaG), ballot{voter: ivyG, decision: approval.Reject, reason: strings.Repeat("x", approval.MaxReason+1)}, approval.NoReason, lifecycle.Waiting},
		{"a rejection", yellow(anaG), ballot{voter: ivyG, decision: approval.Reject, reason: "it misleads"}, "", lifecycle.Rejected},
		{"a withdrawal", red(lenaG), ballot{voter: lenaG, decision: approval.Withdraw}, "", lifecycle.Waiting},
		{"a withdrawal of nothing", red(lenaG), ballot{voter: samG, decision: approval.Withdraw}, approval.NothingToWithdraw, lifecycle.Waiting},
		{"after a rejection", func() lifecycle.State { st := o.ask(anaG, "none"); vote(st, ivyG, approval.Reject); return st }, approve(omarG), approval.Closed, lifecycle.Rejected},
		{"after it was cancelled", func() lifecycle.State {
			st := o.ask(anaG, "none")
			_, err := o.flow.Cancel(context.Background(), anaG.person, st.ID, "", "api")
			o.must(err)
			return st
		}, approve(ivyG), approval.Closed, lifecycle.Cancelled},
	}
	for _, c := range cases {
		o.everyDoor(c, 0)
	}
	// In an office whose workflows are stopped, or they would end the changes before the votes come.
	late := newOffice(t)
	ana, ivy := late.enter(server, at("ana")), late.enter(server, at("ivy"))
	late.everyDoor(ruling{"too late", func() lifecycle.State { return late.ask(ana, "none") }, approve(ivy), approval.Expired, lifecycle.Waiting}, 8*24*time.Hour)
}

// ruling is a vote and what has to come of it.
type ruling struct {
	name   string
	change func() lifecycle.State
	ballot ballot
	code   string
	phase  lifecycle.Phase // afterwards; "" for past waiting
}

// everyDoor casts the same vote through each door, on changes that have waited for so long.
func (o *office) everyDoor(c ruling, waited time.Duration) {
	o.t.Helper()
	waiting := map[string]lifecycle.State{}
	for door := range doors {
		waiting[door] = c.change()
	}
	if waited > 0 {
		o.stop()
		o.mu.Lock()
		o.ahead += waited
		o.mu.Unlock()
	}
	for door, cast := range doors {
		st, b := waiting[door], c.ballot
		b.changeDigest, b.policy = cmp.Or(b.changeDigest, st.Subject.ChangeDigest), cmp.Or(b.policy, st.Subject.PolicyDigest)
		if code := cast(o, st, b); code != c.code {
			o.t.Errorf("%s by %s: %q, want %q", c.name, door, code, c.code)
		}
		after, events, _, err := o.flow.Change(context.Background(), st.ID)
		o.must(err)
		if after.Phase != c.phase && (c.phase != "" || after.Phase == lifecycle.Waiting || after.Phase.Ended() && after.Phase != lifecycle.Live) {
			o.t.Errorf("%s by %s: the change is %s, want %q", c.name, door, after.Phase, c.phase)
		}
		refused := slices.ContainsFunc(events, func(r audit.Receipt) bool {
			d, err := lifecycle.Decode[lifecycle.RefusalDetails](r.Event)
			return r.Event.Action == audit.RefuseVote && err == nil && d.Code == c.code && slices.Equal(d.Vouched, b.voter.person.Vouched)
		})
		told := c.code != "" && !(door == "command line" && c.code == approval.NoReason && b.reason == "")
		if refused != told && !after.Phase.Ended() {
			o.t.Errorf("%s by %s: refusal on record %t, want %t", c.name, door, refused, told)
		}
	}
}
