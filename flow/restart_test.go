package flow

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/client"

	"slipway/approval"
	"slipway/audit"
	"slipway/check"
	"slipway/identity"
	"slipway/lifecycle"
	"slipway/repo"
	"slipway/zone"
)

// engineFile is the embedded engine's database.
func (w *world) engineFile() string {
	w.t.Helper()
	found, err := filepath.Glob(w.path("workflows/temporal/temporal-*.db"))
	if err != nil || len(found) != 1 {
		w.t.Fatalf("engine files %v (%v)", found, err)
	}
	return found[0]
}

func TestRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := context.Background()
	waiting := w.submit(yellow("patient", "203.0.113.50"))
	w.expect(waiting, lifecycle.Waiting, check.Yellow)

	// Stopped while the servers do not answer yet, it goes on from there.
	entered := make(chan struct{}, 8)
	w.mu.Lock()
	w.check = func(ctx context.Context, _ []zone.RRSet, _ []zone.Key) error {
		entered <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}
	w.mu.Unlock()
	held := w.submit(green("held", "192.0.2.50"))
	<-entered
	began := time.Now()
	w.must(w.flow.Stop(ctx))
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("stopping took %v", took)
	}
	w.mu.Lock()
	w.check = nil
	w.mu.Unlock()
	w.startFlow()
	w.reaches(held.ID, lifecycle.Live)
	w.liveOnce(held.ID)

	// The engine's file is lost, or damaged: nothing else is.
	for name, spoil := range map[string]func(file string) error{
		"deleted": func(string) error { return os.RemoveAll(w.path("workflows")) },
		"damaged": func(file string) error { return os.WriteFile(file, []byte("not a database, not at all"), 0o600) },
		"of something else": func(file string) error {
			return errors.Join(os.Remove(file), os.WriteFile(file, nil, 0o600))
		},
	} {
		w.must(w.flow.Stop(ctx))
		file := w.engineFile()
		for _, beside := range []string{"-wal", "-shm"} {
			w.must(os.RemoveAll(file + beside))
		}
		w.must(spoil(file))
		w.startFlow()
		st := w.submit(green("after-"+strings.ReplaceAll(name, " ", "-"), "192.0.2.51"))
		w.reaches(st.ID, lifecycle.Live)
	}
	st, err := w.approve(ivy, waiting)
	w.must(err)
	w.reaches(st.ID, lifecycle.Live)
	w.liveOnce(st.ID)
}

// TestMergedButNotRecorded starts on a repository that has merged a change of which the log does not
// know: the server was killed between the two.
func TestMergedButNotRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := context.Background()
	st, _, err := w.flow.Submit(ctx, Submission{By: ana, Via: "cli", Files: green("between", "192.0.2.52"), NotBefore: w.now().Add(time.Hour)}, nil)
	w.must(err)
	st = w.reaches(st.ID, lifecycle.Scheduled)
	w.must(w.flow.Stop(ctx))
	tree, err := w.repo.MergeTree(ctx, st.Base, st.Head)
	w.must(err)
	commit, err := w.repo.Merge(ctx, repo.Merge{ChangeID: st.ID, Expect: st.Base, Tree: tree, Head: st.Head,
		Author: repo.Person{Name: ana.ID, Email: ana.ID}, Message: "as killed", When: w.now()}, w.commits)
	w.must(err)
	w.startFlow()
	_, err = w.flow.Cancel(ctx, ana, st.ID, "too late", "api")
	w.refused(err, Conflict)
	st = w.reaches(st.ID, lifecycle.Live)
	if st.Commit != commit {
		t.Errorf("commit %s, want %s", st.Commit, commit)
	}
	w.liveOnce(st.ID)
}

func TestEngineLetsNobodyElseIn(t *testing.T) {
	dir := t.TempDir()
	e, err := embed(context.Background(), dir, "slipway", testLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	defer e.stop()
	for _, address := range listeners(t) {
		host, _, _ := net.SplitHostPort(address)
		if host != loopback {
			t.Errorf("listens on %s", address)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		c, err := client.DialContext(ctx, client.Options{HostPort: address, Namespace: "slipway", Logger: engineLog(testLogger(t))})
		if err == nil {
			t.Errorf("%s takes a client without a certificate", address)
			c.Close()
		}
		cancel()
	}
}

// listeners lists the TCP addresses that this process listens on (Linux).
func listeners(t *testing.T) []string {
	t.Helper()
	mine := make(map[string]bool)
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("there is no /proc to look at")
	}
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil {
			if inode, ok := strings.CutPrefix(to, "socket:["); ok {
				mine[strings.TrimSuffix(inode, "]")] = true
			}
		}
	}
	var found []string
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		raw, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for _, line := range strings.Split(string(raw), "\n")[1:] {
			f := strings.Fields(line)
			if len(f) < 10 || f[3] != "0A" || !mine[f[9]] { // 0A: listening
				continue
			}
			found = append(found, parseHexAddress(t, f[1]))
		}
	}
	if len(found) < 3 {
		t.Fatalf("listeners %v", found)
	}
	return found
}

func TestPush(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := context.Background()
	main, err := w.repo.Resolve(ctx, "refs/heads/main")
	w.must(err)
	// Omar wrote what Ana pushes: neither may approve it.
	head, err := w.repo.Propose(ctx, repo.Proposal{Base: main, Files: yellow("joint", "203.0.113.60"),
		Author: repo.Person{Name: "Omar", Email: omar.ID}, Message: "Put the joint venture online\n\nIt was agreed on in May.", When: w.now()})
	w.must(err)
	sub := Submission{By: ana, Via: "push", Head: head}
	st, _, err := w.flow.Submit(ctx, sub, nil)
	w.must(err)
	w.expect(st, lifecycle.Waiting, check.Yellow)
	if st.Title != "Put the joint venture online" || !slices.Contains(st.Subject.Authors, omar.ID) {
		t.Errorf("title %q, authors %v", st.Title, st.Subject.Authors)
	}
	again, _, err := w.flow.Submit(ctx, sub, nil)
	w.must(err)
	if again.ID != st.ID {
		t.Errorf("the same push made %s and %s", st.ID, again.ID)
	}
	_, err = w.approve(omar, st)
	w.refused(err, approval.SelfApproval)
	_, err = w.approve(ivy, st)
	w.must(err)
	st = w.reaches(st.ID, lifecycle.Live)
	w.liveOnce(st.ID)
	_, _, err = w.flow.Submit(ctx, Submission{By: ana, Via: "push", Head: strings.Repeat("0", 40)}, nil)
	w.refused(err, Invalid)
}

func TestRacingVotes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := context.Background()
	st := w.submit(yellow("race", "203.0.113.61"))
	var wg sync.WaitGroup
	errs := make(chan error, 20)
	for i := range 20 {
		wg.Go(func() {
			p, d := ivy, approval.Approve
			if i%2 == 1 {
				p, d = omar, approval.Reject
			}
			_, err := w.flow.Vote(ctx, p, st.ID, d, "because", st.Subject.ChangeDigest, st.Subject.PolicyDigest, "api")
			errs <- err
		})
	}
	wg.Wait()
	close(errs)
	st = w.until(st.ID, "ended", func(st lifecycle.State) bool { return st.Phase.Ended() })
	n := w.count(st.ID)
	if n[audit.ApproveChange] > 1 || n[audit.RejectChange] > 1 || n[audit.MergeChange]+n[audit.RejectChange] != 1 {
		t.Errorf("%s with %v", st.Phase, n)
	}
}

// settingsWith submits a change of slipway.yaml and has it approved.
func (w *world) changeSettings(from, to string) {
	w.t.Helper()
	ctx := context.Background()
	main, err := w.repo.Tree(ctx, "refs/heads/main")
	w.must(err)
	raw, err := main.ReadFile(ctx, "slipway.yaml")
	w.must(err)
	if !strings.Contains(string(raw), from) {
		w.t.Fatalf("%q is not in slipway.yaml", from)
	}
	st := w.submit(map[string][]byte{"slipway.yaml": []byte(strings.ReplaceAll(string(raw), from, to))})
	w.expect(st, lifecycle.Waiting, check.Red)
	for _, p := range []identity.Person{lena, sam, pia} {
		_, err := w.approve(p, st)
		w.must(err)
	}
	w.reaches(st.ID, lifecycle.Live)
}

func TestSettingsChangeUnderAnOpenChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := context.Background()
	st := w.submit(red("shift", "203.0.113.62"))
	_, err := w.approve(lena, st)
	w.must(err)
	w.changeSettings("omar@finmicro.example", "oscar@finmicro.example")
	// Whether the policy digest moved is for the checks; the rules in force must judge it either way.
	_, err = w.approve(sam, st)
	if err != nil {
		w.refused(err, approval.StalePolicy)
	}
	st, _, _, err = w.flow.Change(ctx, st.ID)
	w.must(err)
	for _, p := range []identity.Person{lena, sam, pia} {
		if _, err := w.approve(p, st); err != nil {
			w.refused(err, approval.AlreadyVoted)
		}
	}
	w.reaches(st.ID, lifecycle.Live)
	w.liveOnce(st.ID)
}

// TestDepartedApprover merges nothing on the vote of a person who has left the group since.
func TestDepartedApprover(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := context.Background()
	st, _, err := w.flow.Submit(ctx, Submission{By: ana, Via: "cli", Files: yellow("left", "203.0.113.63"), NotBefore: w.now().Add(time.Hour)}, nil)
	w.must(err)
	_, err = w.approve(ivy, st)
	w.must(err)
	w.reaches(st.ID, lifecycle.Scheduled)
	w.changeSettings("infosec: {members: [ivy@finmicro.example]}", "infosec: {members: [igor@finmicro.example]}")
	w.later(2 * time.Hour)
	w.flow.wake(ctx, st.ID)
	st = w.until(st.ID, "waiting again", func(st lifecycle.State) bool { return st.Phase == lifecycle.Waiting })
	if n := w.count(st.ID); n[audit.VoidApprovals] != 1 || n[audit.MergeChange] != 0 {
		t.Errorf("events %v", n)
	}
	_, err = w.approve(ivy, st)
	w.refused(err, approval.NotAMember)
	_, err = w.approve(omar, st)
	w.must(err)
	w.reaches(st.ID, lifecycle.Live)
	w.liveOnce(st.ID)
}

func TestFailureIsToldAndGoneOnFrom(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := context.Background()
	broken := errors.New("the provider does not answer")
	w.mu.Lock()
	w.hold = func(context.Context, zone.Name) error { return broken }
	w.mu.Unlock()
	st := w.submit(green("stubborn", "192.0.2.64"))
	st = w.reaches(st.ID, lifecycle.Failed)
	if st.Step != "apply" || st.Resume != lifecycle.Merged || !strings.Contains(st.Problem, "does not answer") {
		t.Errorf("step %s, resumes %s: %s", st.Step, st.Resume, st.Problem)
	}
	w.mu.Lock()
	w.hold = nil
	w.mu.Unlock()
	_, err := w.flow.Retry(ctx, ana, st.ID)
	w.must(err)
	st = w.reaches(st.ID, lifecycle.Live)
	w.liveOnce(st.ID)
	if n := w.count(st.ID); n[audit.FailChange] != 1 {
		t.Errorf("%d failures on record, want 1", n[audit.FailChange])
	}
	_, err = w.flow.Retry(ctx, ana, st.ID)
	w.refused(err, Conflict)
}

func TestTicket(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := context.Background()
	w.changeSettings("any_of: [infosec, platform-ops], count: 1, expires: 7d", "any_of: [infosec, platform-ops], count: 1, expires: 7d, ticket: required")
	st := w.submit(yellow("reasoned", "203.0.113.65"))
	if st.Phase != lifecycle.Denied || !strings.Contains(st.Problem, "ticket") {
		t.Fatalf("%s: %s", st.Phase, st.Problem)
	}
	st, _, err := w.flow.Submit(ctx, Submission{By: ana, Via: "api", Files: yellow("reasoned", "203.0.113.65"), Ticket: "CHG-1", Revises: st.ID}, nil)
	w.must(err)
	w.expect(st, lifecycle.Waiting, check.Yellow)
}

// TestZonesComeAndGo adds a zone with its first records, and takes one away.
func TestZonesComeAndGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := context.Background()
	settings := func() string {
		main, err := w.repo.Tree(ctx, "refs/heads/main")
		w.must(err)
		raw, err := main.ReadFile(ctx, "slipway.yaml")
		w.must(err)
		return string(raw)
	}
	const first = "  apps.finmicro.example: "
	const line = "  more.finmicro.example: {visibility: internal, owner: finmicro.example, provider: local}\n"
	const file = "zones/more.finmicro.example.yaml"
	through := func(files map[string][]byte) lifecycle.State {
		st := w.submit(files)
		w.expect(st, lifecycle.Waiting, check.Red)
		for _, p := range []identity.Person{lena, sam, pia} {
			_, err := w.approve(p, st)
			w.must(err)
		}
		return w.reaches(st.ID, lifecycle.Live)
	}
	st := through(map[string][]byte{
		"slipway.yaml": []byte(strings.Replace(settings(), first, line+first, 1)),
		file:           []byte("www:\n  type: A\n  ttl: 300\n  value: 192.0.2.90\n"),
	})
	w.liveOnce(st.ID)
	w.resolves("www.more.finmicro.example", "192.0.2.90")
	st = through(map[string][]byte{
		"slipway.yaml": []byte(strings.Replace(settings(), line, "", 1)),
		file:           nil,
	})
	w.liveOnce(st.ID)

	// A zone that nobody is set to serve is not merged into a standstill.
	nowhere := w.submit(map[string][]byte{
		"slipway.yaml": []byte(strings.Replace(settings(), first, strings.Replace(line, ", provider: local", "", 1)+first, 1)),
		file:           []byte("www:\n  type: A\n  ttl: 300\n  value: 192.0.2.90\n"),
	})
	if nowhere.Phase != lifecycle.Denied || !strings.Contains(nowhere.Problem, "provider") {
		t.Errorf("%s: %s", nowhere.Phase, nowhere.Problem)
	}
}
