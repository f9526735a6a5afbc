package cert

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/zone"

	"github.com/miekg/dns"
)

// testZone is a zone with a real name server, which the challenge records of the
// World are in: what an authority sees is what was written.
type testZone struct {
	addr string

	mu   sync.Mutex
	txt  map[string][]string
	seen int         // the most values that a name has had at once
	deaf func() bool // says for each question whether it goes without an answer
}

func newTestZone(t testing.TB) *testZone {
	z := &testZone{txt: map[string][]string{}}
	ready := make(chan struct{}, 2)
	// Pebble asks over TCP, step-ca over UDP: one port for both.
	var udp net.PacketConn
	var tcp net.Listener
	for range 20 {
		var err error
		if udp, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if tcp, err = net.Listen("tcp", udp.LocalAddr().String()); err == nil {
			break
		}
		udp.Close()
	}
	if tcp == nil {
		t.Fatal("no port that is free for both UDP and TCP")
	}
	for _, s := range []*dns.Server{{PacketConn: udp, Handler: z}, {Listener: tcp, Handler: z}} {
		s.NotifyStartedFunc = func() { ready <- struct{}{} }
		go s.ActivateAndServe()
		t.Cleanup(func() { s.Shutdown() })
	}
	<-ready
	<-ready
	z.addr = udp.LocalAddr().String()
	return z
}

func (z *testZone) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg)
	m.SetReply(q)
	m.Authoritative = true
	z.mu.Lock()
	if q.Question[0].Qtype == dns.TypeTXT && (z.deaf == nil || !z.deaf()) {
		for _, v := range z.txt[strings.ToLower(strings.TrimSuffix(q.Question[0].Name, "."))] {
			m.Answer = append(m.Answer, &dns.TXT{
				Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 1},
				Txt: []string{v},
			})
		}
	}
	z.mu.Unlock()
	w.WriteMsg(m)
}

func (z *testZone) left() int {
	z.mu.Lock()
	defer z.mu.Unlock()
	n := 0
	for _, list := range z.txt {
		n += len(list)
	}
	return n
}

// testWorld is a World that writes into a testZone and keeps the latest order of
// each request, as the log would. strike, when it is set, may end a call before or
// after its effect.
type testWorld struct {
	zone   *testZone
	strike func(what string)

	mu     sync.Mutex
	orders map[string]Order
}

func newTestWorld(z *testZone) *testWorld {
	return &testWorld{zone: z, orders: map[string]Order{}, strike: func(string) {}}
}

func (w *testWorld) Ordered(_ context.Context, o Order) error {
	w.strike("before Ordered")
	// As the log does: what does not survive JSON is not there after a kill.
	raw, err := json.Marshal(o)
	if err != nil {
		return err
	}
	var kept Order
	if err := json.Unmarshal(raw, &kept); err != nil {
		return err
	}
	w.mu.Lock()
	w.orders[o.Request] = kept
	w.mu.Unlock()
	w.strike("after Ordered")
	return nil
}

func (w *testWorld) Present(_ context.Context, all []Challenge) error {
	w.strike("before Present")
	w.zone.mu.Lock()
	for _, c := range all {
		list := w.zone.txt[string(c.Name)]
		if !slices.Contains(list, c.Value) {
			list = append(list, c.Value)
		}
		w.zone.txt[string(c.Name)] = list
		w.zone.seen = max(w.zone.seen, len(list))
	}
	w.zone.mu.Unlock()
	w.strike("after Present")
	return nil
}

func (w *testWorld) CleanUp(_ context.Context, all []Challenge) error {
	w.strike("before CleanUp")
	w.zone.mu.Lock()
	for _, c := range all {
		w.zone.txt[string(c.Name)] = slices.DeleteFunc(w.zone.txt[string(c.Name)], func(v string) bool { return v == c.Value })
	}
	w.zone.mu.Unlock()
	w.strike("after CleanUp")
	return nil
}

func (w *testWorld) prior(request string) *Order {
	w.mu.Lock()
	defer w.mu.Unlock()
	if o, ok := w.orders[request]; ok {
		return &o
	}
	return nil
}

// pebble is a running Pebble, the authority that Let's Encrypt tests clients with.
type pebble struct {
	directory string
	roots     []byte // of its own TLS certificate
	args      []string
	env       []string
	addr      string
	dir       string

	cmd  *exec.Cmd
	done chan struct{}

	mu     sync.Mutex
	log    []string
	issued map[string][]string // order -> serials, from its log
	ari    int                 // orders that it took as replacements (RFC 9773 section 5)
}

type pebbleOptions struct {
	env    []string
	config map[string]any
	strict bool
}

// findPebble skips the test where Pebble is not installed.
func findPebble(t testing.TB) string {
	t.Helper()
	return findPeer(t, "pebble")
}

func findPeer(t testing.TB, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	out, err := exec.Command("go", "env", "GOBIN", "GOPATH").Output()
	if err == nil {
		lines := strings.Split(string(out), "\n")
		for _, dir := range []string{lines[0], filepath.Join(lines[1], "bin")} {
			if path := filepath.Join(dir, name); dir != "" {
				if _, err := os.Stat(path); err == nil {
					return path
				}
			}
		}
	}
	t.Skipf("%s is not installed: make peers installs it", name)
	return ""
}

func startPebble(t testing.TB, z *testZone, o pebbleOptions) *pebble {
	t.Helper()
	p := &pebble{dir: t.TempDir(), addr: freeAddr(t), issued: map[string][]string{}}
	binary := findPebble(t)
	p.roots = writeServerCert(t, p.dir)
	config := map[string]any{
		"listenAddress":           p.addr,
		"managementListenAddress": "",
		"certificate":             filepath.Join(p.dir, "cert.pem"),
		"privateKey":              filepath.Join(p.dir, "key.pem"),
		"httpPort":                1,
		"tlsPort":                 1,
		"domainBlocklist":         []string{"blocked.example"},
		"keyAlgorithm":            "ecdsa",
		"retryAfter":              map[string]int{"authz": 0, "order": 0},
		"profiles": map[string]any{
			"default":    map[string]any{"description": "as usual", "validityPeriod": 90 * 24 * 3600},
			"shortlived": map[string]any{"description": "six days", "validityPeriod": 6 * 24 * 3600},
		},
	}
	for k, v := range o.config {
		config[k] = v
	}
	raw, err := json.Marshal(map[string]any{"pebble": config})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.dir, "pebble.json"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	p.args = []string{binary, "-config", filepath.Join(p.dir, "pebble.json"), "-dnsserver", z.addr}
	if o.strict {
		p.args = append(p.args, "-strict")
	}
	p.env = append([]string{"PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0", "PEBBLE_AUTHZREUSE=0"}, o.env...)
	p.directory = "https://" + p.addr + "/dir"
	p.start(t)
	t.Cleanup(p.stop)
	return p
}

func (p *pebble) start(t testing.TB) {
	t.Helper()
	p.cmd = exec.Command(p.args[0], p.args[1:]...)
	p.cmd.Env = append(os.Environ(), p.env...)
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = p.cmd.Stdout
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	up := make(chan struct{})
	p.done = make(chan struct{})
	go func() {
		defer close(p.done)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			p.line(lines.Text())
			if strings.Contains(lines.Text(), "ACME directory available") {
				close(up)
			}
		}
	}()
	select {
	case <-up:
	case <-p.done:
		p.cmd.Wait()
		t.Fatalf("Pebble did not start:\n%s", strings.Join(p.log, "\n"))
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(p.roots)
	waitTLS(t, p.addr, pool)
}

func (p *pebble) stop() {
	p.cmd.Process.Kill()
	<-p.done
	p.cmd.Wait()
}

func (p *pebble) line(s string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = append(p.log, s)
	if len(p.log) > 200 {
		p.log = p.log[100:]
	}
	if strings.Contains(s, "ARI: order ") {
		p.ari++
	}
	var serial, order string
	if i := strings.Index(s, "Issued certificate serial "); i >= 0 {
		if n, _ := fmt.Sscanf(s[i:], "Issued certificate serial %s for order %s", &serial, &order); n == 2 {
			p.issued[order] = append(p.issued[order], serial)
		}
	}
}

// certificates is how many Pebble has issued.
func (p *pebble) certificates() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, serials := range p.issued {
		n += len(serials)
	}
	return n
}

func (p *pebble) config(account crypto.Signer) Config {
	return Config{Name: "pebble", Directory: p.directory, Contact: []string{"mailto:pki@finmicro.example"}, RootsPEM: p.roots, AccountKey: account, Sleep: quick}
}

func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// waitTLS returns when something answers there.
func waitTLS(t testing.TB, addr string, pool *x509.CertPool) {
	t.Helper()
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{TLSClientConfig: tlsConfig(pool)}}
	defer client.CloseIdleConnections()
	deadline := time.Now().Add(20 * time.Second)
	for {
		resp, err := client.Get("https://" + addr + "/")
		if err == nil {
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("nothing answers at %s: %v", addr, err)
		}
		time.Sleep(20 * time.Millisecond) // another process's start cannot be waited for otherwise
	}
}

func writeServerCert(t testing.TB, dir string) (roots []byte) {
	t.Helper()
	k := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	roots = PEM([][]byte{der})
	var keyPEM bytes.Buffer
	pem.Encode(&keyPEM, &pem.Block{Type: "PRIVATE KEY", Bytes: private})
	for name, content := range map[string][]byte{"cert.pem": roots, "key.pem": keyPEM.Bytes()} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return roots
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// inStore hides what a key is, as a key store does: it signs, and that is all.
type inStore struct{ crypto.Signer }

func names(list ...string) []zone.Name {
	out := make([]zone.Name, len(list))
	for i, s := range list {
		out[i] = zone.Name(s)
	}
	return out
}

// quick waits far less than asked, so that tests do.
func quick(ctx context.Context, d time.Duration) error { return sleep(ctx, d/20) }

// through connects with every request going through wrap.
func through(ctx context.Context, c Config, wrap func(http.RoundTripper) http.RoundTripper) (*Authority, error) {
	a, err := newAuthority(c)
	if err != nil {
		return nil, err
	}
	a.client.Transport = wrap(a.client.Transport)
	return a, a.open(ctx)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func connect(t testing.TB, c Config) *Authority {
	t.Helper()
	a, err := Connect(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// selfSigned is a certificate of nobody's.
func selfSigned(t testing.TB, k crypto.Signer, list ...string) []byte {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1 << 40), DNSNames: list, AuthorityKeyId: []byte{1, 2, 3},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// tick lets the time that is asked for pass on the authority's clock, and next to
// none of the test's.
func tick(a *Authority) func(context.Context, time.Duration) error {
	var passed time.Duration
	a.config.Now = func() time.Time { return time.Now().Add(passed) }
	return func(ctx context.Context, d time.Duration) error {
		passed += d
		return sleep(ctx, 2*time.Millisecond)
	}
}
