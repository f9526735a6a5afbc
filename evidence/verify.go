package evidence

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"

	"slipway/audit"
	"slipway/audit/witness"
)

// Check names what Verify looks at.
type Check string

const (
	CheckContainer  Check = "container"   // a zip file that no reader has to fear
	CheckManifest   Check = "manifest"    // every file is as the manifest lists it, none is missing and none is more
	CheckCheckpoint Check = "checkpoint"  // signed by the log's key
	CheckInclusion  Check = "inclusion"   // every event lies in the checkpoint's tree, where it is said to
	CheckEvent      Check = "event"       // an event is in the one form of events
	CheckSignature  Check = "signature"   // by the event's key
	CheckKeyHistory Check = "key-history" // each key in its turn
	CheckSubject    Check = "subject"     // the events are those about the subject
	CheckOrder      Check = "order"       // times do not run backwards
	CheckDocument   Check = "document"    // documents are what their digests say, and all are there or were erased on record
	CheckApproval   Check = "approval"    // what was merged had been approved, by others than those who asked
	CheckLifecycle  Check = "life-cycle"  // no step of a change is missing between its request and going live
	CheckGit        Check = "git"         // commits and files are those that the events name
	CheckGitSigner  Check = "git-signer"  // commits are signed
	CheckData       Check = "data"        // data.json says what the events say
	CheckSeal       Check = "seal"        // the log has an event that names this very bundle
	CheckWitness    Check = "witness"     // witnesses cosigned the checkpoint
	CheckTimestamp  Check = "timestamp"   // a timestamp authority saw the log
)

// Problem is one thing that is not as it must be.
type Problem struct {
	Check Check   `json:"check"`
	File  string  `json:"file,omitempty"`
	Index *uint64 `json:"index,omitempty"` // of the event
	What  string  `json:"what"`
}

// Statement is one thing that was proven, or was not.
type Statement struct {
	Check Check  `json:"check"`
	Text  string `json:"text"`
}

// Result is what Verify found.
type Result struct {
	Subject   Subject     `json:"subject"`
	Trusted   bool        `json:"trusted"` // keys to trust were given
	Origin    string      `json:"origin"`
	Size      uint64      `json:"size"` // of the log
	Root      string      `json:"root"`
	Events    int         `json:"events"`
	Documents int         `json:"documents"`
	Changes   int         `json:"changes"`
	Proven    []Statement `json:"proven"`
	NotProven []Statement `json:"not_proven"`
	Problems  []Problem   `json:"problems"`
}

// OK reports whether everything that can be proven was, under keys that the verifier trusts.
func (r *Result) OK() bool { return r.Trusted && len(r.Problems) == 0 }

const maxProblems = 1000

// VerifyOptions say whom to trust. The zero value trusts nobody: then a bundle can be seen to
// hang together, and nothing is known of who made it.
type VerifyOptions struct {
	Trust          *Trust
	Witnesses      *witness.Policy // whose cosignatures are needed; nil: nobody's, which proves less
	TimestampRoots *x509.CertPool  // whose timestamps count; nil: nobody's
	AllowedSigners []byte          // who may sign commits; nil: as the bundle says, which proves less
}

// Verify checks a bundle offline, from its own bytes and the keys alone. What is wrong with it is
// in the result; an error means that it could not be read as a bundle at all.
func Verify(ctx context.Context, r io.ReaderAt, size int64, o VerifyOptions) (*Result, error) {
	v := &verifier{ctx: ctx, o: o, result: &Result{Trusted: o.Trust != nil, Proven: []Statement{}, NotProven: []Statement{}, Problems: []Problem{}}}
	err := v.all(r, size)
	var stop *stopped
	if errors.As(err, &stop) {
		v.problem(stop.check, stop.file, nil, "%s", stop.what)
		err = nil
	}
	return v.result, err
}

// stopped ends a verification: what follows would rest on what is broken.
type stopped struct {
	check      Check
	file, what string
}

func (s *stopped) Error() string { return s.what }

func stop(check Check, file, what string, args ...any) error {
	return &stopped{check, file, fmt.Sprintf(what, args...)}
}

type verifier struct {
	ctx         context.Context
	o           VerifyOptions
	result      *Result
	c           *container
	m           Manifest
	raw         []byte // the manifest
	trust       Trust  // the verifier's, or what the bundle says
	hashes      map[string]string
	events      []Event
	entries     []audit.Entry       // the same events, with what their signatures are over
	consistency map[uint64][][]byte // by the size of the earlier tree
	pack        *pack               // commits and files; nil when there are none
	data        *Data
}

func (v *verifier) problem(check Check, file string, index *uint64, what string, args ...any) {
	if len(v.result.Problems) < maxProblems {
		v.result.Problems = append(v.result.Problems, Problem{Check: check, File: file, Index: index, What: fmt.Sprintf(what, args...)})
	}
}

// inEvent reports a problem with one event.
func (v *verifier) inEvent(check Check, index uint64, what string, args ...any) {
	v.problem(check, eventsFile, &index, what, args...)
}

func (v *verifier) proven(check Check, what string, args ...any) {
	v.result.Proven = append(v.result.Proven, Statement{check, fmt.Sprintf(what, args...)})
}

func (v *verifier) notProven(check Check, what string, args ...any) {
	v.result.NotProven = append(v.result.NotProven, Statement{check, fmt.Sprintf(what, args...)})
}

// passed runs one check and reports whether it found nothing.
func (v *verifier) passed(check func() error) (bool, error) {
	before := len(v.result.Problems)
	err := check()
	return err == nil && len(v.result.Problems) == before, err
}

func (v *verifier) all(r io.ReaderAt, size int64) error {
	var err error
	if v.c, err = openContainer(r, size); err != nil {
		return stop(CheckContainer, "", "This is not a bundle of evidence that can be read: %v.", err)
	}
	for _, check := range []func() error{v.manifest, v.whom, v.checkpoint, v.readConsistency, v.record, v.keyHistory, v.subject, v.documents, v.git, v.tell, v.changes, v.witnesses, v.timestamps, v.seal} {
		if err := v.ctx.Err(); err != nil {
			return err
		}
		if err := check(); err != nil {
			return err
		}
	}
	v.never()
	return nil
}

// whom says whose keys count.
func (v *verifier) whom() error {
	if v.o.Trust != nil {
		v.trust = *v.o.Trust
		return nil
	}
	raw, err := v.c.read(keysFile, maxSmall)
	if err != nil {
		return stop(CheckManifest, keysFile, "Its own keys cannot be read: %v.", err)
	}
	if v.trust, err = ReadTrust(strings.NewReader(string(raw))); err != nil {
		return stop(CheckManifest, keysFile, "Its own keys cannot be read: %v.", err)
	}
	v.notProven(CheckCheckpoint, "Who made this bundle. You named no keys to trust, so it was held against the keys in it, and whoever forges a bundle puts fitting keys into it. Get the log's key from elsewhere, and give it with --trust.")
	return nil
}

// never says what no bundle can prove, so that nobody reads more into one.
func (v *verifier) never() {
	s := v.m.Subject
	if !s.period() && !s.Complete {
		v.notProven(CheckSubject, "That the log has no further event about %s. What is here is in order and no step of a change is missing, but a bundle of some events cannot show that there are no others. A complete bundle (--complete), or one of a period, can; so can the whole log.", s)
	}
	v.notProven(CheckCheckpoint, "That the server told the truth when it wrote the events. They are as it wrote them; what happened outside of it is shown by documents that others signed, as far as they are here.")
}
