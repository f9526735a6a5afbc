package repo

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"

	"slipway/zone"
)

// What is found does not depend on what is remembered, in memory or in files.
func TestNamingRemembers(t *testing.T) {
	kit := fstest.MapFS{"slipway.yaml": {Data: []byte("domain: finmicro.example\n")}}
	var want []zone.Name
	for i := range 200 {
		name := fmt.Sprintf("z%03d.example", i)
		target := "www.other.example."
		if i%50 == 7 {
			target, want = "WWW.finmicro.example", append(want, zone.Name(name))
		}
		kit["zones/"+name+".yaml"] = &fstest.MapFile{Data: fmt.Appendf(nil, "a%d: {type: CNAME, value: %s}\n", i, target)}
	}
	kit["zones/z007.example.yaml"].Data = []byte("a: {type: CNAME, value: \"\\x77ww.finmicro.example.\"}\n") // may speak of anything
	r := newRepo(t, kit)
	names := map[zone.Name]bool{"www.finmicro.example": true}
	look := func(how string, use func(*Repo)) {
		t.Helper()
		again := open(t, r.Dir())
		if use != nil {
			use(again)
		}
		head := tree(t, again, Main)
		for range 2 { // the second time from memory
			found, err := head.ZonesNaming(t.Context(), names)
			if err != nil || !slices.Equal(found, want) {
				t.Fatalf("%s: %v, %v; want %v", how, found, err, want)
			}
		}
	}
	folder := filepath.Join(r.Dir(), CacheFolder)
	look("off", func(r *Repo) {
		if err := r.SetCache(""); err != nil {
			t.Fatal(err)
		}
	})
	if _, err := os.Stat(folder); err == nil {
		t.Error("a cache that is off was written")
	}
	look("cold", nil)
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("nothing is kept: %v", err)
	}
	look("warm", nil)
	for _, f := range files {
		if err := os.Truncate(f, 60); err != nil {
			t.Fatal(err)
		}
	}
	look("cut short", nil)
	look("mended", nil)
	// A value that is whole and has not the form of one.
	look("meaningless", func(r *Repo) {
		for i := range shards {
			r.cache.Put(fmt.Sprintf("%s %02x", digestVersion, i), []byte("\x14 nonsense"))
		}
	})
	if found, err := r.EmptyTree().ZonesNaming(t.Context(), names); err != nil || found != nil {
		t.Errorf("no file speaks of %v, %v", found, err)
	}
}

// A repository's work trees share what is remembered.
func TestCommonDir(t *testing.T) {
	dir := checkout(t, "-- zones/example.org.yaml --\n---\nwww:\n  type: A\n  value: 192.0.2.1\n")
	other := filepath.Join(t.TempDir(), "other")
	gitOut(t, dir, "worktree", "add", "-q", "-b", "other", other)
	if a, b := open(t, dir).cache.Path(), open(t, other).cache.Path(); a != b || filepath.Base(a) != CacheFolder {
		t.Errorf("%s and %s", a, b)
	}
}

// What is remembered is not what callers may change.
func TestSharedReads(t *testing.T) {
	r := newRepo(t, fstest.MapFS{
		"slipway.yaml":           {Data: []byte("zones:\n  a.example: {visibility: internal}\n")},
		"zones/a.example.yaml":   {Data: []byte("www: {type: A, value: 192.0.2.1}\n")},
		"zones/new.example.yaml": {Data: []byte("www: {type: A, value: 192.0.2.1}\n")},
	})
	head := tree(t, r, Main)
	first, err := head.ZoneFile(t.Context(), "a.example")
	if err != nil {
		t.Fatal(err)
	}
	set, err := zone.NewRRSet("mail.a.example", "A", 300, []string{"192.0.2.2"})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Put(set); err != nil {
		t.Fatal(err)
	}
	second, err := head.ZoneFile(t.Context(), "a.example")
	if err != nil {
		t.Fatal(err)
	}
	if sets, err := second.RRSets(); err != nil || len(sets) != 1 {
		t.Errorf("another caller's edit is seen: %v, %v", sets, err)
	}
	if sets, err := first.Clone().RRSets(); err != nil || len(sets) != 2 {
		t.Errorf("a copy of an edited file has %v, %v", sets, err)
	}
	s, err := head.Settings(t.Context())
	if err != nil || s.Zones["new.example"].Visibility != "external" {
		t.Fatalf("%+v, %v", s, err)
	}
	own, err := head.ownSettings(t.Context())
	if err != nil || len(own.Zones) != 1 {
		t.Errorf("zones of one tree are in what all with its slipway.yaml share: %v, %v", own.Zones, err)
	}
}

func FuzzParseShard(f *testing.F) {
	id := "0123456789012345678901234567890123456789"
	f.Add(appendDigest(appendDigest(nil, id, zone.Digest{1, 2, 3}), id[1:]+"a", nil))
	f.Add(appendDigest(nil, id+id[:24], zone.Digest{}))
	f.Add([]byte{20, 0})
	f.Fuzz(func(t *testing.T, src []byte) {
		digests := parseShard(src)
		var back []byte
		for _, oid := range slices.Sorted(maps.Keys(digests)) {
			back = appendDigest(back, oid, digests[oid])
		}
		again := parseShard(back)
		if len(src) <= shardLimit && !maps.EqualFunc(again, digests, func(a, b zone.Digest) bool { return slices.Equal(a, b) && (a == nil) == (b == nil) }) {
			t.Fatalf("%v became %v", digests, again)
		}
	})
}
