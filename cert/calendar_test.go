package cert

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestExpiring(t *testing.T) {
	now := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	at := func(n int, end string) Certificate {
		to, err := time.Parse(time.DateOnly, end)
		if err != nil {
			t.Fatal(err)
		}
		return testCertificate(n, fmt.Sprint(n), to.Add(-90*day), 90*day, "a.example")
	}
	replaced := at(6, "2026-12-03")
	replaced.ReplacedBy = testID(7)
	months := Expiring([]Certificate{at(1, "2027-02-01"), at(2, "2026-12-31"), at(3, "2026-12-01"), at(4, "2026-10-01"), at(5, "2028-01-01"), replaced}, now, 12)
	var got []string
	for _, m := range months {
		line := m.Start.Format("2006-01:")
		for _, c := range m.Certificates {
			line += " " + c.App
		}
		got = append(got, line)
	}
	want := "2026-11: 4|2026-12: 3 2|2027-01:|2027-02: 1"
	if s := strings.Join(got, "|"); s != want {
		t.Errorf("%s, want %s", s, want)
	}
	if months := Expiring(nil, now, 12); len(months) != 0 {
		t.Errorf("of nothing: %v", months)
	}
}

func TestReasons(t *testing.T) {
	for _, r := range Reasons() {
		if got, err := ReasonNamed(r.Name); err != nil || got.Code != r.Code {
			t.Errorf("%s: %v, %v", r.Name, got, err)
		}
	}
	if _, err := ReasonNamed("ca-compromise"); err == nil || !strings.Contains(err.Error(), "key-compromise") {
		t.Errorf("a reason that is an authority's alone: %v", err)
	}
}
