package ctwatch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	ct "github.com/google/certificate-transparency-go"

	"slipway/zone"
)

func zonesOf(names ...string) []zone.Name {
	var out []zone.Name
	for _, n := range names {
		z, err := zone.ParseName(n)
		if err != nil {
			panic(err)
		}
		out = append(out, z)
	}
	return out
}

// Both APIs, with the same submissions, tell the same.
func TestFindsOurNames(t *testing.T) {
	a := newAuthority(t)
	serial := a.serial()
	pre := a.precertificate(serial, "pay.finmicro.example", "other.example")
	submissions := [][]byte{
		a.certificate(a.serial(), nil, "www.other.example"),
		a.certificate(a.serial(), nil, "notfinmicro.example"),
		a.certificate(a.serial(), nil, "WWW.FinMicro.Example"),
		pre,
		a.certificate(a.serial(), nil, "*.finmicro.example", "finmicro.example"),
		a.certificate(a.serial(), nil, "shop.xn--bcher-kva.example"),
		a.certificate(a.serial(), nil, "finmicro.example.attacker.example"),
		a.certificate(serial, nil, "pay.finmicro.example", "other.example"), // the precertificate's
	}
	const want = "2 cert www.finmicro.example; 3 precert pay.finmicro.example; 4 cert *.finmicro.example,finmicro.example; 5 cert shop.xn--bcher-kva.example"
	for _, kind := range []Type{RFC6962, StaticCT} {
		t.Run(string(kind), func(t *testing.T) {
			var o *observer
			if kind == RFC6962 {
				l := newJSONLog(t, a)
				for _, s := range submissions {
					l.add(s)
				}
				o = observe(t, l.log())
			} else {
				l := newTileLog(t, a)
				for _, s := range submissions {
					l.add(s)
					l.added() // one after the other: Tessera gives no order to what comes together
				}
				o = observe(t, l.log())
			}
			got := o.clean()
			if summary(got) != want {
				t.Fatalf("found %s\nwant  %s", summary(got), want)
			}
			f := got[1]
			if !bytes.Equal(f.DER, pre) || f.SHA256 != digest(pre) || f.Serial != fmt.Sprintf("%04x", serial) || f.Issuer != a.cert.Subject.String() ||
				!f.NotAfter.Equal(epoch.AddDate(0, 3, 0)) || f.LogID == "" || f.Unreadable != "" || f.Timestamp.Before(epoch) {
				t.Errorf("the precertificate is told as %+v", f)
			}
			for _, der := range [][]byte{pre, submissions[7]} {
				if id, err := ID(der); err != nil || id != f.ID {
					t.Errorf("ID is %s (%v), but %s was told", id, err, f.ID)
				}
			}
			if again := o.clean(); len(again) > 0 {
				t.Errorf("told again: %s", summary(again))
			}
		})
	}
}

// What came from here is not told, and where a pass ends the next one goes on, whatever the size of batches.
func TestGoesOnWhereItStopped(t *testing.T) {
	a := newAuthority(t)
	l := newJSONLog(t, a)
	o := observe(t, l.log())
	var want []string
	o.options = func(op *Options) { op.Batch, op.Pass = 7, 20 }
	l.most = 3
	put := func(n int) {
		for range n {
			name := fmt.Sprintf("n%d.finmicro.example", len(want))
			der := a.certificate(a.serial(), nil, name)
			want = append(want, name)
			if len(want)%4 == 0 {
				id, err := ID(der)
				if err != nil {
					t.Fatal(err)
				}
				o.known[id] = true
			}
			l.add(der)
		}
	}
	put(50)
	for i := 0; ; i++ {
		status, err := o.pass()
		if err != nil {
			t.Fatal(err)
		}
		if status[0].Read > 20 {
			t.Fatalf("%d entries in one pass", status[0].Read)
		}
		if i < 3 {
			put(5)
		}
		if status[0].Behind() == 0 && i >= 3 {
			break
		}
	}
	var got, expect []string
	for _, f := range o.found {
		got = append(got, f.Names...)
	}
	for i, n := range want {
		if (i+1)%4 != 0 {
			expect = append(expect, n)
		}
	}
	if !slices.Equal(got, expect) {
		t.Errorf("told %v\nwant %v", got, expect)
	}
}

// A kill between the report and the record tells something twice, under the same ID.
func TestReportsAgainAfterAFailure(t *testing.T) {
	a := newAuthority(t)
	l := newJSONLog(t, a)
	for i := range 10 {
		l.add(a.certificate(a.serial(), nil, fmt.Sprintf("n%d.finmicro.example", i)))
	}
	o := observe(t, l.log())
	o.options = func(op *Options) {
		op.Batch = 4
		report := op.Found
		op.Found = func(ctx context.Context, f Found) error {
			if f.Index == 6 && len(o.found) == 6 {
				return errors.New("the journal is full")
			}
			return report(ctx, f)
		}
	}
	if _, err := o.pass(); err == nil || !strings.Contains(err.Error(), "the journal is full") {
		t.Fatalf("err is %v", err)
	}
	o.found = append(o.found, Found{}) // so that the report goes well now
	o.clean()
	seen := map[uint64]int{}
	for _, f := range o.found {
		if f.ID != "" {
			seen[f.Index]++
		}
	}
	for i := range uint64(10) {
		if want := 1; seen[i] != want && (i != 4 && i != 5 || seen[i] != 2) {
			t.Errorf("entry %d is told %d times", i, seen[i])
		}
	}
}

// By default a log is followed from now on, without asking for what was before.
func TestBeginsNow(t *testing.T) {
	a := newAuthority(t)
	for _, size := range []int{0, 1, 4, 13, 64} {
		l := newJSONLog(t, a)
		for i := range size {
			l.add(a.certificate(a.serial(), nil, fmt.Sprintf("old%d.finmicro.example", i)))
		}
		o := observe(t, l.log())
		o.options = func(op *Options) { op.From = "" }
		if got := o.clean(); len(got) > 0 {
			t.Errorf("%d: told %s", size, summary(got))
		}
		o.clean() // nothing new
		for i := range 9 {
			l.add(a.certificate(a.serial(), nil, fmt.Sprintf("new%d.finmicro.example", i)))
		}
		if got := o.clean(); len(got) != 9 || got[0].Names[0] != "new0.finmicro.example" {
			t.Errorf("%d: told %s", size, summary(got))
		}
		if len(o.problems) > 0 {
			t.Errorf("%d: %+v", size, o.problems)
		}
	}
}

// A log of a million entries that is begun now costs its head and one proof.
func TestBeginsFarAhead(t *testing.T) {
	a := newAuthority(t)
	l := newJSONLog(t, a)
	for i := range 1_000_000 {
		l.append(fmt.Appendf(nil, "%d", i), nil)
	}
	o := observe(t, l.log())
	o.options = func(op *Options) { op.From = FromNow }
	o.clean()
	l.add(a.certificate(a.serial(), nil, "new.finmicro.example"))
	if got := summary(o.clean()); got != "1000000 cert new.finmicro.example" {
		t.Errorf("told %s", got)
	}
	if n := l.asked[ct.GetEntriesPath]; n != 1 {
		t.Errorf("asked %d times for entries", n)
	}
}

func TestManyTiles(t *testing.T) {
	a := newAuthority(t)
	l := newTileLog(t, a)
	other := a.certificate(a.serial(), nil, "www.other.example")
	add := func(n int) {
		for range n {
			l.add(other)
		}
		l.added()
	}
	add(700)
	o := observe(t, l.log())
	o.options = func(op *Options) { op.Batch = 300 }
	o.clean()
	l.add(a.certificate(a.serial(), nil, "pay.finmicro.example"))
	add(400)
	if got := o.clean(); len(got) != 1 || got[0].Names[0] != "pay.finmicro.example" {
		t.Errorf("told %s", summary(got))
	}
	// A partial tile may be gone once the full one is there.
	o.dir = t.TempDir()
	l.with(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, ".p/") && !fileExists(filepath.Join(l.dir, strings.Split(r.URL.Path, ".p/")[0])) {
			return false
		}
		if strings.Contains(r.URL.Path, ".p/") {
			http.NotFound(w, r)
			return true
		}
		return false
	})
	if got := o.clean(); len(got) != 1 {
		t.Errorf("told %s", summary(got))
	}
	if len(o.problems) > 0 {
		t.Errorf("problems: %+v", o.problems)
	}
}

func fileExists(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func TestOneLogDownDoesNotStopTheOthers(t *testing.T) {
	a := newAuthority(t)
	down, up := newJSONLog(t, a), newJSONLog(t, a)
	down.fault = func(w http.ResponseWriter, _ *http.Request) bool {
		http.Error(w, "maintenance", http.StatusServiceUnavailable)
		return true
	}
	up.add(a.certificate(a.serial(), nil, "pay.finmicro.example"))
	first, second := down.log(), up.log()
	first.Name, second.Name = "down", "up"
	o := observe(t, first, second)
	o.options = func(op *Options) { op.Parallel = 1 }
	status, err := o.pass()
	if err == nil || !strings.Contains(err.Error(), "log down: GET /ct/v1/get-sth: 503") || errors.Is(err, ErrProblem) {
		t.Errorf("err is %v", err)
	}
	if len(o.found) != 1 || status[1].Err != nil || status[1].Found != 1 || status[0].Err == nil {
		t.Errorf("found %s, status %+v", summary(o.found), status)
	}
	if len(o.slept) != attempts-1 || o.slept[3] <= o.slept[0] {
		t.Errorf("slept %v", o.slept)
	}
}

func TestComesBackWhenAsked(t *testing.T) {
	a := newAuthority(t)
	l := newJSONLog(t, a)
	l.add(a.certificate(a.serial(), nil, "pay.finmicro.example"))
	refuse := 2
	l.fault = func(w http.ResponseWriter, _ *http.Request) bool {
		if refuse--; refuse < 0 {
			return false
		}
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	}
	o := observe(t, l.log())
	if got := o.clean(); len(got) != 1 || !slices.Contains(o.slept, 7*time.Second) {
		t.Errorf("told %s, slept %v", summary(got), o.slept)
	}

	// What is too long to wait for ends the pass, and the next ones until then.
	asked := 0
	l.fault = func(w http.ResponseWriter, _ *http.Request) bool {
		asked++
		w.Header().Set("Retry-After", epoch.Add(5*time.Hour).UTC().Format(http.TimeFormat))
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	w := o.watcher()
	for range 3 {
		if _, err := w.Pass(t.Context()); err == nil || !strings.Contains(err.Error(), "before 2026-11-01T17:00:00Z") {
			t.Errorf("err is %v", err)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

func TestSmallerAnswersForLargeEntries(t *testing.T) {
	a := newAuthority(t)
	l := newJSONLog(t, a)
	for range 8 {
		l.add(a.certificate(a.serial(), nil, "pay.finmicro.example"))
	}
	big := bytes.Repeat([]byte(" "), 1<<20)
	l.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != ct.GetEntriesPath || r.URL.Query().Get("end") != "7" || r.URL.Query().Get("start") != "0" {
			return false
		}
		for range maxEntries>>20 + 1 {
			if _, err := w.Write(big); err != nil {
				return true
			}
		}
		return true
	}
	if got := observe(t, l.log()).clean(); len(got) != 8 {
		t.Errorf("told %d", len(got))
	}
}

func TestOnlyOnePassAtATime(t *testing.T) {
	a := newAuthority(t)
	l := newJSONLog(t, a)
	l.add(a.certificate(a.serial(), nil, "pay.finmicro.example"))
	o := observe(t, l.log())
	first := o.watcher()
	second := o.watcher()
	inner := errors.New("not tried")
	o.fail = nil
	first.o.Found = func(ctx context.Context, f Found) error {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		defer cancel()
		_, inner = second.Pass(ctx)
		return nil
	}
	if _, err := first.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(inner, context.DeadlineExceeded) {
		t.Errorf("the second pass says %v", inner)
	}
}

func TestDamagedPositionIsNotPassedOver(t *testing.T) {
	a := newAuthority(t)
	l := newJSONLog(t, a)
	for range 5 {
		l.add(a.certificate(a.serial(), nil, "pay.finmicro.example"))
	}
	o := observe(t, l.log())
	o.clean()
	files, err := filepath.Glob(filepath.Join(o.dir, "*.json"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	good, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(good, &fields); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"empty":         "",
		"cut":           string(good[:len(good)/2]),
		"moved on":      strings.Replace(string(good), `"position": 5`, `"position": 6`, 1),
		"moved back":    strings.Replace(string(good), `"position": 5`, `"position": 4`, 1),
		"another log's": strings.Replace(string(good), fields["log"].(string), strings.Repeat("0", 64), 1),
		"newer":         strings.Replace(string(good), `"version": 1`, `"version": 2`, 1),
	} {
		if bad == string(good) {
			t.Fatalf("%s: nothing changed", name)
		}
		if err := os.WriteFile(files[0], []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := o.pass(); err == nil || !strings.Contains(err.Error(), "cannot be used") {
			t.Errorf("%s: err is %v", name, err)
		}
		if left, err := os.ReadFile(files[0]); err != nil || string(left) != bad {
			t.Errorf("%s: the file was changed (%v)", name, err)
		}
	}
}

func TestOptions(t *testing.T) {
	a := newAuthority(t)
	l := newJSONLog(t, a)
	good := Options{
		Dir: t.TempDir(), Logs: []Log{l.log()}, Zones: zonesOf("finmicro.example"),
		Found: func(context.Context, Found) error { return nil }, Problem: func(context.Context, Problem) error { return nil },
	}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Options){
		"no directory": func(o *Options) { o.Dir = "" },
		"no zones":     func(o *Options) { o.Zones = nil },
		"no logs":      func(o *Options) { o.Logs = nil },
		"from":         func(o *Options) { o.From = "yesterday" },
		"batch":        func(o *Options) { o.Batch = -1 },
		"twice":        func(o *Options) { o.Logs = append(o.Logs, o.Logs[0]) },
		"plain http":   func(o *Options) { o.Logs[0].URL = "http://ct.example" },
		"password":     func(o *Options) { o.Logs[0].URL = "https://me:secret@ct.example" },
		"type":         func(o *Options) { o.Logs[0].Type = "gopher" },
		"key":          func(o *Options) { o.Logs[0].Key = "AAAA" },
		"nobody told":  func(o *Options) { o.Problem = nil },
	} {
		bad := good
		bad.Logs = slices.Clone(good.Logs)
		spoil(&bad)
		if _, err := New(bad); err == nil {
			t.Errorf("%s: taken", name)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
