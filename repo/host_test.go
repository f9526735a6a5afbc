package repo

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// hosted is a repository behind a real HTTP server, and a clone of it made by the real git.
type hosted struct {
	t        *testing.T
	repo     *Repo
	url      string
	clone    string
	mu       sync.Mutex
	received []string // commits that Receive was given
	options  []string
	answer   func(commit string, progress io.Writer) error
}

func newHosted(t *testing.T, maxPack int64) *hosted {
	h := &hosted{t: t, repo: newRepo(t, kit(t))}
	handler, err := h.repo.Host(HostOptions{
		MaxPackBytes: maxPack,
		Authenticate: func(r *http.Request) (Person, error) {
			if user, token, ok := r.BasicAuth(); !ok || user != "ana" || token != "right" {
				return Person{}, errors.New("no such token")
			}
			return ana, nil
		},
		Receive: func(ctx context.Context, by Person, commit string, options []string, progress io.Writer) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.received, h.options = append(h.received, commit), options
			if _, err := h.repo.Tree(ctx, commit); err != nil {
				return err
			}
			if h.answer != nil {
				return h.answer(commit, progress)
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.StripPrefix("/zones.git", handler))
	t.Cleanup(srv.Close)
	h.url = strings.Replace(srv.URL, "http://", "http://ana:right@", 1) + "/zones.git"
	h.clone = filepath.Join(t.TempDir(), "clone")
	gitOut(t, "", "clone", "-q", h.url, h.clone)
	gitOut(t, h.clone, "config", "user.name", "Ana")
	gitOut(t, h.clone, "config", "user.email", ana.Email)
	return h
}

// commit commits files in the clone.
func (h *hosted) commit(files map[string]string) string {
	h.t.Helper()
	for p, content := range files {
		file := filepath.Join(h.clone, filepath.FromSlash(p))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			h.t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			h.t.Fatal(err)
		}
	}
	gitOut(h.t, h.clone, "add", "-A")
	gitOut(h.t, h.clone, "commit", "-q", "-m", "Ask for something")
	return strings.TrimSpace(gitOut(h.t, h.clone, "rev-parse", "HEAD"))
}

// push runs git push and returns what it printed, and whether it succeeded.
func (h *hosted) push(args ...string) (string, bool) {
	h.t.Helper()
	cmd := exec.Command("git", append([]string{"push"}, args...)...)
	cmd.Dir, cmd.Env = h.clone, cleanEnv()
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

const newApp = "owner: ana@finmicro.example\nrecords:\n  - {name: new.apps.finmicro.example, type: A, values: [192.0.2.9]}\n"

func TestPushForMain(t *testing.T) {
	h := newHosted(t, 0)
	h.answer = func(commit string, progress io.Writer) error {
		fmt.Fprintf(progress, "Change c1 is recorded.\n")
		fmt.Fprintf(progress, "Tier: green \x1b[31m(internal only)\n")
		return h.repo.SetRef(t.Context(), "refs/slipway/changes/c1/1", commit)
	}
	commit := h.commit(map[string]string{"apps/new.yaml": newApp})
	out, ok := h.push("-o", "title=A new app", "origin", "HEAD:refs/for/main")
	if !ok {
		t.Fatalf("push refused:\n%s", out)
	}
	for _, want := range []string{"remote: Change c1 is recorded.", "remote: Tier: green [31m(internal only)", "HEAD -> refs/for/main"} {
		if !strings.Contains(out, want) {
			t.Errorf("push printed no %q:\n%s", want, out)
		}
	}
	if len(h.received) != 1 || h.received[0] != commit || len(h.options) != 1 || h.options[0] != "title=A new app" {
		t.Errorf("received %v with %v", h.received, h.options)
	}
	if _, err := h.repo.Resolve(t.Context(), "refs/for/main"); !errors.Is(err, ErrNotFound) {
		t.Errorf("refs/for/main exists: %v", err)
	}
	a, err := tree(t, h.repo, commit).App(t.Context(), "new")
	if err != nil || a.Owner != ana.Email {
		t.Errorf("the pushed app: %v, %v", a, err)
	}
	// The same commit again, all of whose objects are there; and a larger one, which comes as a pack.
	if out, ok := h.push("origin", "HEAD:refs/for/main"); !ok {
		t.Errorf("second push refused:\n%s", out)
	}
	many := map[string]string{}
	for i := range 150 {
		many[fmt.Sprintf("apps/app%d.yaml", i)] = newApp + fmt.Sprintf("# %d\n", i)
	}
	big := h.commit(many)
	if out, ok := h.push("origin", "HEAD:refs/for/main"); !ok || h.received[len(h.received)-1] != big {
		t.Errorf("push of many files refused:\n%s", out)
	}
	if out := gitOut(t, h.repo.Dir(), "fsck", "--strict", "--connectivity-only"); strings.Contains(out, "missing") {
		t.Errorf("fsck: %s", out)
	}
	// What is merged reaches the clone by a fetch; what is not merged stays hidden.
	if out := gitOut(t, h.clone, "ls-remote", "origin"); strings.Contains(out, "slipway") {
		t.Errorf("internal refs are shown:\n%s", out)
	}
	gitOut(t, h.clone, "fetch", "-q", "origin")
	left, err := filepath.Glob(filepath.Join(h.repo.Dir(), quarantinePrefix+"*"))
	if err != nil || len(left) > 0 {
		t.Errorf("quarantine is left: %v, %v", left, err)
	}
}

// A line reaches the pusher while the push is still being judged.
func TestPushProgressAtOnce(t *testing.T) {
	h := newHosted(t, 0)
	seen := make(chan struct{})
	h.answer = func(commit string, progress io.Writer) error {
		fmt.Fprintln(progress, "The change is being checked.")
		select {
		case <-seen:
			return nil
		case <-t.Context().Done():
			return errors.New("nobody saw the line")
		}
	}
	h.commit(map[string]string{"apps/new.yaml": newApp})
	cmd := exec.CommandContext(t.Context(), "git", "push", "origin", "HEAD:refs/for/main")
	cmd.Dir, cmd.Env = h.clone, cleanEnv()
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "The change is being checked.") {
			close(seen)
			break
		}
	}
	if _, err := io.Copy(io.Discard, stderr); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("push: %v", err)
	}
}

// A client that goes away in the middle of a push leaves nothing behind.
func TestPushBrokenOff(t *testing.T) {
	h := newHosted(t, 1<<20)
	u, err := url.Parse(h.url)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, h.url+"/"+receivePack, nil)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	req.SetBasicAuth(u.User.Username(), password)
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Type: application/x-%s-request\r\nContent-Length: 1000000\r\n\r\n",
		req.URL.Path, req.Header.Get("Authorization"), receivePack)
	fmt.Fprintf(conn, "%s0000PACK", pkt(zeroID+" "+strings.Repeat("1", 40)+" refs/for/main\x00report-status"))
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if out, err := io.ReadAll(conn); err != nil || strings.Contains(string(out), "ok refs/for/main") {
		t.Errorf("answer %q, %v", out, err)
	}
	conn.Close()
	if out, ok := h.push("origin", "HEAD:refs/for/main"); !ok {
		t.Errorf("the next push is refused:\n%s", out)
	}
	left, err := filepath.Glob(filepath.Join(h.repo.Dir(), quarantinePrefix+"*"))
	if err != nil || len(left) > 0 || len(h.received) != 1 {
		t.Errorf("left: %v, %v; received: %v", left, err, h.received)
	}
}

func TestPushRefused(t *testing.T) {
	h := newHosted(t, 64<<10)
	main, err := h.repo.Resolve(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.repo.SetRef(t.Context(), "refs/slipway/changes/c0/1", main); err != nil {
		t.Fatal(err)
	}
	commit := h.commit(map[string]string{"apps/new.yaml": newApp})
	gitOut(t, h.clone, "tag", "v1")
	gitOut(t, h.clone, "branch", "unrelated", strings.TrimSpace(gitOut(t, h.clone, "commit-tree", "-m", "orphan", "HEAD^{tree}")))
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"main", []string{"origin", "HEAD:main"}, "HEAD:refs/for/main"},
		{"main by force", []string{"--force", "origin", "unrelated:main"}, "never rewritten"},
		{"main deleted", []string{"origin", "--delete", "main"}, "main cannot be deleted"},
		{"another branch", []string{"origin", "HEAD:refs/heads/feature"}, "There is no other branch than main"},
		{"a tag", []string{"origin", "v1"}, "Tags are not kept here"},
		{"an internal ref", []string{"origin", "HEAD:refs/slipway/merged/c1"}, "only refs/for/main"},
		{"two at once", []string{"--atomic", "origin", "HEAD:refs/for/main", "HEAD:refs/heads/x"}, "Several refs were pushed at once"},
		{"no common history", []string{"origin", "unrelated:refs/for/main"}, "no history in common with main"},
		{"signed push", []string{"--signed", "origin", "HEAD:refs/for/main"}, "does not support --signed"},
	}
	before, err := h.repo.Refs(t.Context(), "refs")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, ok := h.push(tt.args...)
			if ok || !strings.Contains(out, tt.want) {
				t.Errorf("push succeeded: %v; it printed, without %q:\n%s", ok, tt.want, out)
			}
		})
	}
	if _, err := h.repo.Resolve(t.Context(), commit); !errors.Is(err, ErrNotFound) {
		t.Errorf("refused objects are stored: %v", err)
	}
	t.Run("a denied change", func(t *testing.T) {
		h.answer = func(string, io.Writer) error { return errors.New("Denied: the app has no owner.\nAdd owner.") }
		defer func() { h.answer = nil }()
		out, ok := h.push("origin", "HEAD:refs/for/main")
		if ok || !strings.Contains(out, "remote: Denied: the app has no owner.") || !strings.Contains(out, "remote: Add owner.") {
			t.Errorf("push succeeded: %v; it printed:\n%s", ok, out)
		}
	})
	t.Run("too large", func(t *testing.T) {
		noise := make([]byte, 200<<10)
		for i, x := 0, uint32(1); i < len(noise); i++ {
			x = x*1664525 + 1013904223
			noise[i] = byte(x >> 24)
		}
		h.commit(map[string]string{"film.bin": string(noise)})
		out, ok := h.push("origin", "HEAD:refs/for/main")
		if ok || !strings.Contains(out, "larger than 64 KiB") {
			t.Errorf("push succeeded: %v; it printed:\n%s", ok, out)
		}
	})
	t.Run("wrong token", func(t *testing.T) {
		out, ok := h.push(strings.Replace(h.url, "right", "wrong", 1), "HEAD:refs/for/main")
		if ok || !strings.Contains(out, "Authentication failed") {
			t.Errorf("push succeeded: %v; it printed:\n%s", ok, out)
		}
	})
	after, err := h.repo.Refs(t.Context(), "refs")
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("refs changed from %v to %v", before, after)
	}
}

// What other programs than git may send.
func TestHostRequests(t *testing.T) {
	h := newHosted(t, 1<<20)
	post := func(service, contentType, encoding string, body []byte) (int, string) {
		t.Helper()
		req, err := http.NewRequest(http.MethodPost, h.url+"/"+service, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", contentType)
		if encoding != "" {
			req.Header.Set("Content-Encoding", encoding)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		out, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(out)
	}
	const push = "application/x-git-receive-pack-request"
	one := strings.Repeat("1", 40)
	tests := []struct {
		name, service, contentType, encoding, body string
		status                                     int
		want                                       string
	}{
		{"a form", receivePack, "application/x-www-form-urlencoded", "", "", 415, "for git"},
		{"no gzip", receivePack, push, "gzip", "plain", 400, "gzip"},
		{"unknown encoding", receivePack, push, "br", "plain", 400, ""},
		{"a try of credentials", receivePack, push, "", "0000", 200, ""},
		{"no protocol", receivePack, push, "", "hello world", 400, "cannot be understood"},
		{"a bad command", receivePack, push, "", pkt("hello\x00report-status") + "0000", 400, "command"},
		{"no pack", receivePack, push, "", pkt(zeroID+" "+one+" refs/for/main\x00report-status") + "0000", 200, "ng refs/for/main objects are missing"},
		{"a broken pack", receivePack, push, "", pkt(zeroID+" "+one+" refs/for/main\x00report-status") + "0000PACK\x00\x00\x00\x02\x00\x00\x00\x01rubbish", 200, "ng refs/for/main objects are damaged"},
		{"other bytes", receivePack, push, "", pkt(zeroID+" "+one+" refs/for/main\x00report-status side-band-64k") + "0000rubbish", 200, "ng refs/for/main not a pack"},
		{"nowhere", "objects/info/packs", push, "", "", 404, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, out := post(tt.service, tt.contentType, tt.encoding, []byte(tt.body))
			if status != tt.status || !strings.Contains(out, tt.want) {
				t.Errorf("status %d, want %d with %q: %q", status, tt.status, tt.want, out)
			}
		})
	}
	if len(h.received) > 0 {
		t.Errorf("something was received: %v", h.received)
	}
	if _, err := h.repo.Host(HostOptions{}); err == nil {
		t.Error("a host without authentication was made")
	}
}

func FuzzReadPush(f *testing.F) {
	one := strings.Repeat("1", 40)
	f.Add([]byte("0000"))
	f.Add([]byte(pkt(zeroID+" "+one+" refs/for/main\x00report-status push-options\n") + "0000" + pkt("title=x") + "0000PACK"))
	f.Add([]byte(pkt("shallow "+one) + pkt(zeroID+" "+one+" refs/for/main\x00atomic") + "0000"))
	f.Add([]byte("fff0"))
	f.Fuzz(func(t *testing.T, data []byte) {
		req, err := readPush(bytes.NewReader(data))
		if err != nil {
			return
		}
		for _, c := range req.commands {
			if !isObjectID(c.old) || !isObjectID(c.new) || strings.ContainsFunc(c.ref, isControl) {
				t.Errorf("command %q", c)
			}
		}
		if len(req.commands) > 0 {
			refuse(req.commands)
		}
	})
}
