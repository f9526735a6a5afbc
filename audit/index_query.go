package audit

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Query selects events. Zero fields do not select.
type Query struct {
	Change, App, Zone, Record, Actor string
	Commit                           string // of the zones repository, in full
	Document                         string // a digest that the event refers to: "sha256:…"
	Action                           Action
	From, To                         time.Time // From included, To not
	After                            uint64    // index greater than this…
	HasAfter                         bool      // …when set
	Before                           uint64    // index less than this…
	HasBefore                        bool      // …when set
	Newest                           bool      // newest first
	Limit                            int       // default 1000, at most 10000

	id string // the event's own
}

// Next makes q go on after the last event that it gave.
func (q *Query) Next(last Receipt) {
	if q.Newest {
		q.Before, q.HasBefore = last.Index, true
	} else {
		q.After, q.HasAfter = last.Index, true
	}
}

// Selects says whether the query selects an event by what it is about and when it
// happened. Where it lies in the log is not looked at.
func (q *Query) Selects(e *Event) bool {
	for _, f := range [][2]string{
		{q.Change, e.Change}, {q.App, e.Resource.App}, {q.Zone, e.Resource.Zone}, {q.Record, e.Resource.Record},
		{q.Actor, e.Actor.ID}, {q.Commit, e.GitCommit}, {string(q.Action), string(e.Action)},
	} {
		if f[0] != "" && f[0] != f[1] {
			return false
		}
	}
	if q.id != "" && q.id != e.EventID || q.Document != "" && !refersTo(e, q.Document) {
		return false
	}
	if !q.From.IsZero() && e.Timestamp.UnixMilli() < q.From.UnixMilli() {
		return false
	}
	return q.To.IsZero() || e.Timestamp.UnixMilli() < q.To.UnixMilli()
}

func refersTo(e *Event, digest string) bool {
	for _, d := range e.ArtifactRefs {
		if d == digest {
			return true
		}
	}
	return false
}

// terms are what the query selects by, those that few events have first.
func (q *Query) terms() []int64 {
	var out []int64
	for _, t := range []struct {
		f     field
		value string
	}{
		{byMoment, moment(q.id)}, {byDocument, q.Document}, {byChange, q.Change}, {byCommit, q.Commit}, {byRecord, q.Record}, {byApp, q.App},
		{byActor, q.Actor}, {byZone, q.Zone}, {byAction, string(q.Action)},
	} {
		if t.value != "" {
			out = append(out, term(t.f, t.value))
		}
	}
	return out
}

const (
	defaultLimit = 1000
	maxLimit     = 10_000
	fetchAtOnce  = 500 // events
)

func limit(n int) int {
	if n <= 0 {
		return defaultLimit
	}
	return min(n, maxLimit)
}

// conditions collects the parts of a WHERE clause.
type conditions struct {
	parts []string
	args  []any
}

func (c *conditions) add(part string, args ...any) {
	c.parts = append(c.parts, part)
	c.args = append(c.args, args...)
}

func (c *conditions) String() string {
	if len(c.parts) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(c.parts, " AND ")
}

// Events returns the events that a query selects.
func (x *Index) Events(ctx context.Context, q Query) ([]Receipt, error) {
	if err := x.await(ctx); err != nil {
		return nil, err
	}
	found, want := []Receipt{}, limit(q.Limit)
	var waiting []uint64
	take := func(all bool) error {
		for len(waiting) > 0 && len(found) < want && (all || len(waiting) >= min(fetchAtOnce, want-len(found))) {
			n := min(len(waiting), fetchAtOnce, want-len(found))
			events, err := x.fetch(ctx, waiting[:n], q.Newest)
			if err != nil {
				return err
			}
			waiting = waiting[n:]
			for _, r := range events {
				if q.Selects(&r.Event) {
					found = append(found, r)
				}
			}
		}
		return nil
	}
	err := x.candidates(ctx, q, func(list []uint64) (more bool, err error) {
		waiting = append(waiting, list...)
		if err := take(false); err != nil {
			return false, err
		}
		return len(found) < want, nil
	})
	if err == nil {
		err = take(true)
	}
	if err != nil {
		return nil, err
	}
	return found, nil
}

// candidates hands over the indices of events that have all terms of the query, span by
// span, in the query's order.
func (x *Index) candidates(ctx context.Context, q Query, take func([]uint64) (more bool, err error)) error {
	terms := q.terms()
	from, columns, base := "spans s", "s.first, s.events", "s"
	var fixed conditions
	for i, t := range terms {
		p := fmt.Sprintf("p%d", i)
		if i == 0 {
			from, columns, base = "postings p0", "p0.first, p0.list", "p0"
		} else {
			// In SQLite the order of a CROSS JOIN is that of the loops.
			from, columns = from+" CROSS JOIN postings "+p, columns+", "+p+".list"
			fixed.add(p + ".first = p0.first")
		}
		fixed.add(p+".term = ?", t)
	}
	if !q.From.IsZero() || !q.To.IsZero() {
		if base != "s" {
			from += " CROSS JOIN spans s"
			fixed.add("s.first = " + base + ".first")
		}
		if !q.From.IsZero() {
			fixed.add("s.high >= ?", q.From.UnixMilli())
		}
		if !q.To.IsZero() {
			fixed.add("s.low < ?", q.To.UnixMilli())
		}
	}
	low := uint64(0)
	if q.HasAfter {
		// The span that the next event lies in may have begun before it.
		if err := x.query(ctx, "SELECT coalesce(max(first), 0) FROM spans WHERE first <= ?", []any{int64(q.After) + 1}, func(rows *sql.Rows) error {
			return rows.Scan(&low)
		}); err != nil {
			return err
		}
		fixed.add(base+".first >= ?", int64(low))
	}
	if q.HasBefore {
		fixed.add(base+".first < ?", int64(q.Before))
	}
	order, further := " ORDER BY "+base+".first", " > ?"
	if q.Newest {
		order, further = order+" DESC", " < ?"
	}
	// Spans of a quiet log have one event each, so there may have to be as many of them.
	page := min(max(limit(q.Limit), 16), 1024)
	for at := (*uint64)(nil); ; {
		where := conditions{slices.Clone(fixed.parts), slices.Clone(fixed.args)}
		if at != nil {
			where.add(base+".first"+further, int64(*at))
		}
		var spans [][]uint64
		seen, last := 0, uint64(0)
		err := x.query(ctx, "SELECT "+columns+" FROM "+from+where.String()+order+fmt.Sprintf(" LIMIT %d", page), where.args, func(rows *sql.Rows) error {
			list, first, err := scanSpan(rows, len(terms))
			seen, last = seen+1, first
			spans = append(spans, list)
			return err
		})
		if err != nil {
			return err
		}
		for _, list := range spans {
			list = slices.DeleteFunc(list, func(i uint64) bool { return q.HasAfter && i <= q.After || q.HasBefore && i >= q.Before })
			if q.Newest {
				slices.Reverse(list)
			}
			if more, err := take(list); err != nil || !more {
				return err
			}
		}
		if seen < page {
			return nil
		}
		at = &last
	}
}

// scanSpan reads which events of one span have all terms.
func scanSpan(rows *sql.Rows, terms int) (list []uint64, first uint64, err error) {
	if terms == 0 {
		var count uint64
		if err := rows.Scan(&first, &count); err != nil {
			return nil, 0, err
		}
		for i := range min(count, maxSpan) {
			list = append(list, first+i)
		}
		return list, first, nil
	}
	raw := make([][]byte, terms)
	into := []any{&first}
	for i := range raw {
		into = append(into, &raw[i])
	}
	if err := rows.Scan(into...); err != nil {
		return nil, 0, err
	}
	list = decodeList(first, raw[0])
	for _, other := range raw[1:] {
		list = intersect(list, decodeList(first, other))
	}
	return list, first, nil
}

// intersect keeps of a what is in b; both are in order.
func intersect(a, b []uint64) []uint64 {
	out := a[:0]
	for _, v := range a {
		for len(b) > 0 && b[0] < v {
			b = b[1:]
		}
		if len(b) > 0 && b[0] == v {
			out = append(out, v)
		}
	}
	return out
}

// fetch reads events by their indices, which are in the order that is asked for.
func (x *Index) fetch(ctx context.Context, indices []uint64, newest bool) ([]Receipt, error) {
	low, high := indices[0], indices[len(indices)-1]
	if newest {
		low, high = high, low
	}
	where, args := "idx BETWEEN ? AND ?", []any{int64(low), int64(high)}
	if high-low != uint64(len(indices)-1) {
		where, args = "idx IN (?"+strings.Repeat(",?", len(indices)-1)+")", args[:0]
		for _, i := range indices {
			args = append(args, int64(i))
		}
	}
	order := ""
	if newest {
		order = " DESC"
	}
	found := make([]Receipt, 0, len(indices))
	err := x.query(ctx, "SELECT idx, json FROM events WHERE "+where+" ORDER BY idx"+order, args, func(rows *sql.Rows) error {
		var index uint64
		var raw sql.RawBytes
		if err := rows.Scan(&index, &raw); err != nil {
			return err
		}
		r, err := decodeReceipt(index, raw)
		found = append(found, r)
		return err
	})
	return found, err
}

// Once returns the event that has that key, if there is one.
func (x *Index) Once(ctx context.Context, once string) (Receipt, bool, error) {
	if err := x.await(ctx); err != nil {
		return Receipt{}, false, err
	}
	return x.once(ctx, once)
}

// once answers from what is in the index now.
func (x *Index) once(ctx context.Context, once string) (Receipt, bool, error) {
	return x.one(ctx, "SELECT e.idx, e.json FROM once o JOIN events e ON e.idx = o.idx WHERE o.key = ?", once)
}

func (x *Index) one(ctx context.Context, text string, arg any) (r Receipt, found bool, err error) {
	err = x.query(ctx, text, []any{arg}, func(rows *sql.Rows) error {
		var raw sql.RawBytes
		if err := rows.Scan(&r.Index, &raw); err != nil {
			return err
		}
		r, err = decodeReceipt(r.Index, raw)
		found = err == nil
		return err
	})
	return r, found, err
}

// Event returns the event of that ID, if there is one.
func (x *Index) Event(ctx context.Context, eventID string) (Receipt, bool, error) {
	if _, _, err := parseEventID(eventID); err != nil {
		return Receipt{}, false, nil // no event has such an ID
	}
	found, err := x.Events(ctx, Query{id: eventID, Limit: 1})
	if err != nil || len(found) == 0 {
		return Receipt{}, false, err
	}
	return found[0], true, nil
}

// ChangeQuery selects changes. Zero fields do not select.
type ChangeQuery struct {
	Requester string // who submitted it
	App       string
	OpenOnly  bool
	Limit     int // default 1000, at most 10000
	Offset    int
}

// ChangeIDs lists changes by newest event first. OpenOnly selects those with no end
// event (go-live, reject-change, cancel-change, expire-change).
func (x *Index) ChangeIDs(ctx context.Context, q ChangeQuery) ([]string, error) {
	if err := x.await(ctx); err != nil {
		return nil, err
	}
	var where conditions
	if q.Requester != "" {
		where.add("requester = ?", q.Requester)
	}
	if q.App != "" {
		where.add("change IN (SELECT change FROM apps WHERE app = ?)", q.App)
	}
	if q.OpenOnly {
		where.add("ended = 0")
	}
	ids := []string{}
	err := x.query(ctx, "SELECT change FROM changes"+where.String()+" ORDER BY last DESC LIMIT ? OFFSET ?",
		append(where.args, int64(limit(q.Limit)), int64(max(q.Offset, 0))), func(rows *sql.Rows) error {
			var id string
			err := rows.Scan(&id)
			ids = append(ids, id)
			return err
		})
	return ids, err
}
