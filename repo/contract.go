package repo

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"time"

	"golang.org/x/crypto/ssh"

	"slipway/zone"
)

// CONTRACT: replace by the real code.

type Repo struct{}

// Errors that callers branch on.
var (
	ErrMoved    = errors.New("main has moved") // Merge: Expect is no longer main
	ErrConflict = errors.New("the change conflicts with main")
	ErrNotFound = errors.New("not found")
)

func Open(ctx context.Context, dir string) (*Repo, error) { panic("contract") } // bare or with a work tree
func Create(ctx context.Context, dir string, kit fs.FS, by Person, when time.Time, signer ssh.Signer) (*Repo, error) {
	panic("contract")
}                                                                                  // bare repository with kit as the first, signed commit on main
func (r *Repo) Dir() string                                                        { panic("contract") }
func (r *Repo) Resolve(ctx context.Context, rev string) (commit string, err error) { panic("contract") }
func (r *Repo) Tree(ctx context.Context, rev string) (*Tree, error)                { panic("contract") }
func (r *Repo) WorkTree(ctx context.Context) (*Tree, error)                        { panic("contract") } // uncommitted files on disk, as a tree
func (r *Repo) ChangedPaths(ctx context.Context, base, head *Tree) ([]PathChange, error) {
	panic("contract")
}
func (r *Repo) Propose(ctx context.Context, p Proposal) (commit string, err error) { panic("contract") }
func (r *Repo) SetRef(ctx context.Context, ref, commit string) error               { panic("contract") }
func (r *Repo) Refs(ctx context.Context, prefix string) (map[string]string, error) { panic("contract") }
func (r *Repo) MergeBase(ctx context.Context, a, b string) (string, error)         { panic("contract") }
func (r *Repo) MergeTree(ctx context.Context, ours, theirs string) (tree string, err error) {
	panic("contract")
} // ErrConflict, naming the paths
func (r *Repo) Merge(ctx context.Context, m Merge, signer ssh.Signer) (commit string, err error) {
	panic("contract")
} // idempotent by ChangeID: refs/slipway/merged/<ChangeID> moves in one transaction with main
func (r *Repo) Merged(ctx context.Context, changeID string) (commit string, ok bool, err error) {
	panic("contract")
}
func (r *Repo) CommitPeople(ctx context.Context, base, head string) ([]Person, error) {
	panic("contract")
}                            // every author and committer in base..head
func (r *Repo) Close() error { panic("contract") }

// Tree reads one commit (or tree) of the zones repository. Reads are cached; safe for concurrent use.
type Tree struct{}

func (t *Tree) Commit() string                                                   { panic("contract") } // "" for a work tree or a bare tree
func (t *Tree) Settings(ctx context.Context) (*Settings, error)                  { panic("contract") } // defaults when slipway.yaml is absent
func (t *Tree) ZoneNames(ctx context.Context) ([]zone.Name, error)               { panic("contract") } // zones that have a file
func (t *Tree) ZoneFile(ctx context.Context, name zone.Name) (*zone.File, error) { panic("contract") } // ErrNotFound
func (t *Tree) ZonePath(ctx context.Context, name zone.Name) (string, error)     { panic("contract") }
func (t *Tree) Apps(ctx context.Context) ([]*App, error)                         { panic("contract") }
func (t *Tree) App(ctx context.Context, name string) (*App, error)               { panic("contract") }
func (t *Tree) Served(ctx context.Context, name zone.Name) ([]zone.RRSet, error) { panic("contract") } // zone file plus every app's records in it
func (t *Tree) ReadFile(ctx context.Context, path string) ([]byte, error)        { panic("contract") }
func (t *Tree) Glob(ctx context.Context, pattern string) ([]string, error)       { panic("contract") }

func ParseSettings(path string, src []byte) (*Settings, error) { panic("contract") }
func ParseApp(path string, src []byte) (*App, error)           { panic("contract") }
func (a *App) Marshal() ([]byte, error)                        { panic("contract") }

// ZoneOf returns the most specific zone of s that holds name.
func (s *Settings) ZoneOf(name zone.Name) (zone.Name, bool) { panic("contract") }
func (s *Settings) GroupsOf(email string) []string          { panic("contract") }
func (s *Settings) ThirdParty(email string) bool            { panic("contract") }

// HostOptions wires the smart-HTTP host to the server.
type HostOptions struct {
	// Authenticate returns the person behind a request (HTTP basic: user, token). Refusal is 401.
	Authenticate func(r *http.Request) (Person, error)
	// Receive handles `git push origin HEAD:refs/for/main`: lines written to progress reach the pusher at once.
	// A nil error accepts the push.
	Receive      func(ctx context.Context, by Person, commit string, options []string, progress io.Writer) error
	MaxPackBytes int64 // default 64 MiB
}

// Host serves the repository at the handler's root. Pushes to anything but refs/for/main are refused with a sentence.
func (r *Repo) Host(o HostOptions) (http.Handler, error) { panic("contract") }
