package forward

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leodido/go-syslog/v4/rfc5424"

	"slipway/audit"
)

const origin = "slipway.finmicro.example/log"

// examples are the documented examples of all actions, as if they were in a log.
func examples() []audit.Receipt {
	var out []audit.Receipt
	for _, action := range slices.Sorted(func(yield func(audit.Action) bool) {
		for a := range audit.Actions() {
			if !yield(a) {
				return
			}
		}
	}) {
		e := audit.Actions()[action].Example
		e.Action, e.EventID, e.Timestamp = action, "0197d2b4-7c1e-7a3b-9c2d-5e6f708192a3", time.Date(2026, 6, 30, 9, 15, 0, 250e6, time.UTC)
		e.KeyID, e.Signature = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", "eyJhbGciOiJFZERTQSJ9..c2ln"
		out = append(out, audit.Receipt{Index: uint64(len(out)), Event: e})
	}
	return out
}

// ocsfModule carries the schema of OCSF 1.2.0 as its server exports it. It is no part of
// Slipway: the test downloads it.
const ocsfModule = "github.com/valllabh/ocsf-schema-golang@v1.0.3"

type ocsfAttribute struct {
	Type        string                     `json:"type"`
	ObjectType  string                     `json:"object_type"`
	Requirement string                     `json:"requirement"`
	IsArray     bool                       `json:"is_array"`
	Profile     string                     `json:"profile"`
	Enum        map[string]json.RawMessage `json:"enum"`
}

type ocsfSchema struct {
	Version string
	Classes map[string]struct {
		UID        int
		Attributes map[string]ocsfAttribute
	}
	Objects map[string]struct {
		Attributes  map[string]ocsfAttribute
		Constraints map[string][]string
	}
}

func loadOCSF(t *testing.T) *ocsfSchema {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module schema\n\ngo 1.24\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", ocsfModule)
	c.Dir, c.Env = dir, append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	out, err := c.Output()
	var module struct{ Dir string }
	if err == nil {
		err = json.Unmarshal(out, &module)
	}
	if err != nil || module.Dir == "" {
		t.Skipf("the schema of OCSF cannot be downloaded (%s): %v", ocsfModule, err)
	}
	raw, err := os.ReadFile(filepath.Join(module.Dir, "schema", "v1.2-schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var s ocsfSchema
	if err := json.Unmarshal(raw, &s); err != nil || s.Version != ocsfVersion {
		t.Fatalf("schema of OCSF %s: %v", s.Version, err)
	}
	return &s
}

// check holds a value against attributes, and says everything that is wrong.
func (s *ocsfSchema) check(place string, value map[string]any, attributes map[string]ocsfAttribute) (wrong []string) {
	for name, a := range attributes {
		if _, there := value[name]; !there && a.Requirement == "required" && a.Profile == "" {
			wrong = append(wrong, place+"."+name+" is required")
		}
	}
	for name, v := range value {
		a, known := attributes[name]
		if !known {
			wrong = append(wrong, place+"."+name+" is no attribute")
			continue
		}
		items := []any{v}
		if a.IsArray {
			list, ok := v.([]any)
			if !ok {
				wrong = append(wrong, place+"."+name+" is no array")
			}
			items = list
		}
		for _, item := range items {
			wrong = append(wrong, s.value(place+"."+name, item, a)...)
		}
	}
	return wrong
}

func (s *ocsfSchema) value(place string, v any, a ocsfAttribute) []string {
	switch a.Type {
	case "object_t":
		object, ok := v.(map[string]any)
		if !ok {
			return []string{place + " is no object"}
		}
		if a.ObjectType == "object" {
			return nil // anything
		}
		o := s.Objects[a.ObjectType]
		wrong := s.check(place, object, o.Attributes)
		if any := o.Constraints["at_least_one"]; len(any) > 0 && !slices.ContainsFunc(any, func(n string) bool { return object[n] != nil }) {
			wrong = append(wrong, place+" has none of "+strings.Join(any, ", "))
		}
		return wrong
	case "integer_t", "long_t", "timestamp_t":
		n, ok := v.(json.Number)
		if _, err := n.Int64(); !ok || err != nil {
			return []string{fmt.Sprintf("%s is no whole number: %v", place, v)}
		}
		if _, listed := a.Enum[n.String()]; len(a.Enum) > 0 && !listed {
			return []string{fmt.Sprintf("%s: %s is none of its values", place, n)}
		}
	case "boolean_t":
		if _, ok := v.(bool); !ok {
			return []string{place + " is no boolean"}
		}
	case "json_t":
	default:
		if _, ok := v.(string); !ok {
			return []string{place + " is no text"}
		}
	}
	return nil
}

func (s *ocsfSchema) validate(raw []byte) []string {
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.UseNumber()
	var event map[string]any
	if err := dec.Decode(&event); err != nil {
		return []string{err.Error()}
	}
	for _, class := range s.Classes {
		a := class.Attributes["class_uid"]
		if n, ok := event["class_uid"].(json.Number); ok {
			if _, its := a.Enum[n.String()]; its && len(a.Enum) == 1 {
				return s.check("event", event, class.Attributes)
			}
		}
	}
	return []string{fmt.Sprintf("class_uid %v is no class", event["class_uid"])}
}

// Every action, as OCSF, is valid against the schema of the release that it names.
func TestOCSFSchema(t *testing.T) {
	s := loadOCSF(t)
	for _, r := range examples() {
		raw, err := ocsf(origin, r)
		if err != nil {
			t.Fatal(err)
		}
		if wrong := s.validate(raw); len(wrong) > 0 {
			t.Errorf("%s: %s\n%s", r.Event.Action, strings.Join(wrong, "; "), raw)
		}
	}
	// The validator itself finds what is wrong.
	raw, err := ocsf(origin, examples()[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, broken := range map[string]string{
		"missing": strings.Replace(string(raw), `"severity_id":`, `"severity":`, 1),
		"unknown": strings.Replace(string(raw), `"message":`, `"massage":`, 1),
		"value":   strings.Replace(string(raw), `"status_id":4`, `"status_id":17`, 1),
	} {
		if broken == string(raw) || len(s.validate([]byte(broken))) == 0 {
			t.Errorf("%s: an event that is wrong passes", name)
		}
	}
}

// The classes are those that fit, not merely valid ones.
func TestOCSFClasses(t *testing.T) {
	want := map[audit.Action][2]int{
		audit.SignIn: {3002, 1}, audit.CreateAccount: {3001, 1}, audit.DisableAccount: {3001, 5}, audit.CreateDNSRecord: {3004, 1}, audit.DeleteDNSRecord: {3004, 4},
		audit.ApplyZone: {3004, 3}, audit.DetectDrift: {2004, 1}, audit.ResolveDrift: {2004, 3}, audit.CheckChange: {2003, 1}, audit.ApproveChange: {3004, 99}, audit.RefuseVote: {3004, 99},
	}
	for _, r := range examples() {
		w, ok := want[r.Event.Action]
		if !ok {
			continue
		}
		raw, err := ocsf(origin, r)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Class    int    `json:"class_uid"`
			Activity int    `json:"activity_id"`
			Type     int    `json:"type_uid"`
			Status   int    `json:"status_id"`
			Raw      string `json:"raw_data"`
		}
		if err = json.Unmarshal(raw, &got); err != nil || got.Class != w[0] || got.Activity != w[1] || got.Type != w[0]*100+w[1] {
			t.Errorf("%s: %+v, %v", r.Event.Action, got, err)
		}
		if failed := r.Event.Action == audit.RefuseVote; failed != (got.Status == 2) {
			t.Errorf("%s: status %d", r.Event.Action, got.Status)
		}
		if signed, _ := audit.Canonical(&r.Event); got.Raw != string(signed) {
			t.Errorf("%s: raw_data is not the signed event", r.Event.Action)
		}
	}
}

// The values that ECS 8.11 allows for the fields that it fixes.
var (
	ecsKinds      = []string{"alert", "asset", "enrichment", "event", "metric", "state", "pipeline_error", "signal"}
	ecsCategories = []string{"api", "authentication", "configuration", "database", "driver", "email", "file", "host", "iam", "intrusion_detection", "library", "malware", "network", "package", "process", "registry", "session", "threat", "vulnerability", "web"}
	ecsTypes      = []string{"access", "admin", "allowed", "change", "connection", "creation", "deletion", "denied", "end", "error", "group", "indicator", "info", "installation", "protocol", "start", "user"}
	// What is expected together (ECS, "event.category": expected event types).
	ecsTogether = map[string][]string{
		"authentication": {"start", "end", "info"}, "configuration": {"access", "change", "creation", "deletion", "info", "denied"},
		"iam": {"admin", "change", "creation", "deletion", "group", "info", "user"}, "intrusion_detection": {"allowed", "denied", "info"},
	}
)

func TestECS(t *testing.T) {
	for _, r := range examples() {
		raw, err := ecs(origin, r)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Time  time.Time `json:"@timestamp"`
			Event struct {
				Kind, Outcome, Action, ID string
				Category, Type            []string
			}
			User    struct{ Name string }
			Message string
			ECS     struct{ Version string }
		}
		if err := json.Unmarshal(raw, &got); err != nil {
			t.Fatal(err)
		}
		e := got.Event
		ok := slices.Contains(ecsKinds, e.Kind) && len(e.Category) == 1 && slices.Contains(ecsCategories, e.Category[0]) && !got.Time.IsZero() && got.ECS.Version == "8.11.0" &&
			e.Action == string(r.Event.Action) && got.User.Name == r.Event.Actor.ID && e.ID == r.Event.EventID && got.Message != ""
		for _, typ := range e.Type {
			ok = ok && slices.Contains(ecsTypes, typ) && slices.Contains(ecsTogether[e.Category[0]], typ)
		}
		if !ok || len(e.Type) == 0 {
			t.Errorf("%s: %s", r.Event.Action, raw)
		}
	}
}

// parseCEF reads a line as its format says, for the tests.
func parseCEF(line string) (header []string, extension map[string]string, ok bool) {
	var field strings.Builder
	i := 0
	for ; i < len(line) && len(header) < 7; i++ {
		switch {
		case line[i] == '\\' && i+1 < len(line) && (line[i+1] == '|' || line[i+1] == '\\'):
			i++
			field.WriteByte(line[i])
		case line[i] == '|':
			header = append(header, field.String())
			field.Reset()
		default:
			field.WriteByte(line[i])
		}
	}
	if len(header) != 7 || header[0] != "CEF:0" {
		return nil, nil, false
	}
	extension = map[string]string{}
	var key string
	var value []string
	// A value goes on until the next word that holds an equals sign without a backslash before it.
	for _, word := range strings.Split(line[i:], " ") {
		at := -1
		for j := 0; j < len(word); j++ {
			if word[j] == '\\' {
				j++
			} else if word[j] == '=' {
				at = j
				break
			}
		}
		if at > 0 {
			if key != "" {
				extension[key] = strings.Join(value, " ")
			}
			key, value = word[:at], nil
			word = word[at+1:]
		}
		value = append(value, strings.NewReplacer(`\\`, `\`, `\=`, `=`, `\n`, "\n", `\r`, "\r").Replace(word))
	}
	if key != "" {
		extension[key] = strings.Join(value, " ")
	}
	return header, extension, true
}

func TestCEF(t *testing.T) {
	r := examples()[0]
	r.Event.Actor.ID = `ana|=\ "x" suser=mallory` + "\nCEF:0|fake"
	r.Event.Resource = audit.Resource{Zone: "finmicro.example.", Record: "a=b.finmicro.example.", Type: "A", App: "x|y"}
	line, err := cef(origin, r)
	if err != nil || strings.ContainsAny(string(line), "\r\n") {
		t.Fatalf("%q, %v", line, err)
	}
	header, extension, ok := parseCEF(string(line))
	if !ok || header[4] != string(r.Event.Action) || extension["suser"] != r.Event.Actor.ID || extension["dhost"] != "a=b.finmicro.example" || extension["cs4"] != "x|y" || extension["cs4Label"] != "app" {
		t.Errorf("%q\n%v %v", line, header, extension)
	}
	for _, r := range examples() {
		line, err := cef(origin, r)
		header, extension, ok := parseCEF(string(line))
		if err != nil || !ok || header[1] != "Slipway" || extension["externalId"] != r.Event.EventID || extension["rt"] != "1782810900250" {
			t.Errorf("%s: %v %q", r.Event.Action, err, line)
		}
	}
}

// What people can write into an event never ends a line, a field or a message.
func FuzzFormats(f *testing.F) {
	f.Add("ana@finmicro.example", "x.example.", "A", "app")
	f.Add("a|b=c\\\n", "\r\n<13>1 - -", "]\"", "\x00\u2028")
	f.Fuzz(func(t *testing.T, actor, record, typ, app string) {
		r := examples()[3]
		r.Event.Actor.ID, r.Event.Resource = actor, audit.Resource{Record: record, Type: typ, App: app}
		if r.Event.Validate() != nil {
			t.Skip()
		}
		s := &syslog{origin: origin, host: "h"}
		for name, format := range formats {
			line, err := format(origin, r)
			if err != nil || strings.ContainsAny(string(line), "\r\n") {
				t.Fatalf("%s: %q, %v", name, line, err)
			}
			if name != "cef" && !json.Valid(line) {
				t.Fatalf("%s: %q", name, line)
			}
			s.format = format
			message, err := s.message(r)
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := rfc5424.NewParser().Parse(message)
			if err != nil {
				t.Fatalf("%s: %q: %v", name, message, err)
			}
			m := parsed.(*rfc5424.SyslogMessage)
			if m.Message == nil || *m.Message != string(line) || *m.MsgID != string(r.Event.Action) || *m.Facility != syslogFacility {
				t.Fatalf("%s: %q comes back as %+v", name, message, m)
			}
		}
		line, _ := cef(origin, r)
		if _, extension, ok := parseCEF(string(line)); !ok || extension["externalId"] != r.Event.EventID {
			t.Fatalf("%q: %v", line, extension)
		}
	})
}
