package drift_test

import (
	"flag"
	"os"
	"slices"
	"testing"
	"time"

	"slipway/drift"
)

var update = flag.Bool("update", false, "write the golden files anew")

func at(text string) time.Time {
	if text == "" {
		return time.Time{}
	}
	t, err := time.Parse("2006-01-02 15:04", text)
	if err != nil {
		panic(err)
	}
	return t
}

func incidents() []drift.Incident {
	return []drift.Incident{
		{Zone: "a.example", Found: at("2026-08-03 10:00"), Ended: at("2026-08-03 11:00"), How: drift.EndedItself, Kinds: map[string]int{"changed": 1}},
		{Zone: "a.example", Found: at("2026-09-30 23:59"), Ended: at("2026-10-02 00:00"), How: drift.EndedPerson, Kinds: map[string]int{"changed": 1}},
		{Zone: "a.example", Found: at("2026-10-01 00:00"), Ended: at("2026-10-01 00:10"), How: drift.EndedRule, Kinds: map[string]int{"changed": 2, "extra": 1}, People: []string{"olga"}},
		{Zone: "a.example", Found: at("2026-10-05 08:00"), Ended: at("2026-10-05 08:01"), How: drift.EndedRule, Kinds: map[string]int{"extra": 1}, People: []string{"olga"}},
		{Zone: "b.example", Scope: drift.Parent, Found: at("2026-10-31 23:59"), Kinds: map[string]int{"ds": 1}},
		{Zone: "b.example", Found: at("2026-10-20 12:00"), Ended: at("2026-11-02 12:00"), How: drift.EndedItself, Kinds: map[string]int{"missing": 4}},
		{Zone: "c.example", Found: at("2026-11-01 00:00"), Kinds: map[string]int{"changed": 1}},
	}
}

func TestMonthly(t *testing.T) {
	since := at("2026-07-15 00:00")
	for _, tt := range []struct {
		month, now         string
		found, ended, open int
		whole              bool
		before             []int
		trend              drift.Trend
	}{
		{"2026-07-01 00:00", "2026-12-01 00:00", 0, 0, 0, true, nil, drift.TrendFirst},
		{"2026-08-01 00:00", "2026-12-01 00:00", 1, 1, 0, true, []int{0}, drift.TrendMore},
		{"2026-09-01 00:00", "2026-12-01 00:00", 1, 0, 1, true, []int{0, 1}, drift.TrendMore},
		{"2026-10-01 00:00", "2026-12-01 00:00", 4, 3, 2, true, []int{0, 1, 1}, drift.TrendMore},
		{"2026-11-01 00:00", "2026-12-01 00:00", 1, 1, 2, true, []int{0, 1, 1, 4}, drift.TrendLess},
		{"2026-10-01 00:00", "2026-10-02 00:00", 1, 2, 0, false, []int{0, 1, 1}, drift.TrendOpen},
		{"2026-10-17 08:00", "2026-12-01 00:00", 4, 3, 2, true, []int{0, 1, 1}, drift.TrendMore}, // any time of the month
	} {
		m := drift.Monthly(at(tt.month), incidents(), since, at(tt.now))
		var before []int
		for _, c := range m.Before {
			before = append(before, c.N)
		}
		if m.Found != tt.found || m.Ended != tt.ended || m.Open != tt.open || m.Whole != tt.whole || !slices.Equal(before, tt.before) || m.Trend != tt.trend {
			t.Errorf("%s at %s: %+v", tt.month, tt.now, m)
		}
	}
}

func TestMonthWords(t *testing.T) {
	m := drift.Monthly(at("2026-10-01 00:00"), incidents(), at("2026-07-15 00:00"), at("2026-12-01 00:00"))
	m.People = append(m.People, drift.Count{Name: "\x1b[31m|<b>", N: 1}) // from somebody's log
	for file, got := range map[string]string{"testdata/month.txt": m.Text(), "testdata/month.md": m.Markdown()} {
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil || got != string(want) {
			t.Errorf("%s: %v\n%s", file, err, got)
		}
	}
}

func FuzzParseMonth(f *testing.F) {
	f.Add("2026-10")
	f.Add("2026-13")
	f.Fuzz(func(t *testing.T, s string) {
		if m, err := drift.ParseMonth(s); err == nil && drift.MonthName(m) != s {
			t.Errorf("%q became %s", s, drift.MonthName(m))
		}
	})
}
