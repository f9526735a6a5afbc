package postgres_test

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// cluster is a PostgreSQL server of its own, with a Unix socket only.
type cluster struct {
	t       testing.TB
	bin     string // directory of its programs
	dir     string
	account *syscall.Credential // PostgreSQL does not run as root
}

// newCluster makes and starts a server. The test skips where there is no PostgreSQL.
func newCluster(t testing.TB) *cluster {
	t.Helper()
	c := &cluster{t: t, bin: programs(t)}
	// The path of a Unix socket may have about a hundred bytes, and the directories of tests
	// are closed to other accounts.
	dir, err := os.MkdirTemp("", "pg-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	c.dir = dir
	if os.Getuid() == 0 {
		u, err := user.Lookup("nobody")
		if err != nil {
			t.Skipf("PostgreSQL does not run as root, and there is no account nobody: %v", err)
		}
		uid, _ := strconv.ParseUint(u.Uid, 10, 32)
		gid, _ := strconv.ParseUint(u.Gid, 10, 32)
		c.account = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), NoSetGroups: true}
		if err := os.Chown(dir, int(uid), int(gid)); err != nil {
			t.Fatal(err)
		}
	}
	passwords := filepath.Join(dir, "pw")
	if err := os.WriteFile(passwords, []byte(password+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	c.run("initdb", "-D", filepath.Join(dir, "data"), "-U", "slipway", "--pwfile", passwords, "-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync")
	c.start()
	t.Cleanup(func() { c.stop() })
	return c
}

const password = "hunter2hunter2"

// programs finds where PostgreSQL's are: Debian keeps those of each version apart.
func programs(t testing.TB) string {
	t.Helper()
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.Reverse(dirs)
	if path, err := exec.LookPath("initdb"); err == nil {
		dirs = append(dirs, filepath.Dir(path))
	}
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, "pg_ctl")); err == nil {
			return dir
		}
	}
	t.Skip("PostgreSQL is not installed (Debian: postgresql)")
	return ""
}

func (c *cluster) run(program string, args ...string) {
	c.t.Helper()
	cmd := exec.Command(filepath.Join(c.bin, program), args...)
	cmd.Dir = c.dir
	if c.account != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.account}
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second // the server that pg_ctl starts keeps the output open
	if err := cmd.Run(); err != nil && !strings.Contains(err.Error(), "WaitDelay") {
		log, _ := os.ReadFile(filepath.Join(c.dir, "log"))
		c.t.Fatalf("%s: %v: %s%s", program, err, out.String(), log)
	}
}

func (c *cluster) start() {
	c.t.Helper()
	c.run("pg_ctl", "-D", filepath.Join(c.dir, "data"), "-l", filepath.Join(c.dir, "log"), "-w", "-t", "60",
		"-o", fmt.Sprintf("-c listen_addresses= -c unix_socket_directories=%s -c fsync=off", c.dir), "start")
}

// stop lets go of all connections at once, as a crash would.
func (c *cluster) stop() {
	c.t.Helper()
	if _, err := os.Stat(filepath.Join(c.dir, "data", "postmaster.pid")); err == nil {
		c.run("pg_ctl", "-D", filepath.Join(c.dir, "data"), "-m", "immediate", "-w", "stop")
	}
}

// url names the database, with a schema for each test.
func (c *cluster) url(schema string) string {
	u := url.URL{Scheme: "postgres", User: url.User("slipway"), Path: "/postgres", RawQuery: url.Values{"host": {c.dir}, "schema": {schema}, "sslmode": {"disable"}}.Encode()}
	return u.String()
}
