package audit

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the generated files")

// golden compares with a file below docs, or writes it.
func golden(t *testing.T, name string, content []byte) {
	t.Helper()
	path := filepath.Join("..", "docs", name)
	if *update {
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, content) {
		t.Errorf("docs/%s is not as the code says. Run: go test ./audit -run %s -update", name, t.Name())
	}
}

const eventsPreface = `# The events of the audit log

<!-- Made by go test ./audit -run TestEventsPage -update from the table in audit/actions.go. -->

Every step of the system is one event. An event is a JSON object in the form of RFC 8785, described by
[event.schema.json](event.schema.json). Names may be added, none is renamed.

- ` + "`event_id`" + ` is a UUID version 7 (RFC 9562): the time in it is when the event was recorded. ` + "`timestamp`" + ` is when it happened.
- ` + "`once`" + ` is a key that at most one event of a log has: a step that is repeated after a crash records nothing twice.
- ` + "`artifact_refs`" + ` names documents by digest. They lie beside the log in ` + "`documents/`" + ` and can be erased there; the log stays whole.
- ` + "`signature`" + ` is a detached JWS (RFC 7515 appendix F; EdDSA, or ES256 for a key on P-256 and then with the smaller of the two possible S) over the RFC 8785 form of all other members, by the key ` + "`key_id`" + ` (RFC 7638).

The log is laid out as C2SP tlog-tiles: entry bundles, hash tiles and a signed checkpoint, so that any client of that
format can read and prove it.

## What verification proves, and what it does not
` + "`slipway audit verify`" + ` needs the log's files and a keys file that came by another way. A log without problems is, event for
event, what its writer signed, in that order, with nothing removed before the checkpoint. A single altered byte is reported with its file and,
where it is in an entry, with the entry's number.

It does not prove that the writer told the truth, and somebody who has both of the writer's keys can write another log from the
beginning. Against that helps who else has seen the log: a kept checkpoint, a mirror on write-once storage, witnesses
and timestamps ([witness.md](witness.md), the checks ` + "`witnesses`" + ` and ` + "`timestamps`" + `). An older,
shorter copy of the log is sound by itself; the server refuses to start on one, because its index has seen more.

## When keys change
The last event that a key signs is a ` + "`rotate-key`" + ` that names the next one, so verification follows from a key that is trusted to those that came
after it, and an old keys file goes on being good. Each key counts for its own part of the log only: an event by a key that had been replaced, or by
one whose turn had not come, is reported (` + "`key-history`" + `). That also holds for keys that the keys file has. A key that signed before does not come
back. Whoever has stolen an old key *and* the key of the checkpoints can still write another log from the beginning; see above for what helps.

## Actions
`

func TestEventsPage(t *testing.T) {
	var page bytes.Buffer
	page.WriteString(eventsPreface)
	actions := Actions()
	for _, action := range slices.Sorted(maps.Keys(actions)) {
		meaning := actions[action]
		fmt.Fprintf(&page, "\n### %s\n%s\n\n", action, meaning.Text)
		e := meaning.Example
		e.Action = action
		e.EventID, e.KeyID = "0197d2b4-7c1e-7a3b-9c2d-5e6f708192a3", "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
		e.Timestamp = time.Date(2026, 6, 30, 9, 15, 0, 250e6, time.UTC)
		e.Signature = "eyJhbGciOiJFZERTQSIs…..…"
		e.normalise()
		var example bytes.Buffer
		encoder := json.NewEncoder(&example)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(e); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&page, "```json\n%s```\n", example.String())
	}
	golden(t, "events.md", page.Bytes())
}

// Every action has a meaning and an example that could be appended.
func TestActionsAreDescribed(t *testing.T) {
	for action, meaning := range Actions() {
		e := meaning.Example
		e.Action = action
		if err := e.Validate(); err != nil {
			t.Errorf("%s: %v", action, err)
		}
		if !strings.HasSuffix(meaning.Text, ".") {
			t.Errorf("%s: no sentence: %q", action, meaning.Text)
		}
		var details map[string]any
		if err := json.Unmarshal(e.Details, &details); err != nil {
			t.Errorf("%s: %v", action, err)
		}
	}
	// The constants are all in the table.
	source, err := os.ReadFile("event.go")
	if err != nil {
		t.Fatal(err)
	}
	if constants := strings.Count(string(source), ` Action = "`); constants != len(Actions()) {
		t.Errorf("%d actions are declared, %d described", constants, len(Actions()))
	}
}

func TestEventSchema(t *testing.T) {
	text := func(what string) map[string]any { return map[string]any{"type": "string", "description": what} }
	object := func(what string, properties map[string]any, required ...string) map[string]any {
		o := map[string]any{"type": "object", "description": what, "properties": properties}
		if len(required) > 0 {
			o["required"] = required
		}
		return o
	}
	properties := map[string]any{
		"event_id":  map[string]any{"type": "string", "format": "uuid", "description": "UUID version 7: when the event was recorded."},
		"timestamp": map[string]any{"type": "string", "format": "date-time", "description": "When it happened, UTC."},
		"actor": object("Who did it.", map[string]any{
			"id":   text("An e-mail address, or “slipway” for the system itself."),
			"role": text("In which role."),
		}, "id", "role"),
		"action": map[string]any{"type": "string", "enum": slices.Sorted(maps.Keys(Actions())), "description": "What happened; see events.md."},
		"resource": object("What it happened to.", map[string]any{
			"zone": text("A zone."), "record": text("A name in it."), "type": text("A record type."), "app": text("A micro app."), "name": text("Whatever else."),
		}),
		"approval_chain": map[string]any{"type": "array", "items": map[string]any{"type": "string"}, "description": "Who approved, in order. Empty for an approval by rule."},
		"git_commit":     text("A commit of the zones repository, or empty."),
		"artifact_refs": map[string]any{"type": "object", "description": "Documents by digest.",
			"additionalProperties": map[string]any{"type": "string", "pattern": `^sha256:[0-9a-f]{64}$`}},
		"change":    text("The change it is about."),
		"once":      text("At most one event in a log has this key."),
		"details":   map[string]any{"type": "object", "description": "More, as events.md shows for the action."},
		"key_id":    text("RFC 7638 thumbprint of the key that signed the event."),
		"signature": text("Detached JWS over the RFC 8785 form of all other members."),
	}
	var required []string
	for field := range reflect.TypeFor[Event]().Fields() {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if _, described := properties[name]; !described {
			t.Errorf("%s is not in the schema", name)
		}
		if options == "" {
			required = append(required, name)
		}
	}
	schema := object("One entry of Slipway's audit log.", properties, required...)
	schema["$schema"], schema["title"] = "https://json-schema.org/draft/2020-12/schema", "Event"
	raw, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "event.schema.json", append(raw, '\n'))
}
