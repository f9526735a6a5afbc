package stepca

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/smallstep/certificates/acme"
	acmedb "github.com/smallstep/certificates/acme/db/nosql"
	"github.com/smallstep/certificates/authority/provisioner"
	"github.com/smallstep/certificates/db"
	"github.com/smallstep/nosql"
	boltdb "go.etcd.io/bbolt/errors"

	"slipway/zone"
)

// ledger is the authority's database, one bbolt file: accounts, orders, certificates
// and revocations. It is step-ca's own, with one thing more: for each order, the
// chain that was signed for it, written before anything else is. So a server that is killed
// between signing and telling gives the same certificate afterwards, not a second one.
type ledger struct {
	*db.DB
	acme acme.DB

	mu    sync.Mutex // held over one finalize: signing is one order after the other
	order string     // being finalized; owned by who holds mu
}

var signedTable = []byte("slipway_signed") // order ID → chain, PEM

func openLedger(path string) (*ledger, error) {
	opened, err := db.New(&db.Config{Type: nosql.BBoltDriver, DataSource: path})
	if errors.Is(err, boltdb.ErrTimeout) {
		return nil, fmt.Errorf("%s is in use by another server. Stop it first", path)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	l := &ledger{DB: opened.(*db.DB)}
	if l.acme, err = acmedb.New(l.DB); err == nil {
		err = l.CreateTable(signedTable)
	}
	if err != nil {
		l.Shutdown()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return l, nil
}

// finalizing runs f while the order is the only one that is finalized. Before it,
// an order that was signed for earlier is brought to its end.
func (l *ledger) finalizing(ctx context.Context, order string, f func()) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.complete(ctx, order); err != nil {
		return fmt.Errorf("order %s: %w", order, err)
	}
	l.order = order
	defer func() { l.order = "" }()
	f()
	// What the order says itself need not be kept twice. If it stays after all, it does no
	// harm, and the request has had its answer.
	if o, err := l.acme.GetOrder(ctx, order); err == nil && o.Status == acme.StatusValid {
		l.Del(signedTable, []byte(order))
	}
	return nil
}

func (l *ledger) complete(ctx context.Context, id string) error {
	raw, err := l.Get(signedTable, []byte(id))
	if nosql.IsErrNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	order, err := l.acme.GetOrder(ctx, id)
	if err != nil || order.Status != acme.StatusReady {
		return err
	}
	chain, err := parseChain(raw)
	if err != nil {
		return err
	}
	// The authority's own records may not have it yet.
	if err := l.DB.StoreCertificateChain(nil, chain...); err != nil {
		return err
	}
	c, err := l.acme.GetCertificateBySerial(ctx, chain[0].SerialNumber.String())
	if err != nil { // not there, most likely; and making it is refused if it is
		c = &acme.Certificate{AccountID: order.AccountID, OrderID: id, Leaf: chain[0], Intermediates: chain[1:]}
		if err := l.acme.CreateCertificate(ctx, c); err != nil {
			return err
		}
	}
	order.Status, order.CertificateID = acme.StatusValid, c.ID
	return l.acme.UpdateOrder(ctx, order)
}

// StoreCertificateChain is called by the authority right after it signed.
func (l *ledger) StoreCertificateChain(p provisioner.Interface, chain ...*x509.Certificate) error {
	var raw []byte
	for _, c := range chain {
		raw = append(raw, toPEM(c)...)
	}
	// Nobody else signs than who holds mu: there is no way in but ACME.
	if l.order == "" {
		return errors.New("a certificate was signed without an order")
	}
	if err := l.Set(signedTable, []byte(l.order), raw); err != nil {
		return err
	}
	return l.DB.StoreCertificateChain(p, chain...)
}

func parseChain(raw []byte) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for {
		block, rest := pem.Decode(raw)
		if block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		chain, raw = append(chain, c), rest
	}
	if len(chain) == 0 {
		return nil, errors.New("no certificate")
	}
	return chain, nil
}

// orders is the ledger as the ACME server sees it: orders are only for the names
// that are allowed, and nonces are in memory. These live seconds, would be two writes a
// request, and a client whose nonce is gone takes another (RFC 8555 section 6.5).
type orders struct {
	acme.DB
	ca     *CA
	nonces *nonces
}

func (o *orders) CreateNonce(context.Context) (acme.Nonce, error) { return o.nonces.make(), nil }

func (o *orders) DeleteNonce(_ context.Context, n acme.Nonce) error { return o.nonces.take(n) }

// CreateChallenge comes first for a name of a new order.
func (o *orders) CreateChallenge(ctx context.Context, c *acme.Challenge) error {
	if !o.ca.allows(c.Value) {
		return refused(c.Value)
	}
	return o.DB.CreateChallenge(ctx, c)
}

// CreateAuthorization comes after the challenges, or first where there is none for
// that type of identifier.
func (o *orders) CreateAuthorization(ctx context.Context, a *acme.Authorization) error {
	if a.Identifier.Type != acme.DNS || len(a.Challenges) == 0 {
		return acme.NewDetailedError(acme.ErrorRejectedIdentifierType, "this authority certifies domain names, and nothing else")
	}
	return o.DB.CreateAuthorization(ctx, a)
}

func refused(name string) error {
	return acme.NewDetailedError(acme.ErrorRejectedIdentifierType,
		"%.255s is in none of the zones that this authority may certify", name)
}

// allows says whether a name, without "*." in front, is in or below one of the names.
func (ca *CA) allows(name string) bool {
	n, err := zone.ParseName(name)
	if err != nil {
		return false
	}
	names := *ca.names.Load()
	if len(names) == 0 {
		return true
	}
	for _, z := range names {
		if n.In(z) {
			return true
		}
	}
	return false
}

// onlyNames looks at what is about to be signed, whatever was ordered.
type onlyNames struct{ ca *CA }

// Enforce is step-ca's last look at a certificate.
func (e onlyNames) Enforce(c *x509.Certificate) error {
	if len(c.IPAddresses)+len(c.EmailAddresses)+len(c.URIs) > 0 || len(c.DNSNames) == 0 {
		return errors.New("a certificate is for domain names, and nothing else")
	}
	for _, name := range c.DNSNames {
		if !e.ca.allows(strings.TrimPrefix(name, "*.")) {
			return refused(name)
		}
	}
	return nil
}

// maxNonces bounds what clients that never come back leave in memory.
const maxNonces = 10_000

type nonces struct {
	mu    sync.Mutex
	live  map[acme.Nonce]bool
	order []acme.Nonce // ring of the last maxNonces
	next  int
}

func newNonces() *nonces {
	return &nonces{live: map[acme.Nonce]bool{}, order: make([]acme.Nonce, maxNonces)}
}

func (n *nonces) make() acme.Nonce {
	made := acme.Nonce(rand.Text())
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.live, n.order[n.next])
	n.order[n.next] = made
	n.live[made] = true
	n.next = (n.next + 1) % len(n.order)
	return made
}

func (n *nonces) take(nonce acme.Nonce) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.live[nonce] {
		return acme.NewDetailedError(acme.ErrorBadNonceType, "this nonce was used before, or is too old")
	}
	delete(n.live, nonce)
	return nil
}
