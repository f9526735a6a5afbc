package audit

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// An outage is one warning and one recovery, whatever the number of attempts and restarts.
func TestGuard(t *testing.T) {
	log := openLog(t, options(t))
	clock := time.Date(2026, 6, 30, 8, 0, 0, 0, time.UTC)
	guard := func() *Guard {
		return &Guard{Log: log, Kind: "mirrors", Name: "vault", Now: func() time.Time { return clock }}
	}
	g := guard()
	report := func(problem error) {
		t.Helper()
		if err := g.Report(t.Context(), problem); err != nil {
			t.Fatal(err)
		}
	}
	count := func(action Action) int {
		t.Helper()
		events, err := log.Index().Events(t.Context(), Query{Action: action})
		if err != nil {
			t.Fatal(err)
		}
		return len(events)
	}
	gone := errors.New("the bucket cannot be reached: " + strings.Repeat("x", 2000))

	report(gone)
	clock = clock.Add(4 * time.Minute)
	report(gone)
	report(nil) // over before anybody had to know
	clock = clock.Add(time.Hour)
	report(gone)
	clock = clock.Add(6 * time.Minute)
	if n := count(WarnRecord); n != 0 {
		t.Fatalf("%d warnings before the grace is over", n)
	}
	report(gone)
	report(gone)
	g = guard() // the server was started again
	report(gone)
	if n := count(WarnRecord); n != 1 {
		t.Fatalf("%d warnings of one outage", n)
	}
	report(nil)
	report(nil)
	g = guard()
	report(nil)
	if n := count(RecoverRecord); n != 1 {
		t.Fatalf("%d recoveries of one outage", n)
	}
	other := &Guard{Log: log, Kind: "mirrors", Name: "other", Grace: time.Nanosecond, Now: func() time.Time { return clock }}
	other.Report(t.Context(), gone)
	clock = clock.Add(time.Minute)
	if err := other.Report(t.Context(), gone); err != nil || count(WarnRecord) != 2 {
		t.Errorf("another guard has its own warnings: %v", err)
	}
}
