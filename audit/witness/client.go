package witness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Contradiction is that a witness does not sign because it has signed another history, or
// a longer one: somebody forked the log, or it was put back to an older state.
type Contradiction struct {
	Size       uint64 // of the checkpoint that was not signed
	Seen       uint64 // of the newest that the witness has signed; 0: it did not say
	Checkpoint []byte // that one, with the log's own signature, which makes it proof; nil: it could not be had
}

func (c *Contradiction) Error() string {
	switch {
	case c.Seen > c.Size:
		return fmt.Sprintf("it has signed a checkpoint of %d events, and this log has only %d: events were taken off its end, or it was put back to an older state", c.Seen, c.Size)
	case c.Seen == c.Size:
		return fmt.Sprintf("it has signed other contents for the same %d events: there are two histories of this log", c.Size)
	case c.Seen > 0:
		return fmt.Sprintf("the first %d events of this log are not those that it has signed: there are two histories of this log", c.Seen)
	}
	return fmt.Sprintf("it does not take the checkpoint of %d events for one that goes on from what it has signed: there are two histories of this log", c.Size)
}

// submitter is a log's view of one witness. One goroutine uses it at a time.
type submitter struct {
	w    Witness
	http *http.Client
	seen uint64 // the size that the witness signed last, as far as is known; it says when that is wrong
}

// prove makes a consistency proof between two sizes of the log.
type prove func(ctx context.Context, from, to uint64) ([][]byte, error)

const (
	maxAnswer = 64 << 10 // bytes
	maxAsked  = 3        // times for one checkpoint: the witness may know a size that we do not
)

// submit asks for a cosignature, and returns its line.
func (c *submitter) submit(ctx context.Context, checkpoint []byte, h head, proof prove) (line string, err error) {
	for range maxAsked {
		r := request{old: c.seen, checkpoint: checkpoint}
		if r.old > h.size {
			r.old = 0 // the witness says whether it is right
		}
		if r.old > 0 && r.old < h.size {
			if r.proof, err = proof(ctx, r.old, h.size); err != nil {
				return "", fmt.Errorf("the proof for it cannot be made: %w", err)
			}
		}
		a, err := c.post(ctx, r)
		if err != nil {
			return "", err
		}
		switch {
		case a.status == http.StatusOK:
			if line, err = c.cosignature(checkpoint, a.text); err == nil {
				c.seen = h.size
			}
			return line, err
		case a.status == http.StatusConflict && a.size:
			seen, err := parseSize(strings.TrimSuffix(a.text, "\n"))
			if err != nil {
				return "", fmt.Errorf("it answered with a size that is none: %.100q", a.text)
			}
			if seen > h.size || seen == h.size && r.old == seen {
				return "", c.contradiction(ctx, h, seen)
			}
			if seen == r.old {
				return "", fmt.Errorf("it refuses the size %d and asks for it", seen)
			}
			c.seen = seen
		case a.status == http.StatusConflict, a.status == http.StatusUnprocessableEntity:
			return "", c.contradiction(ctx, h, r.old)
		default:
			return "", fmt.Errorf("it answered %d %s: %.200q", a.status, http.StatusText(a.status), strings.TrimSpace(a.text))
		}
	}
	return "", errors.New("it says each time that it has signed another size: somebody else sends it checkpoints of this log")
}

func (c *submitter) post(ctx context.Context, r request) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.address("/add-checkpoint"), bytes.NewReader(r.marshal()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	return c.do(req)
}

func (c *submitter) do(req *http.Request) (*answer, error) {
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > maxAnswer {
		return nil, fmt.Errorf("its answer has more than %d bytes", maxAnswer)
	}
	return &answer{resp.StatusCode, string(raw), resp.Header.Get("Content-Type") == sizeType}, nil
}

func (c *submitter) address(path string) string { return strings.TrimSuffix(c.w.URL, "/") + path }

// cosignature finds the witness's own valid signature among what it answered.
func (c *submitter) cosignature(checkpoint []byte, lines string) (string, error) {
	n, err := note.Open(append(bytes.Clone(checkpoint), lines...), note.VerifierList(c.w.verifier))
	if err != nil {
		return "", fmt.Errorf("its signature does not verify with the key in the settings: %w", err)
	}
	return fmt.Sprintf("— %s %s\n", n.Sigs[0].Name, n.Sigs[0].Base64), nil
}

// contradiction asks the witness for what it has signed. Not every witness shows that.
func (c *submitter) contradiction(ctx context.Context, h head, seen uint64) error {
	k := &Contradiction{Size: h.size, Seen: seen}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.address(CheckpointPath(h.origin)), nil)
	if err != nil {
		return k
	}
	if a, err := c.do(req); err == nil && a.status == http.StatusOK {
		// What cannot be believed is no proof: the witness has to have signed it.
		if n, err := note.Open([]byte(a.text), note.VerifierList(c.w.verifier)); err == nil {
			if theirs, err := parseHead(n.Text); err == nil && theirs.origin == h.origin {
				k.Seen, k.Checkpoint = theirs.size, []byte(a.text)
			}
		}
	}
	return k
}
