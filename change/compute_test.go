package change_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"golang.org/x/crypto/ssh"

	"slipway/change"
	"slipway/repo"
	"slipway/zone"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var (
	ana  = repo.Person{Name: "Ana", Email: "ana@finmicro.example"}
	noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
)

func newRepo(t testing.TB, files map[string][]byte) *repo.Repo {
	t.Helper()
	signer, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	kit := fstest.MapFS{}
	for p, content := range files {
		kit[p] = &fstest.MapFile{Data: content}
	}
	r, err := repo.Create(t.Context(), filepath.Join(t.TempDir(), "zones.git"), kit, ana, noon, signer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func tree(t testing.TB, r *repo.Repo, rev string) *repo.Tree {
	t.Helper()
	tr, err := r.Tree(t.Context(), rev)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// propose commits files on top of base; nil deletes.
func propose(t testing.TB, r *repo.Repo, base string, files map[string][]byte) *repo.Tree {
	t.Helper()
	base, err := r.Resolve(t.Context(), base)
	if err != nil {
		t.Fatal(err)
	}
	c, err := r.Propose(t.Context(), repo.Proposal{Base: base, Files: files, Author: ana, Message: "Change", When: noon})
	if err != nil {
		t.Fatal(err)
	}
	return tree(t, r, c)
}

// sides splits an archive into the files below base/ and head/. A file of base
// that head does not have is deleted by the change, unless head is "keep".
func sides(a *txtar.Archive) (base, changed map[string][]byte) {
	base, changed = map[string][]byte{}, map[string][]byte{}
	for _, f := range a.Files {
		if p, ok := strings.CutPrefix(f.Name, "base/"); ok {
			base[p] = f.Data
		}
		if p, ok := strings.CutPrefix(f.Name, "head/"); ok {
			changed[p] = f.Data
		}
		if p, ok := strings.CutPrefix(f.Name, "delete/"); ok {
			changed[p] = nil
		}
	}
	return base, changed
}

// summary is a change as the golden files show it.
func summary(c *change.Change) string {
	var b strings.Builder
	fmt.Fprintf(&b, "creates %d, updates %d, deletes %d\n", c.Creates, c.Updates, c.Deletes)
	show := func(r *zone.RRSet) string {
		if r == nil {
			return "-"
		}
		return fmt.Sprintf("%d %s%s", r.TTL, strings.Join(r.Values, " | "), r.Extra)
	}
	for _, e := range c.Edits {
		fmt.Fprintf(&b, "%s %s: %s %s (%s)\n  %s\n  %s\n", e.Op, e.Zone, e.Name, e.Type, e.Place, show(e.Before), show(e.After))
	}
	for _, a := range c.Apps {
		fmt.Fprintf(&b, "%s app %s\n", a.Op, a.Name)
	}
	for _, f := range c.Files {
		fmt.Fprintf(&b, "%s %s %s\n", f.Op, f.Kind, f.Path)
	}
	return b.String()
}

// TestCompute runs every testdata/*.txtar: base/, head/ and delete/ make the two
// commits, want is the change, or its error.
func TestCompute(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatal("no test data", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			base, changed := sides(a)
			r := newRepo(t, base)
			c, err := change.Compute(t.Context(), r, tree(t, r, "main"), propose(t, r, "main", changed))
			got := ""
			if err != nil {
				var ze *zone.Error
				if !errors.As(err, &ze) {
					t.Errorf("the error has no place: %v", err)
				}
				got = "error: " + err.Error() + "\n"
			} else {
				got = summary(c)
			}
			i := slices.IndexFunc(a.Files, func(f txtar.File) bool { return f.Name == "want" })
			if i < 0 {
				a.Files = append(a.Files, txtar.File{Name: "want"})
				i = len(a.Files) - 1
			}
			if *update {
				a.Files[i].Data = []byte(got)
				if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want := string(a.Files[i].Data); got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

var small = map[string][]byte{
	"slipway.yaml":                     []byte("domain: finmicro.example\nzones:\n  finmicro.example: {owner: finmicro.example}\n  apps.finmicro.example: {visibility: internal, owner: finmicro.example}\n"),
	"zones/finmicro.example.yaml":      []byte("---\nwww:\n  ttl: 300\n  type: A\n  value: 192.0.2.1\n"),
	"zones/apps.finmicro.example.yaml": []byte("---\nold:\n  ttl: 300\n  type: A\n  value: 192.0.2.1\n"),
	"apps/menu.yaml":                   []byte("owner: cora@finmicro.example\nrecords:\n  - {name: menu.apps.finmicro.example, type: A, ttl: 300, values: [192.0.2.20]}\n"),
}

func digestOf(t *testing.T, r *repo.Repo, base, head *repo.Tree) string {
	t.Helper()
	c, err := change.Compute(t.Context(), r, base, head)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(c.Digest, "sha256:") || len(c.Digest) != 7+64 {
		t.Fatalf("digest %q", c.Digest)
	}
	return c.Digest
}

func TestDigest(t *testing.T) {
	r := newRepo(t, small)
	main := tree(t, r, "main")
	app := map[string][]byte{"apps/new.yaml": []byte("owner: ana@finmicro.example\nrecords:\n  - {name: new.apps.finmicro.example, type: A, ttl: 300, values: [192.0.2.30]}\n")}
	want := digestOf(t, r, main, propose(t, r, "main", app))

	t.Run("the same content, laid out otherwise", func(t *testing.T) {
		head := propose(t, r, "main", map[string][]byte{"apps/new.yaml": []byte("# a comment\nrecords:\n- name: new.apps.finmicro.example.\n  type: a\n  ttl: 300\n  values:\n  - 192.0.2.30\nowner: Ana@finmicro.example\n")})
		if got := digestOf(t, r, main, head); got != want {
			t.Errorf("digest %s, want %s", got, want)
		}
	})
	t.Run("main moved elsewhere", func(t *testing.T) {
		moved := propose(t, r, "main", map[string][]byte{
			"zones/finmicro.example.yaml": []byte("---\nwww:\n  ttl: 60\n  type: A\n  value: 192.0.2.9\n"),
			"apps/other.yaml":             []byte("owner: eve@finmicro.example\n"),
		})
		if got := digestOf(t, r, moved, propose(t, r, moved.Commit(), app)); got != want {
			t.Errorf("digest %s, want %s", got, want)
		}
	})
	t.Run("another value", func(t *testing.T) {
		head := propose(t, r, "main", map[string][]byte{"apps/new.yaml": bytes.Replace(app["apps/new.yaml"], []byte("192.0.2.30"), []byte("192.0.2.31"), 1)})
		if got := digestOf(t, r, main, head); got == want {
			t.Error("another content has the same digest")
		}
	})
	t.Run("a manifest's other fields count", func(t *testing.T) {
		head := propose(t, r, "main", map[string][]byte{"apps/new.yaml": append([]byte("data: [pii]\n"), app["apps/new.yaml"]...)})
		if got := digestOf(t, r, main, head); got == want {
			t.Error("another manifest has the same digest")
		}
	})
	t.Run("a program is not a file", func(t *testing.T) {
		a := digestOf(t, r, main, propose(t, r, "main", map[string][]byte{"README": []byte("x")}))
		b := digestOf(t, r, main, propose(t, r, "main", map[string][]byte{"README": []byte("y")}))
		if a == b {
			t.Error("another file has the same digest")
		}
	})
}

func TestFirstCommit(t *testing.T) {
	r := newRepo(t, small)
	c, err := change.Compute(t.Context(), r, nil, tree(t, r, "main"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Creates != 3 || c.Updates+c.Deletes != 0 || len(c.Apps) != 1 || len(c.Files) != 1 {
		t.Errorf("change: %s", summary(c))
	}
	if zones := c.Zones(); !slices.Equal(zones, []zone.Name{"apps.finmicro.example", "finmicro.example"}) {
		t.Errorf("zones: %v", zones)
	}
	if same, err := change.Compute(t.Context(), r, tree(t, r, "main"), tree(t, r, "main")); err != nil || !same.Empty() {
		t.Errorf("a tree against itself: %+v, %v", same, err)
	}
	if _, err := json.Marshal(c); err != nil {
		t.Error(err)
	}
}

// TestWorkTree computes a change that is not committed, and the same one committed.
func TestWorkTree(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "zones")
	kit := fstest.MapFS{}
	for p, content := range small {
		kit[p] = &fstest.MapFile{Data: content}
	}
	if _, err := repo.InitWorkTree(t.Context(), dir, kit, ana, noon); err != nil {
		t.Fatal(err)
	}
	r, err := repo.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	app := []byte("owner: ana@finmicro.example\nrecords:\n  - {name: new.apps.finmicro.example, type: A, value: 192.0.2.30}\n")
	if err := os.WriteFile(filepath.Join(dir, "apps", "new.yaml"), app, 0o644); err != nil {
		t.Fatal(err)
	}
	work, err := r.WorkTree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := change.Compute(t.Context(), r, tree(t, r, "HEAD"), work)
	if err != nil {
		t.Fatal(err)
	}
	if c.Head != "" || c.Creates != 1 || len(c.Apps) != 1 {
		t.Errorf("change of the work tree: head %q, %s", c.Head, summary(c))
	}
	if got := digestOf(t, r, tree(t, r, "HEAD"), propose(t, r, "HEAD", map[string][]byte{"apps/new.yaml": app})); got != c.Digest {
		t.Errorf("committed, the change has digest %s; before, %s", got, c.Digest)
	}
}

// TestApplyingEditsGivesHead makes random changes and checks that the edits,
// applied to the zones as base serves them, give the zones as head serves them.
func TestApplyingEditsGivesHead(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	r := newRepo(t, randomRepo(random))
	at := tree(t, r, "main")
	compared := 0
	for range 40 {
		files := randomRepo(random)
		for p := range files {
			if random.IntN(2) == 0 {
				delete(files, p)
			}
		}
		if random.IntN(3) == 0 {
			files[fmt.Sprintf("apps/app%d.yaml", random.IntN(4))] = nil
			for p := range files {
				if _, err := at.ReadFile(t.Context(), p); err != nil && files[p] == nil {
					delete(files, p)
				}
			}
		}
		head := propose(t, r, at.Commit(), files)
		c, err := change.Compute(t.Context(), r, at, head)
		served, servedErr := serve(t, head)
		if (err == nil) != (servedErr == nil) {
			t.Fatalf("Compute says %v, Served says %v", err, servedErr)
		}
		if err != nil {
			continue
		}
		got, err := serve(t, at)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range c.Edits {
			k := zone.Key{Name: e.Name, Type: e.Type}
			if before, there := got[k]; there != (e.Before != nil) || there && !before.Equal(*e.Before) {
				t.Fatalf("%s %v: before is %v, base serves %v", e.Op, k, e.Before, before)
			}
			delete(got, k)
			if e.After != nil {
				got[k] = *e.After
			}
		}
		if len(got) != len(served) {
			t.Fatalf("%d record sets, head serves %d\n%s", len(got), len(served), summary(c))
		}
		for k, want := range served {
			if !got[k].Equal(want) {
				t.Fatalf("%v is %v, head serves %v", k, got[k], want)
			}
		}
		at = head
		compared++
	}
	if compared < 10 {
		t.Errorf("only %d changes were comparable", compared)
	}
}

func serve(t *testing.T, tr *repo.Tree) (map[zone.Key]zone.RRSet, error) {
	out := map[zone.Key]zone.RRSet{}
	s, err := tr.Settings(t.Context())
	if err != nil {
		return nil, err
	}
	for name := range s.Zones {
		sets, err := tr.Served(t.Context(), name)
		if err != nil {
			return nil, err
		}
		for _, r := range sets {
			out[r.Key()] = r
		}
	}
	return out, nil
}

// randomRepo has few names and values, so that record sets meet, move and stay.
func randomRepo(random *rand.Rand) map[string][]byte {
	files := map[string][]byte{"slipway.yaml": small["slipway.yaml"]}
	types := []string{"A", "AAAA"}
	value := func(typ string) string {
		if typ == "A" {
			return fmt.Sprintf("192.0.2.%d", random.IntN(3))
		}
		return fmt.Sprintf("2001:db8::%d", random.IntN(3))
	}
	for _, z := range []string{"finmicro.example", "apps.finmicro.example"} {
		var b strings.Builder
		b.WriteString("---\n")
		for i := range 8 {
			if random.IntN(3) == 0 {
				typ := types[random.IntN(2)]
				fmt.Fprintf(&b, "n%d:\n  ttl: 300\n  type: %s\n  value: '%s'\n", i, typ, value(typ))
			}
		}
		files["zones/"+z+".yaml"] = []byte(b.String())
	}
	for i := range 4 {
		var b strings.Builder
		fmt.Fprintf(&b, "owner: p%d@finmicro.example\nrecords:\n", random.IntN(2))
		used := map[string]bool{}
		for range 2 {
			typ, host := types[random.IntN(2)], fmt.Sprintf("n%d", 6+random.IntN(30))
			if used[typ+host] {
				continue
			}
			used[typ+host] = true
			fmt.Fprintf(&b, "  - {name: %s.%s, type: %s, ttl: 300, values: ['%s']}\n", host, []string{"finmicro.example", "apps.finmicro.example"}[random.IntN(2)], typ, value(typ))
		}
		files[fmt.Sprintf("apps/app%d.yaml", i)] = []byte(b.String())
	}
	return files
}
