// Package ctwatch finds certificates for the organisation's names that did not come
// from here. It follows Certificate Transparency logs, of RFC 6962 and of static-ct-api,
// and believes none of them: heads are checked against the log's key, each head must
// continue the one before, and the entries must make up the tree that was signed, so that
// a log that hides a certificate shows itself. It judges nothing and reports to nobody
// itself; what is known, and what becomes of what is found, are functions that the caller
// gives. It never submits anything to a log. Read this file first, then follow.go for how
// one log is followed, entry.go and source.go for what logs answer, and sct.go for the
// promises of logs that stand in our own certificates.
package ctwatch

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	ctx509 "github.com/google/certificate-transparency-go/x509"
	"golang.org/x/time/rate"

	"slipway/filelock"
	"slipway/zone"
)

// From says where a log is begun that was not followed before.
type From string

const (
	FromNow   From = "now"   // with what is logged from here on; the default
	FromStart From = "start" // with its first entry
)

// Defaults of Options.
const (
	DefaultBatch     = 1024
	DefaultPass      = 100_000
	DefaultRate      = 10 // requests a second to one log
	DefaultParallel  = 4
	DefaultStale     = 48 * time.Hour
	defaultTimeout   = time.Minute
	maxBatch         = 64 << 10
	maxBatchBytes    = 32 << 20 // of entries in memory, of one log
	rememberedFounds = 10_000
)

// Options says what to watch, and who is told.
type Options struct {
	Dir   string      // of the positions: one file a log, and a lock. It is made.
	Logs  []Log       //
	Zones []zone.Name // the organisation's: each with all names below it
	From  From        //

	// Known says whether a certificate came from here, by its key, its serial or whatever
	// is on record. nil: none did.
	Known func(context.Context, Found) (bool, error)
	// Found is told of every certificate that did not. It may be told of one again, with the same
	// Found.ID, after a kill. An error ends the pass at that entry, which is the next one's first.
	Found func(context.Context, Found) error
	// Problem is told when a log breaks its promises, in every pass that sees it, with the same Problem.ID.
	Problem func(context.Context, Problem) error

	Batch    int           // entries that are checked and recorded together; DefaultBatch
	Pass     uint64        // entries of one log in one pass; DefaultPass
	Rate     float64       // requests a second to one log; DefaultRate
	Parallel int           // logs at a time; DefaultParallel
	Stale    time.Duration // age of a tree head that is a problem; DefaultStale

	Client *http.Client // nil: one with a time limit and without cookies
	Now    func() time.Time
	Sleep  func(context.Context, time.Duration) error // nil: by the clock
	Jitter func() float64                             // 0 to 1; nil: by chance
}

// Found is a certificate for the organisation's names in a log.
type Found struct {
	// ID is the same for a precertificate and its certificate, in every log.
	ID string `json:"id"`

	Names     []string  `json:"names"` // those in the organisation's zones, as zones write names
	More      bool      `json:"more,omitempty"`
	Serial    string    `json:"serial"` // hexadecimal, in whole octets
	Issuer    string    `json:"issuer"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`

	SHA256 string `json:"sha256"` // of DER, hexadecimal
	SPKI   string `json:"spki"`   // SHA-256 of the subject's key (SubjectPublicKeyInfo), hexadecimal

	Log       string    `json:"log"`
	LogID     string    `json:"log_id"`
	Index     uint64    `json:"index"`
	Timestamp time.Time `json:"timestamp"` // when the log took it
	Precert   bool      `json:"precert"`   // it is to be issued, and perhaps never was

	// DER is the certificate or the precertificate as handed in, or only its
	// TBSCertificate where the log does not have what was handed in.
	DER []byte `json:"der"`

	// Unreadable says why the entry, which has the organisation's names in its bytes, could
	// not be read as a certificate. Of the fields above only ID, SHA256, DER and the log's are set then.
	Unreadable string `json:"unreadable,omitempty"`
}

// Kind of a problem with a log.
type Kind string

const (
	Fork      Kind = "fork"      // two heads that cannot both be true
	Rollback  Kind = "rollback"  // fewer entries than it had before
	Hidden    Kind = "hidden"    // the entries are not those of the signed tree
	Unsigned  Kind = "unsigned"  // a head that its key has not signed
	StaleHead Kind = "stale"     // no new head for too long
	Garbage   Kind = "malformed" // entries that no client can read
)

// Problem is a promise that a log broke. Until it is settled, certificates could be hidden there.
type Problem struct {
	ID     string `json:"id"`
	Kind   Kind   `json:"kind"`
	Log    string `json:"log"`
	LogID  string `json:"log_id"`
	Text   string `json:"text"` // what is wrong, why it matters
	Help   string `json:"help"` // what to do
	Before *Head  `json:"before,omitempty"`
	After  *Head  `json:"after,omitempty"`
}

// ErrProblem is in the error of a log that Options.Problem was told of.
var ErrProblem = errors.New("the log breaks its promises")

// Status is how far a log is followed.
type Status struct {
	Log      string    `json:"log"`
	LogID    string    `json:"log_id"`
	Size     uint64    `json:"size"`     // entries that it has
	Position uint64    `json:"position"` // the next one to look at
	Head     time.Time `json:"head"`     // time of the newest head
	Read     uint64    `json:"read"`     // entries in this pass
	Found    int       `json:"found"`    // told in this pass
	Err      error     `json:"-"`
}

// Behind is how many entries are still to be looked at.
func (s Status) Behind() uint64 { return s.Size - min(s.Position, s.Size) }

// Watcher follows logs. One pass at a time is under way, in this process and all others
// with the same directory.
type Watcher struct {
	o    Options
	logs []*follower

	mu     sync.Mutex // held while Known, Found and Problem are called
	recent recent     // guarded by mu
}

// New checks the options; it asks nobody yet.
func New(o Options) (*Watcher, error) {
	if o.Dir == "" || o.Found == nil || o.Problem == nil {
		return nil, errors.New("ctwatch: a directory, and functions for what is found and for problems, are needed")
	}
	if len(o.Zones) == 0 || len(o.Logs) == 0 || len(o.Logs) > MaxLogs {
		return nil, fmt.Errorf("ctwatch: at least one zone and 1 to %d logs are needed", MaxLogs)
	}
	switch o.From {
	case "":
		o.From = FromNow
	case FromNow, FromStart:
	default:
		return nil, fmt.Errorf("ctwatch: from is %q; it must be %s or %s", o.From, FromNow, FromStart)
	}
	o.Batch = min(cmp.Or(o.Batch, DefaultBatch), maxBatch)
	o.Pass = cmp.Or(o.Pass, DefaultPass)
	o.Rate = cmp.Or(o.Rate, DefaultRate)
	o.Parallel = cmp.Or(o.Parallel, DefaultParallel)
	o.Stale = cmp.Or(o.Stale, DefaultStale)
	if o.Batch < 0 || o.Rate < 0 || o.Parallel < 0 || o.Stale < 0 {
		return nil, errors.New("ctwatch: batch, rate, parallel and stale cannot be negative")
	}
	if o.Known == nil {
		o.Known = func(context.Context, Found) (bool, error) { return false, nil }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	if o.Jitter == nil {
		o.Jitter = rand.Float64
	}
	if o.Client == nil {
		o.Client = &http.Client{Timeout: defaultTimeout}
	}
	w := &Watcher{o: o, recent: recent{seen: map[string]bool{}}}
	zones := watch(o.Zones)
	ids := map[string]string{}
	for _, l := range o.Logs {
		log, err := l.open()
		if err != nil {
			return nil, fmt.Errorf("ctwatch: %w", err)
		}
		id := hex.EncodeToString(log.id[:])
		if first, ok := ids[id]; ok {
			return nil, fmt.Errorf("ctwatch: the logs %s and %s have the same key", first, l.Name)
		}
		ids[id] = l.Name
		fetch := &fetcher{
			client: o.Client, base: log.URL, limit: rate.NewLimiter(rate.Limit(o.Rate), max(1, int(o.Rate))),
			now: o.Now, sleep: o.Sleep, jitter: o.Jitter,
		}
		f := &follower{w: w, log: log, id: id, zones: zones, file: filepath.Join(o.Dir, id[:32]+".json")}
		if log.Type == StaticCT {
			f.src = &tileAPI{log: log, fetch: fetch}
		} else {
			f.src = &jsonAPI{log: log, fetch: fetch}
		}
		w.logs = append(w.logs, f)
	}
	return w, nil
}

// Pass looks at what was logged since the last pass, in every log. A log that fails does
// not hold up the others; the error is of all that failed, and of their Status as well.
func (w *Watcher) Pass(ctx context.Context) ([]Status, error) {
	if err := os.MkdirAll(w.o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("ctwatch: %w", err)
	}
	unlock, err := filelock.Take(ctx, filepath.Join(w.o.Dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("ctwatch: %w", err)
	}
	out := make([]Status, len(w.logs))
	errs := make([]error, len(w.logs))
	free := make(chan struct{}, w.o.Parallel)
	var wg sync.WaitGroup
	for i, f := range w.logs {
		free <- struct{}{}
		wg.Go(func() {
			defer func() { <-free }()
			out[i] = f.pass(ctx)
			if out[i].Err != nil {
				errs[i] = fmt.Errorf("log %s: %w", f.log.Name, out[i].Err)
			}
		})
	}
	wg.Wait()
	return out, errors.Join(append(errs, unlock())...)
}

// tell reports a certificate, unless it came from here or was told of just now.
func (w *Watcher) tell(ctx context.Context, f Found) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.recent.has(f.ID) {
		return false, nil
	}
	known, err := w.o.Known(ctx, f)
	if err != nil {
		return false, fmt.Errorf("is the certificate %s known: %w", f.Serial, err)
	}
	if !known {
		if err := w.o.Found(ctx, f); err != nil {
			return false, fmt.Errorf("report the certificate %s: %w", f.Serial, err)
		}
	}
	w.recent.add(f.ID)
	return !known, nil
}

func (w *Watcher) complain(ctx context.Context, p Problem) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.o.Problem(ctx, p); err != nil {
		return fmt.Errorf("report that the log breaks its promises: %w", err)
	}
	return fmt.Errorf("%w: %s", ErrProblem, p.Text)
}

// ID is the Found.ID of a certificate or precertificate in DER, so that a registry can tell
// which of its own was found.
func ID(der []byte) (string, error) {
	c, err := ctx509.ParseCertificate(der)
	if ctx509.IsFatal(err) || c == nil {
		return "", fmt.Errorf("certificate: %w", err)
	}
	tbs := commonTBS(c)
	if c.IsPrecertificate() {
		if tbs, err = ctx509.RemoveCTPoison(c.RawTBSCertificate); err != nil {
			return "", fmt.Errorf("precertificate: %w", err)
		}
	}
	return identity(tbs), nil
}

func identity(tbs []byte) string { return "ct:" + digest(tbs) }

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// recent are the IDs of the last certificates that were told of: a precertificate is
// mostly followed by its certificate, and both stand in several logs.
type recent struct {
	seen map[string]bool
	ring []string
	next int
}

func (r *recent) has(id string) bool { return r.seen[id] }

func (r *recent) add(id string) {
	if len(r.ring) < rememberedFounds {
		r.ring = append(r.ring, id)
	} else {
		delete(r.seen, r.ring[r.next])
		r.ring[r.next] = id
		r.next = (r.next + 1) % len(r.ring)
	}
	r.seen[id] = true
}
