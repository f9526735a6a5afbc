package audit

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"

	"github.com/go-jose/go-jose/v4"

	"slipway/key"
)

// rotation is what a rotate-key event says. The event is the last that the old key signs.
type rotation struct {
	Because string          `json:"because"`
	Key     jose.JSONWebKey `json:"key"` // signs everything after it
}

// rotationOf reads which key an event hands over to.
func rotationOf(e *Event) (id string, pub crypto.PublicKey, err error) {
	var r rotation
	if err := json.Unmarshal(e.Details, &r); err != nil {
		return "", nil, fmt.Errorf("the next key cannot be read: %w", err)
	}
	if id, err = key.Thumbprint(r.Key.Key); err != nil {
		return "", nil, fmt.Errorf("the next key: %w", err)
	}
	if id != e.Resource.Name {
		return "", nil, errors.New("the next key is not the one that the event is about")
	}
	return id, r.Key.Key, nil
}

// Rotate hands over to another event key, on record: the old key signs an event that
// names the next one, and from then on the next one signs. Whoever trusts the first key
// can follow, so earlier signatures keep their worth and nobody has to be told. A key
// that has signed before does not come back.
//
// While the event is on its way nothing else is appended. Should it fail, the log takes
// no more events until it is opened again, with the key that Open then asks for.
func (l *Log) Rotate(ctx context.Context, by Actor, next *key.Signer, because string) (Receipt, error) {
	if err := ctx.Err(); err != nil {
		return Receipt{}, err
	}
	signer, err := newEventSigner(next)
	if err != nil {
		return Receipt{}, err
	}
	details, err := json.Marshal(rotation{because, jose.JSONWebKey{Key: next.Public(), KeyID: next.ID(), Algorithm: next.Algorithm(), Use: "sig"}})
	if err != nil {
		return Receipt{}, err
	}
	p := newPending(Event{Actor: by, Action: RotateKey, Resource: Resource{Name: next.ID()}, Details: details})
	if err := p.receipt.Event.Validate(); err != nil {
		return Receipt{}, fmt.Errorf("event %s: %w", RotateKey, err)
	}
	if err := l.follower.reserve(ctx, p.weight); err != nil {
		return Receipt{}, err
	}
	l.gate.Lock()
	defer l.gate.Unlock()
	if _, used := l.keys.Events[next.ID()]; used {
		l.refuse(p, fmt.Errorf("%s signs this log's events or has done so before: make another key", next))
		return Receipt{}, p.err
	}
	if err := l.admit(p); err != nil {
		l.refuse(p, err)
		return Receipt{}, err
	}
	l.queue <- p
	<-p.answered
	if p.err != nil {
		l.halted = fmt.Errorf("the audit log takes no events because it is not known whether its key was rotated. Start the server again: %w", p.err)
		return Receipt{}, l.halted
	}
	l.o.Events, l.signer = next, signer
	l.keys.Events = maps.Clone(l.keys.Events)
	l.keys.Events[next.ID()] = next.Public()
	return p.receipt, nil
}

// nextKey is the ID of the key whose turn it is after an event.
func (e *Event) nextKey() string {
	if e.Action == RotateKey {
		return e.Resource.Name
	}
	return e.KeyID
}

// CurrentKey says which key's turn it is in the log below dir, by its ID: Open takes no
// other. It asks the log's own files, so that no setting or list beside them can
// bring back a key that was replaced. A log not yet begun has none, which is "".
func CurrentKey(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, logDir)
	state, err := readTreeState(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && state.Size == 0 {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("audit log %s: %s: %w", dir, treeStateFile, err)
	}
	for e, err := range entries(ctx, path, state.Size-1, state.Size) {
		if err != nil {
			return "", fmt.Errorf("audit log %s: %w", dir, err)
		}
		last, err := e.receipt()
		if err != nil {
			return "", fmt.Errorf("audit log %s: %w", dir, err)
		}
		return last.Event.nextKey(), nil
	}
	return "", fmt.Errorf("audit log %s: its last event is missing", dir)
}

// takeUp reads from a log that is there which keys its events were signed with, and
// refuses to go on with another key than the one whose turn it is: nobody could
// verify what came next.
func (l *Log) takeUp(ctx context.Context) error {
	ends := make([]Event, 0, 2)
	for _, newest := range []bool{false, true} {
		found, err := l.index.Events(ctx, Query{Newest: newest, Limit: 1})
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return nil // a new log
		}
		ends = append(ends, found[0].Event)
	}
	first, last := ends[0], ends[1]
	if _, recorded, err := parseEventID(last.EventID); err == nil {
		l.latest.Store(recorded.UnixMilli())
	}
	current := last.nextKey()
	if current != l.o.Events.ID() {
		return fmt.Errorf("its events are signed by the key %s, and this is another one (%s). Open it with its own key, and rotate the key if another one shall sign", current, l.o.Events.ID())
	}
	if began, err := ReadKeys(bytes.NewReader(first.Details)); err == nil && first.Action == StartLog {
		maps.Copy(l.keys.Events, began.Events)
	}
	for q := (Query{Action: RotateKey, Limit: maxLimit}); ; {
		page, err := l.index.Events(ctx, q)
		if err != nil {
			return err
		}
		for _, r := range page {
			id, pub, err := rotationOf(&r.Event)
			if err != nil {
				return fmt.Errorf("event %d: %w", r.Index, err)
			}
			l.keys.Events[id] = pub
		}
		if len(page) < maxLimit {
			return nil
		}
		q.Next(page[len(page)-1])
	}
}
