package evidence

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"slipway/approval"
	"slipway/audit"
	"slipway/cert"
	"slipway/check/finding"
	"slipway/key"
	"slipway/lifecycle"
)

// Bundled is what a bundle has besides its events.
type Bundled struct {
	Subject    Subject
	Checkpoint Checkpoint
	// Document returns the content of a document that is in the bundle, and its size otherwise
	// as -1. Only requests and verdicts are read.
	Document func(digest string) (content []byte, ok bool)
	// Sizes are the documents in the bundle.
	Sizes map[string]int64
	// Why says why others are not; a document in neither is one that nobody knows anything of.
	Why map[string]string
	// Gaps are what else is not in the bundle.
	Gaps []Gap
}

// Fold makes a bundle's data from its events, in the order of the log. The same events and
// documents give the same data.
func Fold(events []Event, b Bundled) (*Data, error) {
	f := &folder{b: b, changes: map[string][]Event{}, certs: map[string]*Certificate{}, erased: map[string]*Erased{}, orders: map[string]Place{}}
	f.d = Data{
		Format: Format, Subject: b.Subject, Checkpoint: b.Checkpoint, Events: events,
		Keys: []Key{}, Changes: []Change{}, Certificates: []Certificate{}, Drift: []Drift{}, DriftMonths: []DriftMonth{}, Reports: []Reported{},
		Zones: []Applied{}, Artifacts: []Artifact{}, Timestamps: []Timestamp{}, Documents: []Document{}, Missing: []Gap{},
	}
	for i := range events {
		e := &events[i]
		if err := f.take(e); err != nil {
			return nil, fmt.Errorf("event %d (%s): %w", e.Index, e.Event.Action, err)
		}
	}
	if err := f.finish(); err != nil {
		return nil, err
	}
	return &f.d, nil
}

type folder struct {
	b       Bundled
	d       Data
	order   []string // changes, in the order of their first events
	changes map[string][]Event
	certs   map[string]*Certificate
	ids     []string // certificates, in their order
	orders  map[string]Place
	erased  map[string]*Erased
}

func (e *Event) place() Place { return Place{Index: e.Index, At: e.Event.Timestamp} }

func (f *folder) take(e *Event) error {
	f.aside(e)
	if e.Event.Action == audit.StartLog || e.Event.Action == audit.RotateKey {
		if err := f.key(e); err != nil {
			return err
		}
	}
	if e.Why != WhySubject {
		return nil
	}
	if f.d.From.IsZero() {
		f.d.From = e.Event.Timestamp
	}
	f.d.To = e.Event.Timestamp
	if id := e.Event.Change; id != "" {
		if f.changes[id] == nil {
			f.order = append(f.order, id)
		}
		f.changes[id] = append(f.changes[id], *e)
	}
	switch e.Event.Action {
	case audit.ApplyZone:
		a, err := applied(e)
		if err == nil {
			f.d.Zones = append(f.d.Zones, a)
		}
		return err
	case audit.OrderCertificate, audit.IssueCertificate, audit.RevokeCertificate, audit.FailCertificate,
		audit.WarnCertificate, audit.ProveCertificate, audit.DestroyKey:
		return f.certificate(e)
	case audit.DetectDrift, audit.AttributeDrift, audit.ResolveDrift:
		return f.drift(e)
	case audit.ReportDrift:
		f.d.DriftMonths = append(f.d.DriftMonths, DriftMonth{Place: e.place(), Month: e.Event.Resource.Name, Document: e.Event.ArtifactRefs["drift-report"], Details: object(e)})
	case audit.ReceiveReport, audit.DetectOutOfBand:
		f.d.Reports = append(f.d.Reports, Reported{Place: e.place(), Action: e.Event.Action, Change: e.Event.Change,
			Resource: e.Event.Resource, Document: e.Event.ArtifactRefs["report"], Details: object(e)})
	case audit.TimestampCheckpoint:
		f.timestamp(e)
	}
	return nil
}

// object is an event's details, which may be absent.
func object(e *Event) json.RawMessage {
	if len(e.Event.Details) == 0 {
		return json.RawMessage("{}")
	}
	return e.Event.Details
}

// aside takes what is not about the subject but about the log.
func (f *folder) aside(e *Event) {
	switch e.Event.Action {
	case audit.EraseDocument:
		f.erased[e.Event.Resource.Name] = &Erased{Place: e.place(), By: e.Event.Actor.ID, Because: detail(&e.Event).Because}
	case audit.TimestampCheckpoint:
		if e.Why == WhyTime {
			f.timestamp(e)
		}
	}
}

func (f *folder) timestamp(e *Event) {
	f.d.Timestamps = append(f.d.Timestamps, Timestamp{Place: e.place(), Authority: strings.TrimPrefix(e.Event.Resource.Name, "timestamps/"),
		Size: detail(&e.Event).Size, Token: e.Event.ArtifactRefs["timestamp"], Checkpoint: e.Event.ArtifactRefs["checkpoint"]})
}

// key follows the log's event keys from one to the next.
func (f *folder) key(e *Event) error {
	keys := f.d.Keys
	if e.Event.Action == audit.StartLog {
		began, err := audit.ReadKeys(strings.NewReader(string(e.Event.Details)))
		if err != nil {
			return err
		}
		pub, known := began.Events[e.Event.KeyID]
		if !known || slices.ContainsFunc(keys, func(k Key) bool { return k.ID == e.Event.KeyID }) {
			return nil // it was introduced before
		}
		k, err := publicKey(e.Event.KeyID, pub)
		f.d.Keys = append(keys, k)
		return err
	}
	id, pub, err := e.Event.HandsOver()
	if err != nil {
		return err
	}
	k, err := publicKey(id, pub)
	if err != nil {
		return err
	}
	index := e.Index
	k.After = &index
	if n := len(keys); n > 0 {
		keys[n-1].Until, keys[n-1].By, keys[n-1].Because = &index, e.Event.Actor.ID, detail(&e.Event).Because
	}
	f.d.Keys = append(keys, k)
	return nil
}

func publicKey(id string, pub any) (Key, error) {
	algorithm, err := key.Algorithm(pub)
	if err != nil {
		return Key{}, err
	}
	raw, err := json.Marshal(jose.JSONWebKey{Key: pub, KeyID: id, Algorithm: algorithm, Use: "sig"})
	return Key{ID: id, Algorithm: algorithm, Public: raw}, err
}

// certificate takes what happened to a certificate.
func (f *folder) certificate(e *Event) error {
	switch e.Event.Action {
	case audit.OrderCertificate:
		d, err := lifecycle.Decode[cert.OrderDetails](e.Event)
		f.orders[d.Order.Request] = e.place()
		return err
	case audit.IssueCertificate:
		d, err := lifecycle.Decode[cert.IssueDetails](e.Event)
		if err != nil {
			return err
		}
		c := &Certificate{Certificate: d.Certificate, IssuedAt: e.place(), CTProofs: []CTProof{}, Problems: []CertNote{}}
		if ordered, ok := f.orders[c.Request]; ok {
			c.Ordered = &ordered
		}
		if old := f.certs[c.Replaces]; old != nil {
			old.ReplacedBy = c.ID
		}
		if f.certs[c.ID] == nil {
			f.ids = append(f.ids, c.ID)
		}
		f.certs[c.ID] = c
		return nil
	case audit.DestroyKey:
		d, err := lifecycle.Decode[cert.DestroyDetails](e.Event)
		if c := f.certs[d.Certificate]; c != nil {
			at := e.place()
			c.Destroyed, c.KeyDestroyed = &at, true
		}
		return err
	case audit.ProveCertificate:
		d, err := lifecycle.Decode[cert.ProveDetails](e.Event)
		if c := f.certs[d.ID]; c != nil {
			c.CTProofs = append(c.CTProofs, CTProof{Place: e.place(), Log: d.Log, LogID: d.LogID, LogIndex: d.Index, Document: e.Event.ArtifactRefs["ct-proof"]})
		}
		return err
	case audit.RevokeCertificate:
		d, err := lifecycle.Decode[cert.RevokeDetails](e.Event)
		if c := f.certs[d.ID]; c != nil {
			at := e.place()
			c.RevokedAt, c.RevokedBy, c.Revoked, c.Reason = &at, e.Event.Actor.ID, e.Event.Timestamp, d.Reason
		}
		return err
	}
	var d struct{ ID, Problem, Text string }
	if err := unmarshal(e, &d); err != nil {
		return err
	}
	if c := f.certs[d.ID]; c != nil {
		c.Problems = append(c.Problems, CertNote{e.place(), cmp.Or(d.Problem, d.Text)})
	}
	return nil
}

// drift takes what was found to differ, who did it, and how it ended.
func (f *folder) drift(e *Event) error {
	if e.Event.Action == audit.DetectDrift {
		d, err := lifecycle.Decode[lifecycle.DriftDetails](e.Event)
		f.d.Drift = append(f.d.Drift, Drift{Place: e.place(), Zone: e.Event.Resource.Zone, Document: e.Event.ArtifactRefs["drift"], DriftDetails: d, Attributed: []Attributed{}})
		return err
	}
	digest := detail(&e.Event).Digest
	for i := len(f.d.Drift) - 1; i >= 0; i-- {
		d := &f.d.Drift[i]
		if d.Zone != e.Event.Resource.Zone || d.Digest != digest {
			continue
		}
		if e.Event.Action == audit.ResolveDrift {
			end, err := lifecycle.Decode[lifecycle.DriftEndDetails](e.Event)
			if d.Ended == nil {
				d.Ended = &DriftEnd{Place: e.place(), By: e.Event.Actor.ID, How: end.How}
			}
			return err
		}
		var said struct{ Edits json.RawMessage }
		err := unmarshal(e, &said)
		if len(said.Edits) == 0 {
			said.Edits = json.RawMessage("[]")
		}
		d.Attributed = append(d.Attributed, Attributed{Place: e.place(), Document: e.Event.ArtifactRefs["report"], Edits: said.Edits})
		return err
	}
	return nil
}

func applied(e *Event) (Applied, error) {
	d, err := lifecycle.Decode[lifecycle.ApplyDetails](e.Event)
	refs := e.Event.ArtifactRefs
	return Applied{Place: e.place(), Zone: e.Event.Resource.Zone, Change: e.Event.Change, Commit: d.Commit, Edits: d.Edits, Receipt: d.Receipt,
		ReceiptDoc: refs["receipt"], ZoneBefore: refs["zone-before"], ZoneAfter: refs["zone-after"]}, err
}

// finish puts together what is about several events.
func (f *folder) finish() error {
	for _, id := range f.order {
		c, ok, err := f.change(f.changes[id])
		if err != nil {
			return fmt.Errorf("change %s: %w", id, err)
		}
		if ok {
			f.d.Changes = append(f.d.Changes, c)
			continue
		}
		f.d.Missing = append(f.d.Missing, Gap{"The beginning of the change " + id + ".", "It was asked for outside of the period of this bundle, so what is here of it stands among the events."})
	}
	for _, id := range f.ids {
		f.d.Certificates = append(f.d.Certificates, *f.certs[id])
	}
	f.documents()
	f.d.Missing = append(f.d.Missing, f.b.Gaps...)
	return nil
}

// own are the names of Slipway's own documents in events: all others are artifacts of apps.
var own = []string{"request", "verdict", "receipt", "zone-before", "zone-after", "drift", "drift-report", "certificate", "ct-proof", "plan", "report", "timestamp", "checkpoint"}

// documents lists what the events refer to, and the artifacts among it.
func (f *folder) documents() {
	at := map[string]int{}
	artifacts := map[[3]string]int{}
	for i := range f.d.Events {
		e := &f.d.Events[i]
		if e.Why == WhyBoundary {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(e.Event.ArtifactRefs)) {
			digest := e.Event.ArtifactRefs[name]
			n, seen := at[digest]
			if !seen {
				n = len(f.d.Documents)
				at[digest] = n
				f.d.Documents = append(f.d.Documents, f.document(digest))
			}
			doc := &f.d.Documents[n]
			if !slices.Contains(doc.Names, name) {
				doc.Names = append(doc.Names, name)
			}
			if last := len(doc.Events) - 1; last < 0 || doc.Events[last] != e.Index {
				doc.Events = append(doc.Events, e.Index)
			}
			if e.Event.Change == "" || slices.Contains(own, name) {
				continue
			}
			id := [3]string{name, digest, e.Event.Change}
			n, seen = artifacts[id]
			if !seen {
				n = len(f.d.Artifacts)
				artifacts[id] = n
				f.d.Artifacts = append(f.d.Artifacts, Artifact{Name: name, Digest: digest, Change: e.Event.Change, Events: []uint64{}})
			}
			f.d.Artifacts[n].Events = append(f.d.Artifacts[n].Events, e.Index)
		}
	}
	for _, doc := range f.d.Documents {
		if doc.Included {
			continue
		}
		g := Gap{What: fmt.Sprintf("The document %s (%s).", doc.Digest, strings.Join(doc.Names, ", ")), Why: f.b.Why[doc.Digest]}
		switch {
		case doc.Erased != nil:
			g.Why = fmt.Sprintf("Erased on %s by %s because: %s", doc.Erased.At.UTC().Format(time.RFC3339), doc.Erased.By, doc.Erased.Because)
		case g.Why == "":
			g.Why = "Nobody says why."
		}
		f.d.Missing = append(f.d.Missing, g)
	}
}

func (f *folder) document(digest string) Document {
	size, included := f.b.Sizes[digest]
	return Document{Digest: digest, Names: []string{}, Events: []uint64{}, Size: size, Included: included, Erased: f.erased[digest]}
}

// asked reads the document "request".
func (f *folder) asked(digest string) *Asked {
	raw, ok := f.b.Document(digest)
	if !ok {
		return nil
	}
	var a Asked
	if json.Unmarshal(raw, &a) != nil {
		return nil
	}
	return &a
}

// judged adds to a verdict what its document says.
func (f *folder) judged(v *Verdict) {
	v.Reasons, v.Findings, v.Signals = []string{}, []finding.Finding{}, []Signal{}
	raw, ok := f.b.Document(v.Document)
	if v.Document == "" || !ok {
		return
	}
	var d struct {
		Reasons  []string          `json:"tier_reasons"`
		Findings []finding.Finding `json:"findings"`
		Signals  []Signal          `json:"signals"`
		Version  string            `json:"version"`
	}
	if json.Unmarshal(raw, &d) != nil {
		return
	}
	v.Reasons, v.Findings, v.Signals, v.Version = orEmpty(d.Reasons), orEmpty(d.Findings), orEmpty(d.Signals), d.Version
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

var decisions = map[audit.Action]approval.Decision{
	audit.ApproveChange: approval.Approve, audit.RejectChange: approval.Reject, audit.WithdrawApproval: approval.Withdraw, audit.ApproveByRule: approval.Approve,
}

func unmarshal(e *Event, into any) error { return json.Unmarshal(object(e), into) }
