package audit

import (
	"context"
	"fmt"
	"time"
)

// Counts says how many events of each action there are in a period: from included, to
// not. A zero time does not bound it, and an action without events is not in the map.
func (x *Index) Counts(ctx context.Context, from, to time.Time) (map[Action]int, error) {
	if err := x.await(ctx); err != nil {
		return nil, err
	}
	var where conditions
	if !from.IsZero() {
		where.add("time >= ?", from.UnixMilli())
	}
	if !to.IsZero() {
		where.add("time < ?", to.UnixMilli())
	}
	rows, err := x.readers.QueryContext(ctx, "SELECT action, count(*) FROM events"+where.String()+" GROUP BY action", where.args...)
	if err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	defer rows.Close()
	counts := map[Action]int{}
	for rows.Next() {
		var action Action
		var n int
		if err := rows.Scan(&action, &n); err != nil {
			return nil, fmt.Errorf("index: %w", err)
		}
		counts[action] = n
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	return counts, nil
}
