package flow

import (
	"context"
	"sync"
)

// locks is one lock per key, for as long as somebody wants it.
type locks struct {
	mu   sync.Mutex // held for the length of a map operation
	held map[string]*keyLock
}

type keyLock struct {
	sem     chan struct{}
	waiting int // holders and waiters; owned by locks.mu
}

// take waits for the key's lock, or for ctx to end.
func (l *locks) take(ctx context.Context, key string) (unlock func(), err error) {
	l.mu.Lock()
	if l.held == nil {
		l.held = make(map[string]*keyLock)
	}
	k := l.held[key]
	if k == nil {
		k = &keyLock{sem: make(chan struct{}, 1)}
		l.held[key] = k
	}
	k.waiting++
	l.mu.Unlock()

	leave := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if k.waiting--; k.waiting == 0 {
			delete(l.held, key)
		}
	}
	select {
	case k.sem <- struct{}{}:
		return func() { <-k.sem; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
