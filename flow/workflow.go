package flow

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"slipway/lifecycle"
	"slipway/zone"
)

// The engine's histories hold change IDs, zone names and the words of lifecycle.Do, and nothing else.

const (
	taskQueue = "slipway"

	changeType     = "change"       // one for each open change, with the ID change/<id>
	mergesType     = "merges"       // one for each repository: its merges, one at a time
	driftType      = "drift"        // one for each repository: looks at the live zones from time to time
	compareType    = "compare"      // one for each time that somebody asks for such a look
	delegationType = "delegations"  // one for each repository: looks at what the zones above say
	keepType       = "certificates" // one for each repository: renews certificates, and watches for strange ones

	lookSignal  = "look"  // to a change: something happened, look at the log
	mergeSignal = "merge" // to the merges: this change asks to be merged

	// taskTimeout is how long the engine waits for a worker that does not answer, because its process was killed.
	// A workflow only reads the log and decides what comes next, which takes milliseconds.
	taskTimeout = 3 * time.Second

	// Bounds on one run's history; a workflow goes on as a new run after them.
	maxSteps  = 200
	maxMerges = 200
	maxPasses = 50
)

func changeWorkflowID(id string) string { return "change/" + id }

// repoName names the repository in workflow IDs.
func (s *Service) repoName() string {
	return strings.TrimSuffix(filepath.Base(filepath.Clean(s.o.Repo.Dir())), ".git")
}

// next is what a change's workflow is told to do.
type next struct {
	Do     lifecycle.Do
	Wait   time.Duration `json:",omitempty"` // for wait: look again after it; 0: only when woken
	Zones  []string      `json:",omitempty"` // for apply
	Merges string        `json:",omitempty"` // for merge: the workflow to ask
}

// Bounds on the zones of one change: those that are applied together, and those that the engine is told
// of at once.
const (
	maxZonesAtOnce = 8
	maxZonesNamed  = 200
)

// acts are the steps as the engine calls them. Their errors say only which step failed: the
// reason is in the server's log and, for people, in the change's events.
type acts struct{ s *Service }

func failed(step string, err error) error {
	if err == nil {
		return nil
	}
	return temporal.NewNonRetryableApplicationError(step+" failed; the server's log says why", "step-failed", nil)
}

// with gives a step a context that ends with the server too.
func (a *acts) with(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(a.s.life, cancel)
	return ctx, func() { stop(); cancel() }
}

func (a *acts) Next(ctx context.Context, id string) (next, error) {
	st, err := a.s.load(ctx, id)
	if errors.Is(err, lifecycle.ErrNoChange) {
		return next{Do: lifecycle.DoNothing}, nil
	}
	if err != nil {
		return next{}, a.unreadable(id, err)
	}
	step := st.Next(a.s.now())
	n := next{Do: step.Do, Wait: a.s.wait(step.Until)}
	switch step.Do {
	case lifecycle.DoApply:
		zones, err := a.s.pendingZones(ctx, st)
		if err != nil {
			return next{}, a.unreadable(id, err)
		}
		waits := st.Waits()
		zones = slices.DeleteFunc(zones, func(z zone.Name) bool { return slices.Contains(waits, string(z)) })
		for _, z := range zones[:min(len(zones), maxZonesNamed)] {
			n.Zones = append(n.Zones, string(z))
		}
	case lifecycle.DoWait:
		if waits := st.Waits(); len(waits) > 0 {
			if n.Wait = a.s.relooks.wait(id, a.s.now()); n.Wait <= 0 {
				a.s.relooks.note(id, a.s.now()) // also if it fails: then in a while
				n = next{Do: lifecycle.DoApply, Zones: waits[:min(len(waits), maxZonesNamed)]}
			}
		}
	case lifecycle.DoMerge:
		n.Merges = mergesType + "/" + a.s.repoName()
	}
	return n, nil
}

func (a *acts) unreadable(id string, err error) error {
	a.s.o.Logger.Warn("a change could not be read", "change", id, "error", err)
	return failed("reading the log", err)
}

func (a *acts) Check(ctx context.Context, id string) error {
	ctx, done := a.with(ctx)
	defer done()
	return failed("check", a.s.check(ctx, id))
}

func (a *acts) Approve(ctx context.Context, id string) error {
	ctx, done := a.with(ctx)
	defer done()
	return failed("approve", a.s.approveByRule(ctx, id))
}

func (a *acts) Expire(ctx context.Context, id string) error {
	ctx, done := a.with(ctx)
	defer done()
	return failed("expire", a.s.expire(ctx, id))
}

func (a *acts) Merge(ctx context.Context, id string) (moved bool, err error) {
	ctx, done := a.with(ctx)
	defer done()
	moved, err = a.s.merge(ctx, id)
	return moved, failed("merge", err)
}

func (a *acts) Apply(ctx context.Context, id, zoneName string) error {
	ctx, done := a.with(ctx)
	defer done()
	return failed("apply", a.s.apply(ctx, id, zone.Name(zoneName)))
}

func (a *acts) Certify(ctx context.Context, id string) error {
	ctx, done := a.with(ctx)
	defer done()
	return failed("certify", a.s.certify(ctx, id))
}

func (a *acts) Finish(ctx context.Context, id string) error {
	ctx, done := a.with(ctx)
	defer done()
	return failed("verify", a.s.finish(ctx, id))
}

func (a *acts) EnsureMerges(ctx context.Context) error {
	return failed("starting the merges", a.s.start(ctx, mergesType, enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING))
}

func (a *acts) DriftInterval(ctx context.Context) (time.Duration, error) {
	d, err := a.s.driftInterval(ctx)
	return d, failed("reading the settings", err)
}

func (a *acts) Recheck(ctx context.Context) error {
	return a.chore(ctx, "the open changes could not be judged against the new main", a.s.recheckOpen)
}

func (a *acts) ServeFirst(ctx context.Context) error {
	return a.chore(ctx, "the zones that are not served yet could not be applied", a.s.serveFirst)
}

func (a *acts) KeepCertificates(ctx context.Context) error {
	return a.chore(ctx, "not every certificate could be looked after", a.s.keepCertificates)
}

func (a *acts) WatchLogs(ctx context.Context) error {
	return a.chore(ctx, "the certificate logs could not be looked at", a.s.watchLogs)
}

// chore is work that belongs to no one change; its failures are told in the server's log alone.
func (a *acts) chore(ctx context.Context, trouble string, run func(context.Context) error) error {
	ctx, done := a.with(ctx)
	defer done()
	err := run(ctx)
	if err != nil && ctx.Err() == nil {
		a.s.o.Logger.Warn(trouble, "error", err)
	}
	return failed("chore", err)
}

// quick is for steps that read and write on this machine: they run inside the workflow's own task, so
// that they cost no round trip. The workflow retries them itself.
func quick(ctx workflow.Context) workflow.Context {
	return workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		StartToCloseTimeout: 2 * time.Minute, RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 1},
	})
}

// remote is for steps that talk to other systems.
func remote(ctx workflow.Context) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 10 * time.Minute, RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 1},
	})
}

// changeWorkflow drives one change to its end: ask the log what comes next, do that, ask again.
func changeWorkflow(ctx workflow.Context, id string) error {
	var a *acts
	looks := workflow.GetSignalChannel(ctx, lookSignal)
	failures := 0
	for range maxSteps {
		for looks.ReceiveAsync(nil) {
		}
		var n next
		err := workflow.ExecuteLocalActivity(quick(ctx), a.Next, id).Get(ctx, &n)
		if err == nil {
			switch n.Do {
			case lifecycle.DoNothing:
				return nil
			case lifecycle.DoWait:
				await(ctx, looks, n.Wait)
			case lifecycle.DoCheck:
				err = workflow.ExecuteLocalActivity(quick(ctx), a.Check, id).Get(ctx, nil)
			case lifecycle.DoApprove:
				err = workflow.ExecuteLocalActivity(quick(ctx), a.Approve, id).Get(ctx, nil)
			case lifecycle.DoExpire:
				err = workflow.ExecuteLocalActivity(quick(ctx), a.Expire, id).Get(ctx, nil)
			case lifecycle.DoMerge:
				err = askForMerge(ctx, looks, n.Merges, id)
			case lifecycle.DoApply:
				err = applyZones(ctx, id, n.Zones)
			case lifecycle.DoCertify:
				err = workflow.ExecuteActivity(remote(ctx), a.Certify, id).Get(ctx, nil)
			case lifecycle.DoVerify:
				err = workflow.ExecuteActivity(remote(ctx), a.Finish, id).Get(ctx, nil)
			}
		}
		if err == nil {
			failures = 0
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		failures++
		await(ctx, looks, backoff(failures))
	}
	return workflow.NewContinueAsNewError(ctx, changeType, id)
}

// backoff is how long to wait after so many failures in a row: at first shorter than anybody notices,
// in the end a minute.
func backoff(failures int) time.Duration {
	return min(200*time.Millisecond<<min(failures-1, 10), time.Minute)
}

// await waits to be woken, or for d to pass (0: for ever).
func await(ctx workflow.Context, looks workflow.ReceiveChannel, d time.Duration) {
	timer, stop := workflow.WithCancel(ctx)
	defer stop()
	s := workflow.NewSelector(ctx).AddReceive(looks, func(c workflow.ReceiveChannel, _ bool) { c.Receive(ctx, nil) })
	s.AddReceive(ctx.Done(), func(workflow.ReceiveChannel, bool) {})
	if d > 0 {
		s.AddFuture(workflow.NewTimer(timer, d), func(workflow.Future) {})
	}
	s.Select(ctx)
}

// mergePatience is how long a change waits for word from the merges before it asks again.
const mergePatience = time.Minute

// askForMerge puts the change into the queue of merges and waits until it was its turn. What became of it is in the log.
func askForMerge(ctx workflow.Context, looks workflow.ReceiveChannel, merges, id string) error {
	var a *acts
	var lost error
	sent := workflow.SignalExternalWorkflow(ctx, merges, "", mergeSignal, id)
	timer, stop := workflow.WithCancel(ctx)
	defer stop()
	heard := false
	s := workflow.NewSelector(ctx).
		AddReceive(looks, func(c workflow.ReceiveChannel, _ bool) { c.Receive(ctx, nil); heard = true }).
		AddReceive(ctx.Done(), func(workflow.ReceiveChannel, bool) { heard = true }).
		AddFuture(workflow.NewTimer(timer, mergePatience), func(workflow.Future) { heard = true }).
		AddFuture(sent, func(f workflow.Future) { lost = f.Get(ctx, nil) })
	for !heard && lost == nil {
		s.Select(ctx)
	}
	if lost == nil {
		return nil
	}
	return errors.Join(lost, workflow.ExecuteLocalActivity(quick(ctx), a.EnsureMerges).Get(ctx, nil))
}

// applyZones applies zones side by side. One whose provider is slow, or fails, holds none of the others up.
func applyZones(ctx workflow.Context, id string, zones []string) error {
	var a *acts
	var errs error
	running := 0
	s := workflow.NewSelector(ctx)
	for len(zones) > 0 || running > 0 {
		for ; len(zones) > 0 && running < maxZonesAtOnce; zones = zones[1:] {
			running++
			s.AddFuture(workflow.ExecuteActivity(remote(ctx), a.Apply, id, zones[0]), func(f workflow.Future) {
				running--
				errs = errors.Join(errs, f.Get(ctx, nil))
			})
		}
		s.Select(ctx)
	}
	return errs
}

// mergesWorkflow merges one change at a time. After each, the changes that are still open are judged
// against the new main, while the next merge goes on.
func mergesWorkflow(ctx workflow.Context, queue []string) error {
	var a *acts
	asked := workflow.GetSignalChannel(ctx, mergeSignal)
	stale := true // at the start too: the last run may have ended before it came to this
	workflow.Go(ctx, func(ctx workflow.Context) {
		for workflow.Await(ctx, func() bool { return stale }) == nil {
			stale = false
			if workflow.ExecuteActivity(remote(ctx), a.Recheck).Get(ctx, nil) != nil {
				if workflow.Sleep(ctx, time.Minute) != nil {
					return
				}
				stale = true
			}
		}
	})
	take := func(id string) {
		if !slices.Contains(queue, id) {
			queue = append(queue, id)
		}
	}
	for done := 0; done < maxMerges; done++ {
		var id string
		for asked.ReceiveAsync(&id) {
			take(id)
		}
		if len(queue) == 0 {
			asked.Receive(ctx, &id)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			take(id)
		}
		id, queue = queue[0], queue[1:]
		var moved bool
		if err := workflow.ExecuteLocalActivity(quick(ctx), a.Merge, id).Get(ctx, &moved); err != nil && ctx.Err() != nil {
			return ctx.Err()
		}
		// Merged, refused or failed: the change reads in the log what became of it. It may be gone by now.
		workflow.SignalExternalWorkflow(ctx, changeWorkflowID(id), "", lookSignal, nil)
		stale = stale || moved
	}
	var id string
	for asked.ReceiveAsync(&id) {
		take(id)
	}
	return workflow.NewContinueAsNewError(ctx, mergesType, queue)
}

// keepWorkflow looks after the certificates every minute, and into the logs of certificates every few.
func keepWorkflow(ctx workflow.Context) error {
	var a *acts
	for pass := range maxPasses {
		// What failed is told in the server's log and on record, and the next look tries again.
		_ = workflow.ExecuteActivity(remote(ctx), a.KeepCertificates).Get(ctx, nil)
		if pass%watchEvery == 0 {
			_ = workflow.ExecuteActivity(remote(ctx), a.WatchLogs).Get(ctx, nil)
		}
		if err := workflow.Sleep(ctx, renewEvery); err != nil {
			return err
		}
	}
	return workflow.NewContinueAsNewError(ctx, keepType)
}

func registerWorkflows(r worker.WorkflowRegistry) {
	r.RegisterWorkflowWithOptions(changeWorkflow, workflow.RegisterOptions{Name: changeType})
	r.RegisterWorkflowWithOptions(mergesWorkflow, workflow.RegisterOptions{Name: mergesType})
	r.RegisterWorkflowWithOptions(driftWorkflow, workflow.RegisterOptions{Name: driftType})
	r.RegisterWorkflowWithOptions(compareWorkflow, workflow.RegisterOptions{Name: compareType})
	r.RegisterWorkflowWithOptions(delegationWorkflow, workflow.RegisterOptions{Name: delegationType})
	r.RegisterWorkflowWithOptions(keepWorkflow, workflow.RegisterOptions{Name: keepType})
}

func (s *Service) newWorker() worker.Worker {
	w := worker.New(s.engine.client, taskQueue, worker.Options{
		WorkerStopTimeout:            10 * time.Second,
		StickyScheduleToStartTimeout: taskTimeout,
		// Enough to keep the disk busy, few enough to leave the machine to those who wait for a page.
		MaxConcurrentLocalActivityExecutionSize: 16,
		MaxConcurrentActivityExecutionSize:      32,
		// A run whose code has changed under it fails, and the next waking gives the change a new one from the log.
		WorkflowPanicPolicy: worker.FailWorkflow,
	})
	registerWorkflows(w)
	w.RegisterActivityWithOptions(&acts{s}, activity.RegisterOptions{})
	return w
}

func (s *Service) startOptions(id string, policy enumspb.WorkflowIdConflictPolicy) client.StartWorkflowOptions {
	return client.StartWorkflowOptions{
		ID: id, TaskQueue: taskQueue,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowIDConflictPolicy: policy,
		WorkflowTaskTimeout:      taskTimeout,
	}
}

// start starts one of the repository's own workflows.
func (s *Service) start(ctx context.Context, kind string, policy enumspb.WorkflowIdConflictPolicy) error {
	var args []any
	if kind == mergesType {
		args = append(args, []string{})
	}
	_, err := s.engine.client.ExecuteWorkflow(ctx, s.startOptions(kind+"/"+s.repoName(), policy), kind, args...)
	return err
}

func (s *Service) startChange(ctx context.Context, id string, policy enumspb.WorkflowIdConflictPolicy) error {
	o := s.startOptions(changeWorkflowID(id), policy)
	o.EnableEagerStart = true
	_, err := s.engine.client.ExecuteWorkflow(ctx, o, changeType, id)
	return err
}

// wake tells a change's workflow to look at the log, and gives it a workflow if it has none. The
// log already holds what happened: without an engine nothing is lost, only late.
func (s *Service) wake(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	_, err := s.engine.client.SignalWithStartWorkflow(ctx, changeWorkflowID(id), lookSignal, nil,
		s.startOptions(changeWorkflowID(id), enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING), changeType, id)
	if err != nil {
		s.o.Logger.Warn("a change's workflow could not be woken; the next start of the server takes it up", "change", id, "error", err)
	}
}

// resume gives every open change a workflow. One that was on its way gets a new one at once: the steps
// that the old process had begun would otherwise be waited for until their timeouts. One that waits for
// people or time keeps the workflow it has, with its timers, and is only told to look, since what
// happened just before the end may not have reached it; there may be many of these, so nobody waits for it.
func (s *Service) resume(ctx context.Context, open []lifecycle.State) error {
	kinds := []string{mergesType, driftType}
	if s.certs != nil {
		kinds = append(kinds, keepType)
	}
	if s.o.Parents != nil {
		kinds = append(kinds, delegationType)
	}
	for _, kind := range kinds {
		if err := s.start(ctx, kind, enumspb.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING); err != nil {
			return fmt.Errorf("workflow %s: %w", kind, err)
		}
	}
	var waiting []string
	for _, st := range open {
		if st.Next(s.now()).Do == lifecycle.DoWait {
			waiting = append(waiting, st.ID)
			continue
		}
		if err := s.startChange(ctx, st.ID, enumspb.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING); err != nil {
			return fmt.Errorf("workflow of change %s: %w", st.ID, err)
		}
	}
	s.waking.Go(func() {
		for _, id := range waiting {
			if s.life.Err() != nil {
				return
			}
			s.rouse(s.life, id)
		}
	})
	return nil
}

// rouse wakes the workflow of a change that was waiting when the last process ended. One that the last process
// was just thinking about is replaced: the engine would wait for an answer until taskTimeout.
func (s *Service) rouse(ctx context.Context, id string) {
	d, err := s.engine.client.DescribeWorkflowExecution(ctx, changeWorkflowID(id), "")
	if err == nil && d.GetPendingWorkflowTask().GetState() == enumspb.PENDING_WORKFLOW_TASK_STATE_STARTED {
		if s.startChange(ctx, id, enumspb.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING) == nil {
			return
		}
	}
	s.wake(ctx, id)
}
