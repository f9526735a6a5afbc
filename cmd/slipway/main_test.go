package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"slipway/audit"
	"slipway/key"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"slipway": func() { os.Exit(run()) }})
}

// TestScripts runs the manual: every script in testdata/script is a session that a reader can follow.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: false,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(e *testscript.Env) error {
			home := filepath.Join(e.WorkDir, "home")
			e.Setenv("HOME", home)
			e.Setenv("NO_COLOR", "")
			e.Setenv("TZ", "UTC")
			e.Setenv("TERM", "xterm")
			e.Setenv("GIT_CONFIG_NOSYSTEM", "1")
			e.Setenv("GIT_TERMINAL_PROMPT", "0")
			config := "[user]\n\tname = Ana\n\temail = ana@finmicro.example\n[init]\n\tdefaultBranch = main\n"
			return errors.Join(os.Mkdir(home, 0o700), os.WriteFile(filepath.Join(home, ".gitconfig"), []byte(config), 0o600))
		},
		Condition: func(cond string) (bool, error) {
			if cond == "realzones" {
				files, err := filepath.Glob(filepath.Join(realZonesDir, "*.yaml"))
				return len(files) > 0, err
			}
			return false, fmt.Errorf("no condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code":      code,
			"serve":     serve,
			"realzones": realZones,
			"makelog":   makeLog,
			"flip":      flip,
			"await":     await,
			"mode":      mode,
			"publish":   publish,

			"nameserver": nameserver,
			"makerecord": makeRecord(t),
			"cosign":     cosign,
		},
	})
}

// code runs a command that must end with an exact exit code: code 2 slipway check --base nowhere.
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N command …")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// serve starts a server that gives recorded answers, and signs the script in at it. Each line of
// the file is METHOD TARGET STATUS [FILE]; a line is used for one request after the other, the last one
// of its kind for good. What was asked is appended to the file requests.
func serve(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: serve FILE")
	}
	type answer struct {
		status int
		body   string
	}
	var mu sync.Mutex
	answers := make(map[string][]answer)
	for _, line := range strings.Split(strings.TrimSpace(ts.ReadFile(args[0])), "\n") {
		f := strings.Fields(line)
		if len(f) < 3 {
			ts.Fatalf("answer %q: write METHOD TARGET STATUS [FILE]", line)
		}
		status, err := strconv.Atoi(f[2])
		ts.Check(err)
		a := answer{status: status}
		if len(f) > 3 {
			a.body = ts.ReadFile(f[3])
		}
		answers[f[0]+" "+f[1]] = append(answers[f[0]+" "+f[1]], a)
	}
	asked := ts.MkAbs("requests")
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		body, _ := io.ReadAll(r.Body)
		log, err := os.OpenFile(asked, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			panic(err)
		}
		defer log.Close()
		fmt.Fprintf(log, "%s %s %s %s\n", r.Header.Get("Authorization"), r.Method, r.URL.RequestURI(), body)
		k := r.Method + " " + r.URL.RequestURI()
		list := answers[k]
		if len(list) == 0 {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		if len(list) > 1 {
			answers[k] = list[1:]
		}
		w.WriteHeader(list[0].status)
		io.WriteString(w, list[0].body)
	}))
	ts.Defer(s.Close)
	ts.Setenv("SERVER", s.URL)
	ts.Setenv("SLIPWAY_SERVER", s.URL)
	ts.Setenv("SLIPWAY_TOKEN", "slip_ana")
}

// realZones makes a Git repository of the 203 real octoDNS zones that lie beside the checkout.
func realZones(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: realzones DIR")
	}
	dir := ts.MkAbs(args[0])
	files, err := filepath.Glob(filepath.Join(realZonesDir, "*.yaml"))
	ts.Check(err)
	if len(files) == 0 {
		ts.Fatalf("the real zones are not beside the checkout (%s)", realZonesDir)
	}
	ts.Check(os.MkdirAll(filepath.Join(dir, "zones"), 0o755))
	for _, f := range files {
		content, err := os.ReadFile(f)
		ts.Check(err)
		ts.Check(os.WriteFile(filepath.Join(dir, "zones", filepath.Base(f)), content, 0o644))
	}
	for _, args := range [][]string{{"init", "-q"}, {"add", "-A"}, {"commit", "-qm", "Zones as they are"}} {
		ts.Check(ts.Exec("git", append([]string{"-C", dir}, args...)...))
	}
}

// makeLog writes an audit log with a few events, and its public keys beside it: makelog DIR.
func makeLog(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: makelog DIR")
	}
	ctx := context.Background()
	dir := ts.MkAbs(args[0])
	keys, err := key.OpenStore(ts.MkAbs("private-keys"), []byte("for a test"))
	ts.Check(err)
	events, err := keys.Signer(ctx, "events", true)
	ts.Check(err)
	checkpoints, err := keys.Signer(ctx, "log", true)
	ts.Check(err)
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	log, err := audit.Open(ctx, audit.Options{
		Dir: dir, Origin: "slipway.finmicro.example/log", Events: events, Log: checkpoints,
		Now: func() time.Time { at = at.Add(time.Second); return at },
	})
	ts.Check(err)
	request, err := log.Documents().Put(ctx, []byte(`{"app":"expense-tracker"}`))
	ts.Check(err)
	for _, e := range []audit.Event{
		{Actor: audit.Actor{ID: "ana@finmicro.example", Role: "product-manager"}, Action: audit.SubmitChange, Change: "c1", Resource: audit.Resource{App: "expense-tracker"}, ArtifactRefs: map[string]string{"request": request}},
		{Actor: audit.Actor{ID: "ivy@finmicro.example", Role: "infosec"}, Action: audit.ApproveChange, Change: "c1", Resource: audit.Resource{App: "expense-tracker"}, ApprovalChain: []string{"ivy@finmicro.example"}},
		{Actor: audit.Actor{ID: "slipway", Role: "system"}, Action: audit.CreateDNSRecord, Change: "c1", Resource: audit.Resource{Zone: "apps.finmicro.example", Record: "expenses.apps.finmicro.example", Type: "A", App: "expense-tracker"}, ApprovalChain: []string{"ivy@finmicro.example"}, GitCommit: strings.Repeat("ab", 20)},
	} {
		_, err := log.Append(ctx, e)
		ts.Check(err)
	}
	public, err := os.Create(filepath.Join(dir, "keys.json"))
	ts.Check(err)
	ts.Check(log.PublicKeys().Write(public))
	ts.Check(errors.Join(public.Close(), log.Close(ctx)))
}

// await waits until a file that something in the background writes has a text in it: await FILE TEXT.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await FILE TEXT")
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		content, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil && strings.Contains(string(content), args[1]) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s never had %q in it:\n%s", args[0], args[1], content)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// flip changes one bit in the middle of each named file; names may be patterns.
func flip(ts *testscript.TestScript, neg bool, args []string) {
	for _, pattern := range args {
		files, err := filepath.Glob(ts.MkAbs(pattern))
		ts.Check(err)
		if len(files) == 0 {
			ts.Fatalf("no file %s", pattern)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			ts.Check(err)
			content[len(content)/2] ^= 1
			ts.Check(os.WriteFile(file, content, 0o600))
		}
	}
}

// mode checks a file's permissions: mode 600 home/.config/slipway/token.
func mode(ts *testscript.TestScript, neg bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}
