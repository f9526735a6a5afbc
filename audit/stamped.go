package audit

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"slipway/audit/timestamp"
)

// TimestampDetails goes with timestamp-checkpoint. The documents “timestamp” and
// “checkpoint” are what package timestamp verifies.
type TimestampDetails struct {
	Size   uint64    `json:"size"`
	Root   string    `json:"root"` // base64
	Time   time.Time `json:"time"` // as the authority signed it
	Signer string    `json:"signer"`
}

// Timestamped is what Verify found out about the timestamps.
type Timestamped struct {
	Count  int       `json:"count"`
	Size   uint64    `json:"size"` // how many events were there by the newest of them
	Time   time.Time `json:"time"`
	Signer string    `json:"signer"`
}

// stamps is in every timestamp-checkpoint event, and hardly in another.
var stamps = []byte(`"action":"` + string(TimestampCheckpoint) + `"`)

const (
	maxStamps = 100_000 // looked at
	// maxAhead is how far an event's time may be ahead of a timestamp that covers it: what
	// the server lets its own clock and the authority's differ by.
	maxAhead = 10 * time.Minute
)

// stampEvent is an event that says where a timestamp lies.
type stampEvent struct {
	file  string
	index uint64
	refs  map[string]string
}

func (v *verifier) stampEvent(file string, index uint64, entry []byte) {
	if e, err := parseEntry(entry); err == nil && e.event.Action == TimestampCheckpoint && len(v.stampEvents) < maxStamps {
		v.stampEvents = append(v.stampEvents, stampEvent{file, index, e.event.ArtifactRefs})
	}
}

// stamped verifies the timestamps that history has found, and returns the checkpoints that
// the log has to go on from. A document that is missing is found with the others.
func (v *verifier) stamped(ctx context.Context, origin string, logKey note.Verifier) ([]seen, error) {
	if v.roots == nil {
		return nil, nil
	}
	docs := &Documents{dir: filepath.Join(v.dir, documentsDir)}
	newest := Timestamped{}
	var all []seen
	for _, e := range v.stampEvents {
		if err := v.enough(ctx); err != nil {
			return nil, err
		}
		token, err := docs.Get(ctx, e.refs["timestamp"])
		if err != nil {
			continue
		}
		raw, err := docs.Get(ctx, e.refs["checkpoint"])
		if err != nil {
			continue
		}
		at, signer, err := timestamp.Verify(token, raw, v.roots)
		if err != nil {
			v.inLog(CheckTimestamps, e.file, &e.index, "The timestamp of event %d cannot be believed: %v.", e.index, err)
			continue
		}
		cp, err := openCheckpoint(raw, origin, logKey)
		switch {
		case err != nil:
			v.inLog(CheckTimestamps, e.file, &e.index, "What event %d has a timestamp of is not a checkpoint of %s signed by its key: %v.", e.index, origin, err)
			continue
		case cp.Size > e.index:
			v.inLog(CheckTimestamps, e.file, &e.index, "Event %d has a timestamp of a checkpoint of %d events, and only %d came before it.", e.index, cp.Size, e.index)
			continue
		}
		if cp.Size > 0 {
			if recorded, err := v.recorded(ctx, cp.Size-1); err == nil && recorded.After(at.Add(maxAhead)) {
				index := cp.Size - 1
				v.inLog(CheckTimestamps, e.file, &index, "Event %d says that it was recorded at %s, but it was there by %s, when an authority signed so (event %d).",
					index, recorded.Format(time.RFC3339), at.Format(time.RFC3339), e.index)
			}
		}
		all = append(all, seen{target: target{cp.Size, cp.Hash}, file: documentPath(strings.TrimPrefix(e.refs["checkpoint"], "sha256:")), check: CheckTimestamps})
		if newest.Count++; at.After(newest.Time) {
			newest.Size, newest.Time, newest.Signer = cp.Size, at, signer.Subject.String()
		}
	}
	v.report.Timestamped = &newest
	return all, nil
}
