package mirror

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"slipway/audit"
)

// Documents says which documents are copied, by the names that events call them by. What
// is under a lock cannot be erased before its time, so only documents should be that
// no person may ask to have erased: see DefaultDocuments.
type Documents struct {
	All   bool     `json:"all,omitempty"`
	Names []string `json:"names"` // in order
}

// DefaultDocuments are those that Slipway writes itself, about DNS, rules and
// certificates. Requests, reports from outside and the files of apps are left out:
// people write them, and may write about people.
var DefaultDocuments = Documents{Names: []string{
	"certificate", "checkpoint", "ct-proof", "drift", "drift-report", "plan", "receipt", "timestamp", "verdict", "zone-after", "zone-before",
}}

const maxNames = 64

// ParseDocuments reads the setting: "none", "all", or names. No word at all is the default.
func ParseDocuments(words []string) (Documents, error) {
	switch {
	case len(words) == 0:
		return DefaultDocuments, nil
	case len(words) == 1 && words[0] == "none":
		return Documents{Names: []string{}}, nil
	case len(words) == 1 && words[0] == "all":
		return Documents{All: true, Names: []string{}}, nil
	case len(words) > maxNames, slices.Contains(words, "none"), slices.Contains(words, "all"):
		return Documents{}, fmt.Errorf("write none, all, or at most %d names of documents such as %s", maxNames, strings.Join(DefaultDocuments.Names, ", "))
	}
	names := slices.Clone(words)
	slices.Sort(names)
	return Documents{Names: slices.Compact(names)}, nil
}

// Has says whether documents of that name are copied.
func (d Documents) Has(name string) bool { return d.All || slices.Contains(d.Names, name) }

// note is how the store knows it.
func (d Documents) note() ([]byte, error) {
	if d.Names == nil {
		d.Names = []string{}
	}
	return json.Marshal(d)
}

// mention is what has to be known of an event.
type mention struct {
	Action   audit.Action `json:"action"`
	Resource struct {
		Name string `json:"name"`
	} `json:"resource"`
	Refs map[string]string `json:"artifact_refs"`
}

const (
	batchBytes = 8 << 20 // of documents that are held at once
	maxPut     = 100_000 // documents that are remembered as copied
	maxMissing = 1_000   // documents that are looked for again
)

// copyDocuments copies what the events of a bundle refer to.
func (m *Mirror) copyDocuments(ctx context.Context, start uint64, entries [][]byte) error {
	if !m.o.Documents.All && len(m.o.Documents.Names) == 0 {
		return nil
	}
	batch, size := []object{}, 0
	flush := func() error {
		err := m.putAll(ctx, batch)
		batch, size = batch[:0], 0
		return err
	}
	for i, raw := range entries {
		index := start + uint64(i)
		if index < m.papers {
			continue
		}
		var e mention
		if err := json.Unmarshal(raw, &e); err != nil {
			return fmt.Errorf("mirror: entry %d is not an event: %w", index, err)
		}
		if e.Action == audit.EraseDocument {
			delete(m.missing, e.Resource.Name)
		}
		for name, digest := range e.Refs {
			if !m.o.Documents.Has(name) || m.put[digest] {
				continue
			}
			o, err := m.document(ctx, digest)
			if absent(err) {
				if len(m.missing) < maxMissing {
					m.missing[digest] = index
				}
				continue
			}
			if err != nil {
				return err
			}
			if batch, size = append(batch, o), size+len(o.content); size >= batchBytes || len(batch) >= chunk {
				if err := flush(); err != nil {
					return err
				}
			}
			m.remember(digest)
		}
	}
	if err := flush(); err != nil {
		return err
	}
	m.papers = max(m.papers, start+uint64(len(entries)))
	return nil
}

func (m *Mirror) remember(digest string) {
	if len(m.put) >= maxPut {
		clear(m.put)
	}
	m.put[digest] = true
}

func (m *Mirror) document(ctx context.Context, digest string) (object, error) {
	name, err := audit.DocumentName(digest)
	if err != nil {
		return object{}, fmt.Errorf("mirror: %w", err)
	}
	content, err := audit.ReadDocument(ctx, m.o.Dir, digest)
	if err != nil {
		return object{}, fmt.Errorf("mirror: %w", err)
	}
	return object{name, content}, nil
}

// copyMissing looks again for documents that were not there, one that was restored from a
// backup for example. Whether one was erased on record is seen in the events as they come.
func (m *Mirror) copyMissing(ctx context.Context) error {
	for digest := range m.missing {
		o, err := m.document(ctx, digest)
		if absent(err) {
			continue
		}
		if err == nil {
			err = m.o.Store.Put(ctx, o.name, o.content)
		}
		if err != nil {
			return err
		}
		delete(m.missing, digest)
		m.remember(digest)
	}
	return nil
}
