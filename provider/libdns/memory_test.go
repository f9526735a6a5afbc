package libdns_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	lib "github.com/libdns/libdns"
)

// memory is a service in memory that keeps to libdns's contract and changes one record at
// a time, as nearly all of them do. It fails on demand, between any two records.
type memory struct {
	mu    sync.Mutex // held for one call
	zones map[string][]lib.RR

	steps  int // calls and single changes of records so far
	failAt int // fail at this step; 0 never
	how    fault
	writes int // calls that change something
}

type fault int

const (
	refuse fault = iota // an error
	die                 // the goroutine ends, as a process that is killed
	blow                // a panic
)

var errFault = errors.New("internal error at the service")

// step counts, and fails when it is time.
func (m *memory) step() error {
	m.steps++
	if m.failAt == 0 || m.steps != m.failAt {
		return nil
	}
	switch m.how {
	case die:
		runtime.Goexit()
	case blow:
		panic("index out of range")
	}
	return errFault
}

func (m *memory) call(ctx context.Context, z string, change func(rr *[]lib.RR) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := m.step(); err != nil {
		return err
	}
	rrs, ok := m.zones[z]
	if !ok {
		return fmt.Errorf("zone %s: not found", z)
	}
	defer func() { m.zones[z] = rrs }() // what was done stays, whatever follows
	if err := change(&rrs); err != nil {
		return err
	}
	return m.step() // done, and the answer is lost
}

func (m *memory) ListZones(ctx context.Context) (out []lib.Zone, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for z := range m.zones {
		out = append(out, lib.Zone{Name: z})
	}
	return out, ctx.Err()
}

func (m *memory) GetRecords(ctx context.Context, z string) (out []lib.Record, err error) {
	err = m.call(ctx, z, func(rrs *[]lib.RR) error {
		for _, rr := range *rrs {
			out = append(out, rr)
		}
		return nil
	})
	return out, err
}

func (m *memory) AppendRecords(ctx context.Context, z string, in []lib.Record) ([]lib.Record, error) {
	return in, m.call(ctx, z, func(rrs *[]lib.RR) error {
		m.writes++
		return m.add(rrs, in)
	})
}

func (m *memory) add(rrs *[]lib.RR, in []lib.Record) error {
	for _, r := range in {
		if err := m.step(); err != nil {
			return err
		}
		rr := r.RR()
		if rr.Name == "" || rr.TTL%time.Second != 0 {
			return fmt.Errorf("bad record %+v", rr)
		}
		if slices.Contains(*rrs, rr) {
			return fmt.Errorf("%s %s exists", rr.Type, rr.Name)
		}
		*rrs = append(*rrs, rr)
	}
	return nil
}

func (m *memory) SetRecords(ctx context.Context, z string, in []lib.Record) ([]lib.Record, error) {
	return in, m.call(ctx, z, func(rrs *[]lib.RR) error {
		m.writes++
		for _, r := range in {
			rr := r.RR()
			for i := 0; i < len(*rrs); i++ {
				if old := (*rrs)[i]; old.Name == rr.Name && old.Type == rr.Type {
					if err := m.step(); err != nil {
						return err
					}
					*rrs = slices.Delete(slices.Clone(*rrs), i, i+1)
					i--
				}
			}
		}
		return m.add(rrs, in)
	})
}

func (m *memory) DeleteRecords(ctx context.Context, z string, in []lib.Record) ([]lib.Record, error) {
	return in, m.call(ctx, z, func(rrs *[]lib.RR) error {
		m.writes++
		for _, r := range in {
			if err := m.step(); err != nil {
				return err
			}
			if i := slices.Index(*rrs, r.RR()); i >= 0 {
				*rrs = slices.Delete(slices.Clone(*rrs), i, i+1)
			}
		}
		return nil
	})
}

// sloppy is a service whose SetRecords changes the first record of a set only, and adds
// the rest, as several packages do.
type sloppy struct{ *memory }

func (s sloppy) SetRecords(ctx context.Context, z string, in []lib.Record) ([]lib.Record, error) {
	return in, s.call(ctx, z, func(rrs *[]lib.RR) error {
		for _, r := range in {
			rr := r.RR()
			i := slices.IndexFunc(*rrs, func(old lib.RR) bool { return old.Name == rr.Name && old.Type == rr.Type })
			if i < 0 {
				*rrs = append(*rrs, rr)
				continue
			}
			(*rrs)[i] = rr
		}
		return nil
	})
}
