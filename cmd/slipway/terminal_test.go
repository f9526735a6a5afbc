package main

import (
	"testing"
	"time"
)

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"Tracks expenses":           "Tracks expenses",
		"café 花\tλ\n":               "café 花\tλ\n",
		"harmless\x1b[2K\rapprove":  `harmless\u001b[2K\u000dapprove`,
		"safe\u202Eexe.doc":         `safe\u202eexe.doc`,
		"c1 control \u009b31m":      `c1 control \u009b31m`,
		"broken \xff UTF-8":         `broken \ufffd UTF-8`,
		"isolate \u2066x\u2069 end": `isolate \u2066x\u2069 end`,
	} {
		if got := plain(in); got != want {
			t.Errorf("plain(%q) = %q, want %q", in, got, want)
		}
	}
	if got := flat(" a\n b\t\x07 "); got != `a b \u0007` {
		t.Errorf("flat = %q", got)
	}
}

func FuzzPlain(f *testing.F) {
	f.Add("a\x1b]0;title\x07")
	f.Add("\u202e\u2066\xff")
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range plain(s) {
			if r < ' ' && r != '\n' && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x202e {
				t.Fatalf("plain(%q) lets %U through", s, r)
			}
		}
	})
}

func TestMoment(t *testing.T) {
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	tl := &tool{now: func() time.Time { return now }}
	for in, want := range map[string]time.Time{
		"":                          {},
		"2027-01-31T09:00:00Z":      time.Date(2027, 1, 31, 9, 0, 0, 0, time.UTC),
		"2027-01-31T09:00:00+02:00": time.Date(2027, 1, 31, 7, 0, 0, 0, time.UTC),
		"2027-01-31 09:00":          time.Date(2027, 1, 31, 9, 0, 0, 0, time.Local),
		"2027-01-31T09:00":          time.Date(2027, 1, 31, 9, 0, 0, 0, time.Local),
		"2027-01-31":                time.Date(2027, 1, 31, 0, 0, 0, 0, time.Local),
		"3h":                        now.Add(3 * time.Hour),
	} {
		if got, err := tl.moment("--at", in); err != nil || !got.Equal(want) {
			t.Errorf("moment(%q) = %s, %v; want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"yesterday", "31.1.2027", "2027-02-30", "h"} {
		if _, err := tl.moment("--at", in); err == nil {
			t.Errorf("moment(%q) is accepted", in)
		}
	}
}
