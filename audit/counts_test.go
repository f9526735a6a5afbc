package audit

import (
	"maps"
	"testing"
	"time"
)

func TestCounts(t *testing.T) {
	t.Parallel()
	l := story(t, options(t))
	at := func(hour int) time.Time { return time.Date(2026, 6, 1, 12+hour, 0, 0, 0, time.UTC) }
	for _, tt := range []struct {
		name     string
		from, to time.Time
		want     map[Action]int
	}{
		{"a period, its end not included", at(0), at(3), map[Action]int{SubmitChange: 2, CheckChange: 1}},
		{"from its start", at(4), at(5), map[Action]int{GoLive: 1}},
		{"nothing happened", at(1000), at(2000), map[Action]int{}},
		{"no end", at(7), time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC), map[Action]int{FailChange: 1, SignIn: 1, RefuseVote: 1}},
	} {
		got, err := l.Index().Counts(t.Context(), tt.from, tt.to)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		} else if !maps.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	all, err := l.Index().Counts(t.Context(), time.Time{}, time.Time{})
	if err != nil || all[SubmitChange] != 4 || all[StartLog] != 1 {
		t.Errorf("unbounded: %v %v", all, err)
	}
}
