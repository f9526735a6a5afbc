package flow

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"slipway/audit"
	"slipway/check"
	"slipway/lifecycle"
)

const childEnv = "SLIPWAY_FLOW_TEST_CHILD" // directory, first and last request of a server to be killed

func TestMain(m *testing.M) {
	if dir, ok := strings.CutPrefix(os.Getenv(childEnv), "thinking "); ok {
		os.Exit(thinking(dir))
	}
	if spec, ok := strings.CutPrefix(os.Getenv(childEnv), "deciding "); ok {
		os.Exit(deciding(spec))
	}
	if dir, ok := strings.CutPrefix(os.Getenv(childEnv), "holding "); ok {
		os.Exit(holding(dir))
	}
	if spec, ok := strings.CutPrefix(os.Getenv(childEnv), "between "); ok {
		os.Exit(between(spec))
	}
	if spec := os.Getenv(childEnv); spec != "" {
		os.Exit(child(spec))
	}
	os.Exit(m.Run())
}

// childT is the part of testing.TB that a world needs, in a process of its own.
type childT struct{ testing.TB }

func (childT) Helper() {}
func (childT) Fatal(args ...any) {
	fmt.Println("FATAL", fmt.Sprint(args...))
	os.Exit(3)
}
func (childT) Fatalf(format string, args ...any) { childT{}.Fatal(fmt.Sprintf(format, args...)) }

// child is a server that submits changes one after the other, each under a request ID of its own, and
// says when one is live. A request that an earlier child began is gone on with.
func child(spec string) int {
	var dir string
	var from, to int
	if _, err := fmt.Sscan(spec, &from, &to, &dir); err != nil {
		fmt.Println("FATAL", err)
		return 2
	}
	w := &world{t: childT{}, dir: dir, logger: slog.New(slog.NewTextHandler(os.Stdout, nil))}
	w.open()
	for i := from; i <= to; i++ {
		name, address := fmt.Sprint("killed-", i), fmt.Sprint("192.0.2.", 100+i)
		st, _, err := w.flow.Submit(context.Background(), Submission{By: ana, Via: "api", Files: green(name, address), RequestID: name}, nil)
		w.must(err)
		w.reaches(st.ID, lifecycle.Live)
		w.resolves(name+".apps.finmicro.example", address)
		fmt.Println("LIVE", i)
		// The parent says when to go on, so that a child which is being killed begins nothing that the parent does not see.
		if _, err := os.Stdin.Read(make([]byte, 1)); err != nil {
			break
		}
	}
	w.stop()
	return 0
}

// thinking is a server with a change that waits for approval, whose workflow is just looking at the log.
func thinking(dir string) int {
	w := &world{t: childT{}, dir: dir, logger: slog.New(slog.DiscardHandler)}
	w.open()
	ctx := context.Background()
	st := w.submit(yellow("thinking", "192.0.2.77"))
	w.mu.Lock() // of the clock, which every look asks
	w.flow.wake(ctx, st.ID)
	for {
		d, err := w.flow.engine.client.DescribeWorkflowExecution(ctx, changeWorkflowID(st.ID), "")
		w.must(err)
		if d.GetPendingWorkflowTask().GetState() == enumspb.PENDING_WORKFLOW_TASK_STATE_STARTED {
			fmt.Println("THINKING", st.ID)
			select {}
		}
	}
}

// killed runs this test's own program in a part of its own, such as "holding", and kills it
// with SIGKILL as soon as it has said enough. It says whether it came so far.
func killed(t *testing.T, part string, enough func(line string) bool) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+part)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := false
	for lines := bufio.NewScanner(out); !said && lines.Scan(); {
		said = enough(lines.Text())
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	return said
}

// TestKilledWhileThinking kills a process in the middle of a workflow's decision: the next one does not wait for the answer.
func TestKilledWhileThinking(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a process")
	}
	dir := t.TempDir()
	id := ""
	if !killed(t, "thinking "+dir, func(line string) (ok bool) { id, ok = strings.CutPrefix(line, "THINKING "); return ok }) {
		t.Fatal("the server did not come so far")
	}
	ctx := context.Background()
	w := &world{t: t, dir: dir, logger: testLogger(t)}
	w.open()
	defer w.stop()
	st, _, _, err := w.flow.Change(ctx, id)
	w.must(err)
	w.expect(st, lifecycle.Waiting, check.Yellow)
	began := time.Now()
	_, err = w.approve(ivy, st)
	w.must(err)
	w.reaches(id, lifecycle.Live)
	took := time.Since(began)
	t.Logf("live %s after the approval", took.Round(time.Millisecond))
	if took > taskTimeout {
		t.Errorf("live only %s after the approval: the engine waited for a process that is gone", took)
	}
	w.liveOnce(id)
}

// mark is where to kill a child: after the first line that says this, once the request before is live.
type mark struct{ step, at string }

// launch runs a child from one request to the last, and kills it a little after the mark of each later
// one; it returns the request that was under way.
func launch(t *testing.T, dir string, from int, fresh bool, marks []mark) (at int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d %s", childEnv, from, len(marks), dir))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	goOn, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	killed := false
	at = from
	armed := fresh // a request that was begun before is let live first
	lines := bufio.NewScanner(io.TeeReader(out, &said))
	for lines.Scan() {
		line := lines.Text()
		if killed {
			continue // what it had still said
		}
		if strings.HasPrefix(line, "LIVE ") {
			at++
			armed = true
			if _, err := goOn.Write([]byte{'\n'}); err != nil {
				t.Fatal(err)
			}
		}
		if !armed || at >= len(marks) {
			continue
		}
		if m := marks[at]; strings.Contains(line, `msg="step `+m.at+`"`) && strings.Contains(line, "step="+m.step+" ") {
			killed = true
			time.Sleep(time.Duration(rand.IntN(15)) * time.Millisecond) // waits for nothing: to die at some other instruction
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err != nil && !killed {
		t.Fatalf("%v\n%s", err, &said)
	}
	return at
}

// TestKilledAtEachStep kills a real process with SIGKILL around each step and starts the next on the same
// directory: each change ends live, and nothing has happened twice.
func TestKilledAtEachStep(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts many processes")
	}
	var marks []mark
	for _, step := range []string{"check", "approve", "merge", "apply", "verify", "live"} {
		marks = append(marks, mark{step, "started"}, mark{step, "finished"})
	}
	dir := t.TempDir()
	launches := 0
	for at := 0; at <= len(marks); launches++ {
		if launches > 2*len(marks) {
			t.Fatalf("stuck at request %d", at)
		}
		if launches%4 == 3 { // the engine's file may be lost with the process
			if err := os.RemoveAll(filepath.Join(dir, "workflows")); err != nil {
				t.Fatal(err)
			}
		}
		at = launch(t, dir, at, launches == 0, marks)
	}
	if launches <= len(marks) {
		t.Errorf("%d processes for %d kills", launches, len(marks))
	}
	w := &world{t: t, dir: dir, logger: testLogger(t)}
	w.open()
	defer w.stop()
	states, err := w.flow.Changes(context.Background(), audit.ChangeQuery{})
	w.must(err)
	if len(states) != len(marks)+1 {
		t.Errorf("%d changes on record, want %d", len(states), len(marks)+1)
	}
	for _, st := range states {
		w.liveOnce(st.ID)
	}
	report, err := audit.Verify(context.Background(), w.path("audit"), w.log.PublicKeys(), nil)
	w.must(err)
	if len(report.Problems) != 0 {
		t.Errorf("the log does not verify: %+v", report.Problems)
	}
}
