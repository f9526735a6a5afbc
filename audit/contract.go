package audit

import (
	"context"
	"crypto"
	"io"
	"iter"
	"net/http"
	"time"

	"slipway/key"
)

// CONTRACT: replace by the real code.

type Options struct {
	Dir    string      // log files (tlog-tiles), documents and the index live below it: log/, documents/, index.db
	Origin string      // checkpoint origin, for example "slipway.finmicro.example/log"
	Events *key.Signer // signs events
	Log    *key.Signer // signs checkpoints (C2SP signed-note, Ed25519)
	Now    func() time.Time
}

// Receipt says where an event lies in the log.
type Receipt struct {
	Index uint64 `json:"index"`
	Event Event  `json:"event"`
}

type Log struct{}

// Open opens or creates the log, and brings the index up to it.
func Open(ctx context.Context, o Options) (*Log, error) { panic("contract") }

// Append signs and appends; it returns when the event is durable, under a published checkpoint or
// certain to be, and in the index. An event whose Once is already in the log is not added again: the first one comes back.
func (l *Log) Append(ctx context.Context, e Event) (Receipt, error) { panic("contract") }
func (l *Log) Close(ctx context.Context) error                      { panic("contract") }
func (l *Log) Documents() *Documents                                { panic("contract") }
func (l *Log) Index() *Index                                        { panic("contract") }
func (l *Log) Handler() http.Handler                                { panic("contract") } // tlog-tiles over HTTP (read only)
func (l *Log) PublicKeys() Keys                                     { panic("contract") }

// Documents is the content-addressed store. Digests are "sha256:<hex>".
type Documents struct{}

func (d *Documents) Put(ctx context.Context, content []byte) (digest string, err error) {
	panic("contract")
}                                                                           // durable on return
func (d *Documents) Get(ctx context.Context, digest string) ([]byte, error) { panic("contract") } // verifies the digest

// Query selects events. Zero fields do not select.
type Query struct {
	Change, App, Zone, Record, Actor string
	Action                           Action
	From, To                         time.Time
	After                            uint64 // index greater than this…
	HasAfter                         bool   // …when set
	Newest                           bool   // newest first
	Limit                            int    // default 1000
}

// Index is the SQLite projection of the log. It can be deleted: Open rebuilds it.
type Index struct{}

func (x *Index) Events(ctx context.Context, q Query) ([]Receipt, error)       { panic("contract") }
func (x *Index) Once(ctx context.Context, once string) (Receipt, bool, error) { panic("contract") }

// ChangeIDs lists changes by newest event first. open selects those with no end event (go-live, reject, cancel, expire).
func (x *Index) ChangeIDs(ctx context.Context, q ChangeQuery) ([]string, error) { panic("contract") }

type ChangeQuery struct {
	Requester string
	App       string
	OpenOnly  bool
	Limit     int
	Offset    int
}

// Reindex drops the index below dir and rebuilds it from the log's files alone.
func Reindex(ctx context.Context, o Options, progress func(done, total uint64)) error {
	panic("contract")
}

// Keys is what a verifier must trust: the log's verifier key (C2SP signed-note vkey) and the event keys by ID.
type Keys struct {
	Origin string                      `json:"origin"`
	Log    string                      `json:"log"`
	Events map[string]crypto.PublicKey `json:"-"` // JSON form is a JWK set; see keys.go
}

func ReadKeys(r io.Reader) (Keys, error) { panic("contract") }
func (k Keys) Write(w io.Writer) error   { panic("contract") }

// Problem is one thing that verification found, with the place.
type Problem struct {
	File  string  `json:"file"`            // below the log's directory
	Index *uint64 `json:"index,omitempty"` // entry
	What  string  `json:"what"`
	Check string  `json:"check"` // which check found it: checkpoint-signature, root, tile, bundle, event-signature, canonical-form, once, document, …
}

type Report struct {
	Size      uint64    `json:"size"`
	Root      string    `json:"root"`
	Events    uint64    `json:"events"`
	Documents uint64    `json:"documents"`
	Problems  []Problem `json:"problems"`
}

// Verify checks a whole log offline, from its files (log/ and documents/ below dir) and the keys alone.
func Verify(ctx context.Context, dir string, keys Keys, progress func(done, total uint64)) (*Report, error) {
	panic("contract")
}

// Read streams a log's events from its files alone, without index or keys.
func Read(ctx context.Context, dir string, from uint64) iter.Seq2[Receipt, error] { panic("contract") }
