package timestamp

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
	"time"
)

// Authority is a time-stamping authority that is asked over HTTP (RFC 3161 section 3.4).
type Authority struct {
	URL   string
	Roots *x509.CertPool // whose word is taken

	Client *http.Client     // default: one that gives up after 30 seconds
	Random io.Reader        // for nonces; default crypto/rand.Reader
	Now    func() time.Time // default time.Now
}

// RFC 3161 sections 2.4.1 and 2.4.2.
type (
	request struct {
		Version      int
		Imprint      imprint
		Nonce        *big.Int
		Certificates bool
	}
	response struct {
		Status struct {
			Status int
			Text   []asn1.RawValue `asn1:"optional"`
			Fail   asn1.BitString  `asn1:"optional"`
		}
		Token asn1.RawValue `asn1:"optional"`
	}
)

const (
	requestTimeout = 30 * time.Second
	nonceSize      = 16 // bytes
	// maxOff is how far an authority's clock may be from ours before somebody has to look.
	maxOff = 10 * time.Minute
)

// Stamp asks for a timestamp of content and verifies it. The token is then good for
// Verify, which says what it proves.
func (a *Authority) Stamp(ctx context.Context, content []byte) (raw []byte, at time.Time, signer *x509.Certificate, err error) {
	nonce, query, err := a.request(content)
	if err == nil {
		raw, err = a.ask(ctx, query)
	}
	if err == nil {
		raw, err = granted(raw)
	}
	if err != nil {
		return nil, time.Time{}, nil, fmt.Errorf("timestamp authority %s: %w", a.URL, err)
	}
	if at, signer, err = Verify(raw, content, a.Roots); err == nil {
		err = a.fresh(raw, nonce, at)
	}
	if err != nil {
		return nil, time.Time{}, nil, fmt.Errorf("timestamp authority %s answered with what does not verify: %w", a.URL, err)
	}
	return raw, at, signer, nil
}

func (a *Authority) request(content []byte) (*big.Int, []byte, error) {
	random := a.Random
	if random == nil {
		random = rand.Reader
	}
	raw := make([]byte, nonceSize)
	if _, err := io.ReadFull(random, raw); err != nil {
		return nil, nil, err
	}
	nonce := new(big.Int).SetBytes(raw)
	query, err := asn1.Marshal(request{
		Version: 1,
		Imprint: imprint{pkix.AlgorithmIdentifier{Algorithm: hashes[0].oid, Parameters: asn1.NullRawValue}, digest(crypto.SHA256, content)},
		Nonce:   nonce, Certificates: true,
	})
	return nonce, query, err
}

func (a *Authority) ask(ctx context.Context, query []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.URL, bytes.NewReader(query))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/timestamp-query")
	client := a.Client
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, MaxToken+1))
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("it answered %s", resp.Status)
	case len(raw) > MaxToken:
		return nil, fmt.Errorf("its answer has more than %d bytes", MaxToken)
	}
	return raw, nil
}

// granted takes the token out of a response.
func granted(raw []byte) ([]byte, error) {
	var r response
	if err := unmarshal(raw, &r, ""); err != nil {
		return nil, fmt.Errorf("its answer is not a timestamp response: %w", err)
	}
	if r.Status.Status != 0 && r.Status.Status != 1 { // granted, granted with modifications
		var why []string
		for _, text := range r.Status.Text[:min(len(r.Status.Text), 4)] {
			why = append(why, fmt.Sprintf("%.200q", text.Bytes))
		}
		return nil, fmt.Errorf("it refused with status %d: %s", r.Status.Status, strings.Join(why, ", "))
	}
	if len(r.Token.FullBytes) == 0 {
		return nil, errors.New("its answer has no token")
	}
	return r.Token.FullBytes, nil
}

// fresh says whether a verified token is the answer to this request and not to an earlier
// one, by an authority whose clock can be believed.
func (a *Authority) fresh(raw []byte, nonce *big.Int, at time.Time) error {
	t, err := parse(raw)
	if err != nil {
		return err
	}
	if t.info.Nonce == nil || t.info.Nonce.Cmp(nonce) != 0 {
		return errors.New("it is the answer to another request")
	}
	now := time.Now
	if a.Now != nil {
		now = a.Now
	}
	if off := at.Sub(now()); off.Abs() > maxOff {
		return fmt.Errorf("its time is %s, which is %s from this server's clock", at.Format(time.RFC3339), off.Round(time.Second))
	}
	return nil
}
