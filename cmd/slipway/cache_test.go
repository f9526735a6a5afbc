package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"slipway/repo"
)

// TestCacheNeverDecides holds the verdicts of whole processes against each other: without the
// cache, with an empty one, a full one, one that was tampered with in many ways, and one
// that eight processes fill at once.
func TestCacheNeverDecides(t *testing.T) {
	dir := generate(t, 300, 12) // 300 zones: more than one shard, and more than were once looked through
	// What the change takes away and alters is pointed at from other zones, however they write it.
	for z, target := range map[int]string{7: "host-000000.z150.finmicro.example.", 8: "HOST-000000.Z150.finmicro.example", 9: `"\x68ost-000000.z150.finmicro.example."`} {
		appendTo(t, zonePath(dir, z), "elsewhere:\n  ttl: 300\n  type: CNAME\n  value: "+target+"\n")
	}
	commit(t, dir, "Point at it")
	at := zonePath(dir, 150)
	src, err := os.ReadFile(at)
	if err != nil {
		t.Fatal(err)
	}
	for i, edit := range [][2]string{
		{"host-000000:\n  ttl: 300", "host-000000:\n  ttl: 600"},
		{"host-000001:\n  ttl: 300\n  type: AAAA\n  value: 2001:db8::97:2\n", ""},
		{string(src[:bytes.Index(src, []byte("host-000001"))]), "---\n"},
	} {
		if !bytes.Contains(src, []byte(edit[0])) {
			t.Fatalf("the zone has no %q", edit[0])
		}
		if err := os.WriteFile(at, []byte(strings.Replace(string(src), edit[0], edit[1], 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		commit(t, dir, fmt.Sprint("Change ", i))
	}

	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	slipway := filepath.Join(t.TempDir(), "slipway")
	if err := os.Symlink(self, slipway); err != nil { // TestMain takes the name for the command
		t.Fatal(err)
	}
	verdict := func(step int, cache string) string {
		c := exec.Command(slipway, "check", "--repo", dir, "--base", fmt.Sprintf("HEAD~%d", step+1), "--head", fmt.Sprintf("HEAD~%d", step),
			"--as", "ana@finmicro.example", "--as-of", "2026-10-01T00:00:00Z", "--format", "json", "--cache", cache)
		var stderr strings.Builder
		c.Stderr = &stderr
		out, err := c.Output()
		if c.ProcessState == nil || c.ProcessState.ExitCode() > 1 || stderr.Len() > 0 {
			t.Errorf("cache %s: %v\n%s", cache, err, stderr.String())
		}
		return string(out)
	}
	var want []string
	for step := range 3 {
		want = append(want, verdict(step, "off"))
	}
	if joined := strings.Join(want, ""); !strings.Contains(joined, "elsewhere.z7.finmicro.example CNAME and 3 others") || !strings.Contains(joined, `"denied": true`) {
		t.Fatalf("the verdicts do not depend on what the cache is for:\n%s", joined)
	}
	same := func(when, cache string) {
		t.Helper()
		for step := range 3 {
			if got := verdict(step, cache); got != want[step] {
				t.Fatalf("%s: change %d is judged otherwise:\n%s\nwithout the cache:\n%s", when, step, got, want[step])
			}
		}
	}
	cache := filepath.Join(t.TempDir(), "cache")
	same("cold", cache)
	entries := cached(t, cache)
	if len(entries) == 0 {
		t.Fatal("nothing was kept")
	}
	same("warm", cache)
	if inside := filepath.Join(dir, ".git", repo.CacheFolder); len(cached(t, inside)) > 0 {
		t.Errorf("%s was written to", inside)
	}

	for name, damage := range map[string]func(file string, src []byte) []byte{
		"cut short":   func(_ string, src []byte) []byte { return src[:len(src)/2] },
		"emptied":     func(string, []byte) []byte { return nil },
		"bits turned": func(_ string, src []byte) []byte { src[len(src)-7] ^= 0x55; return src },
		"mixed up":    func(file string, _ []byte) []byte { return entries[other(entries, file)] },
		"random":      func(_ string, src []byte) []byte { return bytes.Repeat([]byte{0xa5}, len(src)) },
	} {
		for file, src := range entries {
			if err := os.WriteFile(file, damage(file, bytes.Clone(src)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		same(name, cache)
		for file, src := range cached(t, cache) {
			if len(src) < len(entries[file]) {
				t.Errorf("%s: %s is not written again", name, file)
			}
		}
	}

	if err := os.RemoveAll(cache); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for step := range 3 {
				if got := verdict(step, cache); got != want[step] {
					t.Errorf("beside others, change %d is judged otherwise:\n%s", step, got)
				}
			}
		})
	}
	wg.Wait()
	same("after eight at once", cache)
}

// cached returns the files of a cache.
func cached(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, file := range files {
		if out[file], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func other(entries map[string][]byte, than string) string {
	for file := range entries {
		if file != than {
			return file
		}
	}
	return than
}

func appendTo(t testing.TB, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
