package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Limits on what one git command may say. They are far above what a sound
// repository needs, and keep a broken one from filling the memory.
const (
	maxGitOutput = 64 << 20
	maxGitErrors = 64 << 10
)

// git runs the git program for one repository. The environment holds nothing of
// the caller's but PATH, HOME and TMPDIR, so that neither GIT_DIR of a hook nor
// anybody's ~/.gitconfig decides what a check sees.
type git struct {
	dir   string   // --git-dir
	extra []string // further environment: index file, object directories
	safe  []string // folders of other users that the user told git to trust
}

// command returns a git command that ends with ctx. Callers pass revisions only
// behind --end-of-options or on standard input.
func (g git) command(ctx context.Context, args ...string) *exec.Cmd {
	full := []string{
		"--no-replace-objects", "--literal-pathspecs",
		"-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false",
		"-c", "core.filesRefLockTimeout=200", "-c", "core.packedRefsTimeout=5000",
		"-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "log.mailmap=false",
	}
	for _, dir := range g.safe {
		full = append(full, "-c", "safe.directory="+dir)
	}
	if g.dir != "" {
		full = append(full, "--git-dir="+g.dir)
	}
	cmd := exec.CommandContext(ctx, "git", append(full, args...)...)
	cmd.Env = append(cleanEnv(), g.extra...)
	cmd.WaitDelay = 5 * time.Second
	// Ctrl-C in a terminal goes to the whole process group. Git ends when we let it, so that
	// what is under way is finished; a git whose parent dies ends at its closed input.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

func cleanEnv() []string {
	env := []string{
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_ATTR_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0", "GIT_NO_LAZY_FETCH=1",
		"LC_ALL=C", "TZ=UTC",
	}
	for _, key := range []string{"PATH", "HOME", "TMPDIR", "SystemRoot"} {
		if v, ok := os.LookupEnv(key); ok {
			env = append(env, key+"="+v)
		}
	}
	return env
}

// trusted returns the folders that the user's own configuration lets git read
// although another user owns them, as checkouts in pipelines often are. It is the
// one thing that is taken from there.
func trusted(ctx context.Context) []string {
	cmd := exec.CommandContext(ctx, "git", "config", "--global", "--get-all", "safe.directory")
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.Output()
	if err != nil {
		return nil // none is set
	}
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
}

// gitError is a git command that failed.
type gitError struct {
	op     string
	code   int
	stderr string
	cause  error
}

func (e *gitError) Error() string {
	msg := strings.TrimSpace(e.stderr)
	if msg == "" {
		msg = e.cause.Error()
	}
	return "git " + e.op + ": " + msg
}

func (e *gitError) Unwrap() error { return e.cause }

// run runs a git command to its end and returns its standard output.
func (g git) run(ctx context.Context, stdin io.Reader, args ...string) ([]byte, error) {
	cmd := g.command(ctx, args...)
	var out, errs boundedBuffer
	out.limit, errs.limit, errs.drop = maxGitOutput, maxGitErrors, true
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &errs
	if err := cmd.Run(); err != nil {
		return out.Bytes(), failure(ctx, args[0], err, errs.String())
	}
	return out.Bytes(), nil
}

// failure turns the end of a git process into an error; the context's own comes first.
func failure(ctx context.Context, op string, err error, stderr string) error {
	if ctx.Err() != nil {
		return fmt.Errorf("git %s: %w", op, ctx.Err())
	}
	if errors.Is(err, exec.ErrNotFound) {
		return errors.New("the git program is not installed or not in PATH; install git 2.38 or newer")
	}
	code := -1
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	}
	return &gitError{op: op, code: code, stderr: stderr, cause: err}
}

// exitCode is the exit code of a failed git command, or -1.
func exitCode(err error) int {
	var ge *gitError
	if errors.As(err, &ge) {
		return ge.code
	}
	return -1
}

// line runs a git command whose answer is one line.
func (g git) line(ctx context.Context, stdin io.Reader, args ...string) (string, error) {
	out, err := g.run(ctx, stdin, args...)
	return strings.TrimSuffix(string(out), "\n"), err
}

// boundedBuffer keeps at most limit bytes: more is an error, or with drop is left out.
type boundedBuffer struct {
	bytes.Buffer
	limit int
	drop  bool
}

var errTooMuch = errors.New("more output than a sound repository can cause")

func (b *boundedBuffer) Write(p []byte) (int, error) {
	room := b.limit - b.Len()
	if len(p) <= room {
		return b.Buffer.Write(p)
	}
	if !b.drop {
		return 0, errTooMuch
	}
	b.Buffer.Write(p[:room])
	return len(p), nil
}

// checkRevision refuses what could be read as an option or as a second line of input.
func checkRevision(rev string) error {
	if rev == "" || len(rev) > 1024 || strings.HasPrefix(rev, "-") || strings.ContainsFunc(rev, isControl) {
		return fmt.Errorf("revision %q: not a revision; give a branch, a tag or a commit", rev)
	}
	return nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// isObjectID reports whether s is a full SHA-1 or SHA-256 object name.
func isObjectID(s string) bool {
	if len(s) != 40 && len(s) != 64 {
		return false
	}
	return strings.Trim(s, "0123456789abcdef") == ""
}
