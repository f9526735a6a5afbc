package forward

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"slipway/audit"
	"slipway/internal/part"
)

// syslog sends RFC 5424 messages over TLS (RFC 5425), or over TCP on this machine, with
// the length before each message (RFC 6587 section 3.4.1).
//
// Syslog has no answers. A receiver that dies takes with it what it had not yet read, and
// the sender learns of it only later. So what was sent counts as arrived only when the
// connection was still good settleAfter later; after any error everything younger is
// sent again.
type syslog struct {
	address string
	tls     *tls.Config // nil: plain TCP
	origin  string
	host    string
	format  format
	now     func() time.Time

	conn    net.Conn
	gone    *atomic.Pointer[error] // set when the other side has hung up
	pending []sentAt               // not settled, oldest first
}

type sentAt struct {
	first uint64 // index of a batch's first event
	at    time.Time
}

const (
	settleAfter = 3 * time.Second

	// Facility 13 is "log audit" (RFC 5424 section 6.2.1).
	syslogFacility = 13
)

// syslogSeverity is RFC 5424 section 6.2.1: 6 informational, 5 notice, 4 warning, 1 alert.
var syslogSeverity = map[severity]int{informational: 6, notice: 5, warning: 4, alarm: 1}

func openSyslog(ctx context.Context, in *part.Reader, o Options) func() (sink, error) {
	s := &syslog{address: in.Must("address"), origin: o.Origin, format: formatOf(in, "cef"), tls: tlsOf(ctx, in), now: time.Now}
	host, _, err := net.SplitHostPort(s.address)
	if err != nil && s.address != "" {
		in.Fail("address", "write HOST:PORT, for example siem.example.org:6514")
	}
	if in.OneOf("transport", "tls", "tcp") == "tcp" {
		s.tls = nil
		if ip := net.ParseIP(host); err == nil && (ip == nil || !ip.IsLoopback()) {
			in.Fail("transport", "tcp is for a receiver on this very machine (127.0.0.1): what is sent could be read and changed on its way")
		}
	}
	if s.tls != nil && s.tls.ServerName == "" {
		s.tls.ServerName = host
	}
	if s.host, err = os.Hostname(); err != nil || s.host == "" {
		s.host = "-"
	}
	s.host = printable(in.Text("hostname", s.host), 255)
	return func() (sink, error) { return s, nil }
}

func (s *syslog) send(ctx context.Context, events []audit.Receipt) error {
	if err := s.connect(ctx); err != nil {
		return s.fail(err)
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(sendTimeout)
	}
	if err := s.conn.SetWriteDeadline(deadline); err != nil {
		return s.fail(err)
	}
	w := bufio.NewWriterSize(s.conn, 64<<10)
	for _, r := range events {
		message, err := s.message(r)
		if err != nil {
			return s.fail(err)
		}
		w.WriteString(strconv.Itoa(len(message)) + " ") // errors stay with w until Flush
		w.Write(message)
	}
	if err := w.Flush(); err != nil {
		return s.fail(err)
	}
	s.pending = append(s.pending, sentAt{events[0].Index, s.now()})
	return s.alive()
}

// message is one event as RFC 5424 has it: version 1, the action as MSGID, and the log's
// sequence in the registered element "meta" (section 7.3.1).
func (s *syslog) message(r audit.Receipt) ([]byte, error) {
	text, err := s.format(s.origin, r)
	if err != nil {
		return nil, err
	}
	e := &r.Event
	sequence := r.Index%(1<<31-1) + 1 // from 1 to 2147483647
	header := fmt.Sprintf("<%d>1 %s %s slipway - %s [meta sequenceId=\"%d\"] ", syslogFacility*8+syslogSeverity[kinds[e.Action].severity],
		e.Timestamp.Format("2006-01-02T15:04:05.000Z"), s.host, printable(string(e.Action), 32), sequence)
	return append([]byte(header), text...), nil
}

// printable makes a header field: PRINTUSASCII of at most so many characters (section 6).
func printable(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if r < '!' || r > '~' {
			return -1
		}
		return r
	}, text)
	if text == "" {
		return "-"
	}
	return text[:min(len(text), most)]
}

func (s *syslog) connect(ctx context.Context) error {
	if s.conn != nil {
		return s.alive()
	}
	var d interface {
		DialContext(context.Context, string, string) (net.Conn, error)
	} = &net.Dialer{Timeout: 10 * time.Second}
	if s.tls != nil {
		d = &tls.Dialer{NetDialer: &net.Dialer{Timeout: 10 * time.Second}, Config: s.tls}
	}
	conn, err := d.DialContext(ctx, "tcp", s.address)
	if err != nil {
		return err
	}
	gone := new(atomic.Pointer[error])
	s.conn, s.gone = conn, gone
	go func() {
		// A receiver says nothing; what comes back is the end of the connection.
		_, err := conn.Read(make([]byte, 1))
		if err == nil {
			err = errors.New("the receiver sent something, which a syslog receiver does not")
		}
		gone.Store(&err)
	}()
	return nil
}

// alive is the error that ended the connection.
func (s *syslog) alive() error {
	if s.conn == nil {
		return nil
	}
	if err := s.gone.Load(); err != nil {
		return s.fail(fmt.Errorf("%s hung up: %w", s.address, *err))
	}
	return nil
}

// fail ends the connection: what had not settled is forgotten, and sent again.
func (s *syslog) fail(err error) error {
	if s.conn != nil {
		s.conn.Close()
	}
	s.conn, s.pending = nil, nil
	return err
}

func (s *syslog) unsettled() (uint64, bool, time.Duration) {
	if s.conn == nil || s.gone.Load() != nil {
		if len(s.pending) == 0 {
			return 0, false, 0
		}
		return s.pending[0].first, true, time.Millisecond // the next send finds the error
	}
	now := s.now()
	for len(s.pending) > 0 && now.Sub(s.pending[0].at) >= settleAfter {
		s.pending = s.pending[1:]
	}
	if len(s.pending) == 0 {
		return 0, false, 0
	}
	return s.pending[0].first, true, settleAfter - now.Sub(s.pending[0].at)
}

func (s *syslog) close() error {
	s.fail(nil)
	return nil
}
