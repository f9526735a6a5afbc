package ctwatch

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	ct "github.com/google/certificate-transparency-go"
)

// one makes a pass that must end with a problem of the kind, and nothing told.
func (o *observer) one(kind Kind) Problem {
	o.t.Helper()
	found, problems := len(o.found), len(o.problems)
	_, err := o.pass()
	if !errors.Is(err, ErrProblem) || len(o.problems) != problems+1 || len(o.found) != found {
		o.t.Fatalf("err is %v, with %d problems, and %s told", err, len(o.problems)-problems, summary(o.found[found:]))
	}
	p := o.problems[problems]
	if p.Kind != kind || p.Text == "" || p.Help == "" || p.ID == "" {
		o.t.Fatalf("the problem is %+v, not %s", p, kind)
	}
	return p
}

func filled(t *testing.T, n int) (*authority, *jsonLog, *observer) {
	a := newAuthority(t)
	l := newJSONLog(t, a)
	for i := range n {
		l.add(a.certificate(a.serial(), nil, fmt.Sprintf("n%d.finmicro.example", i)))
	}
	o := observe(t, l.log())
	o.clean()
	return a, l, o
}

func TestFork(t *testing.T) {
	a, l, o := filled(t, 9)
	honest := l.entries
	// The log shows us another last entry, and grows from there.
	l.with(func() {
		l.entries, l.tree = nil, &merkle{}
		for i, e := range honest {
			if i == 8 {
				e.LeafInput = append(append([]byte{}, e.LeafInput...), 0)
			}
			l.append(e.LeafInput, e.ExtraData)
		}
	})
	first := o.one(Fork) // the same size
	l.add(a.certificate(a.serial(), nil, "new.finmicro.example"))
	second := o.one(Fork) // a larger one
	if o.one(Fork).ID != second.ID || first.ID == second.ID {
		t.Error("the IDs do not tell the forks apart")
	}
	log, err := l.log().open()
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []*Head{second.Before, second.After} {
		if _, err := log.parseSTH([]byte(h.Signed)); err != nil {
			t.Errorf("the head of %d entries is no proof: %v", h.Size, err)
		}
	}
	// Back on the way that it was: what came since is found.
	l.with(func() {
		l.entries, l.tree = nil, &merkle{}
		for _, e := range honest {
			l.append(e.LeafInput, e.ExtraData)
		}
	})
	l.add(a.certificate(a.serial(), nil, "new.finmicro.example"))
	if got := summary(o.clean()); got != "9 cert new.finmicro.example" {
		t.Errorf("told %s", got)
	}
}

func TestRollback(t *testing.T) {
	_, l, o := filled(t, 9)
	l.with(func() { l.size, l.at = 5, l.at.Add(time.Hour) })
	o.one(Rollback)

	// An older head is no rollback: a part of the log lags behind.
	l.with(func() { l.size, l.at = 5, epoch })
	if got := o.clean(); len(got) > 0 {
		t.Errorf("told %s", summary(got))
	}
	// Unless it is no beginning of what we know.
	l.with(func() {
		l.tree.levels[0][2] = make([]byte, 32)
		l.tree.levels[1][1] = make([]byte, 32)
		l.tree.levels[2][0] = make([]byte, 32)
	})
	o.one(Fork)
}

func TestHidesAnEntry(t *testing.T) {
	for _, end := range []int{10, 17} { // at the end of the tree, and before it
		a, l, o := filled(t, 4)
		for i := range 13 {
			l.add(a.certificate(a.serial(), nil, fmt.Sprintf("m%d.finmicro.example", i)))
		}
		o.options = func(op *Options) { op.Batch = 10 }
		shown := l.entries
		harmless := l.leafOf(a.certificate(a.serial(), nil, "www.other.example"), uint64(epoch.UnixMilli()), nil)
		l.with(func() {
			l.entries = append([]ct.LeafEntry{}, shown...)
			l.entries[end-1] = ct.LeafEntry{LeafInput: marshal(t, *harmless)}
		})
		if end == 10 {
			o.one(Hidden)
		} else {
			// The first batch is right, the second is not.
			if _, err := o.pass(); !errors.Is(err, ErrProblem) || len(o.found) != 4+10 || o.problems[0].Kind != Hidden {
				t.Fatalf("err is %v, told %s", err, summary(o.found))
			}
		}
		// Nothing is passed over once it shows all.
		l.with(func() { l.entries = shown })
		o.clean()
		if len(o.found) != 17 {
			t.Errorf("told %d certificates: %s", len(o.found), summary(o.found))
		}
	}
}

func TestNotSignedByTheLog(t *testing.T) {
	a := newAuthority(t)
	l, other := newJSONLog(t, a), newJSONLog(t, a)
	l.add(a.certificate(a.serial(), nil, "pay.finmicro.example"))
	log := l.log()
	log.Key = other.log().Key
	o := observe(t, log)
	o.one(Unsigned)

	tiles := newTileLog(t, a)
	tiles.add(a.certificate(a.serial(), nil, "pay.finmicro.example"))
	tiles.added()
	for name, spoil := range map[string]func(*Log){
		"key":    func(l *Log) { l.Key = other.log().Key },
		"origin": func(l *Log) { l.Origin = "elsewhere.example" },
	} {
		log := tiles.log()
		spoil(&log)
		o := observe(t, log)
		t.Log(name)
		o.one(Unsigned)
	}
	// Whoever does not know the origin takes the checkpoint's: the key makes it the log's.
	log = tiles.log()
	log.Origin = ""
	if got := observe(t, log).clean(); len(got) != 1 {
		t.Errorf("told %s", summary(got))
	}
}

func TestStale(t *testing.T) {
	a, l, o := filled(t, 3)
	o.options = func(op *Options) { op.Stale = time.Minute }
	l.add(a.certificate(a.serial(), nil, "new.finmicro.example"))
	// What there is, is told all the same.
	if _, err := o.pass(); err != nil || len(o.found) != 4 || len(o.problems) != 1 || o.problems[0].Kind != StaleHead {
		t.Errorf("err is %v, told %s, problems %+v", err, summary(o.found), o.problems)
	}
	o.logs[0].State = "readonly"
	if o.clean(); len(o.problems) != 1 {
		t.Errorf("a log that ended is called stale")
	}
}

// Answers that make no sense are errors, and nothing is passed over for them.
func TestGarbage(t *testing.T) {
	root := strings.Repeat("A", 43) + "="
	for name, body := range map[string]map[string]string{
		"page":        {"": "<html>Welcome</html>"},
		"empty":       {"": ""},
		"null":        {"": "null"},
		"no entries":  {ct.GetEntriesPath: `{"entries":[]}`},
		"cut":         {ct.GetEntriesPath: `{"entries":[{"leaf_input":"AAAA`},
		"many hashes": {ct.GetSTHConsistencyPath: `{"consistency":[` + strings.Repeat(`"`+root+`",`, 500) + `"` + root + `"]}`},
		"short hash":  {ct.GetSTHConsistencyPath: `{"consistency":["AAAA"]}`},
		"short root":  {ct.GetSTHPath: `{"tree_size":10,"timestamp":1,"sha256_root_hash":"AAAA","tree_head_signature":"BAMAAA=="}`},
	} {
		t.Run(name, func(t *testing.T) {
			a, l, o := filled(t, 5)
			l.add(a.certificate(a.serial(), nil, "new.finmicro.example"))
			l.with(func() {
				l.fault = func(w http.ResponseWriter, r *http.Request) bool {
					b, ok := body[r.URL.Path]
					if all, every := body[""]; every {
						b, ok = all, true
					}
					if ok {
						fmt.Fprint(w, b)
					}
					return ok
				}
			})
			if _, err := o.pass(); err == nil || errors.Is(err, ErrProblem) {
				t.Errorf("err is %v", err)
			}
			l.with(func() { l.fault = nil })
			if got := summary(o.clean()); got != "5 cert new.finmicro.example" {
				t.Errorf("told %s", got)
			}
		})
	}
}

// A certificate that cannot be read and holds our name in its bytes is told as that; others
// are passed over, since the log took them.
func TestUnreadableCertificates(t *testing.T) {
	a, l, o := filled(t, 1)
	whole := a.certificate(a.serial(), nil, "cut.finmicro.example")
	put := func(der []byte) {
		l.with(func() {
			l.append(marshal(t, *ct.CreateX509MerkleTreeLeaf(ct.ASN1Cert{Data: der}, uint64(epoch.UnixMilli()))), nil)
		})
	}
	put(whole[:len(whole)-5])
	put([]byte{0x30, 0x82})
	l.with(func() { l.append([]byte("\x00\x00 an entry of a later version, for x.finmicro.example"), []byte{1}) })
	put(whole)
	got := o.clean()
	if len(got) != 3 || got[0].Unreadable == "" || got[0].Index != 1 || got[1].Unreadable == "" || got[1].Index != 3 || got[2].Unreadable != "" {
		t.Errorf("told %+v", got)
	}
}

func TestTileFaults(t *testing.T) {
	a := newAuthority(t)
	l := newTileLog(t, a)
	l.add(a.certificate(a.serial(), nil, "a.finmicro.example"))
	l.added()
	o := observe(t, l.log())
	o.clean()
	for i := range 300 {
		l.add(a.certificate(a.serial(), nil, fmt.Sprintf("n%d.finmicro.example", i)))
	}
	l.added()
	replace := func(path, body string) {
		l.with(func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasPrefix(r.URL.Path, path) {
				return false
			}
			fmt.Fprint(w, body)
			return true
		})
	}
	o.options = func(op *Options) { op.Batch = 256 }
	replace("/tile/data/", "nothing that is an entry")
	o.one(Garbage)
	replace("/tile/0/", "short")
	if _, err := o.pass(); err == nil || errors.Is(err, ErrProblem) {
		t.Errorf("err is %v", err)
	}
	replace("/tile/0/001", strings.Repeat("x", 256*32))
	o.one(Hidden) // the proof that the first batch belongs to the tree does not hold
	replace("/checkpoint", "submit.ct.example/2026h2\n1\n")
	if _, err := o.pass(); err == nil || errors.Is(err, ErrProblem) {
		t.Errorf("err is %v", err)
	}
	l.with(nil)
	if got := o.clean(); len(got) != 300 {
		t.Errorf("told %d", len(got))
	}
	l.add(a.certificate(a.serial(), nil, "last.finmicro.example"))
	l.added()
	replace("/tile/0/001", strings.Repeat("x", 256*32))
	o.one(Fork) // the proof that one head continues the other does not hold
	l.with(nil)
	if got := summary(o.clean()); got != "301 cert last.finmicro.example" {
		t.Errorf("told %s", got)
	}
}

// What is not covered by the leaf's hash is not believed.
func TestForgedPrecertificateIsNotShown(t *testing.T) {
	a, l, o := filled(t, 1)
	l.add(a.precertificate(a.serial(), "pay.finmicro.example"))
	l.with(func() {
		l.entries[1].ExtraData = marshal(t, ct.PrecertChainEntry{PreCertificate: ct.ASN1Cert{Data: a.precertificate(a.serial(), "www.other.example")}})
	})
	got := o.clean()
	if len(got) != 1 || got[0].Names[0] != "pay.finmicro.example" {
		t.Fatalf("told %s", summary(got))
	}
	leaf := leafEntry(1, l.entries[1])
	if string(got[0].DER) != string(leaf.signed) || got[0].ID != identity(leaf.signed) {
		t.Error("the forged precertificate is shown")
	}
}

func TestRetryAfter(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"0": 0, "5": 5 * time.Second, "99999999": mostPause, "Sun, 01 Nov 2026 12:00:30 GMT": 30 * time.Second, "Sun, 01 Nov 2099 12:00:30 GMT": mostPause,
	} {
		if got, ok := retryAfter(value, epoch); !ok || !got.Equal(epoch.Add(want)) {
			t.Errorf("%s: %v", value, got)
		}
	}
	for _, value := range []string{"", "-1", "soon", "999999999999999999999"} {
		if _, ok := retryAfter(value, epoch); ok {
			t.Errorf("%q is taken", value)
		}
	}
}

func TestReportIsJSON(t *testing.T) {
	_, _, o := filled(t, 1)
	src, err := json.Marshal(o.found[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"id", "names", "serial", "issuer", "not_before", "not_after", "sha256", "spki", "log", "log_id", "index", "timestamp", "precert", "der"} {
		if !strings.Contains(string(src), `"`+key+`":`) {
			t.Errorf("%s is missing in %s", key, src)
		}
	}
}
