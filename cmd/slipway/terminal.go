package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/term"
)

// maxLine bounds what a person may type on one line.
const maxLine = 64 << 10

// input is standard input, read by lines.
type input struct {
	file  *os.File
	lines *bufio.Reader
}

func newInput(f *os.File) *input {
	return &input{file: f, lines: bufio.NewReaderSize(io.LimitReader(f, 1<<20), maxLine)}
}

func (in *input) Read(p []byte) (int, error) { return in.lines.Read(p) }

// line reads one line without its end. io.EOF says that nothing came.
func (in *input) line() (string, error) {
	b, err := in.lines.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", fmt.Errorf("standard input: a line is longer than %d KiB", maxLine>>10)
	}
	if len(b) == 0 {
		return "", err
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

// ask puts a question until check likes the answer. An empty answer stands for fallback.
func (t *tool) ask(question, fallback string, check func(string) error) (string, error) {
	for {
		fmt.Fprint(t.prompts, question)
		if fallback != "" {
			fmt.Fprintf(t.prompts, " [%s]", fallback)
		}
		fmt.Fprint(t.prompts, ": ")
		answer, err := t.stdin.line()
		if err != nil {
			return "", fmt.Errorf("no answer: %w", err)
		}
		if answer = strings.TrimSpace(answer); answer == "" {
			answer = fallback
		}
		if err := check(answer); err != nil {
			fmt.Fprintln(t.prompts, "  "+plain(err.Error()))
			continue
		}
		return answer, nil
	}
}

// confirm asks for a yes. Without a person to ask it is an error that names the flag to use.
func (t *tool) confirm(question string) (bool, error) {
	if !t.asks {
		return false, &usage{what: "nobody can be asked here whether to go on", help: "Add --yes to go on without being asked."}
	}
	fmt.Fprint(t.prompts, question+" [y/N] ")
	answer, err := t.stdin.line()
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true, nil
	}
	return false, nil
}

// secret reads what must not be seen: without echo from a person, as a line from a pipe.
func (t *tool) secret(question string) (string, error) {
	if !t.asks {
		s, err := t.stdin.line()
		if errors.Is(err, io.EOF) {
			return "", &usage{what: "no token came on standard input"}
		}
		return strings.TrimSpace(s), err
	}
	fmt.Fprint(t.prompts, question+": ")
	b, err := term.ReadPassword(int(t.stdin.file.Fd()))
	fmt.Fprintln(t.prompts)
	return strings.TrimSpace(string(b)), err
}

// plain makes text that others wrote safe to show: control characters could move the cursor
// and hide what an approver is about to approve, and direction marks could turn it round
// (Unicode TR 36, section 2.10).
func plain(s string) string {
	bad := func(r rune) bool {
		return r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == unicode.ReplacementChar)
	}
	if strings.IndexFunc(s, bad) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if bad(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// flat is plain text on one line, for tables.
func flat(s string) string { return strings.Join(strings.Fields(plain(s)), " ") }

// Colours of the few things that are coloured.
const (
	bold   = "1"
	red    = "31"
	green  = "32"
	yellow = "33"
	dim    = "2"
)

func (t *tool) paint(colour, s string) string {
	if !t.colour() || s == "" {
		return s
	}
	return "\x1b[" + colour + "m" + s + "\x1b[0m"
}

// printJSON writes one document, indented for people who read it too.
func (t *tool) printJSON(v any) error {
	e := json.NewEncoder(t.stdout)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// patience is how long something may take before a person wants to know that it goes on.
const patience = time.Second

// meter shows on a terminal that something goes on. The zero of total shows no share.
type meter struct {
	mu     sync.Mutex
	what   string
	detail string
	shown  bool
	once   sync.Once
	stop   chan struct{}
	ended  chan struct{}
}

// busy starts a meter; the caller must call end. It shows nothing in its first second.
func (t *tool) busy(what string) *meter {
	m := &meter{what: what, stop: make(chan struct{}), ended: make(chan struct{})}
	if !t.progress {
		close(m.ended)
		return m
	}
	began := t.now()
	go func() {
		defer close(m.ended)
		tick := time.NewTicker(patience)
		defer tick.Stop()
		for {
			select {
			case <-m.stop:
				if m.shown {
					fmt.Fprint(t.stderr, "\r\x1b[K")
				}
				return
			case now := <-tick.C:
				m.mu.Lock()
				fmt.Fprintf(t.stderr, "\r\x1b[K%s … %s %s", m.what, now.Sub(began).Round(time.Second), m.detail)
				m.mu.Unlock()
				m.shown = true
			}
		}
	}()
	return m
}

// count tells how far it is. It fits the progress functions of package audit.
func (m *meter) count(done, total uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.detail = fmt.Sprintf("(%d of %d)", done, total)
}

func (m *meter) note(detail string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.detail = plain(detail)
}

// end takes the meter off the terminal. It may be called again.
func (m *meter) end() {
	m.once.Do(func() { close(m.stop) })
	<-m.ended
}
