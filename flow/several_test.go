package flow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"slipway/audit"
	"slipway/audit/audittest"
	"slipway/lifecycle"
	"slipway/provider"
	"slipway/provider/several"
	"slipway/provider/zonefile"
)

// second is the other provider of all zones in a world of two. around is called for its applies, with the apply.
type second struct {
	*zonefile.Provider
	around func(apply func() (*provider.Receipt, error)) (*provider.Receipt, error)
}

func (s second) Apply(ctx context.Context, p provider.Plan) (*provider.Receipt, error) {
	apply := func() (*provider.Receipt, error) { return s.Provider.Apply(ctx, p) }
	if s.around != nil {
		return s.around(apply)
	}
	return apply()
}

// together has all zones served by two providers: the one that the name server reads, and another directory.
func (w *world) together(around func(apply func() (*provider.Receipt, error)) (*provider.Receipt, error)) {
	w.t.Helper()
	other, err := zonefile.New(zonefile.Options{Dir: w.path("other"), Name: "other"})
	w.must(err)
	journal, err := several.OpenJournal(w.path("together"))
	w.must(err)
	w.wrap = func(files provider.Provider) provider.Provider {
		p, err := several.New(several.Options{Members: []several.Member{{Name: "files", Provider: files}, {Name: "other", Provider: second{other, around}}}, Journal: journal})
		w.must(err)
		return p
	}
}

func (w *world) bothHave(host, address string) {
	w.t.Helper()
	for _, dir := range []string{"zones", "other"} {
		raw, err := os.ReadFile(w.path(dir + "/" + heldZone + ".zone"))
		w.must(err)
		line := false
		for l := range bytes.Lines(raw) {
			line = line || bytes.Contains(l, []byte(host)) && bytes.Contains(l, []byte(address))
		}
		if !line {
			w.t.Errorf("%s does not have %s %s:\n%s", dir, host, address, raw)
		}
	}
}

// One of two providers is down: nobody is told that the change is live, what the other has is told, and when it is
// back the same apply is finished.
func TestOneOfTwoProvidersDown(t *testing.T) {
	t.Parallel()
	w := &world{t: t, dir: audittest.TempDir(t), logger: testLogger(t)}
	var down atomic.Bool
	w.together(func(apply func() (*provider.Receipt, error)) (*provider.Receipt, error) {
		if down.Load() {
			return nil, errors.New("it is down")
		}
		return apply()
	})
	w.open()
	t.Cleanup(w.stop)
	st := w.submit(green("both", "192.0.2.60"))
	st = w.reaches(st.ID, lifecycle.Live)
	if len(st.Receipts) != 1 || len(st.Receipts[0].Parts) != 2 {
		t.Errorf("receipts %+v", st.Receipts)
	}
	w.bothHave("both", "192.0.2.60")

	down.Store(true)
	st = w.submit(green("both", "192.0.2.61"))
	st = w.reaches(st.ID, lifecycle.Failed)
	if !strings.Contains(st.Problem, "only some have this change so far: files (zonefile:") || !strings.Contains(st.Problem, "provider other: it is down") || st.Resume != lifecycle.Merged {
		t.Errorf("told: %s", st.Problem)
	}
	if rep := w.compared(heldZone); len(rep.Differences) != 0 {
		t.Errorf("a change on its way counts as drift: %+v", rep.Differences)
	}
	down.Store(false)
	_, err := w.flow.Retry(context.Background(), ana, st.ID)
	w.must(err)
	w.reaches(st.ID, lifecycle.Live)
	w.liveOnce(st.ID)
	w.bothHave("both", "192.0.2.61")
}

// between is a server of two providers that stops for good before or after the second one's apply of a change.
func between(spec string) int {
	when, dir, _ := strings.Cut(spec, " ")
	w := &world{t: childT{}, dir: dir, logger: slog.New(slog.DiscardHandler)}
	var armed atomic.Bool
	w.together(func(apply func() (*provider.Receipt, error)) (*provider.Receipt, error) {
		if !armed.Load() {
			return apply()
		}
		if when == "after" {
			_, err := apply()
			w.must(err)
		}
		fmt.Println("BETWEEN")
		select {}
	})
	w.open()
	st := w.submit(green("first", "192.0.2.70"))
	w.reaches(st.ID, lifecycle.Live)
	armed.Store(true)
	st = w.submit(green("second", "192.0.2.71"))
	fmt.Println("ID", st.ID)
	select {}
}

// TestKilledBetweenProviders kills a process with SIGKILL between the applies at two providers, and between the second
// one and the note of it: the next process makes both alike, once.
func TestKilledBetweenProviders(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts processes")
	}
	for _, when := range []string{"before", "after"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			id, there := "", false
			if !killed(t, "between "+when+" "+dir, func(line string) bool {
				there = there || line == "BETWEEN"
				if found, ok := strings.CutPrefix(line, "ID "); ok {
					id = found
				}
				return there && id != ""
			}) {
				t.Fatal("the server did not come so far")
			}
			w := &world{t: t, dir: dir, logger: testLogger(t)}
			w.together(nil)
			w.open()
			defer w.stop()
			st := w.reaches(id, lifecycle.Live)
			w.liveOnce(id)
			w.bothHave("second", "192.0.2.71")
			if len(st.Receipts) != 1 || len(st.Receipts[0].Parts) != 2 || !st.Receipts[0].Parts[0].Applied || !st.Receipts[0].Parts[1].Applied || !st.Receipts[0].Applied {
				t.Errorf("receipts %+v", st.Receipts)
			}
			if n := w.count(id); n[audit.DetectDrift] != 0 || n[audit.CreateDNSRecord] != 1 {
				t.Errorf("on record: %v", n)
			}
		})
	}
}
