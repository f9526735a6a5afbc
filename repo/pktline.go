package repo

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// pkt-line framing and the receive-pack request, as gitprotocol-common(5) and
// gitprotocol-pack(5) define them.

const (
	maxPkt      = 65520 // with its four bytes of length
	maxCommands = 1000
	maxOptions  = 64
	zeroID      = "0000000000000000000000000000000000000000"
)

var errPkt = errors.New("malformed Git protocol")

// readPkt reads one pkt-line; flush is the special packet 0000.
func readPkt(r io.Reader) (payload []byte, flush bool, err error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, false, err
	}
	n := 0
	for _, c := range head {
		d := strings.IndexByte("0123456789abcdef", c|0x20)
		if d < 0 || c < '0' {
			return nil, false, errPkt
		}
		n = n<<4 | d
	}
	if n == 0 {
		return nil, true, nil
	}
	if n < 4 || n > maxPkt {
		return nil, false, errPkt
	}
	payload = make([]byte, n-4)
	if _, err := io.ReadFull(r, payload); err != nil {
		return nil, false, io.ErrUnexpectedEOF
	}
	return payload, false, nil
}

func pkt(s string) string { return fmt.Sprintf("%04x%s", len(s)+4, s) }

const flushPkt = "0000"

// command asks for one ref to move from old to new; a zero ID is "absent".
type command struct{ old, new, ref string }

func (c command) deletes() bool { return strings.Trim(c.new, "0") == "" }

// pushRequest is the head of a push: everything before the pack.
type pushRequest struct {
	commands     []command
	capabilities map[string]bool
	options      []string
}

// readPush reads the head of a push and leaves r at the pack. A request without
// commands is what clients send to try their credentials.
func readPush(r io.Reader) (*pushRequest, error) {
	p := &pushRequest{capabilities: map[string]bool{}}
	for lines := 0; ; lines++ {
		line, flush, err := readPkt(r)
		if err == io.EOF && lines == 0 {
			return p, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read commands: %w", err)
		}
		if flush {
			break
		}
		if lines == maxCommands {
			return nil, fmt.Errorf("%w: more than %d commands", errPkt, maxCommands)
		}
		text, caps, _ := strings.Cut(string(line), "\x00")
		if lines == 0 || len(p.commands) == 0 {
			for c := range strings.FieldsSeq(caps) {
				p.capabilities[c] = true
			}
		}
		text = strings.TrimSuffix(text, "\n")
		// A shallow client says where its history ends. Ours is whole, so that says nothing.
		if id, ok := strings.CutPrefix(text, "shallow "); ok && isObjectID(id) {
			continue
		}
		f := strings.SplitN(text, " ", 3)
		if len(f) != 3 || !isObjectID(f[0]) || !isObjectID(f[1]) || f[2] == "" || len(f[2]) > 1024 || strings.ContainsFunc(f[2], isControl) {
			return nil, fmt.Errorf("%w: command %.80q", errPkt, text)
		}
		p.commands = append(p.commands, command{f[0], f[1], f[2]})
	}
	if !p.capabilities["push-options"] || len(p.commands) == 0 {
		return p, nil
	}
	for {
		line, flush, err := readPkt(r)
		if err != nil {
			return nil, fmt.Errorf("read push options: %w", err)
		}
		if flush {
			return p, nil
		}
		if len(p.options) == maxOptions || len(line) > 4096 {
			return nil, fmt.Errorf("%w: too many or too long push options", errPkt)
		}
		p.options = append(p.options, strings.TrimSuffix(string(line), "\n"))
	}
}

// sideband multiplexes the answer to a push: band 1 is the report, band 2 is for
// people. Each write of theirs goes out at once.
type sideband struct {
	w     io.Writer
	flush func() error
	plain bool // the client knows no side band: people see nothing
}

func (s *sideband) band(n byte, data []byte) error {
	for len(data) > 0 {
		piece := data[:min(len(data), maxPkt-5)]
		data = data[len(piece):]
		if _, err := fmt.Fprintf(s.w, "%04x%c%s", len(piece)+5, n, piece); err != nil {
			return err
		}
	}
	return s.flush()
}

// Write sends lines to the person who pushes. Control characters are dropped: the
// text may quote what somebody wrote, and ends up in a terminal.
func (s *sideband) Write(p []byte) (int, error) {
	if s.plain {
		return len(p), nil
	}
	clean := strings.Map(func(r rune) rune {
		if isControl(r) && r != '\n' && r != '\t' || r >= 0x80 && r < 0xa0 {
			return -1
		}
		return r
	}, string(p))
	return len(p), s.band(2, []byte(clean))
}

// report ends the answer: what became of the pack, and of each command. An empty
// refusal is acceptance.
func (s *sideband) report(req *pushRequest, unpack, refusal string) error {
	var b strings.Builder
	if req.capabilities["report-status"] {
		b.WriteString(pkt("unpack " + unpack + "\n"))
		for _, c := range req.commands {
			if refusal == "" {
				b.WriteString(pkt("ok " + c.ref + "\n"))
			} else {
				b.WriteString(pkt("ng " + c.ref + " " + refusal + "\n"))
			}
		}
		b.WriteString(flushPkt)
	}
	if s.plain {
		_, err := io.WriteString(s.w, b.String())
		return err
	}
	if err := s.band(1, []byte(b.String())); err != nil {
		return err
	}
	if _, err := io.WriteString(s.w, flushPkt); err != nil {
		return err
	}
	return s.flush()
}
