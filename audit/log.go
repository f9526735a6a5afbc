package audit

import (
	"context"
	"crypto"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"

	"slipway/key"
)

const (
	// DefaultBatchMaxAge is how long Tessera waits for company before it writes a
	// batch. The writer hands over everything that waits at once, so waiting longer
	// would only add to the time of a lone event.
	DefaultBatchMaxAge = 500 * time.Microsecond
	// DefaultBatchMaxSize is the largest number of events made durable together.
	DefaultBatchMaxSize = 1024
	// CheckpointInterval is how soon after an event a checkpoint covers it: the
	// shortest that Tessera's POSIX driver allows.
	CheckpointInterval = 100 * time.Millisecond

	// maxSignatures is how many are made at the same time: a key service may take 20 ms
	// for each, and should not be asked for thousands at once.
	maxSignatures = 128

	maxClockSkew = time.Minute // how far the times within a log may run backwards
)

type Options struct {
	Dir    string      // log files (tlog-tiles), documents and the index live below it: log/, documents/, index.db
	Origin string      // checkpoint origin, for example "slipway.finmicro.example/log"
	Events *key.Signer // signs events
	Log    *key.Signer // signs checkpoints (C2SP signed-note, Ed25519)
	Index  *Database   // where the index is kept; default: index.db below Dir

	Now    func() time.Time // default time.Now
	Random io.Reader        // for event IDs; default crypto/rand.Reader
	Logger *slog.Logger     // default slog.Default()
}

// database is where the index is.
func (o *Options) database() database {
	if o.Index != nil {
		return server{o.Index}
	}
	return sqliteFile(filepath.Join(o.Dir, indexFile))
}

func (o *Options) complete() error {
	if o.Dir == "" || o.Origin == "" || o.Events == nil || o.Log == nil {
		return errors.New("audit log: a directory, an origin, an event key and a log key are needed")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return nil
}

// Receipt says where an event lies in the log.
type Receipt struct {
	Index uint64 `json:"index"`
	Event Event  `json:"event"`
}

// Log is the one writer of an audit log. It is safe for concurrent use.
type Log struct {
	o      Options      // o.Events is under gate
	keys   Keys         // under gate; its map is replaced, never changed
	signer *eventSigner // under gate
	docs   *Documents
	index  *Index
	unlock func() error

	appender *tessera.Appender
	shutdown func(context.Context) error
	reader   tessera.LogReader
	stop     context.CancelFunc // ends Tessera's background work

	queue     chan *pending // Append to sequence
	closing   chan struct{} // closed by Close, which then closes queue
	closeOnce sync.Once
	done      chan struct{}   // closed when the last event was answered and the index was told
	ctx       context.Context // of the background work, not of any caller
	durable   uint64          // events in the log, of which sequence knows; owned by it

	gate    sync.RWMutex  // read-held while an event is signed and put into queue; held to close it and to rotate the key
	signing chan struct{} // a place for each signature that is being made
	closed  bool          // under gate
	halted  error         // under gate: why the log takes no more events

	claims claims
	onces  *onces
	latest atomic.Int64 // when the newest event was recorded, in Unix milliseconds

	follower *follower
	indexed  uint64 // events in the index; owned by follow, after Open
}

// Open opens or creates the log, takes what an interrupted write left behind out of
// it, and brings the index up to it. When it returns, every event in the log is
// under a published checkpoint. There is one writer: a second Open of the same
// directory is refused.
func Open(ctx context.Context, o Options) (*Log, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	l := &Log{
		o:     o,
		queue: make(chan *pending, 2*DefaultBatchMaxSize), closing: make(chan struct{}), done: make(chan struct{}),
		signing:  make(chan struct{}, maxSignatures),
		follower: newFollower(),
	}
	if err := l.open(ctx); err != nil {
		l.abandon()
		return nil, fmt.Errorf("audit log %s: %w", o.Dir, err)
	}
	l.index.upToDate = l.follower.await
	go l.sequence()
	go l.follow()
	go l.learnOnces()
	if err := l.introduce(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("audit log %s: %w", o.Dir, err), l.Close(ctx))
	}
	return l, nil
}

func (l *Log) open(ctx context.Context) (err error) {
	path := filepath.Join(l.o.Dir, logDir)
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	if l.unlock, err = lockDir(ctx, l.o.Dir); err != nil {
		return err
	}
	verifier, err := newNoteVerifier(l.o.Origin, l.o.Log)
	if err != nil {
		return err
	}
	if l.keys, err = publicKeys(l.o); err != nil {
		return err
	}
	if l.signer, err = newEventSigner(l.o.Events); err != nil {
		return err
	}
	if err := checkOurs(path, l.o.Origin, verifier); err != nil {
		return err
	}
	removed, err := sweep(path)
	if err != nil {
		return err
	}
	if len(removed) > 0 {
		l.o.Logger.Info("removed what an interrupted write had left in the audit log; no acknowledged event was in it", "files", removed)
	}
	if l.docs, err = openDocuments(l.o.Dir); err != nil {
		return err
	}
	if err := l.openTessera(ctx, path); err != nil {
		return err
	}
	if err := l.openIndex(ctx, path); err != nil {
		return err
	}
	if err := l.takeUp(ctx); err != nil {
		return err
	}
	return l.awaitCheckpoint(ctx, path)
}

func (l *Log) openTessera(ctx context.Context, path string) error {
	quietKlog(l.o.Logger)
	driver, err := posix.New(ctx, posix.Config{Path: path})
	if err != nil {
		return err
	}
	signer, err := newNoteSigner(l.o.Origin, l.o.Log)
	if err != nil {
		return err
	}
	// Tessera works on after Open's own context has ended.
	l.ctx, l.stop = context.WithCancel(context.WithoutCancel(ctx))
	l.appender, l.shutdown, l.reader, err = tessera.NewAppender(l.ctx, driver, tessera.NewAppendOptions().
		WithCheckpointSigner(signer).
		WithCheckpointInterval(CheckpointInterval).
		WithCheckpointRepublishInterval(0).
		WithBatching(DefaultBatchMaxSize, DefaultBatchMaxAge))
	return err
}

// openIndex opens the index, or makes it from the log when it is missing, of another
// version or damaged, and brings it up to the log.
func (l *Log) openIndex(ctx context.Context, path string) error {
	size, err := l.reader.IntegratedSize(ctx)
	if err != nil {
		return err
	}
	l.index, err = openIndex(ctx, l.o.database())
	if err == nil {
		l.indexed, err = l.index.compare(ctx, path, size)
	}
	if errors.Is(err, errStale) {
		if size > 0 {
			l.o.Logger.Warn("making the index of the audit log anew from the log", "events", size, "reason", err)
		}
		if l.index != nil {
			l.index.close()
		}
		l.indexed = 0
		l.index, err = createIndex(ctx, l.o.database())
	}
	if err != nil {
		return err
	}
	l.onces, l.durable = newOnces(size), size
	return l.catchUp(ctx, size)
}

// learnOnces is for speed alone.
func (l *Log) learnOnces() {
	if err := l.onces.load(l.ctx, l.index); err != nil && l.ctx.Err() == nil {
		l.o.Logger.Warn("the index could not be read ahead; appending events that must be recorded once is slower", "error", err)
	}
}

// awaitCheckpoint waits until the published checkpoint covers the whole log. It only
// has to wait when the last writer was killed.
func (l *Log) awaitCheckpoint(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(CheckpointInterval / 10)
	defer tick.Stop()
	for {
		size, err := publishedSize(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err == nil && size >= l.indexed {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("no checkpoint could be published for %d events that are in the log (see the server's messages for the reason): %w", l.indexed, ctx.Err())
		}
	}
}

// introduce logs the keys that the log is verified with, as the first event of a new
// log and again at the first start with another key.
func (l *Log) introduce(ctx context.Context) error {
	details, err := json.Marshal(l.keys)
	if err != nil {
		return err
	}
	_, err = l.Append(ctx, Event{
		Actor:    Actor{ID: "slipway", Role: "system"},
		Action:   StartLog,
		Resource: Resource{Name: l.o.Origin},
		Once:     "start-log:" + l.o.Events.ID() + ":" + l.o.Log.ID(),
		Details:  details,
	})
	return err
}

func publicKeys(o Options) (Keys, error) {
	vkey, err := verifierKey(o.Origin, o.Log)
	if err != nil {
		return Keys{}, err
	}
	return Keys{Origin: o.Origin, Log: vkey, Events: map[string]crypto.PublicKey{o.Events.ID(): o.Events.Public()}}, nil
}

// Documents is the store of what events refer to by digest.
func (l *Log) Documents() *Documents { return l.docs }

// Index finds events.
func (l *Log) Index() *Index { return l.index }

// PublicKeys is what others verify this log with.
func (l *Log) PublicKeys() Keys {
	l.gate.RLock()
	defer l.gate.RUnlock()
	return l.keys
}

// Close answers the events that were handed in, waits until they are in the index and
// under a checkpoint, and lets go of the directory. Append then fails.
func (l *Log) Close(ctx context.Context) error {
	// Before the gate, which somebody may hold who waits for room in the queue.
	l.closeOnce.Do(func() { close(l.closing) })
	l.gate.Lock()
	if l.closed {
		l.gate.Unlock()
		return nil
	}
	l.closed = true
	close(l.queue)
	l.gate.Unlock()
	<-l.done
	var errs []error
	if err := l.follower.failure(); err != nil {
		errs = append(errs, fmt.Errorf("the index lacks events that are in the log, and gets them at the next start: %w", err))
	}
	errs = append(errs, l.shutdown(ctx), l.abandon())
	return errors.Join(errs...)
}

// abandon lets go of whatever open has taken.
func (l *Log) abandon() error {
	var errs []error
	if l.stop != nil {
		l.stop()
	}
	if l.index != nil {
		errs = append(errs, l.index.close())
	}
	if l.unlock != nil {
		errs = append(errs, l.unlock())
	}
	return errors.Join(errs...)
}
