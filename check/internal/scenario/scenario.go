// Package scenario makes zones repositories for the tests of the checks: a real
// Git repository from a txtar archive, and changes proposed to it. Nothing but
// tests imports it.
package scenario

import (
	"bytes"
	"crypto/ed25519"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"golang.org/x/crypto/ssh"

	"slipway/repo"
)

// Now is when everything in a scenario happens.
var Now = time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)

var people = repo.Person{Name: "Ana", Email: "ana@finmicro.example"}

// World is one zones repository and the state that changes start from.
type World struct {
	Repo *repo.Repo
	Base *repo.Tree
}

// New makes a repository with the files of a txtar archive.
func New(tb testing.TB, archive []byte) *World {
	tb.Helper()
	files := fstest.MapFS{}
	for _, f := range txtar.Parse(archive).Files {
		files[f.Name] = &fstest.MapFile{Data: f.Data, Mode: 0o644}
	}
	return FromFiles(tb, files)
}

// FromFiles makes a repository with files.
func FromFiles(tb testing.TB, files fstest.MapFS) *World {
	tb.Helper()
	signer, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize)))
	if err != nil {
		tb.Fatal(err)
	}
	r, err := repo.Create(tb.Context(), filepath.Join(tb.TempDir(), "zones.git"), files, people, Now, signer)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = r.Close() })
	base, err := r.Tree(tb.Context(), repo.Main)
	if err != nil {
		tb.Fatal(err)
	}
	return &World{Repo: r, Base: base}
}

// Head proposes the files of a txtar archive on top of the base. A file whose
// only content is the word "deleted" is deleted.
func (w *World) Head(tb testing.TB, archive []byte) *repo.Tree {
	tb.Helper()
	files := map[string][]byte{}
	for _, f := range txtar.Parse(archive).Files {
		files[f.Name] = f.Data
		if string(bytes.TrimSpace(f.Data)) == "deleted" {
			files[f.Name] = nil
		}
	}
	commit, err := w.Repo.Propose(tb.Context(), repo.Proposal{Base: w.Base.Commit(), Files: files, Author: people, Message: "A change", When: Now})
	if err != nil {
		tb.Fatal(err)
	}
	head, err := w.Repo.Tree(tb.Context(), commit)
	if err != nil {
		tb.Fatal(err)
	}
	return head
}
