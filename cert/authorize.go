package cert

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"slipway/zone"

	"github.com/go-acme/lego/v5/acme"
)

const (
	cleanUpTimeout = 2 * time.Minute
	maxToken       = 512
)

// authorization is the authority's wish to see that a name is ours.
type authorization struct {
	url  string
	at   acme.Authorization
	name string         // without "*."
	dns  acme.Challenge // the dns-01 one
	txt  Challenge      // the record that answers it; zero when dns-01 is not to be had (any more)
}

// authorize shows that every name of the order is ours. The records go as soon as
// the authority has looked, however that went.
func (i *issuance) authorize(ctx context.Context) error {
	all, err := i.authorizations(ctx)
	if err != nil {
		return err
	}
	var records []Challenge
	for _, z := range all {
		switch z.at.Status {
		case acme.StatusValid:
		case acme.StatusPending:
			if z.txt.Value == "" {
				return fmt.Errorf("%w: %s does not let us prove by DNS that %s is ours (dns-01), and Slipway proves it in no other way", ErrRefused, i.a.Name(), z.name)
			}
			records = append(records, z.txt)
		default:
			err = i.unproven(z)
		}
	}
	if err == nil {
		err = i.prove(ctx, all, records)
	}
	if i.resumed {
		records = recordsOf(all)
	}
	if clean := i.cleanUp(ctx, records); err == nil {
		err = clean
	}
	i.resumed = false
	return err
}

// prove writes the records and has the authority look at them. A wildcard and its
// parent in one order need two values at one name: all are written at once.
func (i *issuance) prove(ctx context.Context, all []authorization, records []Challenge) error {
	if len(records) > 0 {
		if err := i.w.Present(ctx, records); err != nil {
			return fmt.Errorf("challenge records: %w", err)
		}
	}
	for _, z := range all {
		if z.at.Status == acme.StatusPending && z.dns.Status == acme.StatusPending {
			if err := i.accept(ctx, z); err != nil {
				return fmt.Errorf("%s: %w", z.name, err)
			}
		}
	}
	p := i.a.patience()
	for _, z := range all {
		var retry time.Duration
		for z.at.Status == acme.StatusPending {
			if err := p.wait(ctx, retry); err != nil {
				return fmt.Errorf("%s: %w", z.name, err)
			}
			var err error
			if z, retry, err = i.authorization(ctx, z.url); err != nil {
				return err
			}
		}
		if z.at.Status != acme.StatusValid {
			return i.unproven(z)
		}
	}
	return nil
}

// accept tells the authority that the record is there. Whoever began this order may
// have said so before, and it may have looked since: it then calls the word malformed
// (RFC 8555 section 7.5.1 has no error of its own for that), and how the
// authorization stands is what counts.
func (i *issuance) accept(ctx context.Context, z authorization) error {
	_, err := i.a.post(ctx, z.dns.URL, struct{}{}, nil)
	var p *Problem
	if errors.As(err, &p) && p.Type == "malformed" {
		return nil
	}
	return err
}

// unproven says why a name is not taken to be ours.
func (i *issuance) unproven(z authorization) error {
	for _, c := range z.at.Challenges {
		if c.Error != nil {
			return i.a.explain(c.Error, z.name)
		}
	}
	return fmt.Errorf("%s says that its leave to issue for %s is %.40q. It is tried again", i.a.Name(), z.name, z.at.Status)
}

// sweep removes what whoever began this order may have written for it. What the
// authority no longer tells of is left to those who watch for records that nobody removes.
func (i *issuance) sweep(ctx context.Context) error {
	var records []Challenge
	for _, url := range i.at.Authorizations {
		z, _, err := i.authorization(ctx, url)
		if gone(err) {
			continue
		}
		if err != nil {
			return err
		}
		records = append(records, recordsOf([]authorization{z})...)
	}
	i.resumed = false
	return i.cleanUp(ctx, records)
}

func recordsOf(all []authorization) []Challenge {
	var records []Challenge
	for _, z := range all {
		if z.txt.Value != "" {
			records = append(records, z.txt)
		}
	}
	return records
}

// cleanUp removes records also when the time for the issuance is over.
func (i *issuance) cleanUp(ctx context.Context, records []Challenge) error {
	if len(records) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
	defer cancel()
	if err := i.w.CleanUp(ctx, records); err != nil {
		return fmt.Errorf("removing the challenge records: %w", err)
	}
	return nil
}

func (i *issuance) authorizations(ctx context.Context) ([]authorization, error) {
	var all []authorization
	for _, url := range i.at.Authorizations {
		z, _, err := i.authorization(ctx, url)
		if err != nil {
			return nil, err
		}
		all = append(all, z)
	}
	return all, nil
}

// authorization reads one. Only names of the request are proven: an authority
// cannot have us write records elsewhere.
func (i *issuance) authorization(ctx context.Context, url string) (z authorization, retry time.Duration, err error) {
	z.url = url
	got, err := i.a.post(ctx, url, nil, &z.at)
	if err != nil {
		return z, 0, fmt.Errorf("authorization %s: %w", url, err)
	}
	z.name = strings.TrimPrefix(strings.ToLower(z.at.Identifier.Value), "*.")
	ours := false
	for _, n := range i.r.Names {
		ours = ours || strings.TrimPrefix(string(n), "*.") == z.name
	}
	if !ours || z.at.Identifier.Type != "dns" {
		return z, 0, fmt.Errorf("authorization %s: the authority wants a proof for %.255q, which this certificate is not for", url, z.at.Identifier.Value)
	}
	for _, c := range z.at.Challenges {
		if c.Type != "dns-01" {
			continue
		}
		// RFC 8555 section 8.3: base64url, no padding.
		if len(c.Token) > maxToken || strings.Trim(c.Token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" || c.Token == "" {
			return z, 0, fmt.Errorf("authorization %s: the token of the challenge is malformed", url)
		}
		name, err := zone.ParseName("_acme-challenge." + z.name)
		if err != nil {
			return z, 0, err
		}
		sum := sha256.Sum256([]byte(c.Token + "." + i.a.thumb))
		z.dns = c
		z.txt = Challenge{Request: i.r.ID, Name: name, Value: base64.RawURLEncoding.EncodeToString(sum[:])}
	}
	return z, got.retry, nil
}
