package forward

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	"google.golang.org/protobuf/proto"

	"slipway/audit"
)

func query(limit int) audit.Query { return audit.Query{Limit: limit} }

// receiver is a server that is down at first, then takes one request without saying so,
// then works: what a sender has to live with.
type receiver struct {
	t    testing.TB
	take func(r *http.Request, body []byte) (ids []string, answer string)

	mu    sync.Mutex // held while a request is handled
	calls int
	got   []string
}

func (s *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Error(err)
	}
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err == nil {
			body, err = io.ReadAll(z)
		}
		if err != nil {
			s.t.Error(err)
		}
	}
	s.calls++
	if s.calls == 1 {
		http.Error(w, "busy", http.StatusServiceUnavailable)
		return
	}
	ids, answer := s.take(r, body)
	s.got = append(s.got, ids...)
	if s.calls == 2 {
		panic(http.ErrAbortHandler) // taken, and the answer is lost
	}
	io.WriteString(w, answer)
}

func (s *receiver) received() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.got...)
}

// Every way over HTTP hands on all events in order, through a server that refuses, one
// that loses its answer, and a restart of ours.
func TestHTTP(t *testing.T) {
	t.Setenv("FORWARD_TOKEN", "whsec_"+base64.StdEncoding.EncodeToString([]byte("a key of the tests")))
	token := os.Getenv("FORWARD_TOKEN")
	for typ, c := range map[string]struct {
		params map[string]string
		take   func(r *http.Request, body []byte) ([]string, string)
	}{
		"hec": {map[string]string{"token": "env:FORWARD_TOKEN", "index": "audit"}, func(r *http.Request, body []byte) (ids []string, _ string) {
			if r.URL.Path != "/services/collector/event" || r.Header.Get("Authorization") != "Splunk "+token {
				t.Errorf("%s, %q", r.URL.Path, r.Header)
			}
			for dec := json.NewDecoder(bytes.NewReader(body)); dec.More(); {
				var e struct {
					Time              float64
					Index, Sourcetype string
					Event             struct{ Metadata struct{ UID string } }
				}
				if err := dec.Decode(&e); err != nil || e.Index != "audit" || e.Time < 1.7e9 || e.Sourcetype != "slipway:audit" {
					t.Errorf("%+v, %v", e, err)
				}
				ids = append(ids, e.Event.Metadata.UID)
			}
			return ids, `{"text":"Success","code":0}`
		}},
		"webhook": {map[string]string{"secret": "env:FORWARD_TOKEN"}, func(r *http.Request, body []byte) (ids []string, _ string) {
			mac := hmac.New(sha256.New, []byte("a key of the tests"))
			fmt.Fprintf(mac, "%s.%s.%s", r.Header.Get("webhook-id"), r.Header.Get("webhook-timestamp"), body)
			if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); r.Header.Get("webhook-signature") != want {
				t.Errorf("signature %q, want %q", r.Header.Get("webhook-signature"), want)
			}
			var d struct {
				Origin string
				Events []audit.Event
			}
			if err := json.Unmarshal(body, &d); err != nil || d.Origin != origin {
				t.Errorf("%q: %v", body, err)
			}
			for _, e := range d.Events {
				ids = append(ids, e.EventID)
			}
			return ids, ""
		}},
		"otlp": {map[string]string{"token": "env:FORWARD_TOKEN"}, func(r *http.Request, body []byte) (ids []string, _ string) {
			var e collector.ExportLogsServiceRequest
			if err := proto.Unmarshal(body, &e); err != nil || r.URL.Path != "/v1/logs" || r.Header.Get("Authorization") != "Bearer "+token {
				t.Errorf("%s %q: %v", r.URL.Path, r.Header, err)
			}
			for _, res := range e.ResourceLogs {
				for _, scope := range res.ScopeLogs {
					for _, rec := range scope.LogRecords {
						var event audit.Event
						if err := json.Unmarshal([]byte(rec.Body.GetStringValue()), &event); err != nil || rec.EventName != "slipway."+string(event.Action) || rec.TimeUnixNano == 0 {
							t.Errorf("%v: %v", rec, err)
						}
						ids = append(ids, event.EventID)
					}
				}
			}
			return ids, ""
		}},
	} {
		t.Run(typ, func(t *testing.T) {
			s := &receiver{t: t, take: c.take}
			server := httptest.NewServer(s)
			defer server.Close()
			l := record(t, 40)
			dir := t.TempDir()
			c.params["url"], c.params["batch"] = server.URL, "7"
			if typ == "otlp" {
				c.params["url"] += "/v1/logs"
			}
			stop := run(t, open(t, dir, typ, c.params), l)
			eventually(t, "all events arrive", func() bool { return inOrder(s.received(), ids(t, l)) })
			stop()
			add(t, l, 3)
			run(t, open(t, dir, typ, c.params), l)
			eventually(t, "later events arrive", func() bool { return inOrder(s.received(), ids(t, l)) })
			if n := len(s.received()); n > len(ids(t, l))+2*7 {
				t.Errorf("%d events were sent for %d: a restart begins anew", n, len(ids(t, l)))
			}
		})
	}
}

// A receiver that takes a request and never answers holds up nobody but itself.
func TestNeverBlocksTheWriter(t *testing.T) {
	t.Setenv("FORWARD_TOKEN", "x")
	hang := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer server.Close()
	defer close(hang)
	l := record(t, 1)
	run(t, open(t, t.TempDir(), "hec", map[string]string{"url": server.URL, "token": "env:FORWARD_TOKEN"}), l)
	add(t, l, 200)
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.log")
	lines := func() (out []string) {
		raw, _ := os.ReadFile(path)
		for line := range strings.Lines(string(raw)) {
			var e audit.Event
			if json.Unmarshal([]byte(line), &e) == nil {
				out = append(out, e.EventID)
			}
		}
		return out
	}
	l := record(t, 25)
	dir := t.TempDir()
	stop := run(t, open(t, dir, "file", map[string]string{"path": path, "batch": "4"}), l)
	eventually(t, "all lines are there", func() bool { return inOrder(lines(), ids(t, l)) })
	stop()
	if n := len(lines()); n != 26 {
		t.Errorf("%d lines", n)
	}
	// A kill in the middle of a line spoils that line only.
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(`{"event_id":"torn`)
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	add(t, l, 2)
	run(t, open(t, dir, "file", map[string]string{"path": path}), l)
	eventually(t, "later lines are there", func() bool { return inOrder(lines(), ids(t, l)) })
}

// Where to begin, and what to leave out.
func TestFromAndOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.log")
	l := record(t, 10)
	dir := t.TempDir()
	d := open(t, dir, "file", map[string]string{"path": path, "from": "now", "only": "cancel-change, detect-drift"})
	run(t, d, l)
	eventually(t, "the position is kept", func() bool { _, err := os.Stat(filepath.Join(dir, "siem.json")); return err == nil })
	add(t, l, 3)
	r, err := l.Append(t.Context(), audit.Event{Actor: audit.Actor{ID: "a@b.example", Role: "x"}, Action: audit.CancelChange, Change: "c-1"})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the wanted event is there", func() bool { raw, _ := os.ReadFile(path); return len(raw) > 0 })
	raw, _ := os.ReadFile(path)
	if strings.Count(string(raw), "\n") != 1 || !strings.Contains(string(raw), r.Event.EventID) {
		t.Errorf("%s", raw)
	}
}

// A failure is reported, with nothing in it that is secret, and so is its end.
func TestReport(t *testing.T) {
	t.Setenv("FORWARD_TOKEN", "hunter2hunter2")
	down := true
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if down {
			http.Error(w, `{"text":"Invalid token","code":4}`, http.StatusForbidden)
			return
		}
		io.WriteString(w, `{"text":"Success","code":0}`)
	}))
	defer server.Close()
	l := record(t, 1)
	d := open(t, t.TempDir(), "hec", map[string]string{"url": server.URL, "token": "env:FORWARD_TOKEN"})
	reports := make(chan error, 100)
	d.Report = func(_ context.Context, err error) { reports <- err }
	run(t, d, l)
	if err := <-reports; err == nil || !strings.Contains(err.Error(), "403") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("reported: %v", err)
	}
	mu.Lock()
	down = false
	mu.Unlock()
	for err := range reports {
		if err == nil {
			break
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Setenv("FORWARD_TOKEN", "hunter2hunter2")
	for name, c := range map[string]struct {
		typ    string
		params map[string]string
		want   string
	}{
		"type":                  {"pigeon", nil, `the type "pigeon" is none of: file, hec, otlp, syslog, webhook`},
		"format":                {"file", map[string]string{"path": "/x", "format": "xml"}, `"xml" is none of`},
		"relative path":         {"file", map[string]string{"path": "x"}, "give the whole path"},
		"plain syslog far away": {"syslog", map[string]string{"address": "192.0.2.1:514", "transport": "tcp"}, "tcp is for a receiver on this very machine"},
		"plain syslog by name":  {"syslog", map[string]string{"address": "siem.example:514", "transport": "tcp"}, "tcp is for a receiver on this very machine"},
		"no port":               {"syslog", map[string]string{"address": "siem.example"}, "write HOST:PORT"},
		"http":                  {"hec", map[string]string{"url": "http://siem.example", "token": "env:FORWARD_TOKEN"}, "use https"},
		"token in the clear":    {"hec", map[string]string{"url": "https://siem.example", "token": "hunter2hunter2"}, "token: "},
		"ca that is none":       {"hec", map[string]string{"url": "https://siem.example", "token": "env:FORWARD_TOKEN", "ca": "/dev/null"}, "not a regular file"},
		"certificate alone":     {"syslog", map[string]string{"address": "siem.example:6514", "certificate": "/x.pem"}, "needs both certificate and private-key"},
		"action":                {"file", map[string]string{"path": "/x", "only": "detect-drfit"}, `there is no action "detect-drfit"`},
		"misspelt":              {"file", map[string]string{"path": "/x", "fromat": "cef"}, "there is no such setting"},
		"bad base64":            {"webhook", map[string]string{"url": "https://siem.example", "secret": "env:FORWARD_BAD"}, "must be base64"},
	} {
		t.Setenv("FORWARD_BAD", "whsec_!!")
		_, err := Open(t.Context(), "siem", c.typ, c.params, Options{Origin: origin, Dir: t.TempDir()})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "record forward siem: ") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A position that is damaged is no reason to leave events out unnoticed.
func TestDamagedPosition(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "siem.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := open(t, dir, "file", map[string]string{"path": filepath.Join(dir, "out.log")})
	if err := d.Run(t.Context(), record(t, 1).Index()); err == nil || !strings.Contains(err.Error(), "siem.json") {
		t.Errorf("%v", err)
	}
}

func BenchmarkFormats(b *testing.B) {
	r := examples()[0]
	for name, format := range formats {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := format(origin, r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
