package inbound

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

var received = time.Date(2026, 6, 30, 9, 0, 0, 0, time.UTC)

// typeOf is the part of a file's name before its ending: NAME.TYPE.json, or TYPE.json.
func typeOf(file string) string {
	parts := strings.Split(filepath.Base(file), ".")
	return parts[len(parts)-2]
}

// Recorded deliveries, each of its service's own form, come out as reports.
func TestParse(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.*")
	seen := map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, ".golden") {
			continue
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		seen[typeOf(file)] = true
		reports, err := Parse(typeOf(file), raw, received)
		if err != nil || len(reports) == 0 {
			t.Errorf("%s: %d reports, %v", file, len(reports), err)
			continue
		}
		got, err := json.MarshalIndent(reports, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		golden := file + ".golden"
		if *update {
			if err := os.WriteFile(golden, append(got, '\n'), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil || string(want) != string(got)+"\n" {
			t.Errorf("%s: %v, got\n%s", golden, err, got)
		}
	}
	for _, typ := range Types() {
		if !seen[typ] {
			t.Errorf("no recorded delivery of the type %s", typ)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for name, c := range map[string]struct{ typ, raw, want string }{
		"type":         {"pigeon", "{}", `there is no type "pigeon"`},
		"not JSON":     {"github", "{", "not a report of this type"},
		"no ID":        {"report", `{"kind":"domain","at":"2026-06-30T08:58:00Z"}`, "has no ID"},
		"no time":      {"report", `{"kind":"domain","id":"1"}`, "does not say when"},
		"kind":         {"report", `{"kind":"love","id":"1","at":"2026-06-30T08:58:00Z"}`, `there is no kind "love"`},
		"too long":     {"report", `{"kind":"` + strings.Repeat("x", maxBody) + `"}`, "more than"},
		"long log":     {"bind", strings.Repeat("x", maxLine+1), "not a report of this type"},
		"wrong nested": {"cloudtrail", `{"Records":{}}`, "not a report of this type"},
	} {
		_, err := Parse(c.typ, []byte(c.raw), received)
		if err == nil || !strings.Contains(err.Error(), c.want) || c.typ != "pigeon" && !errors.Is(err, errReport) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// December's line of a log that leaves the year out, read in January.
func TestLogTime(t *testing.T) {
	january := time.Date(2027, 1, 1, 0, 10, 0, 0, time.UTC)
	for line, want := range map[string]time.Time{
		"Dec 31 23:59:00 x":                   time.Date(2026, 12, 31, 23, 59, 0, 0, time.UTC),
		"Jan  1 00:09:00 x":                   time.Date(2027, 1, 1, 0, 9, 0, 0, time.UTC),
		"01-Jan-2027 00:09:00.500 x":          time.Date(2027, 1, 1, 0, 9, 0, 5e8, time.UTC),
		"2027-01-01T00:09:00.500Z x":          time.Date(2027, 1, 1, 0, 9, 0, 5e8, time.UTC),
		"<1>1 2027-01-01T01:09:00+01:00 h x":  time.Date(2027, 1, 1, 0, 9, 0, 0, time.UTC),
		"2027-01-01T00:09:00.500 client":      time.Date(2027, 1, 1, 0, 9, 0, 5e8, time.UTC),
		"no time at all, and a long text too": {},
	} {
		got, said := logTime(line, january)
		if said != !want.IsZero() || said && !got.Equal(want) {
			t.Errorf("%q: %s, %v", line, got, said)
		}
	}
}

func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.*")
	for _, file := range files {
		if raw, err := os.ReadFile(file); err == nil && !strings.HasSuffix(file, ".golden") {
			f.Add(typeOf(file), raw)
		}
	}
	f.Fuzz(func(t *testing.T, typ string, raw []byte) {
		reports, err := Parse(typ, raw, received)
		if err != nil {
			return
		}
		for _, r := range reports {
			out, err := json.Marshal(details{Report: r})
			if err != nil {
				t.Fatal(err)
			}
			if r.ID == "" || r.At.IsZero() || len(r.Edits) > maxEdits || len(r.Hosts) > maxHosts {
				t.Fatalf("%s", out)
			}
			var again details
			if err := json.Unmarshal(out, &again); err != nil {
				t.Fatalf("%s: %v", out, err)
			}
		}
	})
}
