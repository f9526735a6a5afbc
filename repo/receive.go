package repo

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ForMain is the only ref that can be pushed to. It never exists: what is pushed
// to it becomes a change.
const ForMain = "refs/for/main"

// push answers POST git-receive-pack. The whole request is read before the first
// byte of the answer, because clients look at the answer only then.
func (h *host) push(w http.ResponseWriter, r *http.Request, by Person, body *bufio.Reader) {
	if h.Receive == nil {
		http.Error(w, "This repository takes no pushes.", http.StatusForbidden)
		return
	}
	leave, err := enter(r.Context(), h.pushes)
	if err != nil {
		return // the client has gone
	}
	defer leave()
	req, err := readPush(body)
	if err != nil {
		http.Error(w, "The push cannot be understood: "+err.Error(), http.StatusBadRequest)
		return
	}
	if len(req.commands) == 0 {
		return
	}
	out := newFlushWriter(w)
	answer := &sideband{w: out, flush: out.flush, plain: !req.capabilities["side-band-64k"]}
	commit, no := "", refuse(req.commands)
	unpacked := "ok"
	if no == nil {
		commit = req.commands[0].new
		if no, err = h.accept(r.Context(), body, commit); err != nil {
			h.Log.ErrorContext(r.Context(), "push cannot be stored", "commit", commit, "error", err)
			no, unpacked = &refusal{"the server could not store the push", []string{"The server could not store the push. Try again in a minute, and tell its administrator if that does not help."}}, "failed"
		}
	}
	// A client that is still sending would take an early answer for a broken connection.
	_, _ = io.Copy(io.Discard, io.LimitReader(body, 4*h.MaxPackBytes))
	reason := ""
	if no == nil {
		if err := h.Receive(r.Context(), by, commit, req.options, answer); err != nil {
			no = &refusal{"not accepted", strings.Split(err.Error(), "\n")}
		}
	}
	if no != nil {
		reason = no.short
		fmt.Fprintf(answer, "%s\n", strings.Join(no.lines, "\n"))
	}
	_ = answer.report(req, unpacked, reason) // a client that has gone cannot be told
}

// refusal is why a push is not taken: a few words for Git's table, and sentences for the person.
type refusal struct {
	short string
	lines []string
}

// refuse says why these commands are not taken, or nil.
func refuse(commands []command) *refusal {
	const ask = "    git push origin HEAD:" + ForMain
	if len(commands) > 1 {
		return &refusal{"one change at a time", []string{
			"Several refs were pushed at once, and none of them was taken: each change is checked on its own.",
			"Ask for one change:", ask,
		}}
	}
	c := commands[0]
	switch {
	case c.deletes() && c.ref == Main:
		return &refusal{"main cannot be deleted", []string{
			"main cannot be deleted: it says what DNS should be.",
			"To take something back, make a commit that removes it and ask for that:", ask,
		}}
	case c.deletes():
		return &refusal{"nothing can be deleted", []string{
			"Nothing can be deleted here: this history is the record of who changed what.",
			"To give up an open change, cancel it: slipway request cancel CHANGE, or on its page.",
		}}
	case c.ref == Main:
		return &refusal{"main takes only approved changes", []string{
			"Nothing is pushed to main itself, with or without --force: every change is checked and approved first, and main's history is never rewritten.",
			"Ask for this change instead:", ask,
		}}
	case strings.HasPrefix(c.ref, "refs/tags/"):
		return &refusal{"tags are not kept here", []string{
			"Tags are not kept here: what was live at any time is in the audit log.",
			"Keep the tag in your own repository. To ask for a change:", ask,
		}}
	case c.ref != ForMain:
		return &refusal{"only " + ForMain + " takes pushes", []string{
			"There is no other branch than main here, so " + c.ref + " cannot be made.",
			"Ask for the change that you have checked out:", ask,
		}}
	}
	return nil
}

const quarantinePrefix = "incoming-"

// accept unpacks a push into quarantine, looks whether it is whole, and only then
// moves its objects among the others. Nothing points at them yet.
func (h *host) accept(ctx context.Context, body *bufio.Reader, commit string) (*refusal, error) {
	dir, err := os.MkdirTemp(h.repo.git.dir, quarantinePrefix)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	objectsDir := filepath.Join(h.repo.git.dir, "objects")
	g := git{dir: h.repo.git.dir, safe: h.repo.git.safe, extra: []string{
		"GIT_OBJECT_DIRECTORY=" + dir, "GIT_QUARANTINE_PATH=" + dir,
		"GIT_ALTERNATE_OBJECT_DIRECTORIES=" + quoteAlternate(objectsDir),
	}}
	// When every object is here already, the client sends no pack, or an empty one.
	if _, err := body.Peek(1); err == nil {
		if no, err := h.unpack(ctx, g, dir, body); no != nil || err != nil {
			return no, err
		}
	}
	// As receive-pack does: everything that commit needs is there.
	_, err = g.run(ctx, strings.NewReader(commit+"\n^"+Main+"\n"), "rev-list", "--objects", "--quiet", "--stdin")
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err == nil {
		var kind string
		if kind, err = g.line(ctx, nil, "cat-file", "-t", commit); err == nil && kind != "commit" {
			err = errors.New("not a commit")
		}
	}
	if err != nil {
		return &refusal{"objects are missing", []string{
			"The push is not whole: it is not a commit, or lacks something that the commit refers to.",
			"Fetch from this repository, then push again: git fetch origin && git push origin HEAD:" + ForMain,
		}}, nil
	}
	if _, err := g.line(ctx, nil, "merge-base", "--end-of-options", commit, Main); err != nil {
		if exitCode(err) != 1 {
			return nil, err
		}
		return &refusal{"not based on main", []string{
			"The pushed commit has no history in common with main, so it cannot be a change to it.",
			"Clone this repository, commit your change on top of main, and push that.",
		}}, nil
	}
	return nil, migrate(dir, objectsDir)
}

// fewObjects is the size below which a push is stored as loose objects, as
// receive.unpackLimit has it, so that packs do not pile up.
const fewObjects = 100

// unpack stores the pack that body holds. The pack lies in a file first, so that
// git never waits for a slow client.
func (h *host) unpack(ctx context.Context, g git, dir string, body io.Reader) (*refusal, error) {
	pack, err := os.OpenFile(filepath.Join(dir, "tmp_received"), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	defer pack.Close()
	size, err := io.Copy(pack, io.LimitReader(body, h.MaxPackBytes+1))
	if err != nil {
		return nil, err
	}
	if size > h.MaxPackBytes {
		return &refusal{"the push is too large", []string{
			fmt.Sprintf("The push is larger than %d KiB, which no change to DNS needs. Look for a file that was committed by mistake:", h.MaxPackBytes>>10),
			"    git log --stat origin/main..HEAD",
		}}, nil
	}
	head := make([]byte, 12) // "PACK", version, number of objects (gitformat-pack(5))
	if _, err := pack.ReadAt(head, 0); err != nil || string(head[:4]) != "PACK" {
		return &refusal{"not a pack", []string{"What was sent is not a Git pack. Push again; if that does not help, update git."}}, nil
	}
	if _, err := pack.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	args := []string{"-c", "core.bigFileThreshold=16m", "-c", "pack.threads=1"}
	if binary.BigEndian.Uint32(head[8:]) < fewObjects {
		args = append(args, "unpack-objects", "-q", "--strict")
	} else {
		args = append(args, "index-pack", "--stdin", "--fix-thin", "--strict")
	}
	cmd := g.command(ctx, args...)
	errs := &boundedBuffer{limit: maxGitErrors, drop: true}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = pack, io.Discard, errs
	if err := cmd.Run(); err == nil {
		return nil, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	complaint := "Git found the pushed objects damaged or malformed."
	for line := range strings.Lines(errs.String()) {
		if msg, ok := strings.CutPrefix(strings.TrimSpace(line), "fatal: "); ok {
			complaint = "Git refused the pushed objects: " + msg + "."
			break
		}
	}
	return &refusal{"objects are damaged", []string{complaint, "Run git fsck in your repository, then push again."}}, nil
}

// migrate moves objects out of quarantine. An index comes after its pack, since
// Git looks for packs by their index.
func migrate(from, to string) error {
	var files []string
	err := filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && !strings.HasPrefix(d.Name(), "tmp_") {
			files = append(files, p)
		}
		return err
	})
	if err != nil {
		return err
	}
	slices.SortStableFunc(files, func(a, b string) int { return isIndex(a) - isIndex(b) })
	for _, p := range files {
		rel, err := filepath.Rel(from, p)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if _, err := os.Stat(target); err == nil {
			continue // the same object: names are digests
		}
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := os.Rename(p, target); err != nil {
			return err
		}
	}
	return nil
}

func isIndex(p string) int {
	if strings.HasSuffix(p, ".idx") {
		return 1
	}
	return 0
}
