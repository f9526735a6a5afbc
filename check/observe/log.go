package observe

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// Log asks each question once and keeps the answers. Safe for concurrent use.
type Log struct {
	source Source

	mu    sync.Mutex // held while a question is asked, so that none is asked twice
	set   Set
	by    map[Question]Answer
	pages map[string]Page // by URL
}

// Online is a log of answers that live servers give now.
func Online(r *Resolver, f *Fetcher, at time.Time) *Log {
	return newLog(live{r, f}, Set{At: stamp(at), Resolver: r.address})
}

// live is real servers.
type live struct {
	*Resolver
	*Fetcher
}

// Replay is a log of those answers of a recorded set that are asked for again.
func Replay(s *Set) *Log {
	return newLog(s, Set{At: s.At, Resolver: s.Resolver})
}

func newLog(source Source, set Set) *Log {
	return &Log{source: source, set: set, by: map[Question]Answer{}, pages: map[string]Page{}}
}

// Ask answers q, from what is known or from the source.
func (l *Log) Ask(ctx context.Context, q Question) (Answer, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a, known := l.by[q]; known {
		return a, nil
	}
	if len(l.by) >= MaxAnswers {
		return Answer{}, fmt.Errorf("ask for %s: more than %d questions for one change", q, MaxAnswers)
	}
	a, err := l.source.Ask(ctx, q)
	if err == nil {
		l.by[q] = a
	}
	return a, err
}

// Get fetches a page, from what is known or from the source.
func (l *Log) Get(ctx context.Context, url string) (Page, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p, known := l.pages[url]; known {
		return p, nil
	}
	if len(l.pages) >= MaxPages {
		return Page{}, fmt.Errorf("fetch %s: more than %d pages for one change", url, MaxPages)
	}
	p, err := l.source.Get(ctx, url)
	if err == nil {
		l.pages[url] = p
	}
	return p, err
}

// Set returns what has been seen so far, in order.
func (l *Log) Set() *Set {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.set
	s.Answers = make([]Answer, 0, len(l.by))
	for _, a := range l.by {
		s.Answers = append(s.Answers, a)
	}
	slices.SortFunc(s.Answers, func(a, b Answer) int { return a.Question().compare(b.Question()) })
	for _, url := range slices.Sorted(maps.Keys(l.pages)) {
		s.Pages = append(s.Pages, l.pages[url])
	}
	return &s
}

func stamp(at time.Time) time.Time { return at.UTC().Truncate(time.Second) }
