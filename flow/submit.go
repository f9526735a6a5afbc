package flow

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	enumspb "go.temporal.io/api/enums/v1"

	"slipway/audit"
	"slipway/check"
	"slipway/identity"
	"slipway/lifecycle"
	"slipway/repo"
	"slipway/zone"
)

// Bounds on one submission.
const (
	MaxFiles     = 200     // files of a form or an API call; a push has the bounds of the Git host
	MaxFile      = 1 << 20 // bytes of one
	MaxTitle     = 120     // characters
	MaxTicket    = 200     // bytes
	MaxRequestID = 128     // bytes
	MaxAhead     = 366 * 24 * time.Hour
	MaxOpen      = 200 // open changes of one person
)

// verdictPatience bounds how long Submit waits for the verdict. The change is on record by then.
const verdictPatience = 2 * time.Minute

// Submission is a request in any of the four ways.
type Submission struct {
	By        identity.Person
	Via       string            // cli | portal | push | api
	Files     map[string][]byte // on top of main, nil deletes; or
	Head      string            // a pushed commit
	Title     string
	Ticket    string
	NotBefore time.Time
	Revises   string // ID of an open change of the same requester; "" for a new one
	RequestID string // chosen by the client; a repeated one returns the first change
	Undoes    string // ID of the change that this one takes back; set by Rollback
	Adopts    string // digest of the live zone that this one makes the approved one; set by AdoptDrift
}

// request is the document "request": what was asked for, and how.
type request struct {
	Requester  string            `json:"requester"`
	ThirdParty bool              `json:"third_party"`
	Via        string            `json:"via"`
	Title      string            `json:"title"`
	Ticket     string            `json:"ticket,omitempty"`
	NotBefore  time.Time         `json:"not_before,omitzero"`
	RequestID  string            `json:"request_id,omitempty"`
	Revises    string            `json:"revises,omitempty"`
	Undoes     string            `json:"undoes,omitempty"`
	Adopts     string            `json:"adopts,omitempty"`
	Base       string            `json:"base"` // main when asked
	Head       string            `json:"head"` // the commit that holds it
	Files      map[string]string `json:"files,omitempty"`
}

var vias = []string{"cli", "portal", "push", "api"}

// tidy checks a submission and brings it into its one form.
func (sub *Submission) tidy(now time.Time) error {
	switch {
	case sub.By.ID == "":
		return fault(Forbidden, "Sign in first.", "Nobody is signed in.")
	case !slices.Contains(vias, sub.Via):
		return fault(Invalid, "", "%q is not a way to submit a change.", short(sub.Via, 40))
	case (len(sub.Files) > 0) == (sub.Head != ""):
		return fault(Invalid, "Send files, or push a commit.", "A change is either files or a commit.")
	case len(sub.Files) > MaxFiles:
		return fault(Invalid, "Push it as a commit, or submit it in parts.", "The request has %d files; %d are allowed.", len(sub.Files), MaxFiles)
	case len(sub.RequestID) > MaxRequestID || len(sub.Ticket) > MaxTicket:
		return fault(Invalid, "Shorten it.", "The ticket may have %d bytes and the request ID %d.", MaxTicket, MaxRequestID)
	case len(sub.Head) > MaxRequestID:
		return fault(Invalid, "Name one commit.", "That is not a commit.")
	case sub.NotBefore.After(now.Add(MaxAhead)):
		return fault(Invalid, "Choose a time within a year.", "The time is more than a year ahead.")
	}
	for file, content := range sub.Files {
		if len(content) > MaxFile {
			return fault(Invalid, "Submit less at once.", "The file %s has %d bytes; %d are allowed.", short(file, 100), len(content), MaxFile)
		}
	}
	sub.Title = line(sub.Title, MaxTitle)
	sub.Ticket = line(sub.Ticket, MaxTicket)
	if !sub.NotBefore.After(now) {
		sub.NotBefore = time.Time{}
	}
	sub.NotBefore = sub.NotBefore.UTC()
	return nil
}

// line is one line of at most so many characters.
func line(s string, most int) string {
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, ""), func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if r := []rune(s); len(r) > most {
		s = string(r[:most-1]) + "…"
	}
	return s
}

// Preview judges files on top of main without recording anything.
func (s *Service) Preview(ctx context.Context, by identity.Person, files map[string][]byte) (*check.Verdict, error) {
	sub := Submission{By: by, Via: "portal", Files: files}
	if err := sub.tidy(s.now()); err != nil {
		return nil, err
	}
	p, _, err := s.propose(ctx, &sub)
	if err != nil {
		return nil, err
	}
	v, err := s.judge(ctx, p, by.ID, by.Role, by.ThirdParty)
	return v, explain("judge this change", err)
}

// propose makes the submission's commit, if it is not one already, and computes the change.
func (s *Service) propose(ctx context.Context, sub *Submission) (p *proposal, head string, err error) {
	main, err := s.main(ctx)
	if err != nil {
		return nil, "", explain("read the zones repository", err)
	}
	if head = sub.Head; head != "" {
		if head, err = s.o.Repo.Resolve(ctx, head); err != nil {
			return nil, "", &Error{Code: Invalid, Message: "That commit is not in the repository.", Help: "Push it first.", Detail: err}
		}
		if _, err := s.o.Repo.MergeBase(ctx, main.Commit(), head); errors.Is(err, repo.ErrNotFound) {
			return nil, "", &Error{Code: Invalid, Message: "That commit shares no history with main.", Help: "Clone the repository, make your change there and push it.", Detail: err}
		}
	} else {
		who := repo.Person{Name: sub.By.ID, Email: sub.By.ID}
		title := sub.Title
		if title == "" {
			title = "A change by " + sub.By.ID
		}
		head, err = s.o.Repo.Propose(ctx, repo.Proposal{Base: main.Commit(), Files: sub.Files, Author: who, Message: title, When: s.now()})
		var source *zone.Error
		switch {
		case errors.As(err, &source):
			return nil, "", sourceFault(source)
		case err != nil:
			return nil, "", &Error{Code: Invalid, Message: "These files cannot be put into the repository: " + short(err.Error(), 300) + ".", Help: "Check their names.", Detail: err}
		}
	}
	p, err = s.prepare(ctx, main.Commit(), head)
	if errors.Is(err, repo.ErrConflict) {
		return nil, "", &Error{Code: Conflict, Message: conflictWords(err), Detail: err}
	}
	return p, head, explain("work out what this changes", err)
}

// Submit records a request and returns when its verdict is recorded. progress, which may be nil, gets plain
// sentences as things happen.
func (s *Service) Submit(ctx context.Context, sub Submission, progress io.Writer) (lifecycle.State, *check.Verdict, error) {
	if progress == nil {
		progress = io.Discard
	}
	if err := sub.tidy(s.now()); err != nil {
		return lifecycle.State{}, nil, err
	}
	id, revision, err := s.submit(ctx, sub, progress)
	if err != nil {
		return lifecycle.State{}, nil, err
	}
	st, v, err := s.awaitVerdict(ctx, id, revision)
	if err != nil {
		return st, nil, explain("read the verdict; the change is on record as "+id+" all the same", err)
	}
	s.report(progress, st, v)
	return st, v, nil
}

// submit brings a submission onto the record, once.
func (s *Service) submit(ctx context.Context, sub Submission, progress io.Writer) (id string, revision int, err error) {
	once := ""
	if sub.RequestID != "" {
		sum := sha256.Sum256([]byte(sub.By.ID + "\x00" + sub.RequestID))
		once = "request/" + hex.EncodeToString(sum[:])
	}
	// One at a time for each person: a repeated request finds the first.
	unlock, err := s.requests.take(ctx, sub.By.ID)
	if err != nil {
		return "", 0, explain("take the request", err)
	}
	defer unlock()
	if id, revision, err = s.repeated(ctx, sub, once); err != nil || id != "" {
		return id, revision, err
	}
	p, head, err := s.propose(ctx, &sub)
	if err != nil {
		return "", 0, err
	}
	if p.change.Empty() {
		return "", 0, fault(Refused, "Look at what is there already, and say what should be different.", "This changes nothing: main already says all of it.")
	}
	if sub.Title == "" && sub.Head != "" {
		// A commit's subject is its author's own title for what it does.
		commits, err := s.o.Repo.FirstParents(ctx, head, 1)
		if err != nil {
			return "", 0, explain("read the commit", err)
		}
		if len(commits) == 1 {
			sub.Title = line(commits[0].Subject, MaxTitle)
		}
	}
	if sub.Title == "" {
		sub.Title = titleOf(p)
	}
	fmt.Fprintf(progress, "Checking %s.\n", describe(p))
	if sub.Revises != "" {
		return s.revise(ctx, sub, p, head, once)
	}
	if id, err = s.newID(); err != nil {
		return "", 0, explain("name the change", err)
	}
	st := lifecycle.State{ID: id, Head: head, Revision: 1}
	if err := s.recordSubmission(ctx, st, audit.SubmitChange, sub, p, once); err != nil {
		return "", 0, explain("record the request", err)
	}
	if err := s.startChange(ctx, id, enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING); err != nil {
		s.o.Logger.Warn("a change's workflow could not be started; the next start of the server takes it up", "change", id, "error", err)
	}
	return id, 1, nil
}

// repeated finds the change that the same request made before: by its request ID, or for a push by its commit.
func (s *Service) repeated(ctx context.Context, sub Submission, once string) (id string, revision int, err error) {
	if once != "" {
		first, ok, err := s.o.Log.Index().Once(ctx, once)
		if err != nil {
			return "", 0, explain("read the record", err)
		}
		if ok {
			d, err := lifecycle.Decode[lifecycle.SubmitDetails](first.Event)
			return first.Event.Change, d.Revision, explain("read the record", err)
		}
	}
	if sub.Revises != "" {
		return "", 0, nil
	}
	ids, err := s.o.Log.Index().ChangeIDs(ctx, audit.ChangeQuery{Requester: sub.By.ID, OpenOnly: true, Limit: MaxOpen})
	if err != nil {
		return "", 0, explain("read the record", err)
	}
	if len(ids) >= MaxOpen {
		return "", 0, fault(Refused, "Cancel those that are not wanted any more.", "You have %d open changes, which is as many as one person may have.", len(ids))
	}
	if sub.Head == "" {
		return "", 0, nil
	}
	for _, id := range ids {
		if st, err := s.load(ctx, id); err == nil && st.Head == sub.Head {
			return id, st.Revision, nil
		}
	}
	return "", 0, nil
}

// revise gives an open change new content.
func (s *Service) revise(ctx context.Context, sub Submission, p *proposal, head, once string) (string, int, error) {
	unlock, err := s.changes.take(ctx, sub.Revises)
	if err != nil {
		return "", 0, explain("revise the change", err)
	}
	defer unlock()
	st, err := s.load(ctx, sub.Revises)
	switch {
	case err != nil:
		return "", 0, explain("read the change", err)
	case st.Requester != sub.By.ID:
		return "", 0, fault(Forbidden, "Submit yours as a new change.", "Only %s, who asked for this change, may revise it.", st.Requester)
	case !st.BeforeMerge():
		return "", 0, over(st)
	case st.Head == head && st.Title == sub.Title && st.Ticket == sub.Ticket && st.NotBefore.Equal(sub.NotBefore):
		return st.ID, st.Revision, nil
	}
	if err := s.void(ctx, st, st.Votes, "The change was revised.", fmt.Sprintf("revision/%d", st.Revision+1)); err != nil {
		return "", 0, explain("record the revision", err)
	}
	next := st
	next.Head, next.Revision, next.Votes = head, st.Revision+1, nil
	if once == "" {
		once = fmt.Sprintf("%s/revision/%d", st.ID, next.Revision)
	}
	if err := s.recordSubmission(ctx, next, audit.ReviseChange, sub, p, once); err != nil {
		return "", 0, explain("record the revision", err)
	}
	s.wake(ctx, st.ID)
	return st.ID, next.Revision, nil
}

// recordSubmission pins the commit, keeps the request and records the event, in this order: an event
// never names what could be gone.
func (s *Service) recordSubmission(ctx context.Context, st lifecycle.State, action audit.Action, sub Submission, p *proposal, once string) error {
	if err := s.o.Repo.SetRef(ctx, fmt.Sprintf("refs/slipway/changes/%s/%d", st.ID, st.Revision), st.Head); err != nil {
		return err
	}
	doc := request{
		Requester: sub.By.ID, ThirdParty: sub.By.ThirdParty, Via: sub.Via, Title: sub.Title, Ticket: sub.Ticket, NotBefore: sub.NotBefore,
		RequestID: sub.RequestID, Revises: sub.Revises, Undoes: sub.Undoes, Adopts: sub.Adopts, Base: p.base.Commit(), Head: st.Head,
	}
	for _, file := range slices.Sorted(maps.Keys(sub.Files)) {
		if doc.Files == nil {
			doc.Files = make(map[string]string)
		}
		if doc.Files[file] = "deleted"; sub.Files[file] != nil {
			sum := sha256.Sum256(sub.Files[file])
			doc.Files[file] = "sha256:" + hex.EncodeToString(sum[:])
		}
	}
	digest, err := s.keep(ctx, "request", doc)
	if err != nil {
		return err
	}
	resource := audit.Resource{}
	if len(p.change.Apps) == 1 {
		resource.App = p.change.Apps[0].Name
	}
	zones, _ := zoneNames(p)
	resource.Zone = only(zones)
	_, err = s.record(ctx, st, audit.Event{
		Actor: actor(sub.By.ID, sub.By.Role), Action: action, Resource: resource, GitCommit: st.Head, Once: once,
		ArtifactRefs: map[string]string{"request": digest},
	}, lifecycle.SubmitDetails{
		Revision: st.Revision, Head: st.Head, Title: sub.Title, Ticket: sub.Ticket, Via: sub.Via,
		NotBefore: sub.NotBefore, ThirdParty: sub.By.ThirdParty, Vouched: sub.By.Vouched, Undoes: sub.Undoes, Adopts: sub.Adopts,
	})
	return err
}

// changeIDs spells IDs so that they sort by time: 48 bits of milliseconds, then 32 random bits, in the
// alphabet of RFC 4648 section 7, which keeps the order.
var changeIDs = base32.HexEncoding.WithPadding(base32.NoPadding)

// newID names a change: "c-" and 16 characters. It is a name, not a secret; the random bits keep
// two requests of one millisecond apart and the next name from being guessed.
func (s *Service) newID() (string, error) {
	var raw [10]byte
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(s.now().UnixMilli()))
	copy(raw[:6], ms[2:])
	if _, err := io.ReadFull(s.o.Random, raw[6:]); err != nil {
		return "", err
	}
	return "c-" + strings.ToLower(changeIDs.EncodeToString(raw[:])), nil
}

// awaitVerdict waits until a revision has been judged, and approved if a rule does that.
func (s *Service) awaitVerdict(ctx context.Context, id string, revision int) (lifecycle.State, *check.Verdict, error) {
	waiting, stop := context.WithTimeout(ctx, verdictPatience)
	defer stop()
	appended := s.o.Log.Index().Watch(waiting)
	for {
		st, err := s.load(ctx, id)
		if err != nil {
			return st, nil, err
		}
		byRule := st.Phase == lifecycle.Waiting && len(st.Subject.Requirements) == 0
		if st.Revision > revision || st.Phase != lifecycle.Submitted && !byRule {
			v, err := s.verdict(ctx, st.Verdict)
			return st, v, err
		}
		select {
		case _, open := <-appended:
			if open {
				continue
			}
		case <-waiting.Done():
		}
		return st, nil, ctx.Err()
	}
}

// report says how it stands and what comes next.
func (s *Service) report(w io.Writer, st lifecycle.State, v *check.Verdict) {
	if v != nil {
		if err := check.WriteText(w, v, false); err != nil {
			return // the reader is gone; the change goes on without it
		}
		if v.Denied {
			st.Problem = "Submit a better version of it, or cancel it." // the findings are above
		}
	}
	fmt.Fprintf(w, "Change %s: %s\n", st.ID, Outlook(st))
}

// Outlook says in one sentence where a change stands and what comes next.
func Outlook(st lifecycle.State) string {
	switch st.Phase {
	case lifecycle.Submitted:
		return "on record; it is still being checked."
	case lifecycle.Denied:
		return "denied. " + st.Problem
	case lifecycle.Waiting:
		if len(st.Subject.Requirements) == 0 {
			return "no approval is needed; it goes live now."
		}
		var need []string
		for _, m := range st.Missing {
			need = append(need, m.Text)
		}
		return "waiting for " + strings.Join(need, " and ") + "."
	case lifecycle.Scheduled:
		return "approved; it goes live on " + st.NotBefore.UTC().Format("2 January 2006 at 15:04 UTC") + "."
	case lifecycle.Approved:
		return "approved; it goes live now."
	case lifecycle.Merged:
		return "on main; the name servers are being told."
	case lifecycle.Applied:
		return "applied; the name servers are being asked."
	case lifecycle.Live:
		return "live."
	case lifecycle.Rejected:
		return "rejected. " + st.Problem
	case lifecycle.Cancelled:
		return "cancelled."
	case lifecycle.Expired:
		return "expired. " + st.Problem
	}
	return "held up. " + st.Problem
}

// describe says what a proposal touches.
func describe(p *proposal) string {
	zones := p.change.Zones()
	n := len(p.change.Edits)
	switch {
	case n == 0:
		return fmt.Sprintf("%d files", len(p.change.Files)+len(p.change.Apps))
	case len(zones) == 1 && n == 1:
		return "1 record set in " + zones[0].Unicode()
	case len(zones) == 1:
		return fmt.Sprintf("%d record sets in %s", n, zones[0].Unicode())
	}
	return fmt.Sprintf("%d record sets in %d zones", n, len(zones))
}

// titleOf names a change that came without a title.
func titleOf(p *proposal) string {
	verb := map[zone.Op]string{zone.Create: "Launch", zone.Update: "Change", zone.Delete: "Retire"}
	if len(p.change.Apps) == 1 {
		return line(verb[p.change.Apps[0].Op]+" "+p.change.Apps[0].Name, MaxTitle)
	}
	return line("Change "+describe(p), MaxTitle)
}
