package drift

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"slipway/zone"
)

// Incident is one drift from when it was found until it was no more. One that changed meanwhile
// is one incident.
type Incident struct {
	Zone   zone.Name
	Scope  Scope
	Found  time.Time
	Ended  time.Time      // zero: it is still open
	How    string         // in which way it ended
	Kinds  map[string]int // differences by kind, as they were first seen
	People []string       // who made the edits, where a provider's log tells
}

// Ways in which an incident ends, as a report counts them.
const (
	EndedItself = "gone"      // undone where it was made, or adopted by an approved change
	EndedPerson = "by person" // a person had the approved content put back
	EndedRule   = "by rule"   // the settings of the zone had it put back
)

// Month is a month's drift in numbers.
type Month struct {
	Month string    `json:"month"` // 2026-10, in UTC
	Until time.Time `json:"until"` // what is known: the end of the month, or now when it is not over
	Whole bool      `json:"whole"` // the month is over

	Found int            `json:"found"` // in this month
	Ended int            `json:"ended"` // in this month, whenever found
	Open  int            `json:"open"`  // at its end
	How   map[string]int `json:"how"`   // of those that ended

	// Time from finding to end, of those that ended.
	Median  int64 `json:"median_seconds"`
	Longest int64 `json:"longest_seconds"`

	Zones   []Count `json:"zones"` // found, the most first
	Kinds   []Count `json:"kinds"` // differences in those found
	People  []Count `json:"people"`
	Unknown int     `json:"unknown"` // found, and nobody knows who

	Before []Count `json:"before"` // found in the months before, oldest first, at most MonthsBefore
	Trend  Trend   `json:"trend"`
}

// Count is how many of something.
type Count struct {
	Name string `json:"name"`
	N    int    `json:"n"`
}

// Trend is whether it becomes more or less.
type Trend string

const (
	TrendFirst  Trend = "first"  // there is no month before
	TrendMore   Trend = "more"   // than in the months before
	TrendLess   Trend = "less"   // than in the months before
	TrendSteady Trend = "steady" // within a fifth of their mean
	TrendOpen   Trend = "open"   // the month is not over
)

// MonthsBefore is how many months a report looks back.
const MonthsBefore = 11

// maxCounted bounds the zones and people that a report names.
const maxCounted = 50

// MonthName is the month of a time, in UTC.
func MonthName(t time.Time) string { return t.UTC().Format("2006-01") }

// ParseMonth reads a month's name and returns its beginning.
func ParseMonth(name string) (time.Time, error) {
	t, err := time.Parse("2006-01", name)
	if err != nil || t.Format("2006-01") != name || t.Year() < 2000 {
		return time.Time{}, fmt.Errorf("%q is not a month: write it as 2026-10", name)
	}
	return t, nil
}

// Monthly counts the month that begins at begin. since is when the record begins: months before it
// are no months without drift.
func Monthly(begin time.Time, incidents []Incident, since, now time.Time) *Month {
	begin = time.Date(begin.UTC().Year(), begin.UTC().Month(), 1, 0, 0, 0, 0, time.UTC)
	end := begin.AddDate(0, 1, 0)
	m := &Month{Month: MonthName(begin), Until: end, Whole: !now.Before(end), How: map[string]int{}, Zones: []Count{}, Kinds: []Count{}, People: []Count{}, Before: []Count{}}
	if !m.Whole {
		m.Until = now.UTC()
	}
	within := func(t time.Time) bool { return !t.Before(begin) && t.Before(end) && !t.After(now) }
	zones, kinds, people := map[string]int{}, map[string]int{}, map[string]int{}
	var took []time.Duration
	for _, i := range incidents {
		if within(i.Found) {
			m.Found++
			zones[string(i.Zone)]++
			for k, n := range i.Kinds {
				kinds[k] += n
			}
			for _, p := range i.People {
				people[p]++
			}
			if len(i.People) == 0 {
				m.Unknown++
			}
		}
		if !i.Ended.IsZero() && within(i.Ended) {
			m.Ended++
			m.How[i.How]++
			took = append(took, i.Ended.Sub(i.Found))
		}
		// An incident that ended in the very moment that the month did was open at its end.
		if known := i.Found.Before(end) && !i.Found.After(now); known && (i.Ended.IsZero() || !i.Ended.Before(end) || i.Ended.After(now)) {
			m.Open++
		}
	}
	if len(took) > 0 {
		slices.Sort(took)
		m.Median, m.Longest = int64(took[(len(took)-1)/2].Seconds()), int64(took[len(took)-1].Seconds())
	}
	m.Zones, m.Kinds, m.People = ranked(zones), ranked(kinds), ranked(people)
	if m.Before, m.Trend = before(begin, incidents, since, m); !m.Whole {
		m.Trend = TrendOpen
	}
	return m
}

// before counts the months before one, and says where that one stands among them.
func before(begin time.Time, incidents []Incident, since time.Time, m *Month) ([]Count, Trend) {
	out := []Count{}
	for k := MonthsBefore; k >= 1; k-- {
		from := begin.AddDate(0, -k, 0)
		to := from.AddDate(0, 1, 0)
		if since.IsZero() || !since.Before(to) {
			continue
		}
		n := 0
		for _, i := range incidents {
			if !i.Found.Before(from) && i.Found.Before(to) {
				n++
			}
		}
		out = append(out, Count{MonthName(from), n})
	}
	if len(out) == 0 {
		return out, TrendFirst
	}
	// Against the mean of the last three: one month is too much by chance.
	last := out[max(0, len(out)-3):]
	sum := 0
	for _, c := range last {
		sum += c.N
	}
	switch mean := float64(sum) / float64(len(last)); {
	case float64(m.Found) > mean*1.2:
		return out, TrendMore
	case float64(m.Found) < mean*0.8:
		return out, TrendLess
	}
	return out, TrendSteady
}

// ranked lists counts, the most first; what is beyond maxCounted is one of them.
func ranked(counts map[string]int) []Count {
	out := make([]Count, 0, len(counts))
	for name, n := range counts {
		out = append(out, Count{name, n})
	}
	slices.SortFunc(out, func(a, b Count) int { return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Name, b.Name)) })
	if len(out) > maxCounted {
		rest := 0
		for _, c := range out[maxCounted-1:] {
			rest += c.N
		}
		out = append(out[:maxCounted-1], Count{"others", rest})
	}
	return out
}

// Sentence says for people how the month stands.
func (m *Month) Sentence() string {
	if m.Found+m.Ended+m.Open == 0 {
		return "Nothing has drifted."
	}
	s := fmt.Sprintf("%s found, %d ended, %d open at the end.", counted(m.Found, "drift was", "drifts were"), m.Ended, m.Open)
	if m.Ended > 0 {
		s += fmt.Sprintf(" Half of those that ended were mended within %s; the longest took %s.", span(m.Median), span(m.Longest))
	}
	return s
}

// TrendSentence says whether it becomes more or less.
func (m *Month) TrendSentence() string {
	switch m.Trend {
	case TrendMore:
		return "That is more than in the months before."
	case TrendLess:
		return "That is less than in the months before."
	case TrendSteady:
		return "That is about as much as in the months before."
	case TrendOpen:
		return "The month is not over yet."
	}
	return "There is no month before to compare it with."
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// span is a time in the largest units that matter.
func span(seconds int64) string {
	switch d := time.Duration(seconds) * time.Second; {
	case d < time.Minute:
		return counted(int(seconds), "second", "seconds")
	case d < time.Hour:
		return counted(int(d.Round(time.Minute)/time.Minute), "minute", "minutes")
	case d < 48*time.Hour:
		return counted(int(d.Round(time.Hour)/time.Hour), "hour", "hours")
	default:
		return counted(int(d.Round(24*time.Hour)/(24*time.Hour)), "day", "days")
	}
}

// Section is one list of a report.
type Section struct {
	Title  string
	Counts []Count
}

// Sections are the lists of a report, for whoever writes it out; empty ones are left out.
func (m *Month) Sections() []Section {
	how := make([]Count, 0, len(m.How))
	for _, k := range []string{EndedItself, EndedPerson, EndedRule} {
		if m.How[k] > 0 {
			how = append(how, Count{map[string]string{EndedItself: "undone, or adopted", EndedPerson: "put back by a person", EndedRule: "put back by rule"}[k], m.How[k]})
		}
	}
	kinds := slices.Clone(m.Kinds)
	for i := range kinds {
		kinds[i].Name = Kind(kinds[i].Name).Words()
	}
	people := slices.Clone(m.People)
	if m.Unknown > 0 && len(people) > 0 {
		people = append(people, Count{"not known", m.Unknown})
	}
	all := []Section{{"By zone", m.Zones}, {"By kind", kinds}, {"By person", people}, {"How they ended", how}, {"The months before", m.Before}}
	return slices.DeleteFunc(all, func(s Section) bool { return len(s.Counts) == 0 })
}

// Text writes the report for a terminal.
func (m *Month) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Drift in %s%s\n\n%s %s\n", m.Month, m.soFar(), m.Sentence(), m.TrendSentence())
	for _, s := range m.Sections() {
		fmt.Fprintf(&b, "\n%s\n", s.Title)
		for _, c := range s.Counts {
			fmt.Fprintf(&b, "  %5d  %s\n", c.N, printable(c.Name))
		}
	}
	return b.String()
}

// Markdown writes the report for a page or a mail.
func (m *Month) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Drift in %s%s\n\n%s %s\n", m.Month, m.soFar(), m.Sentence(), m.TrendSentence())
	for _, s := range m.Sections() {
		fmt.Fprintf(&b, "\n## %s\n\n| what | how many |\n|---|---:|\n", s.Title)
		for _, c := range s.Counts {
			fmt.Fprintf(&b, "| %s | %d |\n", strings.NewReplacer("|", `\|`, "<", "&lt;", "`", "'", "[", `\[`, "*", `\*`).Replace(printable(c.Name)), c.N)
		}
	}
	return b.String()
}

func (m *Month) soFar() string {
	if m.Whole {
		return ""
	}
	return ", until " + m.Until.UTC().Format("2 January 15:04 MST")
}

// printable is a name without what could steer a terminal or break a table: people's names come
// from the logs of others.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\u202e' || r == '\u2028' {
			return ' '
		}
		return r
	}, s)
}
