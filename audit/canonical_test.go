package audit

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gowebpki/jcs"
)

// spellings are canonical by the scanner, canonical only by the full algorithm, or not at all.
var spellings = []struct {
	text           string
	scanned, whole bool
}{
	{`{}`, true, true}, {`[]`, true, true}, {`""`, true, true}, {`0`, true, true}, {`-1`, true, true}, {`true`, true, true}, {`null`, true, true},
	{`{"a":[1,"b",{"c":false}],"b":null}`, true, true},
	{`"\b\f\n\r\t\"\\\u0000\u001f` + "\x7f/é€😀<>&\u2028" + `"`, true, true},
	{`999999999999999`, true, true}, {`1000000000000000`, false, true}, {`9007199254740993`, false, false},
	{`0.5`, false, true}, {`1e+21`, false, true}, {`1e21`, false, false}, {`1.0`, false, false}, {`-0`, false, false}, {`01`, false, false}, {`+1`, false, false}, {`-`, false, false},
	{`{"é":1}`, false, true}, {`{"\n":1}`, false, true},
	{"{\"\ufb33\":1,\"😂\":1}", false, false}, {"{\"😂\":1,\"\ufb33\":1}", false, true},
	{`{"b":1,"a":1}`, false, false}, {`{"a":1,"a":1}`, false, false}, {`{"a":1,"aa":1}`, true, true}, {`{"aa":1,"a":1}`, false, false},
	{`{ }`, false, false}, {`[1, 2]`, false, false}, {"1\n", false, false}, {`[1,]`, false, false}, {`{"a":1,}`, false, false}, {`[`, false, false}, {`{"a"`, false, false}, {`tru`, false, false},
	{`"\u0008"`, false, false}, {`"\u001F"`, false, false}, {`"\u0020"`, false, false}, {`"\/"`, false, false}, {`"\u00"`, false, false}, {"\"\x01\"", false, false}, {"\"\xff\"", false, false}, {`"`, false, false}, {`"\`, false, false},
	{strings.Repeat("[", 64) + strings.Repeat("]", 64), true, true}, {strings.Repeat("[", 65) + strings.Repeat("]", 65), false, true},
	{``, false, false}, {`1 1`, false, false}, {`{}{}`, false, false},
}

func TestSurelyCanonical(t *testing.T) {
	for _, tt := range spellings {
		if scanned := surelyCanonical([]byte(tt.text)); scanned != tt.scanned {
			t.Errorf("%q: scanned %t, want %t", tt.text, scanned, tt.scanned)
		}
		canonical, err := jcs.Transform([]byte(tt.text))
		if whole := err == nil && string(canonical) == tt.text; whole != tt.whole {
			t.Errorf("%q: canonical %t, want %t", tt.text, whole, tt.whole)
		}
	}
}

// What the scanner takes, the full algorithm leaves as it is.
func FuzzSurelyCanonical(f *testing.F) {
	for _, tt := range spellings {
		f.Add([]byte(tt.text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if !surelyCanonical(text) {
			return
		}
		canonical, err := jcs.Transform(text)
		if err != nil || !bytes.Equal(canonical, text) {
			t.Errorf("%q becomes %q (%v)", text, canonical, err)
		}
	})
}

// fillStrings gives every string of a value another text, so that none can be left out
// or put into another's place.
func fillStrings(v reflect.Value, next func() string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(next())
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type() != reflect.TypeFor[time.Time]() {
				fillStrings(v.Field(i), next)
			}
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 3 {
			v.SetMapIndex(reflect.ValueOf(next()), reflect.ValueOf(next()))
		}
	case reflect.Slice:
		if v.Type() == reflect.TypeFor[json.RawMessage]() {
			v.SetBytes([]byte(`{"b": "` + next() + `", "a": [1.50, true]}`))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 3, 3))
		for i := range v.Len() {
			fillStrings(v.Index(i), next)
		}
	}
}

// A field that is added to Event has to be added to canonicalEvent and to decodeEvent.
func TestEveryFieldIsWrittenAndRead(t *testing.T) {
	var e Event
	n := 0
	fillStrings(reflect.ValueOf(&e).Elem(), func() string { n++; return "text" + string(rune('a'+n)) })
	e.Timestamp = time.Date(2026, 2, 3, 4, 5, 6, 7_000_000, time.UTC)
	e.Signature = ""
	wantAsCanonical(t, &e)
}

// wantAsCanonical holds canonicalEvent to Canonical, and decodeEvent to json.Unmarshal.
func wantAsCanonical(t *testing.T, e *Event) {
	t.Helper()
	want, wantErr := Canonical(e)
	payload, place, err := canonicalEvent(nil, e)
	if err != nil || wantErr != nil {
		if wantErr != nil && err == nil {
			t.Errorf("written, although %v", wantErr)
		}
		return
	}
	if have := string(payload[:place]) + `,"signature":""` + string(payload[place:]); have != string(want) {
		t.Fatalf("\n%s, want\n%s", have, want)
	}
	var have, unmarshalled Event
	if err := decodeEvent(want, &have); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(want, &unmarshalled); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(have, unmarshalled) {
		t.Errorf("read as\n%+v, want\n%+v", have, unmarshalled)
	}
}

func FuzzCanonicalEvent(f *testing.F) {
	f.Add("submit-change", "ana@finmicro.example", "\x00\"\\\b\f\n\r\t\x7f<>&", "é\u2028😂", `{"b": 1e2, "a": "\u00e9\/"}`, int64(1_700_000_000_123))
	f.Add("", "", "", "\ufb33", `{"a":1}`, int64(0))
	f.Add("a", "\xff", "b", "c", ``, int64(-62135596800000))
	f.Add("a", "b", "c", "d", `{"a":1,"a":2}`, int64(253402300800000))
	f.Fuzz(func(t *testing.T, action, actor, one, other, details string, ms int64) {
		e := Event{
			EventID: one, Timestamp: time.UnixMilli(ms), Actor: Actor{ID: actor, Role: other}, Action: Action(action),
			Resource: Resource{Zone: one, Record: other, App: actor}, ApprovalChain: []string{one, other}, GitCommit: other,
			ArtifactRefs: map[string]string{one: actor, other: one, "sbom": other}, Change: other, Once: one, KeyID: actor,
		}
		if details != "" {
			e.Details = json.RawMessage(details)
		}
		e.normalise()
		wantAsCanonical(t, &e)
	})
}

// Whatever is canonical is read as json.Unmarshal reads it, members of a later version
// and values of other types included.
func FuzzDecodeEvent(f *testing.F) {
	f.Add([]byte(`{"Action":"a","action":"b"}`))
	f.Add([]byte(`{"action":"a","actor":{"id":"b"},"details":null}`))
	f.Add([]byte(`{"details":{"a":[]},"resource":{"zone":"z"},"timestamp":"2026-02-03T04:05:06Z"}`))
	f.Add([]byte(`{"approval_chain":["a","b"],"artifact_refs":{"a":"b"},"later":1}`))
	f.Add([]byte(`{"action":1}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if !surelyCanonical(text) {
			return
		}
		var have, want Event
		err, wantErr := decodeEvent(text, &have), json.Unmarshal(text, &want)
		if (err == nil) != (wantErr == nil) || err == nil && !reflect.DeepEqual(have, want) {
			t.Errorf("%s is read as\n%+v (%v), want\n%+v (%v)", text, have, err, want, wantErr)
		}
	})
}
