package cert

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"slipway/audit"
)

func TestRenewAt(t *testing.T) {
	for name, c := range map[string]struct {
		life   time.Duration
		window *Window
		from   time.Duration // after start
		to     time.Duration
	}{
		"own":            {90 * day, nil, 60 * day, 75 * day},
		"one day":        {24 * time.Hour, nil, 16 * time.Hour, 20 * time.Hour},
		"authority's":    {90 * day, &Window{Start: start.Add(50 * day), End: start.Add(52 * day)}, 50 * day, 52 * day},
		"at once":        {90 * day, &Window{Start: start.Add(-2 * day), End: start.Add(-day)}, -2 * day, -day},
		"up to the end":  {90 * day, &Window{Start: start.Add(60 * day), End: start.Add(90 * day)}, 60 * day, 83 * day},
		"makes no sense": {90 * day, &Window{Start: start.Add(9 * day), End: start}, 60 * day, 75 * day},
	} {
		for i := range 500 {
			crt := testCertificate(i, "a", start, c.life)
			at := RenewAt(crt, c.window)
			if at.Before(start.Add(c.from)) || at.After(start.Add(c.to)) {
				t.Errorf("%s: renewed %s after the start, want %s to %s", name, at.Sub(start), c.from, c.to)
			}
			if again := RenewAt(crt, c.window); !again.Equal(at) {
				t.Errorf("%s: %s, and then %s", name, at, again)
			}
		}
	}
}

// TestNoBurst issues ten thousand certificates within an hour and looks at the
// hours in which they are renewed.
func TestNoBurst(t *testing.T) {
	const n = 10_000
	perHour := map[int64]int{}
	for i := range n {
		c := testCertificate(i, "a", start.Add(time.Duration(i)*time.Hour/n), 90*day)
		perHour[RenewAt(c, nil).Unix()/3600]++
	}
	average := float64(n) / (15 * 24)
	most := 0
	for _, count := range perHour {
		most = max(most, count)
	}
	if float64(most) > 2.2*average {
		t.Errorf("in one hour %d are renewed, on average %.1f", most, average)
	}
	t.Logf("%d renewals an hour at most, %.1f on average over %d hours", most, average, len(perHour))
}

// TestYear steps a clock through a year of a fleet of a thousand, with renewals
// that fail: one in five at any time, all of them for three days, and all of one app's
// for eleven days. It is a model of the workflow, which asks Due for a few at a time.
func TestYear(t *testing.T) {
	const (
		fleet    = 1000
		life     = 90 * day
		atOnce   = 10 // that the workflow asks Due for in a step
		step     = 10 * time.Minute
		tryAgain = 4 * time.Hour
	)
	g, log := NewRegistry(), &record{}
	add := func(at time.Time, action audit.Action, details any) {
		log.add(at, action, details)
		if err := g.Take(log.events[len(log.events)-1]); err != nil {
			t.Fatal(err)
		}
	}
	serial := 0
	issue := func(at time.Time, app string, replaces *Certificate) {
		c := testCertificate(serial, app, at, life, app+".example")
		serial++
		if replaces != nil {
			c.Replaces = replaces.ID
		}
		add(at, audit.IssueCertificate, IssueDetails{c})
	}
	for i := range fleet {
		issue(start.Add(time.Duration(i)*time.Second), fmt.Sprint("app-", i), nil)
	}
	random := rand.New(rand.NewPCG(3, 4))
	perHour, renewed, failed := map[int64]int{}, 0, 0
	for now := start.Add(time.Hour); now.Before(start.Add(365 * day)); now = now.Add(step) {
		for _, c := range g.Due(now, atOnce) {
			if now.Before(c.NotBefore.Add(life / 3 * 2)) {
				t.Fatalf("%s is renewed %s after its start", c.App, now.Sub(c.NotBefore))
			}
			if !now.Before(c.NotAfter) {
				t.Fatalf("%s has expired", c.App)
			}
			after := now.Sub(start)
			outage := after > 70*day && after < 73*day
			if outage || c.App == "app-7" && after > 60*day && after < 71*day || random.IntN(5) == 0 {
				failed++
				add(now, audit.FailCertificate, FailDetails{ID: c.ID, Problem: "injected", Next: now.Add(tryAgain)})
				continue
			}
			issue(now, c.App, &c)
			renewed++
			perHour[now.Unix()/3600]++
		}
	}
	for i := range fleet {
		if c, ok := g.Current(fmt.Sprint("app-", i), start.Add(365*day)); !ok || c.Problem != "" && c.RenewAt.Before(start.Add(365*day)) {
			t.Errorf("app-%d has no certificate after a year", i)
		}
	}
	most := 0
	for _, count := range perHour {
		most = max(most, count)
	}
	if limit := atOnce * int(time.Hour/step); most > limit {
		t.Errorf("%d renewals in one hour; the workflow asks for %d", most, limit)
	}
	if renewed < 4*fleet || failed < renewed/5 {
		t.Errorf("%d renewals and %d failures in a year", renewed, failed)
	}
	t.Logf("%d renewals, %d failures, %d renewals in the busiest hour", renewed, failed, most)
}
