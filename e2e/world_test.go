//go:build integration

// Package e2e drives the two mains as a user would: real binaries, real Git, real
// DNS queries, on real zones.
package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"slipway/audit"
	"slipway/check"
	"slipway/lifecycle"
)

// binaries are built once for the package.
var binaries string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "slipway-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	build := exec.Command("go", "build", "-o", dir+string(os.PathSeparator), "./cmd/slipway", "./cmd/slipwayd")
	build.Dir = ".."
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
	binaries = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// The organisation of the tests: real zones of a public body, with made-up people.
const realSettings = `organisation: Ministry of Tests
domain: justice.gov.uk
brands: [justice, hmpps, probation]
zones:
  directory: zones
%s
allowed-external: [judiciary.uk, cica.gov.uk]
groups:
  infosec: {members: [ivy@justice.gov.uk]}
  platform-ops: {members: [omar@justice.gov.uk, ivy@justice.gov.uk]}
  legal: {members: [lena@justice.gov.uk, ana@justice.gov.uk]}
  security: {members: [sam@justice.gov.uk, lena@justice.gov.uk]}
  product: {members: [pia@justice.gov.uk]}
administrators: [admin@justice.gov.uk]
approvals:
  yellow: {any_of: [infosec, platform-ops], count: 1, expires: 7d}
  red: {all_of: [legal, security, product], expires: 14d}
ttl: {min: 30, max: 172800}
drift: {interval: %s}
providers:
  local: {type: zonefile}
`

// The zones that the tests serve; the others of the 203 stay files without a server.
var servedZones = map[string]string{
	"test.justice.gov.uk": "{visibility: internal, owner: justice.gov.uk, provider: local}",
	"judiciary.uk":        "{visibility: external, owner: justice.gov.uk, provider: local, dnssec: required}",
	"cica.gov.uk":         "{visibility: external, owner: justice.gov.uk, provider: local}",
	"ccrc.gov.uk":         "{visibility: external, owner: justice.gov.uk, provider: local}",
}

// realRepository makes a Git repository of the real zones and turns it into a
// zones repository by adding slipway.yaml.
func realRepository(t testing.TB, driftInterval string) string {
	t.Helper()
	source := filepath.Join("..", "..", "shared", "data", "octodns-zones")
	files, err := filepath.Glob(filepath.Join(source, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Skipf("the real zones are not beside the checkout (%s)", source)
	}
	dir := t.TempDir()
	for _, f := range files {
		content, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "zones", filepath.Base(f)), string(content))
	}
	var zones strings.Builder
	for _, name := range slices.Sorted(maps.Keys(servedZones)) {
		fmt.Fprintf(&zones, "  %s: %s\n", name, servedZones[name])
	}
	write(t, filepath.Join(dir, "slipway.yaml"), fmt.Sprintf(realSettings, zones.String(), driftInterval))
	git(t, dir, "init", "-q", "-b", "main")
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-q", "-m", "Zones as they are")
	return dir
}

// world is one running server and what a test needs to talk to it.
type world struct {
	t      testing.TB
	data   string
	args   []string
	server *exec.Cmd
	lines  *lines // the server's log
	exited chan struct{}

	URL     string
	DNS     string // 127.0.0.1:port
	tokens  map[string]string
	adminBy string // the first administrator's link
}

// newWorld starts a server on fresh data.
func newWorld(t testing.TB, args ...string) *world {
	t.Helper()
	w := &world{t: t, data: filepath.Join(t.TempDir(), "data"), tokens: map[string]string{}}
	listen, dns := freeAddress(t), freeAddress(t)
	w.URL, w.DNS = "http://"+listen, dns
	w.args = append([]string{"--data", w.data, "--listen", listen, "--dns", dns, "--dns-external", freeAddress(t), "--log-level", "info"}, args...)
	w.start()
	t.Cleanup(w.stop)
	return w
}

// start runs the server and waits until it says that it is up.
func (w *world) start() {
	w.t.Helper()
	w.server = exec.Command(filepath.Join(binaries, "slipwayd"), w.args...)
	w.server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	w.lines = &lines{}
	w.server.Stderr = w.lines
	stdout, err := w.server.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.server.Start(); err != nil {
		w.t.Fatal(err)
	}
	up := make(chan error, 1)
	go func() {
		link := regexp.MustCompile(`https?://\S+/sign-in/\S+`)
		scanner := bufio.NewScanner(stdout)
		for scanner.Scan() {
			if l := link.FindString(scanner.Text()); l != "" {
				w.adminBy = l
			}
			if strings.HasPrefix(scanner.Text(), "Press Ctrl-C") {
				up <- nil
				break
			}
		}
		io.Copy(io.Discard, stdout)
		up <- errors.New("the server ended before it was up")
	}()
	exited := make(chan struct{})
	w.exited = exited
	server := w.server
	select {
	case err = <-up:
	case <-time.After(60 * time.Second):
		err = errors.New("the server did not come up within a minute")
	}
	go func() { server.Wait(); close(exited) }()
	if err != nil {
		w.t.Fatalf("%v\n%s", err, w.lines)
	}
}

// kill ends the server as a power cut would.
func (w *world) kill() {
	w.server.Process.Kill()
	<-w.exited
}

// stop ends the server as Ctrl-C in a terminal does, which reaches the whole process group.
func (w *world) stop() {
	syscall.Kill(-w.server.Process.Pid, syscall.SIGINT)
	select {
	case <-w.exited:
		if state := w.server.ProcessState; !state.Success() && state.Exited() {
			w.t.Errorf("the server did not stop cleanly: %s", state)
		}
	case <-time.After(30 * time.Second):
		w.kill()
		w.t.Error("the server did not stop within 30 seconds")
	}
	if w.t.Failed() {
		w.t.Logf("server's log, the last of it:\n%s", w.lines.tail(80))
	}
}

// token returns a personal token of someone, signing them in first if need be, all by the public pages and API.
func (w *world) token(person string) string {
	w.t.Helper()
	if token, ok := w.tokens[person]; ok {
		return token
	}
	link := w.adminBy
	if !strings.HasPrefix(person, "admin@") {
		admin := "admin@" + person[strings.Index(person, "@")+1:]
		if strings.HasSuffix(person, "@supplier.example") {
			admin = "admin@justice.gov.uk"
		}
		var answer struct{ URL string }
		w.api(w.token(admin), "POST", "/api/v1/links", map[string]string{"person": person, "role": roleOf(person)}, &answer)
		link = answer.URL
	}
	jar, _ := cookiejar.New(nil)
	browser := &http.Client{Jar: jar}
	r, err := browser.Post(link, "application/x-www-form-urlencoded", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusOK {
		w.t.Fatalf("sign-in of %s: %s", person, r.Status)
	}
	r, err = browser.Post(w.URL+"/api/v1/tokens", "application/json", strings.NewReader(`{"label":"test","days":1}`))
	if err != nil {
		w.t.Fatal(err)
	}
	defer r.Body.Close()
	var made struct{ Token string }
	if err := json.NewDecoder(r.Body).Decode(&made); err != nil || made.Token == "" {
		w.t.Fatalf("token of %s: %s %v", person, r.Status, err)
	}
	w.tokens[person] = made.Token
	return made.Token
}

func roleOf(person string) string {
	switch name, _, _ := strings.Cut(person, "@"); name {
	case "ivy":
		return "infosec"
	case "omar":
		return "platform-ops"
	default:
		return "product-manager"
	}
}

// api calls the JSON API and fails the test on anything but success.
func (w *world) api(token, method, path string, body, into any) {
	w.t.Helper()
	if code, raw := w.rawAPI(token, method, path, body); code/100 != 2 {
		w.t.Fatalf("%s %s: %d %s", method, path, code, raw)
	} else if into != nil {
		if err := json.Unmarshal(raw, into); err != nil {
			w.t.Fatalf("%s %s: %v in %s", method, path, err, raw)
		}
	}
}

func (w *world) rawAPI(token, method, path string, body any) (int, []byte) {
	w.t.Helper()
	code, raw, err := w.tryAPI(context.Background(), token, method, path, body)
	if err != nil {
		w.t.Fatal(err)
	}
	return code, raw
}

// tryAPI calls the JSON API of a server that may die at any moment.
func (w *world) tryAPI(ctx context.Context, token, method, path string, body any) (int, []byte, error) {
	var reader io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		reader = bytes.NewReader(raw)
	}
	request, err := http.NewRequestWithContext(ctx, method, w.URL+path, reader)
	if err != nil {
		return 0, nil, err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	return response.StatusCode, raw, err
}

// result is how a command ended.
type result struct {
	code           int
	stdout, stderr string
}

// slipway runs the command-line tool as a person.
func (w *world) slipway(person string, args ...string) result {
	w.t.Helper()
	cmd := exec.Command(filepath.Join(binaries, "slipway"), args...)
	cmd.Env = append(os.Environ(), "SLIPWAY_SERVER="+w.URL, "HOME="+w.t.TempDir())
	if person != "" {
		cmd.Env = append(cmd.Env, "SLIPWAY_TOKEN="+w.token(person))
	}
	return run(w.t, cmd)
}

func run(t testing.TB, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// answer is one change as the API and `--format json` give it.
type answer struct {
	Change  lifecycle.State
	Verdict *check.Verdict
	Events  []audit.Receipt
}

// request asks for an app by the command line and returns what was answered.
func (w *world) request(person, name, hostname, exposure string, more ...string) answer {
	w.t.Helper()
	args := append([]string{"request", "new", "--yes", "--format", "json",
		"--name", name, "--hostname", hostname, "--exposure", exposure,
		"--purpose", "Tests that apps go live", "--team", "testing", "--owner", person,
		"--expires", time.Now().AddDate(0, 6, 0).Format(time.DateOnly)}, more...)
	r := w.slipway(person, args...)
	var a answer
	if err := json.Unmarshal([]byte(r.stdout), &a); err != nil {
		w.t.Fatalf("slipway %s: exit %d\n%s%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return a
}

// change reads a change.
func (w *world) change(id string) answer {
	w.t.Helper()
	var a answer
	w.api(w.token("omar@justice.gov.uk"), "GET", "/api/v1/changes/"+id, nil, &a)
	return a
}

// await waits until a change is in a phase.
func (w *world) await(id string, phase lifecycle.Phase) answer {
	w.t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for {
		a := w.change(id)
		if a.Change.Phase == phase {
			return a
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("change %s is %s after a minute, not %s: %s", id, a.Change.Phase, phase, a.Change.Problem)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// dig asks the embedded nameserver.
func (w *world) dig(name, typ string) string {
	w.t.Helper()
	host, port, _ := net.SplitHostPort(w.DNS)
	if _, err := exec.LookPath("dig"); err != nil {
		w.t.Skip("dig is not installed (Debian package bind9-dnsutils)")
	}
	r := run(w.t, exec.Command("dig", "@"+host, "-p", port, name, typ, "+short", "+tries=2", "+time=2"))
	return strings.TrimSpace(r.stdout)
}

// verify checks the log offline with the small binary.
func (w *world) verify() result {
	w.t.Helper()
	return w.slipway("", "audit", "verify", "--dir", filepath.Join(w.data, "audit"))
}

func git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	r := gitResult(t, dir, args...)
	if r.code != 0 {
		t.Fatalf("git %s: exit %d\n%s%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

func gitResult(t testing.TB, dir string, args ...string) result {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Ana", "GIT_AUTHOR_EMAIL=ana@justice.gov.uk", "GIT_COMMITTER_NAME=Ana", "GIT_COMMITTER_EMAIL=ana@justice.gov.uk")
	return run(t, cmd)
}

// clone returns a work tree of the server's zones repository, as a person would make it.
func (w *world) clone(person string) string {
	w.t.Helper()
	dir := filepath.Join(w.t.TempDir(), "zones")
	address := strings.Replace(w.URL, "http://", "http://token:"+w.token(person)+"@", 1) + "/git/zones.git"
	git(w.t, ".", "clone", "-q", address, dir)
	return dir
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// freeAddress returns a loopback address whose TCP port is free now.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// lines collects a process's output line by line; watchers see each line once.
type lines struct {
	mu       sync.Mutex
	partial  []byte
	all      []string
	watchers []chan string
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.partial = append(l.partial, p...)
	for {
		i := bytes.IndexByte(l.partial, '\n')
		if i < 0 {
			return len(p), nil
		}
		line := string(l.partial[:i])
		l.partial = l.partial[i+1:]
		l.all = append(l.all, line)
		for _, w := range l.watchers {
			select {
			case w <- line:
			default:
			}
		}
	}
}

// watch returns the lines that come from now on.
func (l *lines) watch() <-chan string {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := make(chan string, 4096)
	l.watchers = append(l.watchers, c)
	return c
}

func (l *lines) String() string { return l.tail(1 << 30) }

func (l *lines) tail(n int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all[max(0, len(l.all)-n):], "\n")
}

// seen waits for a line with every one of the words.
func seen(ctx context.Context, c <-chan string, words ...string) error {
	for {
		select {
		case line := <-c:
			if containsAll(line, words) {
				return nil
			}
		case <-ctx.Done():
			return fmt.Errorf("no line with %q: %w", words, ctx.Err())
		}
	}
}

func containsAll(line string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(line, w) {
			return false
		}
	}
	return true
}
