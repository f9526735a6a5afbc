package repo

import "sync"

// memory keeps what has been read, by a key that names its content, for as long as all of it
// together is no larger than limit. What was not asked for longest goes first.
// Safe for concurrent use; what it keeps is shared.
type memory[T any] struct {
	limit int

	mu     sync.Mutex // held for look-ups only
	m      map[string]*memorised[T]
	newest *memorised[T] // a ring, from the one asked for last to the one asked for first
	size   int
}

type memorised[T any] struct {
	key        string
	value      T
	size       int
	prev, next *memorised[T]
}

func (m *memory[T]) get(key string) (value T, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.m[key]
	if !ok {
		return value, false
	}
	m.unlink(e)
	m.link(e)
	return e.value, true
}

// has says whether a value is kept, without asking for it.
func (m *memory[T]) has(key string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.m[key]
	return ok
}

// put keeps a value of the given size, if there is room for it at all.
func (m *memory[T]) put(key string, value T, size int) {
	if size > m.limit {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.m == nil {
		m.m = map[string]*memorised[T]{}
	}
	if old, ok := m.m[key]; ok {
		m.drop(old)
	}
	e := &memorised[T]{key: key, value: value, size: size}
	m.m[key] = e
	m.size += size
	m.link(e)
	for m.size > m.limit {
		m.drop(m.newest.prev)
	}
}

func (m *memory[T]) drop(e *memorised[T]) {
	m.unlink(e)
	delete(m.m, e.key)
	m.size -= e.size
}

func (m *memory[T]) link(e *memorised[T]) {
	if m.newest == nil {
		e.prev, e.next = e, e
	} else {
		e.prev, e.next = m.newest.prev, m.newest
		e.prev.next, e.next.prev = e, e
	}
	m.newest = e
}

func (m *memory[T]) unlink(e *memorised[T]) {
	e.prev.next, e.next.prev = e.next, e.prev
	if m.newest == e {
		if m.newest = e.next; e.next == e {
			m.newest = nil
		}
	}
}
