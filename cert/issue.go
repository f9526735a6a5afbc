package cert

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"slipway/zone"

	"github.com/go-acme/lego/v5/acme"
	"github.com/go-acme/lego/v5/acme/api"
)

// Bounds on one issuance.
const (
	// maxPatience is how long one call looks at an order or an authorization before
	// it leaves the waiting to the caller.
	maxPatience = 5 * time.Minute
	// maxPause is the longest Retry-After that is waited for here. A longer one comes
	// back as a *WaitError, so that nobody holds a worker for it.
	maxPause   = 30 * time.Second
	firstPause = 200 * time.Millisecond
)

// Issue gets the certificate, or goes on with prior, the order on record for the same request. A prior order that the
// authority has already fulfilled gives the very certificate that was issued for it: nothing is issued twice.
//
// It may be killed at any point. An order is on record before anything is asked of
// it, and is finalized once only (RFC 8555 section 7.4 allows it in "ready" alone),
// so that whoever goes on with the recorded order gets its one certificate.
func (a *Authority) Issue(ctx context.Context, r Request, prior *Order, w World) (*Issued, error) {
	issued, err := a.issue(ctx, r, prior, w)
	if err != nil {
		return nil, fmt.Errorf("certificate for %s: %w", joined(r.Names[:min(len(r.Names), 3)]), err)
	}
	return issued, nil
}

func (a *Authority) issue(ctx context.Context, r Request, prior *Order, w World) (*Issued, error) {
	if err := r.validate(); err != nil {
		return nil, err
	}
	i := &issuance{a: a, r: r, w: w}
	if err := i.resume(ctx, prior); err != nil {
		return nil, err
	}
	if i.at != nil {
		issued, err := i.run(ctx)
		if !errors.Is(err, errOtherKey) && !errors.Is(err, errExpired) {
			return issued, err
		}
		// Nobody has anything of that certificate any more: it has expired while nobody
		// went on with it, the key is gone with which it was begun, or the authority gave one
		// order to two requests for the same names, as it may.
		i.at = nil
	}
	if err := i.begin(ctx); err != nil {
		return nil, err
	}
	return i.run(ctx)
}

// issuance is one call of Issue.
type issuance struct {
	a *Authority
	r Request
	w World

	order   Order         // as recorded
	at      *acme.Order   // as the authority last said it is; nil when there is none
	retry   time.Duration // that it asked for with that
	resumed bool          // whoever began it may have left challenge records
}

// resume takes up the order on record, unless nothing can come of it any more.
func (i *issuance) resume(ctx context.Context, prior *Order) error {
	if prior == nil || prior.Authority != i.a.Name() {
		return nil // another authority's order says nothing here
	}
	if prior.Request != i.r.ID || !sameNames(prior.Names, i.r.Names) {
		return fmt.Errorf("the order on record is for another certificate (%.100q for %.300s)", prior.Request, strings.Join(prior.Names, ", "))
	}
	at := &acme.Order{}
	_, err := i.a.post(ctx, prior.URL, nil, at)
	if gone(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("order %s: %w", prior.URL, err)
	}
	i.order, i.at, i.resumed = *prior, at, true
	if at.Status != acme.StatusInvalid {
		return nil
	}
	// An invalid order stays so (RFC 8555 section 7.1.6). What was written for it goes.
	if err := i.sweep(ctx); err != nil {
		return err
	}
	i.order, i.at = Order{}, nil
	return nil
}

// gone says that the authority has forgotten what was asked for, or that it belongs
// to an account that we no longer have.
func gone(err error) bool {
	var p *Problem
	if !errors.As(err, &p) {
		return false
	}
	switch p.Status {
	case http.StatusNotFound, http.StatusGone, http.StatusUnauthorized, http.StatusForbidden:
		return true
	}
	return p.Type == "malformed" // step-ca's word for an order that it has not: there is nothing in the request but its address
}

// begin asks for a new order and records it. Killed in between, an order is left at
// the authority of which nothing comes: it expires there.
func (i *issuance) begin(ctx context.Context) error {
	a, r := i.a, i.r
	want := acme.Order{Profile: r.Profile}
	for _, n := range r.Names {
		want.Identifiers = append(want.Identifiers, acme.Identifier{Type: "dns", Value: string(n)})
	}
	if r.Validity > 0 {
		want.NotAfter = a.config.Now().Add(r.Validity).UTC().Truncate(time.Second).Format(time.RFC3339)
	}
	if _, ok := a.dir.Meta.Profiles[r.Profile]; r.Profile != "" && !ok {
		return &Problem{Authority: a.config.Name, Type: "invalidProfile", Detail: "no profile " + plainText(r.Profile)}
	}
	if len(r.Replaces) > 0 && a.dir.RenewalInfo != "" {
		leaf, err := x509.ParseCertificate(r.Replaces)
		if err != nil {
			return fmt.Errorf("the certificate that is to be replaced cannot be read: %w", err)
		}
		if want.Replaces, err = api.MakeARICertID(leaf); err != nil {
			return err
		}
	}
	at := &acme.Order{}
	got, err := a.post(ctx, a.dir.NewOrderURL, want, at)
	var p *Problem
	if want.Replaces != "" && errors.As(err, &p) && !errors.Is(err, ErrRefused) && !errors.Is(err, ErrRateLimited) && p.Status < http.StatusInternalServerError {
		// It was replaced already (RFC 9773 section 5), or is another account's or
		// authority's. That it replaces one is a courtesy, and no reason to go without.
		want.Replaces = ""
		got, err = a.post(ctx, a.dir.NewOrderURL, want, at)
	}
	if want.NotAfter != "" && errors.As(err, &p) && p.Type == "malformed" && strings.Contains(strings.ToLower(p.Detail), "notafter") {
		return fmt.Errorf("%w: %s lets nobody choose how long a certificate is valid. Take the validity out of the settings, or choose one of its profiles (%s: %s)", ErrRefused, a.config.Name, a.config.Name, p.Detail)
	}
	if err != nil {
		return fmt.Errorf("new order: %w", err)
	}
	if !strings.HasPrefix(got.location, "https://") {
		return errors.New("new order: the authority does not say at which address it is")
	}
	names := make([]string, len(r.Names))
	for n := range r.Names {
		names[n] = string(r.Names[n])
	}
	i.at = at
	i.order = Order{Request: r.ID, Authority: a.config.Name, URL: got.location, Account: a.Account(), Names: names, At: a.config.Now().UTC()}
	if err := i.w.Ordered(ctx, i.order); err != nil {
		return fmt.Errorf("recording the order: %w", err)
	}
	return nil
}

// run goes from wherever the order is to its certificate.
func (i *issuance) run(ctx context.Context) (*Issued, error) {
	authorized, finalized := false, false
	for p := i.a.patience(); ; {
		if err := i.sound(); err != nil {
			return nil, err
		}
		switch status := i.at.Status; {
		case status == acme.StatusInvalid:
			return nil, i.invalid()
		case status == acme.StatusPending && !authorized:
			if err := i.authorize(ctx); err != nil {
				return nil, err
			}
			authorized, p = true, i.a.patience()
		case i.resumed:
			if err := i.sweep(ctx); err != nil {
				return nil, err
			}
			continue
		case status == acme.StatusReady && !finalized:
			if err := i.finalize(ctx); err != nil {
				return nil, err
			}
			finalized, p = true, i.a.patience()
			if i.at.Status == acme.StatusValid {
				continue
			}
		case status == acme.StatusPending, status == acme.StatusReady, status == acme.StatusProcessing:
			if err := p.wait(ctx, i.retry); err != nil {
				return nil, fmt.Errorf("order %s: %w", i.order.URL, err)
			}
		case status == acme.StatusValid:
			return i.download(ctx)
		default:
			return nil, fmt.Errorf("order %s: the authority says that it is %.40q, which is no state of an order", i.order.URL, status)
		}
		if err := i.look(ctx); err != nil {
			return nil, err
		}
	}
}

// look asks how the order is now.
func (i *issuance) look(ctx context.Context) error {
	at := &acme.Order{}
	got, err := i.a.post(ctx, i.order.URL, nil, at)
	if err != nil {
		return fmt.Errorf("order %s: %w", i.order.URL, err)
	}
	i.at, i.retry = at, got.retry
	return nil
}

// sound refuses an order that the authority has changed (RFC 8555 section 7.4: it
// must not), and one that has no end of authorizations.
func (i *issuance) sound() error {
	var names []string
	for _, id := range i.at.Identifiers {
		if id.Type == "dns" {
			names = append(names, strings.ToLower(id.Value))
		}
	}
	if len(names) != len(i.at.Identifiers) || !sameNames(names, i.r.Names) {
		return fmt.Errorf("order %s: the authority has made it one for %.300q", i.order.URL, strings.Join(names, ", "))
	}
	if len(i.at.Authorizations) > maxNames {
		return fmt.Errorf("order %s: the authority wants %d authorizations", i.order.URL, len(i.at.Authorizations))
	}
	return nil
}

// invalid says why the order came to nothing.
func (i *issuance) invalid() error {
	if i.at.Error == nil {
		return fmt.Errorf("order %s: %s has given it up without saying why. It is tried again", i.order.URL, i.a.Name())
	}
	return fmt.Errorf("order %s: %w", i.order.URL, i.a.explain(i.at.Error, ""))
}

// finalize hands in the CSR.
func (i *issuance) finalize(ctx context.Context) error {
	der, err := i.r.csr()
	if err != nil {
		return err
	}
	at := &acme.Order{}
	got, err := i.a.postOnce(ctx, i.at.Finalize, acme.CSRMessage{Csr: base64.RawURLEncoding.EncodeToString(der)}, at)
	var p *Problem
	if errors.As(err, &p) && p.Type == "orderNotReady" {
		return nil // somebody else was first, with the same request; the order says how it went
	}
	if err != nil {
		return fmt.Errorf("order %s: finalizing it: %w", i.order.URL, err)
	}
	i.at, i.retry = at, got.retry
	return nil
}

// download fetches the chain (RFC 8555 section 7.4.2) and looks whether it is what
// was asked for.
func (i *issuance) download(ctx context.Context) (*Issued, error) {
	var body []byte
	if _, err := i.a.post(ctx, i.at.Certificate, nil, &body); err != nil {
		return nil, fmt.Errorf("order %s: fetching the certificate: %w", i.order.URL, err)
	}
	chain, err := parseChain(body)
	if err == nil {
		err = Check(i.r, chain, i.a.config.Now())
	}
	if err != nil {
		return nil, fmt.Errorf("order %s: the certificate that came is not used: %w", i.order.URL, err)
	}
	return &Issued{Order: i.order, Chain: chain, URL: i.at.Certificate}, nil
}

// sameNames compares sets.
func sameNames(a []string, b []zone.Name) bool {
	have := slices.Clone(a)
	slices.Sort(have)
	want := make([]string, len(b))
	for i := range b {
		want[i] = string(b[i])
	}
	slices.Sort(want)
	return slices.Equal(slices.Compact(have), want)
}

// patience is how long one call goes on looking.
type patience struct {
	a     *Authority
	until time.Time
	pause time.Duration
}

func (a *Authority) patience() *patience {
	return &patience{a: a, until: a.config.Now().Add(maxPatience), pause: firstPause}
}

// wait lets the time pass that the authority asked for (RFC 8555 section 7.5.1), or
// a growing one where it did not. Where that is too long the caller is to come back.
func (p *patience) wait(ctx context.Context, asked time.Duration) error {
	now, pause := p.a.config.Now(), asked
	if pause == 0 {
		pause = p.pause
		p.pause = min(p.pause*3/2, maxPause/3)
	}
	if pause > maxPause {
		return &WaitError{Until: now.Add(pause), Why: p.a.Name() + " is still at work on it"}
	}
	if now.Add(pause).After(p.until) {
		return &WaitError{Until: now.Add(max(pause, time.Minute)), Why: p.a.Name() + " is taking long over it"}
	}
	return p.a.config.Sleep(ctx, pause)
}
