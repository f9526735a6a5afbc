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
// are ruled out without being parsed.
func (t *Tree) ZonesNaming(ctx context.Context, names map[zone.Name]bool) ([]zone.Name, error) {
	if len(names) == 0 {
		return nil, nil
	}
	files, err := t.listZones(ctx)
	if err != nil {
		return nil, err
	}
	digests, err := t.digests(ctx, files)
	if err != nil {
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

// digests returns what each zone file speaks of.
func (t *Tree) digests(ctx context.Context, files []zoneFile) ([]zone.Digest, error) {
	out := make([]zone.Digest, len(files))
	var missing []int
	for i, f := range files {
		d, ok := t.repo.digests.get(f.oid)
		if out[i] = d; !ok {
			missing = append(missing, i)
		}
	}
	if len(missing) == 0 {
		return out, nil
	}
	kept := map[string]map[string]zone.Digest{} // by shard, then file; for those that are read
	unread := missing[:0]
	for _, i := range missing {
		s := shardOf(files[i].oid)
		if _, read := kept[s]; !read {
			src, _ := t.repo.cache.Get(digestVersion + " " + s)
			kept[s] = parseShard(src)
		}
		if d, ok := kept[s][files[i].oid]; ok {
			out[i] = d
			t.repo.digests.put(files[i].oid, d, digestSize(d))
			continue
		}
		unread = append(unread, i)
	}
	oids := make([]string, len(unread))
	for n, i := range unread {
		oids[n] = files[i].oid
	}
	err := t.objects.readAll(ctx, oids, MaxZoneFile, func(n int, src []byte) error {
		d := zone.NewDigest(string(src))
		out[unread[n]] = d
		t.repo.digests.put(oids[n], d, digestSize(d))
		return nil
	})
	if err != nil {
		return nil, err
	}
	t.keepDigests(files, out, unread, kept)
	return out, nil
}

// keepDigests writes the shards of files that were in none.
func (t *Tree) keepDigests(files []zoneFile, digests []zone.Digest, fresh []int, kept map[string]map[string]zone.Digest) {
	changed := map[string]bool{}
	for _, i := range fresh {
		changed[shardOf(files[i].oid)] = true
	}
	shard := map[string][]byte{}
	for i, f := range files {
		// Those of the tree at hand first, so that older ones are what falls out.
		if s := shardOf(f.oid); changed[s] {
			shard[s] = appendDigest(shard[s], f.oid, digests[i])
			delete(kept[s], f.oid)
		}
	}
	for s := range changed {
		for oid, d := range kept[s] {
			shard[s] = appendDigest(shard[s], oid, d)
		}
		t.repo.cache.Put(digestVersion+" "+s, shard[s])
	}
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
