package cert

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-acme/lego/v5/acme"
	"github.com/go-acme/lego/v5/acme/api"
)

// Window is when an authority suggests that a certificate is renewed (RFC 9773 section 4.2).
type Window struct {
	Start, End time.Time
	Again      time.Time // when to ask again
	Explain    string    // URL, for people
}

// Bounds on how often an authority is asked for a window (RFC 9773 section 4.3.2:
// clients have their own limits on Retry-After).
const (
	minAgain     = time.Minute
	defaultAgain = 6 * time.Hour
	maxAgain     = 24 * time.Hour
)

// RenewalInfo asks for the window. ErrNoRenewalInfo when the authority has none, or
// one that makes no sense: its own schedule is then the caller's.
func (a *Authority) RenewalInfo(ctx context.Context, leaf []byte) (Window, error) {
	if a.dir.RenewalInfo == "" {
		return Window{}, ErrNoRenewalInfo
	}
	c, err := x509.ParseCertificate(leaf)
	if err != nil {
		return Window{}, fmt.Errorf("renewal information: %w", err)
	}
	id, err := api.MakeARICertID(c)
	if err != nil {
		return Window{}, fmt.Errorf("renewal information: %w", err)
	}
	var info acme.RenewalInfo
	got, err := a.get(ctx, strings.TrimSuffix(a.dir.RenewalInfo, "/")+"/"+id, &info)
	var p *Problem
	if errors.As(err, &p) && (p.Status == http.StatusNotFound || p.Type == "malformed") {
		return Window{}, fmt.Errorf("%w for certificate %s, which it does not know", ErrNoRenewalInfo, serial(c))
	}
	if err != nil {
		return Window{}, fmt.Errorf("renewal information for certificate %s: %w", serial(c), err)
	}
	w := Window{Start: info.SuggestedWindow.Start.UTC(), End: info.SuggestedWindow.End.UTC()}
	// RFC 9773 section 4.2: as if there had been no answer.
	if w.Start.IsZero() || !w.Start.Before(w.End) {
		return Window{}, fmt.Errorf("%w that makes sense for certificate %s", ErrNoRenewalInfo, serial(c))
	}
	if got.retry == 0 {
		got.retry = defaultAgain
	}
	w.Again = a.config.Now().Add(min(max(got.retry, minAgain), maxAgain))
	if strings.HasPrefix(info.ExplanationURL, "https://") {
		w.Explain = plainText(info.ExplanationURL)
	}
	return w, nil
}

// RenewAt is when a certificate is to be renewed: a moment in the authority's window
// w (RFC 9773 section 4.2: a random one, so that the load is even), or in the first
// half of the last third of its life when there is none, so that a sixth of its life is
// left for failures. The moment is drawn from the certificate's ID: it stays the
// same whoever asks, and certificates that were issued together are renewed apart.
func RenewAt(c Certificate, w *Window) time.Time {
	life := c.NotAfter.Sub(c.NotBefore)
	start, end := c.NotBefore.Add(life/3*2), c.NotBefore.Add(life/6*5)
	if w != nil && w.Start.Before(w.End) {
		start, end = w.Start, w.End
		if latest := c.NotBefore.Add(life / 12 * 11); end.After(latest) && start.Before(latest) {
			end = latest // a window that reaches to the end leaves no time for failures
		}
	}
	digest, err := hex.DecodeString(c.ID)
	if err != nil || len(digest) < 8 {
		sum := sha256.Sum256([]byte(c.ID))
		digest = sum[:]
	}
	share := float64(binary.BigEndian.Uint64(digest)>>11) / (1 << 53) // [0, 1)
	return start.Add(time.Duration(share * float64(end.Sub(start)))).UTC().Truncate(time.Second)
}
