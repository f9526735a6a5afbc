package forward

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// rsyslog is a real receiver as a process, with TLS and client certificates.
type rsyslog struct {
	t              testing.TB
	dir, out, port string
	config         string
	process        *exec.Cmd
}

func newRsyslog(t testing.TB, ca, certificate, private string) *rsyslog {
	t.Helper()
	if _, err := exec.LookPath("rsyslogd"); err != nil {
		t.Skip("rsyslogd is not installed (Debian packages rsyslog and rsyslog-gnutls)")
	}
	if found, _ := filepath.Glob("/usr/lib/*/rsyslog/lmnsd_gtls.so"); len(found) == 0 {
		t.Skip("rsyslog has no TLS driver (Debian package rsyslog-gnutls)")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	r := &rsyslog{t: t, dir: t.TempDir(), port: port}
	r.out, r.config = filepath.Join(r.dir, "out.log"), filepath.Join(r.dir, "rsyslog.conf")
	config := fmt.Sprintf(`global(workDirectory="%s" maxMessageSize="128k" defaultNetstreamDriver="gtls"
  defaultNetstreamDriverCAFile="%s" defaultNetstreamDriverCertFile="%s" defaultNetstreamDriverKeyFile="%s")
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="x509/certvalid")
template(name="whole" type="string" string="%%pri%% %%protocol-version%% %%hostname%% %%app-name%% %%msgid%% %%structured-data%% %%msg%%\n")
ruleset(name="in") { action(type="omfile" file="%s" template="whole" asyncWriting="off" flushOnTXEnd="on") }
input(type="imtcp" address="127.0.0.1" port="%s" ruleset="in")
`, r.dir, ca, certificate, private, r.out, port)
	if err := os.WriteFile(r.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.kill)
	return r
}

func (r *rsyslog) start() {
	r.t.Helper()
	r.process = exec.Command("rsyslogd", "-n", "-f", r.config, "-i", filepath.Join(r.dir, "pid"))
	if err := r.process.Start(); err != nil {
		r.t.Fatal(err)
	}
	eventually(r.t, "rsyslogd listens", func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+r.port)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

func (r *rsyslog) kill() {
	if r.process != nil {
		r.process.Process.Kill()
		r.process.Wait()
		os.Remove(filepath.Join(r.dir, "pid"))
		r.process = nil
	}
}

var externalID = regexp.MustCompile(`externalId=([0-9a-f-]{36})`)

func (r *rsyslog) received() []string {
	raw, _ := os.ReadFile(r.out)
	var out []string
	for _, m := range externalID.FindAllStringSubmatch(string(raw), -1) {
		out = append(out, m[1])
	}
	return out
}

// A real rsyslog receives every event over TLS, also the ones that were on their way when
// it was killed, and those while nobody listened.
func TestSyslog(t *testing.T) {
	ca, certificate, private := authority(t)
	r := newRsyslog(t, ca, certificate, private)
	l := record(t, 300)
	params := map[string]string{"address": "127.0.0.1:" + r.port, "ca": ca, "certificate": certificate, "private-key": "file:" + private, "batch": "20", "hostname": "slipway.example"}
	r.start()
	dir := t.TempDir()
	stop := run(t, open(t, dir, "syslog", params), l)
	eventually(t, "some events arrive", func() bool { return len(r.received()) > 20 })
	r.kill()
	add(t, l, 50) // the record goes on
	r.start()
	eventually(t, "all events arrive", func() bool { return inOrder(r.received(), ids(t, l)) })
	stop()

	// Another server process goes on where this one was: nothing is left out.
	add(t, l, 5)
	run(t, open(t, dir, "syslog", params), l)
	eventually(t, "later events arrive", func() bool { return inOrder(r.received(), ids(t, l)) })

	raw, err := os.ReadFile(r.out)
	first, _, _ := strings.Cut(string(raw), "\n")
	if want := `110 1 slipway.example slipway start-log [meta sequenceId="1"] CEF:0|Slipway|Slipway|1|start-log|`; err != nil || !strings.HasPrefix(first, want) {
		t.Errorf("rsyslog understood %q, %v", first, err)
	}
}

// A receiver that the authority does not vouch for gets nothing.
func TestSyslogWrongServer(t *testing.T) {
	ca, certificate, private := authority(t)
	other, _, _ := authority(t)
	r := newRsyslog(t, ca, certificate, private)
	r.start()
	l := record(t, 3)
	d := open(t, t.TempDir(), "syslog", map[string]string{"address": "127.0.0.1:" + r.port, "ca": other})
	events, err := l.Index().Events(t.Context(), query(10))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.sink.send(t.Context(), events); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("sent to a receiver that cannot be trusted: %v", err)
	}
}

// What was sent counts as arrived only after the connection has stayed good.
func TestSyslogSettles(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			accepted <- c
		}
	}()
	clock := time.Now()
	d := open(t, t.TempDir(), "syslog", map[string]string{"address": l.Addr().String(), "transport": "tcp"})
	s := d.sink.(*syslog)
	s.now = func() time.Time { return clock }
	if err := s.send(t.Context(), examples()[4:6]); err != nil {
		t.Fatal(err)
	}
	if first, some, again := s.unsettled(); !some || first != 4 || again != settleAfter {
		t.Errorf("just sent: %d, %v, %s", first, some, again)
	}
	clock = clock.Add(settleAfter)
	if _, some, _ := s.unsettled(); some {
		t.Error("not settled after the time")
	}
	if err := s.send(t.Context(), examples()[6:7]); err != nil {
		t.Fatal(err)
	}
	(<-accepted).Close()
	eventually(t, "the end is noticed", func() bool { return s.gone.Load() != nil })
	clock = clock.Add(time.Hour)
	if first, some, _ := s.unsettled(); !some || first != 6 {
		t.Errorf("after the receiver hung up: %d, %v", first, some)
	}
	if err := s.send(t.Context(), examples()[7:8]); err == nil {
		t.Error("sent to nobody")
	}
}
