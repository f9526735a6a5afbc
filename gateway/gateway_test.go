package gateway

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"

	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// echo answers with what the app got.
func echo(t testing.TB) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{"host": r.Host, "uri": r.RequestURI, "header": r.Header})
	}))
	t.Cleanup(s.Close)
	return s
}

type echoed struct {
	Host   string
	URI    string
	Header http.Header
}

func parseEcho(t *testing.T, body string) echoed {
	t.Helper()
	var e echoed
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	return e
}

func TestServe(t *testing.T) {
	b := newBed(t)
	b.options.HSTS = 365 * 24 * time.Hour
	b.write(t, b.route(t, echo(t).URL, "app.example", "*.many.example"), b.route(t, echo(t).URL+"/below", "other.example"))
	g, _ := b.start(t)
	c := b.client(t, g)
	forged := []string{
		"X-Forwarded-For", "203.0.113.9", "X-Forwarded-Proto", "http", "Forwarded", "for=203.0.113.9", "X-Real-Ip", "203.0.113.9",
		"X-Slipway-Client", "boss@example", "X_Slipway_Client", "boss@example", "Client-Cert", ":AAAA:", "X-Forwarded-Port", "1", "X-Request-Id", "x",
		"X-Ssl-Client-Verify", "SUCCESS",
	}
	resp, body := get(t, c, "https://app.example/p%2Fq?token=s3cret&x=1", forged...)
	e := parseEcho(t, body)
	if resp.ProtoMajor != 2 || resp.StatusCode != http.StatusOK || e.Host != "app.example" || e.URI != "/p%2Fq?token=s3cret&x=1" {
		t.Errorf("%s %d: %+v", resp.Proto, resp.StatusCode, e)
	}
	if got := resp.Header.Get("Strict-Transport-Security"); got != "max-age=31536000" {
		t.Errorf("HSTS %q", got)
	}
	for name, want := range map[string]string{
		"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "app.example",
		"Forwarded": `for=127.0.0.1;host="app.example";proto=https`,
		"X-Real-Ip": "", "X-Slipway-Client": "", "X_slipway_client": "", "Client-Cert": "", "X-Forwarded-Port": "", "X-Ssl-Client-Verify": "",
	} {
		if got := strings.Join(e.Header[http.CanonicalHeaderKey(name)], "|"); got != want {
			t.Errorf("%s: %q, not %q", name, got, want)
		}
	}
	if len(e.Header["X-Request-Id"]) != 1 || e.Header.Get("X-Request-Id") == "x" {
		t.Errorf("request ID %v", e.Header["X-Request-Id"])
	}
	old := b.speak(t, g, "app.example", "GET / HTTP/1.1\r\nHost: app.example\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n\r\n")
	if body, err := io.ReadAll(old.Body); err != nil || strings.Contains(string(body), "Hop") || strings.Contains(string(body), "Keep-Alive") {
		t.Errorf("%s, %v", body, err)
	}
	if _, body := get(t, c, "https://one.many.example/"); parseEcho(t, body).Host != "one.many.example" {
		t.Error(body)
	}
	if _, body := get(t, c, "https://other.example/x"); parseEcho(t, body).URI != "/below/x" {
		t.Error(body)
	}
	until(t, "the log", func() bool { return strings.Contains(b.log.String(), "path=/p%2Fq ") })
	if strings.Contains(b.log.String(), "s3cret") {
		t.Error("a query was logged")
	}
}

func TestHandshakes(t *testing.T) {
	b := newBed(t)
	b.write(t, b.route(t, echo(t).URL, "app.example", "*.many.example"))
	g, _ := b.start(t)
	for name, want := range map[string]string{
		"app.example": "", "x.many.example": "",
		"unknown.example": "unrecognized name", "x.y.many.example": "unrecognized name", "many.example": "unrecognized name", "": "unrecognized name",
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			_, err := b.dial(t, g, &tls.Config{ServerName: name, MaxVersion: version, InsecureSkipVerify: name == ""})
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("%q with %s: %v", name, tls.VersionName(version), err)
			}
		}
	}
	if _, err := b.dial(t, g, &tls.Config{ServerName: "app.example", MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}); err == nil {
		t.Error("TLS 1.1 was spoken")
	}
	if n := g.Counters().UnknownNames.Load(); n != 8 {
		t.Errorf("%d unknown names were counted", n)
	}
}

func TestMisdirected(t *testing.T) {
	b := newBed(t)
	b.write(t, b.route(t, echo(t).URL, "app.example"), b.route(t, echo(t).URL, "other.example"))
	g, _ := b.start(t)
	for _, host := range []string{"other.example", "unknown.example", ""} {
		resp, body := get(t, b.client(t, g), "https://app.example/", "Host", host+":443", "Accept", "text/html")
		if resp.StatusCode != http.StatusMisdirectedRequest || !strings.Contains(body, "opened anew") {
			t.Errorf("%q: %d %s", host, resp.StatusCode, body)
		}
	}
	if resp, body := get(t, b.client(t, g), "https://app.example/", "Host", "APP.example.:443"); resp.StatusCode != http.StatusOK {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

func TestUpgrade(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "websocket" || r.Header.Get("Connection") != "Upgrade" {
			http.Error(w, "no upgrade came", http.StatusBadRequest)
			return
		}
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
		rw.Flush()
		io.Copy(conn, rw)
	}))
	t.Cleanup(app.Close)
	b := newBed(t)
	b.options.Grace = 50 * time.Millisecond
	b.write(t, b.route(t, app.URL, "app.example"))
	g, stop := b.start(t)
	c, err := b.dial(t, g, &tls.Config{ServerName: "app.example", NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(c, "GET /ws HTTP/1.1\r\nHost: app.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v %v", resp, err)
	}
	for _, message := range []string{"one", "two"} {
		fmt.Fprint(c, message)
		got := make([]byte, len(message))
		if _, err := io.ReadFull(r, got); err != nil || string(got) != message {
			t.Fatalf("%q, %v", got, err)
		}
	}
	stop() // must not wait for it, nor leave it open
	if _, err := r.ReadByte(); err == nil {
		t.Error("the connection outlived the gateway")
	}
	until(t, "the log", func() bool { return strings.Contains(b.log.String(), "path=/ws status=101") })
}

func TestServerSentEvents(t *testing.T) {
	next := make(chan string)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for e := range next {
			fmt.Fprintf(w, "data: %s\n\n", e)
			http.NewResponseController(w).Flush()
		}
	}))
	t.Cleanup(app.Close)
	b := newBed(t)
	b.write(t, b.route(t, app.URL, "app.example"))
	g, _ := b.start(t)
	go func() { next <- "first" }()
	r, err := b.client(t, g).Get("https://app.example/events")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	lines := bufio.NewScanner(r.Body)
	for _, want := range []string{"first", "second"} {
		if !lines.Scan() || lines.Text() != "data: "+want || !lines.Scan() {
			t.Fatalf("%q, %v", lines.Text(), lines.Err())
		}
		if want == "first" {
			next <- "second" // the first had to arrive before there is a second
		}
	}
	close(next)
}

func TestClientCertificates(t *testing.T) {
	b := newBed(t)
	app := echo(t)
	clients, clientsKey := newCA(t, "People")
	others, othersKey := newCA(t, "Others")
	closed := b.route(t, app.URL, "closed.example")
	closed.ClientAuth, closed.ClientCAs = true, pemOf(clients)
	later := b.route(t, app.URL, "later.example")
	b.write(t, closed, later)
	g, _ := b.start(t)

	ana := clientCertificate(t, "ana@example", clients, clientsKey)
	_, body := get(t, b.client(t, g, ana), "https://closed.example/", "X-Slipway-Client", "boss@example")
	e := parseEcho(t, body)
	if got := e.Header["X-Slipway-Client"]; len(got) != 1 || got[0] != "ana@example" || !strings.HasPrefix(e.Header.Get("Client-Cert"), ":MII") {
		t.Errorf("the app is told of %v, %q", got, e.Header.Get("Client-Cert"))
	}
	for name, c := range map[string]*http.Client{
		"none":               b.client(t, g),
		"of another issuer":  b.client(t, g, clientCertificate(t, "eve@example", others, othersKey)),
		"of the servers' CA": b.client(t, g, clientCertificate(t, "eve@example", b.ca, b.caKey)),
	} {
		if r, err := c.Get("https://closed.example/"); err == nil {
			r.Body.Close()
			t.Errorf("a client with a certificate %s was let in: %d", name, r.StatusCode)
		}
	}

	// A route that asks for certificates from now on asks also on connections that are open.
	open := b.client(t, g)
	if r, _ := get(t, open, "https://later.example/"); r.StatusCode != http.StatusOK {
		t.Fatal(r.Status)
	}
	later.ClientAuth, later.ClientCAs = true, pemOf(clients)
	b.write(t, closed, later)
	until(t, "the new route", func() bool { return g.table.Load().find("later.example").ClientAuth })
	r, err := open.Get("https://later.example/")
	if err == nil {
		r.Body.Close()
		if r.StatusCode != http.StatusMisdirectedRequest {
			t.Errorf("an old connection got %s", r.Status)
		}
	}
}

// Certificates and keys change all the time, and nobody notices.
func TestHotSwapUnderLoad(t *testing.T) {
	b := newBed(t)
	app := echo(t)
	b.write(t, b.route(t, app.URL, "app.example"))
	g, _ := b.start(t)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var served, fresh atomic.Int64
	for i := range 4 {
		wg.Go(func() {
			c := b.client(t, g)
			for ctx.Err() == nil {
				r, err := c.Get("https://app.example/")
				if err != nil {
					t.Errorf("a request was lost: %v", err)
					return
				}
				_, err = io.Copy(io.Discard, r.Body)
				r.Body.Close()
				if err != nil || r.StatusCode != http.StatusOK {
					t.Errorf("a request was lost: %d, %v", r.StatusCode, err)
					return
				}
				served.Add(1)
				if i%2 == 0 { // half of them make a new connection each time
					c.CloseIdleConnections()
					fresh.Add(1)
				}
			}
		})
	}
	seen := map[string]bool{}
	for range 20 {
		before := g.Counters().Reloads.Load()
		b.write(t, b.route(t, app.URL, "app.example"))
		until(t, "the swap", func() bool { return g.Counters().Reloads.Load() > before })
		c, err := b.dial(t, g, &tls.Config{ServerName: "app.example"})
		if err != nil {
			t.Fatal(err)
		}
		seen[c.ConnectionState().PeerCertificates[0].SerialNumber.String()] = true
	}
	cancel()
	wg.Wait()
	if len(seen) != 20 || served.Load() < 100 || fresh.Load() < 20 {
		t.Errorf("%d certificates, %d requests, %d connections", len(seen), served.Load(), fresh.Load())
	}
}

func TestAppsThatFail(t *testing.T) {
	slow := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-slow }))
	t.Cleanup(hanging.Close)
	t.Cleanup(func() { close(slow) })
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	own := echo(t)
	b := newBed(t)
	b.options.Answer = 50 * time.Millisecond
	b.options.MaxBody = 1000
	b.options.Forbidden = []netip.AddrPort{netip.MustParseAddrPort(strings.TrimPrefix(own.URL, "http://"))}
	b.write(t, b.route(t, hanging.URL, "slow.example"), b.route(t, gone.URL, "gone.example"), b.route(t, own.URL, "own.example"),
		b.route(t, "http://169.254.169.254/", "metadata.example"), b.route(t, echo(t).URL, "app.example"))
	g, _ := b.start(t)
	for host, want := range map[string]int{"slow": 504, "gone": 502, "own": 502, "metadata": 502} {
		resp, body := get(t, b.client(t, g), "https://"+host+".example/", "Accept", "text/html")
		if resp.StatusCode != want || !strings.Contains(body, "Try again") || strings.Contains(body, "127.0.0.1") || strings.Contains(body, "refused") {
			t.Errorf("%s: %d %s", host, resp.StatusCode, body)
		}
	}
	for _, length := range []int64{2000, -1} {
		r, err := http.NewRequest(http.MethodPost, "https://app.example/", io.LimitReader(endless{}, 2000))
		if err != nil {
			t.Fatal(err)
		}
		r.ContentLength = length
		resp, err := b.client(t, g).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		// An app that does not read the body may have answered before the bound was met.
		if resp.StatusCode != http.StatusRequestEntityTooLarge && length > 0 {
			t.Errorf("%d bytes: %s", length, resp.Status)
		}
	}
	large := "GET / HTTP/1.1\r\nHost: app.example\r\nX-Large: " + strings.Repeat("x", 2*maxHeader) + "\r\n\r\n"
	if resp := b.speak(t, g, "app.example", large); resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("large headers: %s", resp.Status)
	}
}

func TestWhereItDoesNotGo(t *testing.T) {
	g := &Gateway{o: Options{Forbidden: []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:8080"), netip.MustParseAddrPort("192.0.2.1:9090")}}}
	addresses := map[string]bool{
		"127.0.0.1:8080": false, "[::1]:8080": false, "127.0.0.1:8081": true, "192.0.2.1:9090": false, "[::ffff:192.0.2.1]:9090": false, "192.0.2.1:9091": true,
		"198.51.100.7:8080": true, "169.254.169.254:80": false, "[fe80::1%eth0]:80": false, "[fd00:ec2::254]:80": false, "0.0.0.0:80": false, "224.0.0.1:80": false, "x": false,
	}
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range interfaces {
		if network, ok := a.(*net.IPNet); ok {
			addresses[net.JoinHostPort(network.IP.String(), "8080")] = false
		}
	}
	for address, want := range addresses {
		if err := g.mayDial(t.Context(), "tcp", address, nil); (err == nil) != want {
			t.Errorf("%s: %v", address, err)
		}
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestRedirect(t *testing.T) {
	b := newBed(t)
	b.options.RedirectListen = "127.0.0.1:0"
	b.write(t, b.route(t, echo(t).URL, "app.example"))
	g, _ := b.start(t)
	plain := g.servers[1].listener.Addr().String()
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, _ := get(t, c, "http://"+plain+"/a?b=c", "Host", "app.example")
	if want := fmt.Sprintf("https://app.example:%d/a?b=c", port(g.servers[0].listener)); resp.StatusCode != 308 || resp.Header.Get("Location") != want {
		t.Errorf("%s to %q", resp.Status, resp.Header.Get("Location"))
	}
	if resp, _ := get(t, c, "http://"+plain+"//evil.example/", "Host", "evil.example"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("%s to %q", resp.Status, resp.Header.Get("Location"))
	}
	if resp, err := c.Post("http://"+plain, "text/plain", strings.NewReader("x")); err != nil || resp.StatusCode == 308 {
		t.Errorf("%v, %v", resp, err)
	}
}

func TestRequestsEndBeforeTheGateway(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-finish
		fmt.Fprint(w, "whole")
	}))
	t.Cleanup(app.Close)
	b := newBed(t)
	b.write(t, b.route(t, app.URL, "app.example"))
	g, stop := b.start(t)
	c := b.client(t, g)
	got := make(chan string)
	go func() {
		_, body := get(t, c, "https://app.example/")
		got <- body
	}()
	<-begun
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	until(t, "the end of the listener", func() bool {
		_, err := net.Dial("tcp", g.Addr().String())
		return err != nil
	})
	close(finish)
	if body := <-got; body != "whole" {
		t.Errorf("%q", body)
	}
	<-stopped
}

func TestLimits(t *testing.T) {
	b := newBed(t)
	b.options.PerPeer = 3
	b.options.StatusListen = "127.0.0.1:0"
	b.write(t, b.route(t, echo(t).URL, "app.example"))
	g, _ := b.start(t)
	for range 3 {
		if _, err := b.dial(t, g, &tls.Config{ServerName: "app.example"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.dial(t, g, &tls.Config{ServerName: "app.example"}); err == nil {
		t.Error("a fourth connection of one address was taken")
	}
	_, metrics := get(t, http.DefaultClient, "http://"+g.servers[1].listener.Addr().String()+"/metrics")
	for _, want := range []string{"slipway_gateway_connections 3\n", "slipway_gateway_connections_refused_total 1\n", "slipway_gateway_handshakes_total 3\n"} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %q in\n%s", want, metrics)
		}
	}
	if _, body := get(t, http.DefaultClient, "http://"+g.servers[1].listener.Addr().String()); !strings.Contains(body, `"hosts":1`) {
		t.Error(body)
	}
	b.options.StatusListen = "0.0.0.0:0"
	if _, err := Listen(t.Context(), b.options); err == nil || !strings.Contains(err.Error(), "this machine alone") {
		t.Errorf("%v", err)
	}
}

// A client that never ends its headers does not keep its connection.
func TestSlowHeaders(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the time that headers have")
	}
	t.Parallel()
	b := newBed(t)
	b.write(t, b.route(t, echo(t).URL, "app.example"))
	g, _ := b.start(t)
	c, err := b.dial(t, g, &tls.Config{ServerName: "app.example", NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	silent, err := net.Dial("tcp", g.Addr().String()) // not even a handshake
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: app.example\r\nX: ")
	for _, conn := range []net.Conn{c, silent} {
		conn.SetReadDeadline(time.Now().Add(headerTimeout + 5*time.Second))
		if _, err := io.ReadAll(conn); err != nil && os.IsTimeout(err) {
			t.Error("the connection was kept")
		}
	}
}

func TestOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	b := newBed(t)
	b.write(t, b.route(t, echo(t).URL, "app.example"))
	g, _ := b.start(t)
	root := filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(root, pemOf(b.ca), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		cmd := exec.CommandContext(t.Context(), openssl, "s_client", "-connect", g.Addr().String(), "-servername", "app.example",
			"-verify_hostname", "app.example", "-CAfile", root, "-verify_return_error", "-alpn", "h2", version)
		out, err := cmd.CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte("Verify return code: 0 (ok)")) || !bytes.Contains(out, []byte("ALPN protocol: h2")) {
			t.Errorf("%s: %v\n%s", version, err, out)
		}
	}
	out, err := exec.CommandContext(t.Context(), openssl, "s_client", "-connect", g.Addr().String(), "-servername", "unknown.example").CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("unrecognized name")) {
		t.Errorf("%v\n%s", err, out)
	}
}
