package cert

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"slipway/audit"
)

// Registry is every certificate on record, folded from events alone. Safe for
// concurrent use. The events may come in any order: each says something that stays
// true, or has its place in the log to tell which of two is the later.
type Registry struct {
	mu         sync.RWMutex // held for one event, or for one question
	certs      map[string]*entry
	live       map[string]*entry // known, neither replaced nor revoked: what may have to be renewed
	bySerial   map[string][]*entry
	byApp      map[string][]*entry
	requests   map[string]*request
	challenges map[Challenge]mark
	removed    []Challenge // whose removal is still known, the oldest first
}

// entry is what events said of one certificate. Of one that is not known yet only
// the ID is set in Certificate.
type entry struct {
	Certificate
	known    bool
	failed   uint64 // place of the latest failure in the log, plus one
	next     time.Time
	problem  string
	window   *Window
	due      time.Time // when a renewal is to be tried, while it is live
	revoked  time.Time
	reason   string
	replaced string
	keyless  bool // its key was destroyed
	proofs   map[string]string
}

type request struct {
	order *Order
	at    uint64 // place of the order in the log
	cert  *entry
}

type mark struct {
	at      uint64
	written bool
}

// Bounds on what one event may put into memory.
const (
	maxText    = 1024
	maxRemoved = 4096 // challenges; events of one challenge lie close together in the log
)

// NewRegistry is one that nothing is on record in.
func NewRegistry() *Registry {
	return &Registry{
		certs:      map[string]*entry{},
		live:       map[string]*entry{},
		bySerial:   map[string][]*entry{},
		byApp:      map[string][]*entry{},
		requests:   map[string]*request{},
		challenges: map[Challenge]mark{},
	}
}

// Take folds one event; events that are not about certificates, and such that were taken before, change nothing.
func (r *Registry) Take(e audit.Receipt) error {
	var take func(e audit.Receipt) error
	switch e.Event.Action {
	case audit.OrderCertificate:
		take = r.takeOrder
	case audit.IssueCertificate:
		take = r.takeIssue
	case audit.RevokeCertificate:
		take = r.takeRevoke
	case audit.FailCertificate:
		take = r.takeFail
	case audit.WriteChallenge, audit.RemoveChallenge:
		take = r.takeChallenge
	case audit.DestroyKey:
		take = r.takeDestroy
	case audit.ProveCertificate:
		take = r.takeProof
	default:
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := take(e); err != nil {
		return fmt.Errorf("event %d, %s: %w", e.Index, e.Event.Action, err)
	}
	return nil
}

func (r *Registry) takeOrder(e audit.Receipt) error {
	var d OrderDetails
	if err := json.Unmarshal(e.Event.Details, &d); err != nil {
		return err
	}
	if err := short(maxText, d.Order.Request, d.Order.Authority, d.Order.URL, d.Order.Account, d.Order.KeyRef); err != nil {
		return err
	}
	if len(d.Order.Names) > maxNames || d.Order.Request == "" {
		return fmt.Errorf("an order has a request and at most %d names", maxNames)
	}
	q := r.request(d.Order.Request)
	if q.order == nil || e.Index >= q.at {
		q.order, q.at = &d.Order, e.Index
	}
	return nil
}

func (r *Registry) takeIssue(e audit.Receipt) error {
	var d IssueDetails
	if err := json.Unmarshal(e.Event.Details, &d); err != nil {
		return err
	}
	c := d.Certificate
	if err := checkID(c.ID); err != nil {
		return err
	}
	if err := short(maxText, c.Request, c.App, c.Change, c.Serial, c.Issuer, c.Authority, c.KeyRef, c.KeyKind, c.Chain, c.URL); err != nil {
		return err
	}
	if len(c.Names) > maxNames || len(c.SCTs) > maxSCTs || len(c.Approved) > maxNames {
		return fmt.Errorf("a certificate has at most %d names and %d SCTs", maxNames, maxSCTs)
	}
	n := r.entry(c.ID)
	if n.known {
		return nil
	}
	// Whatever else an event says of it comes with events of its own.
	c.ReplacedBy, c.Revoked, c.Reason, c.RenewAt, c.Problem = "", time.Time{}, "", time.Time{}, ""
	if c.Issued.IsZero() {
		c.Issued = e.Event.Timestamp
	}
	n.Certificate, n.known = c, true
	r.bySerial[c.Serial] = append(r.bySerial[c.Serial], n)
	if c.App != "" {
		r.byApp[c.App] = append(r.byApp[c.App], n)
	}
	if c.Request != "" {
		if q := r.request(c.Request); q.cert == nil {
			q.cert = n
		}
	}
	if c.Replaces != "" {
		if err := checkID(c.Replaces); err != nil {
			return fmt.Errorf("replaces: %w", err)
		}
		old := r.entry(c.Replaces)
		old.replaced = c.ID
		r.settle(old)
	}
	r.settle(n)
	return nil
}

func (r *Registry) takeRevoke(e audit.Receipt) error {
	var d RevokeDetails
	if err := json.Unmarshal(e.Event.Details, &d); err != nil {
		return err
	}
	if err := checkID(d.ID); err != nil {
		return err
	}
	if err := short(maxText, d.Reason); err != nil {
		return err
	}
	n := r.entry(d.ID)
	if n.revoked.IsZero() || e.Event.Timestamp.Before(n.revoked) {
		n.revoked, n.reason = e.Event.Timestamp, d.Reason
		r.settle(n)
	}
	return nil
}

func (r *Registry) takeFail(e audit.Receipt) error {
	var d FailDetails
	if err := json.Unmarshal(e.Event.Details, &d); err != nil {
		return err
	}
	if err := checkID(d.ID); err != nil {
		return err
	}
	if n := r.entry(d.ID); e.Index >= n.failed {
		n.failed, n.problem, n.next = e.Index+1, plainText(d.Problem), d.Next
		r.settle(n)
	}
	return nil
}

func (r *Registry) takeDestroy(e audit.Receipt) error {
	var d DestroyDetails
	if err := json.Unmarshal(e.Event.Details, &d); err != nil {
		return err
	}
	if err := checkID(d.Certificate); err != nil {
		return err
	}
	r.entry(d.Certificate).keyless = true
	return nil
}

func (r *Registry) takeProof(e audit.Receipt) error {
	var d ProveDetails
	if err := json.Unmarshal(e.Event.Details, &d); err != nil {
		return err
	}
	if err := checkID(d.ID); err != nil {
		return err
	}
	if err := short(maxText, d.Log, d.LogID); err != nil {
		return err
	}
	n := r.entry(d.ID)
	if n.proofs == nil {
		n.proofs = map[string]string{}
	}
	if len(n.proofs) < maxSCTs {
		n.proofs[d.LogID] = e.Event.ArtifactRefs["ct-proof"]
	}
	return nil
}

func (r *Registry) takeChallenge(e audit.Receipt) error {
	var d ChallengeDetails
	if err := json.Unmarshal(e.Event.Details, &d); err != nil {
		return err
	}
	if err := short(maxText, d.Challenge.Request, string(d.Challenge.Name), d.Challenge.Value); err != nil {
		return err
	}
	have, ok := r.challenges[d.Challenge]
	if ok && e.Index <= have.at {
		return nil
	}
	written := e.Event.Action == audit.WriteChallenge
	r.challenges[d.Challenge] = mark{e.Index, written}
	if written || ok && !have.written {
		return nil
	}
	r.removed = append(r.removed, d.Challenge)
	if len(r.removed) > 2*maxRemoved {
		for _, c := range r.removed[:maxRemoved] {
			if !r.challenges[c].written {
				delete(r.challenges, c)
			}
		}
		r.removed = append(r.removed[:0], r.removed[maxRemoved:]...)
	}
	return nil
}

// Suggest notes an authority's window for a certificate. It is no part of the
// record: after a start it is asked for again.
func (r *Registry) Suggest(id string, w Window) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := r.certs[id]; n != nil && n.known {
		n.window = &w
		r.settle(n)
	}
}

// settle brings up to date what follows from the facts of an entry.
func (r *Registry) settle(n *entry) {
	if !n.known || n.replaced != "" || !n.revoked.IsZero() {
		delete(r.live, n.ID)
		return
	}
	r.live[n.ID] = n
	n.due = RenewAt(n.Certificate, n.window)
	if n.next.After(n.due) {
		n.due = n.next
	}
}

// settle, entry and request are called with the lock held.
func (r *Registry) entry(id string) *entry {
	n := r.certs[id]
	if n == nil {
		n = &entry{Certificate: Certificate{ID: id}}
		r.certs[id] = n
	}
	return n
}

func (r *Registry) request(id string) *request {
	q := r.requests[id]
	if q == nil {
		q = &request{}
		r.requests[id] = q
	}
	return q
}

// view is the certificate as it is on record now. Its lists are shared: they are
// not to be changed.
func (n *entry) view() Certificate {
	c := n.Certificate
	c.ReplacedBy, c.Revoked, c.Reason, c.KeyDestroyed = n.replaced, n.revoked, n.reason, n.keyless
	c.Proofs = maps.Clone(n.proofs)
	if n.replaced == "" && n.revoked.IsZero() {
		c.Problem = n.problem
		c.RenewAt = n.due
	}
	return c
}

func checkID(id string) error {
	if len(id) != 64 || strings.Trim(id, "0123456789abcdef") != "" {
		return fmt.Errorf("%.80q is not the ID of a certificate, 64 hex digits", id)
	}
	return nil
}

func short(limit int, all ...string) error {
	for _, s := range all {
		if len(s) > limit {
			return fmt.Errorf("%.40q… is longer than %d bytes", s, limit)
		}
	}
	return nil
}

// Get finds by ID, unambiguous prefix of it (8 or more digits), or serial.
func (r *Registry) Get(id string) (Certificate, bool) {
	id = strings.ToLower(strings.ReplaceAll(id, ":", ""))
	r.mu.RLock()
	defer r.mu.RUnlock()
	if n := r.certs[id]; n != nil && n.known {
		return n.view(), true
	}
	if list := r.bySerial[id]; len(list) == 1 {
		return list[0].view(), true
	}
	if len(id) < 8 {
		return Certificate{}, false
	}
	var found *entry
	for key, n := range r.certs {
		if n.known && strings.HasPrefix(key, id) {
			if found != nil {
				return Certificate{}, false
			}
			found = n
		}
	}
	if found == nil {
		return Certificate{}, false
	}
	return found.view(), true
}

// Order is the open order of a request, or its certificate once that is issued.
func (r *Registry) Order(id string) (*Order, *Certificate) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	q := r.requests[id]
	if q == nil {
		return nil, nil
	}
	if q.cert != nil {
		c := q.cert.view()
		return nil, &c
	}
	order := *q.order
	return &order, nil
}

// Challenges are the records written and not yet removed.
func (r *Registry) Challenges() []Challenge {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var list []Challenge
	for c, m := range r.challenges {
		if m.written {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b Challenge) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Value, b.Value), cmp.Compare(a.Request, b.Request))
	})
	return list
}

// Current is the certificate that serves app now: valid, not replaced, latest.
func (r *Registry) Current(app string, now time.Time) (Certificate, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var found *entry
	for _, n := range r.byApp[app] {
		if n.replaced != "" || !n.revoked.IsZero() || !now.Before(n.NotAfter) || now.Add(clockSkew).Before(n.NotBefore) {
			continue
		}
		if found == nil || later(n.Certificate, found.Certificate) {
			found = n
		}
	}
	if found == nil {
		return Certificate{}, false
	}
	return found.view(), true
}

func later(a, b Certificate) bool {
	return cmp.Or(a.Issued.Compare(b.Issued), a.NotAfter.Compare(b.NotAfter), cmp.Compare(a.ID, b.ID)) > 0
}
