package fetch

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"slipway/check/policy"
	"slipway/pack"
)

// gitSource is where in which repository a pack stands.
type gitSource struct {
	address, scheme string // "https://git.example/packs.git", "https"
	path            string // "mine", or "dist/mine.tar.gz"; "" for the root
	revision        string // "v1", "main", a commit; "HEAD" when the source names none
}

// parseGit reads git+SCHEME://HOST/REPOSITORY[//PATH][@REVISION].
func parseGit(source string) (gitSource, error) {
	raw := strings.TrimPrefix(source, gitScheme)
	scheme, rest, found := strings.Cut(raw, "://")
	g := gitSource{scheme: scheme, revision: "HEAD"}
	switch scheme {
	case "https", "ssh", "file":
	default:
		found = false
	}
	if !found || rest == "" || !utf8.ValidString(source) {
		return g, &Fault{Source: withoutSecret(source), What: "this is not an address of a Git repository", Help: "Write git+https://git.example/packs.git//folder@v1; git+ssh:// and git+file:// are possible as well."}
	}
	// The revision stands after the last slash's last @: "ssh://git@host/x" has none.
	if at := strings.LastIndexByte(rest, '@'); at > strings.LastIndexByte(rest, '/') && strings.ContainsRune(rest, '/') {
		rest, g.revision = rest[:at], rest[at+1:]
	}
	host, below, hasPath := strings.Cut(rest, "//")
	if hasPath {
		g.path = path.Clean(below)
	}
	g.address = scheme + "://" + host
	if _, err := (Options{}).address(source, g.address); err != nil {
		return g, err
	}
	bad := func(what string) (gitSource, error) {
		return g, &Fault{Source: source, What: what, Help: "Write git+https://git.example/packs.git//folder@v1."}
	}
	switch {
	case g.revision == "" || strings.HasPrefix(g.revision, "-") || strings.ContainsAny(g.revision, " \t\n\r:^~?*[\\\x00") || strings.Contains(g.revision, ".."):
		return bad(fmt.Sprintf("%q is not a branch, tag or commit", g.revision))
	case hasPath && (g.path == "." || strings.HasPrefix(g.path, "/") || strings.HasPrefix(g.path, "-") || g.path == ".." || strings.HasPrefix(g.path, "../") || strings.ContainsAny(g.path, "\x00\n")):
		return bad(fmt.Sprintf("%q is not a path in the repository", below))
	}
	return g, nil
}

// git fetches one commit into a repository of its own and reads the pack from it. No work
// tree is made: no filter, hook or link of the repository ever runs or is followed.
func git(ctx context.Context, source string) ([]byte, error) {
	g, err := parseGit(source)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "slipway-pack-")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	defer os.RemoveAll(dir)
	r := gitRepository{dir: dir, scheme: g.scheme}
	if _, err := r.run(ctx, "init", "--quiet", "--bare", "."); err != nil {
		return nil, &Fault{Source: source, What: "git cannot make a repository to fetch into", Err: err}
	}
	if _, err := r.run(ctx, "-c", "fetch.fsckObjects=true", "fetch", "--quiet", "--no-tags", "--depth=1", "--no-recurse-submodules", "--", g.address, g.revision); err != nil {
		return nil, &Fault{Source: source, What: fmt.Sprintf("git cannot fetch %s", g.revision), Help: "Is the address right, does it have that branch, tag or commit, and may you read it?", Err: err}
	}
	entries, err := r.list(ctx, g.path)
	if err != nil {
		return nil, &Fault{Source: source, What: "git cannot list the pack", Err: err}
	}
	if len(entries) == 1 && entries[0].path == g.path { // the path names a bundle
		src, err := r.blob(ctx, entries[0], pack.MaxBundle)
		if err != nil {
			return nil, &Fault{Source: source, What: "the bundle cannot be read", Err: err}
		}
		return src, nil
	}
	var files []pack.File
	for _, e := range entries {
		name := strings.TrimPrefix(strings.TrimPrefix(e.path, g.path), "/")
		if base := path.Base(name); strings.HasPrefix(base, ".") && name != ".manifest" && name != ".signatures.json" || strings.HasPrefix(name, ".") && strings.Contains(name, "/") {
			continue // .gitignore, .github/…
		}
		src, err := r.blob(ctx, e, policy.MaxFileBytes)
		if err != nil {
			return nil, &Fault{Source: source, What: fmt.Sprintf("%s cannot be read", e.path), Err: err}
		}
		if files = append(files, pack.File{Path: name, Src: src}); len(files) > pack.MaxFiles {
			break // Build says so
		}
	}
	if len(files) == 0 {
		return nil, &Fault{Source: source, What: fmt.Sprintf("there is nothing at %q in %s", g.path, g.revision)}
	}
	src, _, err := pack.Build(files)
	return src, err
}

type gitRepository struct{ dir, scheme string }

type gitEntry struct {
	blob, path string
	size       int64
}

// list returns the plain files below a path of what was fetched.
func (r gitRepository) list(ctx context.Context, below string) ([]gitEntry, error) {
	args := []string{"ls-tree", "-r", "-z", "-l", "--full-tree", "FETCH_HEAD"}
	if below != "" {
		args = append(args, "--", below)
	}
	out, err := r.run(ctx, args...)
	if err != nil {
		return nil, err
	}
	var entries []gitEntry
	for _, line := range strings.Split(strings.TrimSuffix(out, "\x00"), "\x00") {
		meta, name, ok := strings.Cut(line, "\t")
		f := strings.Fields(meta) // mode, type, name of the object, size
		if !ok || len(f) != 4 {
			continue
		}
		if f[0] != "100644" && f[0] != "100755" {
			return nil, fmt.Errorf("%s is not a plain file", name)
		}
		size, err := strconv.ParseInt(f[3], 10, 64)
		if err != nil {
			return nil, err
		}
		entries = append(entries, gitEntry{blob: f[2], path: name, size: size})
	}
	return entries, nil
}

func (r gitRepository) blob(ctx context.Context, e gitEntry, most int64) ([]byte, error) {
	if e.size > most {
		return nil, fmt.Errorf("it is larger than %d bytes", most)
	}
	out, err := r.run(ctx, "cat-file", "blob", e.blob)
	return []byte(out), err
}

// maxGitOutput bounds what is read from git.
const maxGitOutput = 16 << 20

func (r gitRepository) run(ctx context.Context, args ...string) (string, error) {
	c := exec.CommandContext(ctx, "git", args...)
	c.Dir = r.dir
	c.Env = gitEnvironment(os.Environ(), r.dir, r.scheme)
	c.WaitDelay = 5 * time.Second
	var stderr bytes.Buffer
	c.Stderr = &limited{&stderr, 4 << 10}
	pipe, err := c.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := c.Start(); err != nil {
		return "", err
	}
	out, readErr := io.ReadAll(io.LimitReader(pipe, maxGitOutput+1))
	if len(out) > maxGitOutput {
		_ = c.Process.Kill()
		readErr = fmt.Errorf("git %s: more than %d MiB", args[0], maxGitOutput>>20)
	}
	if err := c.Wait(); err != nil && readErr == nil {
		return "", fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return string(out), readErr
}

// gitKept are the settings of git in the environment that reach a remote repository.
var gitKept = []string{"GIT_ASKPASS", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_SYSTEM", "GIT_PROXY_COMMAND", "GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSH_VARIANT", "GIT_SSL_CAINFO"}

// gitEnvironment asks nothing at the terminal and allows no transport but the one that
// the source names: a repository's address must not make git run a program (ext::). In a hook,
// git's environment points at the repository of the hook, which is not the one meant here.
func gitEnvironment(have []string, dir, scheme string) []string {
	env := slices.DeleteFunc(slices.Clone(have), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return strings.HasPrefix(name, "GIT_") && !slices.Contains(gitKept, name)
	})
	return append(env, "GIT_TERMINAL_PROMPT=0", "GIT_ALLOW_PROTOCOL="+scheme, "GIT_NO_LAZY_FETCH=1", "GIT_DIR="+dir, "LC_ALL=C")
}

// limited keeps the first bytes that are written and drops the rest.
type limited struct {
	to   *bytes.Buffer
	left int
}

func (w *limited) Write(p []byte) (int, error) {
	n := min(len(p), w.left)
	w.to.Write(p[:n])
	w.left -= n
	return len(p), nil
}
