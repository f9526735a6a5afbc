package gateway

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"slipway/key"
)

// TestMain is the measured gateway as well: with these in the environment it serves
// in a process of its own, as nginx does.
const (
	childKeys   = "GATEWAY_TEST_KEYS"
	childRoutes = "GATEWAY_TEST_ROUTES"
)

func TestMain(m *testing.M) {
	if os.Getenv(childKeys) == "" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	keys, err := key.OpenFiles(os.Getenv(childKeys), []byte("passphrase of the test"))
	if err == nil {
		var g *Gateway
		g, err = Listen(ctx, Options{Listen: "127.0.0.1:0", RoutesFile: os.Getenv(childRoutes), Keys: keys, PerPeer: 10_000, Logger: slog.New(slog.DiscardHandler)})
		if err == nil {
			fmt.Println(g.Addr())
			err = g.Serve(ctx)
		}
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// peer is a server that is measured.
type peer struct {
	address string
	process *exec.Cmd
}

// onOneCore is a command that has one core to itself, where taskset can give it one.
func onOneCore(b *testing.B, name string, args ...string) *exec.Cmd {
	if taskset, err := exec.LookPath("taskset"); err == nil && runtime.NumCPU() > 1 {
		return exec.CommandContext(b.Context(), taskset, append([]string{"-c", "0", name}, args...)...)
	}
	b.Log("taskset is not installed, or there is one core: servers and client share them all")
	return exec.CommandContext(b.Context(), name, args...)
}

func startGateway(b *testing.B, app string) peer {
	bed := newBed(b)
	dir := b.TempDir()
	keys, err := key.OpenFiles(dir, []byte("passphrase of the test"))
	if err != nil {
		b.Fatal(err)
	}
	bed.keys = keys
	bed.write(b, bed.route(b, app, "app.example"))
	cmd := onOneCore(b, os.Args[0])
	cmd.Env = append(os.Environ(), childKeys+"="+dir, childRoutes+"="+bed.options.RoutesFile, "GOMAXPROCS=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	launch(b, cmd)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return peer{strings.TrimSpace(line), cmd}
}

func startNginx(b *testing.B, app string) peer {
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		b.Skip("nginx is not installed, so there is nothing to compare with (Debian: nginx-light)")
	}
	dir := b.TempDir()
	ca, caKey := newCA(b, "Test Root")
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	leaf := sign(b, &x509.Certificate{DNSNames: []string{"app.example"}}, ca, k.Public(), caKey)
	der, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		b.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	for name, content := range map[string][]byte{
		"chain.pem": pemOf(leaf),
		"key.pem":   pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}),
		"nginx.conf": fmt.Appendf(nil, `daemon off; master_process off; pid nginx.pid; error_log stderr crit;
events { worker_connections 4096; }
http {
 access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
 keepalive_requests 100000000;
 upstream app { server %s; keepalive 64; }
 server {
  listen %s ssl; server_name app.example;
  ssl_certificate chain.pem; ssl_certificate_key key.pem; ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache off; ssl_session_tickets off;
  location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
   proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto https; proxy_set_header X-Forwarded-Host $host; }
 }
}`, strings.TrimPrefix(app, "http://"), address),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	cmd := onOneCore(b, nginx, "-p", dir, "-c", "nginx.conf")
	cmd.Stderr = os.Stderr
	launch(b, cmd)
	until(b, "nginx", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return peer{address, cmd}
}

func launch(b *testing.B, cmd *exec.Cmd) {
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
}

// used is the processor time that the server has had. It says what one core of it can
// do also where the client is the slower of the two.
func (p peer) used(b *testing.B) time.Duration {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.process.Process.Pid))
	if err != nil {
		b.Skip("processor times are read from /proc, which is not here")
	}
	fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * time.Second / 100 // proc(5): in ticks, of which Linux shows 100 a second
}

// compare measures do, which is done by several clients at once, against both.
func compare(b *testing.B, clients int, do func(address string) (each func() error, done func())) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }))
	b.Cleanup(app.Close)
	for _, s := range []struct {
		name  string
		start func(*testing.B, string) peer
	}{{"gateway", startGateway}, {"nginx", startNginx}} {
		b.Run(s.name, func(b *testing.B) {
			p := s.start(b, app.URL)
			before := p.used(b)
			var left atomic.Int64
			left.Store(int64(b.N))
			var wg sync.WaitGroup
			b.ResetTimer()
			for range clients {
				wg.Go(func() {
					each, done := do(p.address)
					defer done()
					for left.Add(-1) >= 0 {
						if err := each(); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "done/s")
			if used := p.used(b) - before; used > 0 {
				b.ReportMetric(float64(b.N)/used.Seconds(), "done/core-s")
			}
		})
	}
}

// The key exchange is one that both sides have: newer ones cost nginx nothing here only
// because it does not know them.
func benchTLS() *tls.Config {
	return &tls.Config{
		ServerName: "app.example", InsecureSkipVerify: true, MinVersion: tls.VersionTLS13,
		CurvePreferences: []tls.CurveID{tls.X25519},
	}
}

// Full handshakes, TLS 1.3 with ECDSA P-256, one a connection.
func BenchmarkHandshakes(b *testing.B) {
	compare(b, 8, func(address string) (func() error, func()) {
		config := benchTLS()
		return func() error {
			c, err := tls.Dial("tcp", address, config)
			if err != nil {
				return err
			}
			// No TIME_WAIT for each of many connections.
			c.NetConn().(*net.TCPConn).SetLinger(0)
			return c.NetConn().Close()
		}, func() {}
	})
}

// Requests to an app over connections that are kept, HTTP/1.1.
func BenchmarkRequests(b *testing.B) {
	compare(b, 16, func(address string) (func() error, func()) {
		config := benchTLS()
		transport := &http.Transport{TLSClientConfig: config}
		client := &http.Client{Transport: transport}
		return func() error {
			r, err := http.NewRequest(http.MethodGet, "https://"+address, nil)
			if err != nil {
				return err
			}
			r.Host = "app.example"
			resp, err := client.Do(r)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				return fmt.Errorf("%s", resp.Status)
			}
			_, err = io.Copy(io.Discard, resp.Body)
			return err
		}, transport.CloseIdleConnections
	})
}

// What a change of one certificate costs among many.
func BenchmarkReloadOneOf1000(b *testing.B) {
	bed := newBed(b)
	var routes []Route
	for i := range 1000 {
		routes = append(routes, bed.route(b, "http://127.0.0.1:1", fmt.Sprintf("a%d.example", i)))
	}
	other := bed.route(b, "http://127.0.0.1:1", "a0.example")
	bed.write(b, routes...)
	builder := newBuilder(bed.keys, nil)
	old, _ := builder.build(b.Context(), routes, &table{}, time.Now())
	for b.Loop() {
		routes[0], other = other, routes[0]
		made, problems := builder.build(b.Context(), routes, old, time.Now())
		if len(problems) > 0 {
			b.Fatal(problems)
		}
		old = made
	}
}
