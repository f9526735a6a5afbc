package drift

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"slipway/provider"
	"slipway/repo"
	"slipway/repo/cache"
	"slipway/zone"
)

// Scanner compares zones again and again. It remembers what each zone should be, as a
// digest under the name of everything that the zone is made of (its file and the apps with
// records in it), so that a zone which is as it was costs looking at it and nothing else,
// and a commit costs the zones that it changes. The zero Scanner is ready; it is safe for
// concurrent use.
type Scanner struct {
	Cache *cache.Dir // what the next process need not find out again; nil: nothing

	mu       sync.Mutex // guards the fields below, for no longer than a look-up
	approved map[zone.Name]asApproved
	trees    []treeKeys // the latest, oldest first
}

// asApproved is the digest of a zone as one commit has it, and as one provider would
// have it: with that provider's own TTL and NS records where the commit says nothing.
type asApproved struct {
	key    string // of the zone's content in Git
	ttl    int
	apex   string // digest
	digest string
	noTTL  int // record sets without a TTL of their own
}

// treeKeys are the keys of the zones of one tree.
type treeKeys struct {
	tree string
	keys map[zone.Name]string
}

// maxTrees is how many trees' keys are kept: main, and commits that are on their way.
const maxTrees = 4

// Compare compares one zone as t says it should be with what p has.
func (s *Scanner) Compare(ctx context.Context, t *repo.Tree, z zone.Name, p provider.Provider, now time.Time) (*Report, error) {
	live, err := Glance(ctx, p, z)
	if errors.Is(err, provider.ErrDamaged) {
		return NewReport(z, Content, t.Commit(), []Difference{{Kind: Damaged, Zone: z, Name: z, Detail: err.Error()}}, now), nil
	}
	if err != nil {
		return nil, fmt.Errorf("drift of zone %s: what is live: %w", z, err)
	}
	return s.CompareLive(ctx, t, z, p, live, Circumstances{}, now)
}

// Glance looks at a live zone, without its record sets where p can do so.
func Glance(ctx context.Context, p provider.Provider, z zone.Name) (*provider.Live, error) {
	if s, ok := p.(provider.Summariser); ok {
		return s.Summary(ctx, z)
	}
	return p.Read(ctx, z)
}

// Look is Glance for somebody who asks: it does not take a provider's word that nothing has
// changed where the zone itself can be had.
func Look(ctx context.Context, p provider.Provider, z zone.Name) (*provider.Live, error) {
	if w, ok := p.(interface {
		Whole(ctx context.Context, z zone.Name) (*provider.Live, error)
	}); ok {
		return w.Whole(ctx, z)
	}
	return Glance(ctx, p, z)
}

// CompareLive is Compare for a zone that was looked at already. The record sets are read
// only when they are not as approved.
func (s *Scanner) CompareLive(ctx context.Context, t *repo.Tree, z zone.Name, p provider.Provider, live *provider.Live, c Circumstances, now time.Time) (*Report, error) {
	want, approved, err := s.want(ctx, t, z, live)
	if err != nil {
		return nil, fmt.Errorf("drift of zone %s: what was approved: %w", z, err)
	}
	if live.Exists && want.digest == live.Digest && len(c.Coming) == 0 {
		r := &Report{Zone: z, Commit: t.Commit(), Serial: live.Serial, Live: live.Digest, Differences: []Difference{}, At: now}
		r.Notes = bounded(slices.Concat(c.left(), SerialNote(live.Serial, c.Serial), defaultTTL(want.noTTL, live)))
		return r, nil
	}
	if approved == nil {
		if approved, err = t.Served(ctx, z); err != nil {
			return nil, fmt.Errorf("drift of zone %s: what was approved: %w", z, err)
		}
	}
	if live.Sets == nil || !live.Exists {
		if live, err = p.Read(ctx, z); err != nil {
			return nil, fmt.Errorf("drift of zone %s: what is live: %w", z, err)
		}
	}
	return Classify(z, t.Commit(), approved, live, c, now), nil
}

// Same says whether a live zone is what t says. A zone that t does not have is not.
func (s *Scanner) Same(ctx context.Context, t *repo.Tree, z zone.Name, live *provider.Live) (bool, error) {
	if !live.Exists {
		return false, nil
	}
	want, _, err := s.want(ctx, t, z, live)
	if errors.Is(err, repo.ErrNotFound) {
		return false, nil
	}
	return err == nil && want.digest == live.Digest, err
}

// want is what a zone should be where it is live, with its record sets if they had to be read.
func (s *Scanner) want(ctx context.Context, t *repo.Tree, z zone.Name, live *provider.Live) (asApproved, []zone.RRSet, error) {
	a := asApproved{ttl: live.DefaultTTL, apex: apexDigest(live)}
	if t.Commit() != "" { // files on disk may be others the next time
		var err error
		if a.key, err = s.keyOf(ctx, t, z); err != nil {
			return a, nil, err
		}
		if known, ok := s.recall(z, a); ok {
			return known, nil, nil
		}
	}
	sets, err := t.Served(ctx, z)
	if err != nil {
		return a, nil, err
	}
	a.digest = provider.Digest(live.WithTTLs(sets))
	a.noTTL = withoutTTL(sets)
	s.remember(z, a)
	if sets == nil {
		sets = []zone.RRSet{}
	}
	return a, sets, nil
}

// keyOf names what a zone is made of in a tree.
func (s *Scanner) keyOf(ctx context.Context, t *repo.Tree, z zone.Name) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock() // held while a tree's keys are found, so that they are found once
	for _, k := range s.trees {
		if k.tree == t.ID() {
			return k.keys[z], nil
		}
	}
	keys, err := t.ServedKeys(ctx)
	if err != nil {
		return "", err
	}
	if len(s.trees) == maxTrees {
		s.trees = s.trees[1:]
	}
	s.trees = append(s.trees, treeKeys{t.ID(), keys})
	return keys[z], nil
}

// cacheKey names everything that a digest depends on. The number is that of this code: whoever
// changes how a zone's digest is made counts it up.
func (a asApproved) cacheKey(z zone.Name) string {
	return fmt.Sprintf("drift approved 1 %s %d %s %s", a.key, a.ttl, a.apex, z)
}

func (s *Scanner) recall(z zone.Name, a asApproved) (asApproved, bool) {
	if a.key == "" {
		return a, false
	}
	s.mu.Lock()
	known, ok := s.approved[z]
	s.mu.Unlock()
	if ok && known.key == a.key && known.ttl == a.ttl && known.apex == a.apex {
		return known, true
	}
	raw, ok := s.Cache.Get(a.cacheKey(z))
	if !ok {
		return a, false
	}
	digest, noTTL, ok := strings.Cut(string(raw), " ")
	n, err := strconv.Atoi(noTTL)
	if !ok || err != nil {
		return a, false
	}
	a.digest, a.noTTL = digest, n
	s.hold(z, a)
	return a, true
}

func (s *Scanner) remember(z zone.Name, a asApproved) {
	if a.key == "" {
		return
	}
	s.hold(z, a)
	s.Cache.Put(a.cacheKey(z), fmt.Appendf(nil, "%s %d", a.digest, a.noTTL))
}

func (s *Scanner) hold(z zone.Name, a asApproved) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.approved == nil {
		s.approved = map[zone.Name]asApproved{}
	}
	s.approved[z] = a
}

func apexDigest(live *provider.Live) string {
	if live.ApexNS == nil {
		return ""
	}
	return provider.Digest([]zone.RRSet{*live.ApexNS})
}
