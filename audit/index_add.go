package audit

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// The tables of an index, as SQLite spells them.
const tables = `
CREATE TABLE events(idx INTEGER PRIMARY KEY, json BLOB NOT NULL);
CREATE TABLE spans(first INTEGER PRIMARY KEY, low BIGINT NOT NULL, high BIGINT NOT NULL, events BIGINT NOT NULL);
CREATE TABLE postings(term BIGINT, first BIGINT, list BLOB NOT NULL, PRIMARY KEY(term, first)) WITHOUT ROWID;
CREATE TABLE once(key TEXT PRIMARY KEY, idx BIGINT NOT NULL) WITHOUT ROWID;
CREATE TABLE apps(app TEXT, change TEXT, PRIMARY KEY(app, change)) WITHOUT ROWID;
CREATE TABLE changes(change TEXT PRIMARY KEY, last BIGINT NOT NULL, ended BIGINT NOT NULL, requester TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX changes_last ON changes(last);
CREATE INDEX changes_requester ON changes(requester, last);
`

// maxSpan bounds the events of a span, and so what a query reads at once.
const maxSpan = 4096

// indexed is one event to be added, with its bytes in the log.
type indexed struct {
	Receipt
	raw []byte
}

// field is what an event can be selected by. The numbers are in the index.
type field byte

const (
	byChange field = iota + 1
	byCommit
	byDocument
	byRecord
	byApp
	byZone
	byActor
	byAction
	byMoment // the millisecond in which it was recorded, which its ID begins with

	fields = byMoment
)

// moment is the part of an event's ID that is a time (RFC 9562 section 5.7).
func moment(eventID string) string { return eventID[:min(len(eventID), 13)] }

// term is a field with a value, as the index knows it. Two that happen to be the same
// number do no harm: whatever is found is compared with what was asked for.
func term(f field, value string) int64 {
	sum := sha256.Sum256(append([]byte{byte(f)}, value...))
	return int64(binary.BigEndian.Uint64(sum[:]))
}

// span is what the events that are added together have in common.
type span struct {
	first, count uint64
	low, high    int64 // times, in Unix milliseconds
	lists        map[field]map[string]*posting
	changes      map[string]*changeRow
	apps         map[[2]string]bool
}

// posting is which events of a span have a term: how far each is from the one before, the
// first from the beginning of the span.
type posting struct {
	list []byte
	at   uint64 // the next that could follow
}

type changeRow struct {
	last      uint64
	ended     bool
	requester string
}

func newSpan(first uint64) *span {
	s := &span{first: first, lists: map[field]map[string]*posting{}, changes: map[string]*changeRow{}, apps: map[[2]string]bool{}}
	for f := byChange; f <= fields; f++ {
		s.lists[f] = map[string]*posting{}
	}
	return s
}

func (s *span) note(f field, value string, index uint64) {
	if value == "" {
		return
	}
	p := s.lists[f][value]
	if p == nil {
		p = &posting{at: s.first}
		s.lists[f][value] = p
	}
	if index < p.at {
		return // once more, by another name
	}
	p.list = binary.AppendUvarint(p.list, index-p.at)
	p.at = index + 1
}

func (s *span) take(r *Receipt) {
	e := &r.Event
	at := e.Timestamp.UnixMilli()
	if s.count == 0 {
		s.low, s.high = at, at
	}
	s.low, s.high = min(s.low, at), max(s.high, at)
	s.count++
	s.note(byMoment, moment(e.EventID), r.Index)
	s.note(byAction, string(e.Action), r.Index)
	s.note(byActor, e.Actor.ID, r.Index)
	s.note(byChange, e.Change, r.Index)
	s.note(byApp, e.Resource.App, r.Index)
	s.note(byZone, e.Resource.Zone, r.Index)
	s.note(byRecord, e.Resource.Record, r.Index)
	s.note(byCommit, e.GitCommit, r.Index)
	for _, digest := range e.ArtifactRefs {
		s.note(byDocument, digest, r.Index)
	}
	if e.Change == "" {
		return
	}
	c := s.changes[e.Change]
	if c == nil {
		c = &changeRow{}
		s.changes[e.Change] = c
	}
	c.last, c.ended = r.Index, c.ended || e.Action.ends()
	if e.Action == SubmitChange && c.requester == "" {
		c.requester = e.Actor.ID
	}
	if e.Resource.App != "" {
		s.apps[[2]string{e.Resource.App, e.Change}] = true
	}
}

// postingRow is a posting as it goes into the index.
type postingRow struct {
	term int64
	list []byte
}

// postings are in the order of the table, so that neighbours are written together.
func (s *span) postings() []postingRow {
	var rows []postingRow
	for f, values := range s.lists {
		for value, p := range values {
			rows = append(rows, postingRow{term(f, value), p.list})
		}
	}
	slices.SortFunc(rows, func(a, b postingRow) int { return cmp.Compare(a.term, b.term) })
	// Two values with one number share a row, with the events of either.
	merged := rows[:0]
	for _, r := range rows {
		if last := len(merged) - 1; last >= 0 && merged[last].term == r.term {
			merged[last].list = merge(merged[last].list, r.list)
			continue
		}
		merged = append(merged, r)
	}
	return merged
}

func merge(a, b []byte) []byte {
	all := slices.Concat(decodeList(0, a), decodeList(0, b))
	slices.Sort(all)
	var out []byte
	next := uint64(0)
	for _, i := range slices.Compact(all) {
		out, next = binary.AppendUvarint(out, i-next), i+1
	}
	return out
}

// decodeList reads a posting of the span that begins at first.
func decodeList(first uint64, list []byte) []uint64 {
	out := make([]uint64, 0, len(list))
	for next := first; len(list) > 0; {
		gap, n := binary.Uvarint(list)
		if n <= 0 || len(out) == maxSpan {
			return out // damaged: what is read is compared with what was asked for
		}
		list = list[n:]
		out = append(out, next+gap)
		next += gap + 1
	}
	return out
}

// inserts are the statements that add works with.
type inserts struct {
	event, span, posting, once, app, change *insertion
}

// insertion inserts rows into one table, several by one statement where that is best.
type insertion struct {
	columns, rows int
	many, one     *sql.Stmt
}

func (x *Index) prepare(ctx context.Context) error {
	x.insert = &inserts{}
	for _, i := range []struct {
		into           **insertion
		table, columns string
		conflict       string
		alone          bool // rows of one statement may not touch the same row
	}{
		{&x.insert.event, "events", "idx,json", "", false},
		{&x.insert.span, "spans", "first,low,high,events", "", false},
		{&x.insert.posting, "postings", "term,first,list", "", false},
		// The first event with a key counts. A second one in the log is for Verify to report.
		{&x.insert.once, "once", "key,idx", " ON CONFLICT DO NOTHING", false},
		{&x.insert.app, "apps", "app,change", " ON CONFLICT DO NOTHING", false},
		{&x.insert.change, "changes", "change,last,ended,requester", ` ON CONFLICT(change) DO UPDATE SET
			last = excluded.last, ended = CASE WHEN changes.ended > 0 THEN changes.ended ELSE excluded.ended END,
			requester = CASE changes.requester WHEN '' THEN excluded.requester ELSE changes.requester END`, false},
	} {
		n := strings.Count(i.columns, ",") + 1
		row := "(?" + strings.Repeat(",?", n-1) + ")"
		in := &insertion{columns: n, rows: x.db.rows()}
		text := func(rows int) string {
			return x.db.bind("INSERT INTO " + i.table + "(" + i.columns + ") VALUES" + row + strings.Repeat(","+row, rows-1) + i.conflict)
		}
		var err error
		if in.one, err = x.writer.PrepareContext(ctx, text(1)); err == nil && in.rows > 1 {
			in.many, err = x.writer.PrepareContext(ctx, text(in.rows))
		}
		if err != nil {
			return x.damage(ctx, err)
		}
		*i.into = in
	}
	return nil
}

// run inserts rows, whose values come one after the other.
func (i *insertion) run(ctx context.Context, tx *sql.Tx, values []any) error {
	if i.many != nil && len(values) >= i.rows*i.columns {
		many := tx.StmtContext(ctx, i.many)
		for ; len(values) >= i.rows*i.columns; values = values[i.rows*i.columns:] {
			if _, err := many.ExecContext(ctx, values[:i.rows*i.columns]...); err != nil {
				return err
			}
		}
	}
	one := tx.StmtContext(ctx, i.one)
	for ; len(values) > 0; values = values[i.columns:] {
		if _, err := one.ExecContext(ctx, values[:i.columns]...); err != nil {
			return err
		}
	}
	return nil
}

// add puts events into the index, in the order of the log, all or none.
func (x *Index) add(ctx context.Context, batch []indexed) error {
	if len(batch) == 0 {
		return nil
	}
	tx, err := x.writer.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("index: %w", err)
	}
	defer tx.Rollback()
	for part := range slices.Chunk(batch, maxSpan) {
		if err := x.addSpan(ctx, tx, part); err != nil {
			return fmt.Errorf("index: events %d to %d: %w", part[0].Index, part[len(part)-1].Index, err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("index: %w", err)
	}
	x.announce()
	return nil
}

func (x *Index) addSpan(ctx context.Context, tx *sql.Tx, part []indexed) error {
	s := newSpan(part[0].Index)
	events, once := make([]any, 0, 2*len(part)), make([]any, 0, 2*len(part))
	for i := range part {
		r := &part[i]
		s.take(&r.Receipt)
		events = append(events, int64(r.Index), r.raw)
		if r.Event.Once != "" {
			once = append(once, r.Event.Once, int64(r.Index))
		}
	}
	var postings, apps, changes []any
	for _, p := range s.postings() {
		postings = append(postings, p.term, int64(s.first), p.list)
	}
	for pair := range s.apps {
		apps = append(apps, pair[0], pair[1])
	}
	for id, c := range s.changes {
		ended := int64(0)
		if c.ended {
			ended = 1
		}
		changes = append(changes, id, int64(c.last), ended, c.requester)
	}
	for _, i := range []struct {
		*insertion
		values []any
	}{
		{x.insert.event, events}, {x.insert.span, []any{int64(s.first), s.low, s.high, int64(s.count)}}, {x.insert.posting, postings},
		{x.insert.once, once}, {x.insert.app, apps}, {x.insert.change, changes},
	} {
		if err := i.run(ctx, tx, i.values); err != nil {
			return err
		}
	}
	return nil
}
