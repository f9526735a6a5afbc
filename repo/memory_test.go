package repo

import (
	"fmt"
	"slices"
	"testing"
)

func TestMemory(t *testing.T) {
	m := &memory[int]{limit: 10}
	left := func() (keys []string) {
		for key := range m.m {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		return keys
	}
	for i := range 5 {
		m.put(fmt.Sprint(i), i, 2)
	}
	if v, ok := m.get("0"); !ok || v != 0 {
		t.Fatal("the first is gone before there is no room")
	}
	m.put("5", 5, 3)
	if got := left(); !slices.Equal(got, []string{"0", "3", "4", "5"}) {
		t.Errorf("left are %v", got)
	}
	m.put("too large", 6, 11)
	m.put("0", 7, 5)
	if v, _ := m.get("0"); v != 7 || m.size > m.limit {
		t.Errorf("0 is %d, size %d", v, m.size)
	}
	if got := left(); !slices.Equal(got, []string{"0", "4", "5"}) {
		t.Errorf("left are %v", got)
	}
	for i := range 100 {
		m.put(fmt.Sprint("x", i), i, i%6)
		m.get(fmt.Sprint("x", i-2))
		if m.size > m.limit || len(m.m) == 0 {
			t.Fatalf("size %d of %v", m.size, left())
		}
	}
}
