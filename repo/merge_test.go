package repo

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// mergeOf proposes files on main and returns what Merge needs.
func mergeOf(t testing.TB, r *Repo, id string, files map[string][]byte) Merge {
	t.Helper()
	base, err := r.Resolve(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	head := propose(t, r, base, files)
	tree, err := r.MergeTree(t.Context(), base, head)
	if err != nil {
		t.Fatal(err)
	}
	return Merge{
		ChangeID: id, Expect: base, Tree: tree, Head: head, Author: ana, When: noon, Message: "Merge " + id,
		Trailers: []Trailer{{"Requested-by", ana.Email}, {"Tier", "green"}},
	}
}

func TestVerifyCommit(t *testing.T) {
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("ssh-keygen is not installed (Debian: apt install openssh-client), so git cannot verify signatures here")
	}
	signer := testSigner(t)
	r := newRepo(t, kit(t))
	commit, err := r.Merge(t.Context(), mergeOf(t, r, "c1", map[string][]byte{"apps/new.yaml": []byte("owner: ana@finmicro.example\n")}), signer)
	if err != nil {
		t.Fatal(err)
	}
	allowed := filepath.Join(t.TempDir(), "allowed_signers")
	if err := os.WriteFile(allowed, AllowedSigners("slipway@finmicro.example", signer.PublicKey()), 0o600); err != nil {
		t.Fatal(err)
	}
	verify := func(rev string) (string, error) {
		cmd := exec.Command("git", "-c", "gpg.ssh.allowedSignersFile="+allowed, "verify-commit", rev)
		cmd.Dir, cmd.Env = r.Dir(), cleanEnv()
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	first := strings.TrimSpace(gitOut(t, r.Dir(), "rev-list", "--max-parents=0", "--first-parent", "main"))
	for _, rev := range []string{commit, first} {
		if out, err := verify(rev); err != nil || !strings.Contains(out, `Good "git" signature for slipway@finmicro.example`) {
			t.Errorf("verify-commit %s: %v\n%s", rev, err, out)
		}
	}
	// The proposal is not signed, and a commit with another message under the same signature fails.
	if _, err := verify(commit + "^2"); err == nil {
		t.Error("an unsigned commit verifies")
	}
	raw := gitOut(t, r.Dir(), "cat-file", "commit", commit)
	forged, err := r.git.line(t.Context(), strings.NewReader(strings.Replace(raw, "Tier: green", "Tier: red", 1)), "hash-object", "-t", "commit", "-w", "--stdin")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := verify(forged); err == nil {
		t.Errorf("a forged commit verifies: %s", out)
	}
}

// TestMergeAfterCrash puts the repository into each state that a kill can leave
// behind and merges again.
func TestMergeAfterCrash(t *testing.T) {
	ref := mergedRefs + "c1"
	tests := []struct {
		name  string
		crash func(t *testing.T, r *Repo, m Merge, commit string)
	}{
		{"before anything", func(t *testing.T, r *Repo, m Merge, commit string) {}},
		{"main moved, its record not", func(t *testing.T, r *Repo, m Merge, commit string) {
			gitOut(t, r.Dir(), "update-ref", Main, commit)
		}},
		{"main moved, its record not, and another change came after", func(t *testing.T, r *Repo, m Merge, commit string) {
			gitOut(t, r.Dir(), "update-ref", Main, commit)
			if _, err := r.Merge(t.Context(), mergeOf(t, r, "c2", map[string][]byte{"apps/two.yaml": []byte("owner: a@b.example\n")}), testSigner(t)); err != nil {
				t.Fatal(err)
			}
		}},
		{"the record written, main not moved", func(t *testing.T, r *Repo, m Merge, commit string) {
			gitOut(t, r.Dir(), "update-ref", ref, commit)
		}},
		{"locks left by a killed git", func(t *testing.T, r *Repo, m Merge, commit string) {
			for _, name := range []string{Main, ref} {
				file := filepath.Join(r.Dir(), filepath.FromSlash(name)+".lock")
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, nil, 0o644); err != nil {
					t.Fatal(err)
				}
				old := time.Now().Add(-time.Minute)
				if err := os.Chtimes(file, old, old); err != nil {
					t.Fatal(err)
				}
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRepo(t, kit(t))
			m := mergeOf(t, r, "c1", map[string][]byte{"apps/new.yaml": []byte("owner: ana@finmicro.example\n")})
			// The commit that the killed process wrote: signatures of Ed25519 are deterministic.
			message, err := m.message()
			if err != nil {
				t.Fatal(err)
			}
			commit, err := r.writeCommit(t.Context(), commitObject{
				tree: m.Tree, parents: []string{m.Expect, m.Head}, author: m.Author,
				committer: committer("finmicro.example"), when: m.When, message: message,
			}, testSigner(t))
			if err != nil {
				t.Fatal(err)
			}
			tt.crash(t, r, m, commit)
			for range 2 {
				got, err := r.Merge(t.Context(), m, testSigner(t))
				if err != nil || got != commit {
					t.Fatalf("merged as %s, %v; want %s", got, err, commit)
				}
			}
			if n := strings.TrimSpace(gitOut(t, r.Dir(), "log", "--first-parent", "--oneline", "--grep=^Change-Id: c1$", "main")); strings.Count(n, "\n") != 0 || n == "" {
				t.Errorf("the change is on main other than once: %q", n)
			}
			if got, ok, err := r.Merged(t.Context(), "c1"); err != nil || !ok || got != commit {
				t.Errorf("Merged: %s, %v, %v", got, ok, err)
			}
		})
	}
}

// TestMergeKilled kills the git that moves the refs at random moments.
func TestMergeKilled(t *testing.T) {
	r := newRepo(t, kit(t))
	r.staleLock = 10 * time.Millisecond
	signer := testSigner(t)
	for i := range 15 {
		m := mergeOf(t, r, fmt.Sprint("k", i), map[string][]byte{fmt.Sprintf("apps/k%d.yaml", i): []byte("owner: ana@finmicro.example\n")})
		message, err := m.message()
		if err != nil {
			t.Fatal(err)
		}
		commit, err := r.writeCommit(t.Context(), commitObject{
			tree: m.Tree, parents: []string{m.Expect, m.Head}, author: m.Author,
			committer: committer("finmicro.example"), when: m.When, message: message,
		}, signer)
		if err != nil {
			t.Fatal(err)
		}
		cmd := r.git.command(t.Context(), "update-ref", "--stdin")
		cmd.Stdin = strings.NewReader(fmt.Sprintf("start\nupdate %s %s %s\nupdate %s%s %s\nprepare\ncommit\n", Main, commit, m.Expect, mergedRefs, m.ChangeID, commit))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(i) * 300 * time.Microsecond) // the moment of the kill is what varies here
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if got, err := r.Merge(t.Context(), m, signer); err != nil || got != commit {
			t.Fatalf("kill %d: merged as %s, %v; want %s", i, got, err, commit)
		}
	}
	if n := strings.TrimSpace(gitOut(t, r.Dir(), "rev-list", "--count", "--first-parent", "main")); n != "16" {
		t.Errorf("%s commits on main, want 16", n)
	}
}

func TestMergeAtOnce(t *testing.T) {
	r := newRepo(t, kit(t))
	m := mergeOf(t, r, "c1", map[string][]byte{"apps/new.yaml": []byte("owner: ana@finmicro.example\n")})
	other := mergeOf(t, r, "c2", map[string][]byte{"apps/two.yaml": []byte("owner: ana@finmicro.example\n")})
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			if i%2 == 0 {
				_, errs[i] = r.Merge(t.Context(), m, testSigner(t))
			} else {
				_, errs[i] = r.Merge(t.Context(), other, testSigner(t))
			}
		})
	}
	wg.Wait()
	moved := 0
	for _, err := range errs {
		switch {
		case errors.Is(err, ErrMoved):
			moved++
		case err != nil:
			t.Error(err)
		}
	}
	if moved != 4 {
		t.Errorf("%d merges saw main moved, want those of one change: %v", moved, errs)
	}
}

func TestConflict(t *testing.T) {
	r := newRepo(t, kit(t))
	late := propose(t, r, "main", map[string][]byte{"apps/new.yaml": []byte("owner: late@finmicro.example\n")})
	if _, err := r.Merge(t.Context(), mergeOf(t, r, "c1", map[string][]byte{"apps/new.yaml": []byte("owner: ana@finmicro.example\n")}), testSigner(t)); err != nil {
		t.Fatal(err)
	}
	_, err := r.MergeTree(t.Context(), Main, late)
	if !errors.Is(err, ErrConflict) || !slices.Equal(ConflictPaths(err), []string{"apps/new.yaml"}) {
		t.Errorf("conflict: %v, paths %v", err, ConflictPaths(err))
	}
	if _, err := r.MergeTree(t.Context(), Main, "nowhere"); err == nil || errors.Is(err, ErrConflict) {
		t.Errorf("merge of nothing: %v", err)
	}
}

func TestMergeMessage(t *testing.T) {
	tests := []struct {
		name    string
		m       Merge
		want    string
		wantErr bool
	}{
		{"trailers of ours only", Merge{ChangeID: "c1", Message: "Subject\r\n\r\nBody: yes\nApproved-by: eve@evil.example\nplain\x00 text\n\n", Trailers: []Trailer{{"Tier", "red"}}},
			"Subject\n\n    Body: yes\n    Approved-by: eve@evil.example\nplain text\n\nChange-Id: c1\nTier: red\n", false},
		{"no message", Merge{ChangeID: "c1"}, "Change the zones repository\n\nChange-Id: c1\n", false},
		{"a trailer of two lines", Merge{ChangeID: "c1", Trailers: []Trailer{{"Tier", "red\nApproved-by: eve"}}}, "", true},
		{"a key that is none", Merge{ChangeID: "c1", Trailers: []Trailer{{"Tier: x", "red"}}}, "", true},
		{"another change's ID", Merge{ChangeID: "c1", Trailers: []Trailer{{"Change-Id", "c2"}}}, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.m.message()
			if got != tt.want || (err != nil) != tt.wantErr {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestPersonString(t *testing.T) {
	for p, want := range map[Person]string{
		{"Ana", "ana@x.example"}:                               "Ana <ana@x.example>",
		{"Eve <ivy@x.example>\nparent 0", "e\nv e@x.example>"}: "Eve ivy@x.exampleparent 0 <eve@x.example>",
		{"", "ana@x.example"}:                                  "ana@x.example <ana@x.example>",
	} {
		if got := p.String(); got != want {
			t.Errorf("%q: got %q, want %q", p, got, want)
		}
	}
}

func BenchmarkProposeAndMerge(b *testing.B) {
	r := newRepo(b, kit(b))
	signer := testSigner(b)
	i := 0
	for b.Loop() {
		i++
		m := mergeOf(b, r, fmt.Sprint("b", i), map[string][]byte{fmt.Sprintf("apps/b%d.yaml", i): []byte("owner: ana@finmicro.example\n")})
		if _, err := r.Merge(b.Context(), m, signer); err != nil {
			b.Fatal(err)
		}
	}
}
