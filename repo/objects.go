package repo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync"
)

// Modes of tree entries (gitformat-index(5)).
const (
	modeFile    = "100644"
	modeExec    = "100755"
	modeLink    = "120000"
	modeGitlink = "160000"
	modeDir     = "40000"
)

// objects reads Git objects through one long-lived `git cat-file --batch-command`,
// started at the first read. Names of objects and revisions travel on standard
// input, where none can be taken for an option.
type objects struct {
	git git

	mu     sync.Mutex // held for one question and its answer
	closed bool
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	errs   *boundedBuffer
	trees  map[string][]entry // by object name; emptied when full
	size   int                // entries held in trees
}

// entry is one line of a tree object.
type entry struct {
	mode, name, oid string
}

func (e entry) regular() bool { return e.mode == modeFile || e.mode == modeExec }

const (
	maxTreeObject    = 256 << 20 // a directory of some million files
	maxCachedEntries = 1 << 20
)

// errMissing is what cat-file says about an object that is not there.
var errMissing = fmt.Errorf("object %w", ErrNotFound)

func (o *objects) close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	return o.stop()
}

func (o *objects) stop() error {
	if o.cmd == nil {
		return nil
	}
	o.in.Close()
	err := o.cmd.Wait()
	o.cmd = nil
	return err
}

func (o *objects) start() error {
	if o.cmd != nil {
		return nil
	}
	if o.closed {
		return errors.New("the repository is closed")
	}
	// The process outlives the request that happens to start it, hence no context.
	// It ends with its standard input, so also when this process is killed.
	cmd := o.git.command(context.Background(), "cat-file", "--batch-command")
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	errs := &boundedBuffer{limit: maxGitErrors, drop: true}
	cmd.Stderr = errs
	if err := cmd.Start(); err != nil {
		return failure(context.Background(), "cat-file", err, "")
	}
	o.cmd, o.in, o.out, o.errs = cmd, in, bufio.NewReaderSize(out, 64<<10), errs
	return nil
}

// ask sends one command and reads the header of the answer.
func (o *objects) ask(ctx context.Context, verb, name string) (oid, kind string, size int64, err error) {
	if err := ctx.Err(); err != nil {
		return "", "", 0, err
	}
	if strings.ContainsAny(name, "\n\x00") {
		return "", "", 0, errMissing
	}
	if err := o.start(); err != nil {
		return "", "", 0, err
	}
	if _, err = io.WriteString(o.in, verb+" "+name+"\n"); err == nil {
		oid, kind, size, err = o.header()
	}
	if err != nil && !errors.Is(err, errMissing) {
		errs := o.errs
		o.stop()
		return "", "", 0, &gitError{op: "cat-file", code: -1, stderr: errs.String(), cause: err}
	}
	return oid, kind, size, err
}

// header reads the first line of an answer.
func (o *objects) header() (oid, kind string, size int64, err error) {
	line, err := o.out.ReadString('\n')
	if err != nil {
		return "", "", 0, err
	}
	line = strings.TrimSuffix(line, "\n")
	if strings.HasSuffix(line, " missing") || strings.HasSuffix(line, " ambiguous") {
		return "", "", 0, errMissing
	}
	f := strings.Fields(line)
	if len(f) == 3 && isObjectID(f[0]) {
		if size, err = strconv.ParseInt(f[2], 10, 64); err == nil && size >= 0 {
			return f[0], f[1], size, nil
		}
	}
	return "", "", 0, fmt.Errorf("unexpected answer %q", line)
}

// info resolves a revision expression to an object.
func (o *objects) info(ctx context.Context, rev string) (oid, kind string, size int64, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.ask(ctx, "info", rev)
}

// read returns an object's content, which must not be longer than limit.
func (o *objects) read(ctx context.Context, oid, kind string, limit int64) ([]byte, error) {
	var buf bytes.Buffer
	err := o.copy(ctx, &buf, oid, kind, limit)
	return buf.Bytes(), err
}

// text is read for content that is wanted as a string, which saves a copy.
func (o *objects) text(ctx context.Context, oid string, limit int64) (string, error) {
	var buf strings.Builder
	err := o.copy(ctx, &buf, oid, "blob", limit)
	return buf.String(), err
}

// errTooLarge is returned by reads of objects above their limit.
var errTooLarge = errors.New("too large")

// copy writes an object's content to w.
func (o *objects) copy(ctx context.Context, w io.Writer, oid, kind string, limit int64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, got, size, err := o.ask(ctx, "info", oid)
	if err != nil {
		return err
	}
	if got != kind {
		return fmt.Errorf("object %s is a %s, not a %s", oid, got, kind)
	}
	if size > limit {
		return fmt.Errorf("%w: %d bytes, at most %d are read", errTooLarge, size, limit)
	}
	if _, _, size, err = o.ask(ctx, "contents", oid); err != nil {
		return err
	}
	if buf, ok := w.(interface{ Grow(int) }); ok {
		buf.Grow(int(size))
	}
	_, err = io.CopyN(w, o.out, size)
	if err == nil {
		_, err = o.out.Discard(1) // the line end after the content
	}
	if err != nil {
		o.stop()
		return fmt.Errorf("git cat-file %s: %w", oid, err)
	}
	return nil
}

// readAll reads many blobs and hands each to use, in order. The questions are sent
// ahead of the answers, so that it costs about what one read costs. use must not
// read objects itself.
func (o *objects) readAll(ctx context.Context, oids []string, limit int64, use func(i int, content []byte) error) error {
	const ahead = 256 // questions on their way; their text fits into a pipe's buffer
	o.mu.Lock()
	defer o.mu.Unlock()
	for from := 0; from < len(oids); from += ahead {
		batch := oids[from:min(from+ahead, len(oids))]
		if err := o.batch(ctx, batch, limit, func(i int, content []byte) error { return use(from+i, content) }); err != nil {
			o.stop() // answers that nobody wants are still on their way
			return err
		}
	}
	return nil
}

func (o *objects) batch(ctx context.Context, oids []string, limit int64, use func(i int, content []byte) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := o.start(); err != nil {
		return err
	}
	var questions strings.Builder
	for _, oid := range oids {
		questions.WriteString("contents " + oid + "\n")
	}
	if _, err := io.WriteString(o.in, questions.String()); err != nil {
		return fmt.Errorf("git cat-file: %w", err)
	}
	for i, oid := range oids {
		_, kind, size, err := o.header()
		if err != nil {
			return fmt.Errorf("object %s: %w", oid, err)
		}
		if kind != "blob" || size > limit {
			return fmt.Errorf("object %s: %w: a %s of %d bytes, at most %d are read", oid, errTooLarge, kind, size, limit)
		}
		content := make([]byte, size+1) // with the line end after it
		if _, err := io.ReadFull(o.out, content); err != nil {
			return fmt.Errorf("git cat-file %s: %w", oid, err)
		}
		if err := use(i, content[:size:size]); err != nil {
			return err
		}
	}
	return nil
}

// tree returns the entries of a tree object in Git's order. The slice is shared: do not write to it.
func (o *objects) tree(ctx context.Context, oid string) ([]entry, error) {
	if oid == "" {
		return nil, nil
	}
	o.mu.Lock()
	entries, ok := o.trees[oid]
	o.mu.Unlock()
	if ok {
		return entries, nil
	}
	raw, err := o.read(ctx, oid, "tree", maxTreeObject)
	if err != nil {
		return nil, fmt.Errorf("tree %s: %w", oid, err)
	}
	if entries, err = parseTree(raw, len(oid)/2); err != nil {
		return nil, fmt.Errorf("tree %s: %w", oid, err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.trees == nil || o.size+len(entries) > maxCachedEntries {
		o.trees, o.size = map[string][]entry{}, 0
	}
	if _, ok := o.trees[oid]; !ok {
		o.trees[oid] = entries
		o.size += len(entries)
	}
	return entries, nil
}

// parseTree reads a tree object: mode SP name NUL oid, again and again.
func parseTree(raw []byte, oidLen int) ([]entry, error) {
	var out []entry
	for len(raw) > 0 {
		sp := bytes.IndexByte(raw, ' ')
		nul := bytes.IndexByte(raw, 0)
		if sp <= 0 || sp > 6 || nul <= sp+1 || len(raw) < nul+1+oidLen {
			return nil, errors.New("damaged tree object")
		}
		out = append(out, entry{
			mode: string(raw[:sp]),
			name: string(raw[sp+1 : nul]),
			oid:  hex.EncodeToString(raw[nul+1 : nul+1+oidLen]),
		})
		raw = raw[nul+1+oidLen:]
	}
	return out, nil
}
