package audit

import (
	"context"
	"database/sql"
	"slices"
	"time"
)

// Counts says how many events of each action there are in a period: from included, to
// not. A zero time does not bound it, and an action without events is not in the map.
func (x *Index) Counts(ctx context.Context, from, to time.Time) (map[Action]int, error) {
	if err := x.await(ctx); err != nil {
		return nil, err
	}
	counts := map[Action]int{}
	for action := range actions {
		n, err := x.count(ctx, Query{Action: action, From: from, To: to})
		if err != nil {
			return nil, err
		}
		if n > 0 {
			counts[action] = n
		}
	}
	return counts, nil
}

// count is how many events have the query's one term, in its period. Of a span that lies
// within the period as a whole the list is enough, and only at its edges events are read.
func (x *Index) count(ctx context.Context, q Query) (n int, err error) {
	inside, args := "1 = 1", []any(nil)
	if !q.From.IsZero() {
		inside, args = inside+" AND s.low >= ?", append(args, q.From.UnixMilli())
	}
	if !q.To.IsZero() {
		inside, args = inside+" AND s.high < ?", append(args, q.To.UnixMilli())
	}
	where := conditions{args: args}
	where.add("p.term = ?", q.terms()[0])
	where.add("s.first = p.first")
	if !q.From.IsZero() {
		where.add("s.high >= ?", q.From.UnixMilli())
	}
	if !q.To.IsZero() {
		where.add("s.low < ?", q.To.UnixMilli())
	}
	var edge [][]uint64
	err = x.query(ctx, "SELECT p.first, p.list, CASE WHEN "+inside+" THEN 1 ELSE 0 END FROM postings p CROSS JOIN spans s"+where.String(), where.args, func(rows *sql.Rows) error {
		var first uint64
		var raw []byte
		var whole bool
		if err := rows.Scan(&first, &raw, &whole); err != nil {
			return err
		}
		if list := decodeList(first, raw); whole {
			n += len(list)
		} else {
			edge = append(edge, list)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for _, list := range edge {
		for part := range slices.Chunk(list, fetchAtOnce) {
			events, err := x.fetch(ctx, part, false)
			if err != nil {
				return 0, err
			}
			for _, r := range events {
				if q.Selects(&r.Event) {
					n++
				}
			}
		}
	}
	return n, nil
}
