package pack

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"slipway/check/policy"
	"slipway/repo"
	"slipway/zone"
)

// Pinned opens the packs that a tree pins: each bundle has the digest of the lock,
// and the signature that the lock asks for. One that does not is a *zone.Error, since
// a pack that is passed over would decide nothing.
func Pinned(ctx context.Context, t *repo.Tree) ([]*Pack, error) {
	lock, err := ReadLock(ctx, t)
	if err != nil {
		return nil, err
	}
	var packs []*Pack
	for _, pin := range lock.Packs {
		src, err := t.ReadFile(ctx, BundlePath(pin.Name))
		if errors.Is(err, repo.ErrNotFound) {
			return nil, &zone.Error{
				Place: zone.Place{Path: BundlePath(pin.Name), Line: 1},
				What:  fmt.Sprintf("the pack %s is pinned, and its bundle is not in the repository", pin.Name),
				Help:  fmt.Sprintf("Put it back, or add it again: slipway pack add %s", pin.Source),
			}
		}
		if err != nil {
			return nil, err
		}
		p, err := lock.Open(pin, src)
		if err != nil {
			return nil, placed(pin, err)
		}
		packs = append(packs, p)
	}
	if err := Disjoint(packs); err != nil {
		return nil, placed(Pin{}, err)
	}
	return packs, nil
}

// Source finds the packs that a tree pins, for check.NewEngine.
func Source(ctx context.Context, t *repo.Tree) ([]policy.Bundle, error) {
	packs, err := Pinned(ctx, t)
	if err != nil {
		return nil, err
	}
	return Bundles(packs), nil
}

// Bundles are packs as the engine judges by them.
func Bundles(packs []*Pack) []policy.Bundle {
	bundles := make([]policy.Bundle, 0, len(packs))
	for _, p := range packs {
		bundles = append(bundles, p.Bundle())
	}
	return bundles
}

// ReadLock reads a tree's packs.lock. Without one, nothing is pinned.
func ReadLock(ctx context.Context, t *repo.Tree) (*Lock, error) {
	src, err := t.ReadFile(ctx, LockPath)
	if errors.Is(err, repo.ErrNotFound) {
		return &Lock{}, nil
	}
	if err != nil {
		return nil, err
	}
	return ParseLock(LockPath, src)
}

// Open opens a bundle if it is the one that pin speaks of.
func (l *Lock) Open(pin Pin, src []byte) (*Pack, error) {
	if got := Digest(src); got != pin.Digest {
		return nil, &Fault{Pack: pin.Name, What: fmt.Sprintf("its bundle is not the one that is pinned: it has the digest %s, not %s", got, pin.Digest), Help: "Do not use it before you know who changed it and why."}
	}
	var keys []Key
	if pin.Key != "" {
		i := slices.IndexFunc(l.Keys, func(k Key) bool { return k.Name == pin.Key })
		if i < 0 {
			return nil, &Fault{Pack: pin.Name, What: fmt.Sprintf("its key %s is not among those that count", pin.Key)}
		}
		keys = l.Keys[i : i+1]
	}
	p, err := Open(src, keys)
	if err != nil {
		return nil, err
	}
	switch {
	case p.Name != pin.Name || p.Version != pin.Version:
		return nil, &Fault{Pack: pin.Name, What: fmt.Sprintf("its bundle is of %s %s, not of %s %s", p.Name, p.Version, pin.Name, pin.Version)}
	case pin.Key != p.SignedBy:
		return nil, &Fault{Pack: pin.Name, What: fmt.Sprintf("it is not signed, and the lock says that %s signed it", pin.Key), Help: "Fetch the signed bundle, or pin it unsigned with a reason."}
	}
	return p, nil
}

// placed gives a fault its place in the repository.
func placed(pin Pin, err error) error {
	var fault *Fault
	if !errors.As(err, &fault) {
		return err
	}
	place := zone.Place{Path: LockPath, Line: 1}
	if pin.Name != "" {
		place.Path = BundlePath(pin.Name)
	}
	return &zone.Error{Place: place, What: fault.Error(), Help: fault.Help}
}
