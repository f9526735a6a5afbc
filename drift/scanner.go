package drift

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"slipway/provider"
	"slipway/repo"
	"slipway/zone"
)

// Scanner compares zones again and again. It remembers what each zone should be at the
// commit that it was last compared with, as a digest, so that a zone which is as it was
// costs looking at it and nothing else. The zero Scanner is ready; it is safe for
// concurrent use.
type Scanner struct {
	mu       sync.Mutex // guards approved, for no longer than a look-up
	approved map[zone.Name]asApproved
}

// asApproved is the digest of a zone as one commit has it, and as one provider would
// have it: with that provider's own TTL and NS records where the commit says nothing.
type asApproved struct {
	commit string
	ttl    int
	apex   string // digest
	digest string
}

// Compare compares one zone as t says it should be with what p has.
func (s *Scanner) Compare(ctx context.Context, t *repo.Tree, z zone.Name, p provider.Provider, now time.Time) (*Report, error) {
	live, err := Glance(ctx, p, z)
	if errors.Is(err, provider.ErrDamaged) {
		r := &Report{Zone: z, Commit: t.Commit(), At: now}
		r.set([]Difference{{Kind: Damaged, Zone: z, Name: z, Detail: err.Error()}})
		return r, nil
	}
	if err != nil {
		return nil, fmt.Errorf("drift of zone %s: what is live: %w", z, err)
	}
	return s.CompareLive(ctx, t, z, p, live, now)
}

// Glance looks at a live zone, without its record sets where p can do so.
func Glance(ctx context.Context, p provider.Provider, z zone.Name) (*provider.Live, error) {
	if s, ok := p.(provider.Summariser); ok {
		return s.Summary(ctx, z)
	}
	return p.Read(ctx, z)
}

// CompareLive is Compare for a zone that was looked at already. The record sets are read
// only when they are not as approved.
func (s *Scanner) CompareLive(ctx context.Context, t *repo.Tree, z zone.Name, p provider.Provider, live *provider.Live, now time.Time) (*Report, error) {
	if s.Same(t, z, live) {
		return &Report{Zone: z, Commit: t.Commit(), Serial: live.Serial, Live: live.Digest, Differences: []Difference{}, At: now}, nil
	}
	approved, err := t.Served(ctx, z)
	if err != nil {
		return nil, fmt.Errorf("drift of zone %s: what was approved: %w", z, err)
	}
	if live, err = s.look(ctx, t, z, p, live, approved); err != nil {
		return nil, fmt.Errorf("drift of zone %s: what is live: %w", z, err)
	}
	return Between(z, t.Commit(), approved, live, now), nil
}

// look returns the live zone with its record sets, which are the approved ones when the
// digests are the same.
func (s *Scanner) look(ctx context.Context, t *repo.Tree, z zone.Name, p provider.Provider, live *provider.Live, approved []zone.RRSet) (*provider.Live, error) {
	if !live.Exists {
		return p.Read(ctx, z)
	}
	sets := live.WithTTLs(approved)
	digest := provider.Digest(sets)
	s.remember(t, z, live, digest)
	if live.Digest != digest {
		return p.Read(ctx, z)
	}
	same := *live
	same.Sets = sets
	return &same, nil
}

// Same says whether a live zone is known to be what t says. False is no answer: it may
// be all the same.
func (s *Scanner) Same(t *repo.Tree, z zone.Name, live *provider.Live) bool {
	if t.Commit() == "" || !live.Exists {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.approved[z]
	return ok && a == asApproved{t.Commit(), live.DefaultTTL, apexDigest(live), live.Digest}
}

func (s *Scanner) remember(t *repo.Tree, z zone.Name, live *provider.Live, digest string) {
	if t.Commit() == "" { // files on disk, which may be others the next time
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.approved == nil {
		s.approved = map[zone.Name]asApproved{}
	}
	s.approved[z] = asApproved{t.Commit(), live.DefaultTTL, apexDigest(live), digest}
}

func apexDigest(live *provider.Live) string {
	if live.ApexNS == nil {
		return ""
	}
	return provider.Digest([]zone.RRSet{*live.ApexNS})
}
