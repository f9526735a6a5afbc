package repo

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"slipway/repo/cache"
	"slipway/zone"
)

// This file looks through all zones of a repository for those that speak of a name. What a
// zone file speaks of (zone.Digest) is found out once for each content that a file
// ever has, so that a change costs the reading of the files that it changes.

// shards is how many values the digests of a repository are spread over: few enough to read
// all of them, enough to write only a little when one file changes.
const shards = 64

// shardLimit bounds one of them. What has not been asked for lately falls out.
const shardLimit = 1 << 20

// digestVersion is of what zone.NewDigest finds and of how a shard is written: another
// version of either has another one here.
const digestVersion = "mentions 1"

// SetCache says where the repository keeps what is costly to find out about its content: in a
// folder, or "" for nowhere. It is called before anything is read. No answer
// depends on it. Unless it is called, the folder is CacheFolder below the Git directory. The
// error says why a folder cannot be used.
func (r *Repo) SetCache(folder string) error {
	r.cache = nil
	if folder == "" {
		return nil
	}
	r.cache = cache.Open(folder, cache.DefaultLimit)
	return r.cache.Fault()
}

// CacheFolder is where a repository's cache is, unless it is told otherwise: below its Git
// directory, which is as trustworthy as what is cached.
const CacheFolder = "slipway-cache"

// commonDir is the Git directory that all work trees of a repository share (gitrepository-layout(5)).
func commonDir(gitDir string) string {
	src, err := os.ReadFile(filepath.Join(gitDir, "commondir"))
	if err != nil {
		return gitDir
	}
	dir := strings.TrimSuffix(string(src), "\n")
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(gitDir, dir)
	}
	return dir
}

// ZonesNaming returns the zones whose file may hold one of these names, sorted. Most files
// are ruled out without being parsed, and in a cache that is warm without being read.
func (t *Tree) ZonesNaming(ctx context.Context, names map[zone.Name]bool) ([]zone.Name, error) {
	if len(names) == 0 {
		return nil, nil
	}
	files, err := t.listZones(ctx)
	if err != nil {
		return nil, err
	}
	digests := make([]zone.Digest, len(files))
	var looked []int // at their digest
	for i, f := range files {
		if t.repo.files.has(fileKey(f.zone, f.path, f.oid)) {
			continue // looking through a file that has been read, as its reader will, costs less than its digest
		}
		looked = append(looked, i)
	}
	if err := t.digests(ctx, files, looked, digests); err != nil {
		return nil, err
	}
	search := zone.NewSearch(names)
	var found []zone.Name
	for i, d := range digests {
		if search.InDigest(d) {
			found = append(found, files[i].zone)
		}
	}
	return found, nil
}

// digests finds out what some of the zone files speak of.
func (t *Tree) digests(ctx context.Context, files []zoneFile, which []int, out []zone.Digest) error {
	var missing []int
	for _, i := range which {
		d, ok := t.repo.digests.get(files[i].oid)
		if out[i] = d; !ok {
			missing = append(missing, i)
		}
	}
	kept := map[string]map[string]zone.Digest{} // by shard, then file; for those that are read
	var unread []int
	var oids []string
	for _, i := range missing {
		oid := files[i].oid
		s := shardOf(oid)
		if _, read := kept[s]; !read {
			src, _ := t.repo.cache.Get(digestVersion + " " + s)
			kept[s] = parseShard(src)
		}
		if d, ok := kept[s][oid]; ok {
			out[i] = d
			t.repo.digests.put(oid, d, digestSize(d))
			continue
		}
		unread, oids = append(unread, i), append(oids, oid)
	}
	if len(unread) == 0 {
		return nil
	}
	err := t.objects.readAll(ctx, oids, MaxZoneFile, func(n int, src []byte) error {
		d := zone.NewDigest(string(src))
		out[unread[n]] = d
		t.repo.digests.put(oids[n], d, digestSize(d))
		return nil
	})
	if err != nil {
		return err
	}
	// Shards that lack a file are written again: first what the tree at hand has, so that older
	// content is what falls out when there is no room.
	changed, shard := map[string]bool{}, map[string][]byte{}
	for _, oid := range oids {
		changed[shardOf(oid)] = true
	}
	for _, i := range which {
		if s := shardOf(files[i].oid); changed[s] {
			shard[s] = appendDigest(shard[s], files[i].oid, out[i])
			delete(kept[s], files[i].oid)
		}
	}
	for s := range changed {
		for oid, d := range kept[s] {
			shard[s] = appendDigest(shard[s], oid, d)
		}
		t.repo.cache.Put(digestVersion+" "+s, shard[s])
	}
	return nil
}

func shardOf(oid string) string {
	n, err := hex.DecodeString(oid[:2])
	if err != nil {
		return "" // not an object's name
	}
	return hex.EncodeToString([]byte{n[0] % shards})
}

func digestSize(d zone.Digest) int { return 64 + 4*len(d) }

// unclearDigest stands for the digest of a file that may speak of anything.
const unclearDigest = 1<<32 - 1

// appendDigest writes one file's digest: the length of its object's name and the name, how many
// words follow, and the words. One for which there is no room is left out.
func appendDigest(shard []byte, oid string, d zone.Digest) []byte {
	id, err := hex.DecodeString(oid)
	if err != nil || len(shard)+1+len(id)+4+4*len(d) > shardLimit {
		return shard
	}
	shard = append(append(shard, byte(len(id))), id...)
	if d == nil {
		return binary.LittleEndian.AppendUint32(shard, unclearDigest)
	}
	shard = binary.LittleEndian.AppendUint32(shard, uint32(len(d)))
	for _, w := range d {
		shard = binary.LittleEndian.AppendUint32(shard, w)
	}
	return shard
}

// parseShard reads what appendDigest wrote. What is not of that form is nothing.
func parseShard(src []byte) map[string]zone.Digest {
	out := map[string]zone.Digest{}
	words := make([]uint32, 0, len(src)/4)
	for len(src) > 0 {
		n := int(src[0])
		if n != 20 && n != 32 || len(src) < 1+n+4 {
			return map[string]zone.Digest{}
		}
		oid := hex.EncodeToString(src[1 : 1+n])
		count := binary.LittleEndian.Uint32(src[1+n:])
		src = src[1+n+4:]
		if count == unclearDigest {
			out[oid] = nil
			continue
		}
		if uint64(len(src)) < 4*uint64(count) {
			return map[string]zone.Digest{}
		}
		start := len(words)
		for i := range int(count) {
			words = append(words, binary.LittleEndian.Uint32(src[4*i:]))
		}
		d := zone.Digest(words[start:len(words):len(words)])
		if !slices.IsSorted(d) {
			return map[string]zone.Digest{}
		}
		out[oid] = d
		src = src[4*count:]
	}
	return out
}
