package policy

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"slipway/zone"
)

// exploding are policies that would take all memory there is.
var exploding = map[string]string{
	"ranges":   "deny contains msg if {\n\txs := numbers.range(1, 1000000000)\n\tmsg := sprintf(\"%d\", [count(xs)])\n}\n",
	"products": "few := numbers.range(1, 3000)\n\ndeny contains msg if {\n\txs := [x | some a in few; some b in few; x := [a, b]]\n\tmsg := sprintf(\"%d\", [count(xs)])\n}\n",
	"doubling": doubling(48),
}

// doubling makes a text twice as long with each rule.
func doubling(n int) string {
	var out strings.Builder
	out.WriteString("s0 := \"sixteen letters.\"\n\n")
	for i := range n {
		fmt.Fprintf(&out, "s%d := concat(\"\", [s%d, s%d])\n\n", i+1, i, i)
	}
	fmt.Fprintf(&out, "deny contains msg if msg := sprintf(\"%%d\", [count(s%d)])\n", n)
	return out.String()
}

func explode(t *testing.T, src string, l Limits) error {
	t.Helper()
	p, err := Compile(t.Context(), Bundle{Name: "repository", Own: true, Files: []File{
		{Path: "policies/tier.rego", Src: []byte("package slipway.tier\n\ntier := \"green\"\n")},
		{Path: "policies/boom.rego", Src: []byte("package boom\n\n" + src)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Within(l).Judge(t.Context(), Input{}, time.Time{})
	return err
}

// A policy that explodes is stopped, and its file is named. Each runs in a process of its own, whose memory the
// system has measured.
func TestMemory(t *testing.T) {
	if which := os.Getenv("POLICY_EXPLODES"); which != "" {
		err := explode(t, exploding[which], Limits{Time: time.Minute})
		var fault *zone.Error
		if !errors.As(err, &fault) || fault.Place.Path != "policies/boom.rego" || !strings.Contains(fault.What, "took more than 96 MB of memory") {
			t.Errorf("got %v", err)
		}
		status, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Fatal(err)
		}
		_, peak, _ := bytes.Cut(status, []byte("VmHWM:"))
		kb, err := strconv.Atoi(string(bytes.Fields(peak)[0]))
		if err != nil || kb > 512<<10 {
			t.Errorf("the process took %d MB, %v", kb>>10, err)
		}
		t.Logf("the process took %d MB", kb>>10)
		return
	}
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("this system does not say how much memory a process took")
	}
	for which := range exploding {
		c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMemory$", "-test.v")
		c.Env = append(os.Environ(), "POLICY_EXPLODES="+which)
		out, err := c.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", which, err, out)
		}
		if _, after, found := strings.Cut(string(out), "the process took "); found {
			t.Logf("%s: %s", which, strings.SplitN(after, "\n", 2)[0])
		}
	}
}

// Garbage is not held against a policy, and limits are those that were given.
func TestLimits(t *testing.T) {
	garbage := "deny contains msg if {\n\tsome i in numbers.range(1, 3000)\n\tcount(sprintf(\"%200000d\", [i])) < 0\n\tmsg := \"never\"\n}\n"
	if err := explode(t, garbage, Limits{Time: time.Minute}); err != nil {
		t.Errorf("garbage: %v", err)
	}
	if err := explode(t, exploding["products"], Limits{Time: 50 * time.Millisecond, Memory: 1 << 40}); err == nil || !strings.Contains(err.Error(), "took longer than 50ms") {
		t.Errorf("time: %v", err)
	}
	if err := explode(t, exploding["doubling"], Limits{Time: time.Minute, Memory: 16 << 20}); err == nil || !strings.Contains(err.Error(), "more than 16 MB") {
		t.Errorf("memory: %v", err)
	}
}

func BenchmarkGuard(b *testing.B) {
	for b.Loop() {
		if err := (Limits{}).guard(b.Context()).end(); err != nil {
			b.Fatal(err)
		}
	}
}
