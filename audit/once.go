package audit

import (
	"context"
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// claims are the Once keys of events that are on their way: into the log, and from there
// into the index.
type claims struct {
	mu sync.Mutex // held for the length of a map operation
	by map[string]*pending
}

// take claims a key for p, or returns whoever has claimed it.
func (c *claims) take(once string, p *pending) (holder *pending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if holder, taken := c.by[once]; taken {
		return holder
	}
	if c.by == nil {
		c.by = map[string]*pending{}
	}
	c.by[once] = p
	return nil
}

func (c *claims) release(once string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.by, once)
}

// onces answers for most keys that the index does not have them, without asking it: a
// Bloom filter over all keys in the index, which is made anew at each start, in the
// background. Until that is done it answers for none. It takes two bytes a key, for twice
// the events that the log has at the start and a million more; beyond that, and beyond
// its largest size, it only becomes less of a help.
type onces struct {
	seed  maphash.Seed
	bits  []atomic.Uint64
	ready atomic.Bool
}

const (
	bitsPerOnce = 16
	maxOnceBits = 1 << 30 // 128 MiB
	onceProbes  = 4
)

func newOnces(events uint64) *onces {
	bits := min((2*events+1<<20)*bitsPerOnce, maxOnceBits)
	return &onces{seed: maphash.MakeSeed(), bits: make([]atomic.Uint64, bits/64)}
}

// places are where a key's bits are: double hashing, by the halves of one hash.
func (o *onces) places(once string) (places [onceProbes]uint64) {
	hash := maphash.String(o.seed, once)
	at, step := hash, hash>>32|1
	for i := range places {
		places[i] = at % (uint64(len(o.bits)) * 64)
		at += step * 0x9e3779b97f4a7c15
	}
	return places
}

func (o *onces) add(once string) {
	for _, at := range o.places(once) {
		o.bits[at/64].Or(1 << (at % 64))
	}
}

// lacks says that the index surely does not have a key.
func (o *onces) lacks(once string) bool {
	if !o.ready.Load() {
		return false
	}
	for _, at := range o.places(once) {
		if o.bits[at/64].Load()&(1<<(at%64)) == 0 {
			return true
		}
	}
	return false
}

// load learns the keys that the index has at the start. Those that come later are added
// as they come.
func (o *onces) load(ctx context.Context, x *Index) error {
	for once, err := range x.onces(ctx) {
		if err != nil {
			return err
		}
		o.add(once)
	}
	o.ready.Store(true)
	return nil
}
