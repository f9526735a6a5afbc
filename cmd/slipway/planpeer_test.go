package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/provider"
	"slipway/provider/providertest/servers"
	"slipway/provider/rfc2136"
	"slipway/zone"
)

// call runs the tool in this process.
func call(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	nothing, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer nothing.Close()
	var out, errs bytes.Buffer
	run := &tool{stdin: newInput(nothing), stdout: &out, stderr: &errs, prompts: &errs, getenv: os.Getenv, now: time.Now}
	code = run.run(t.Context(), args)
	return code, out.String(), errs.String()
}

// A zone that Slipway shares with others, on a real name server: what is others' is neither planned nor shown, and the
// credential is fetched from where slipway.yaml says that it is kept.
func TestPlanAtBIND(t *testing.T) {
	const z = zone.Name("apps.finmicro.example")
	s := servers.StartBIND(t)
	if !s.Reset(z) {
		t.Fatal("no zone")
	}
	p, err := rfc2136.New(t.Context(), rfc2136.Settings{Server: s.Address, KeyName: s.TSIG.Name, KeyAlgorithm: s.TSIG.Algorithm, KeySecret: s.TSIG.Secret})
	if err != nil {
		t.Fatal(err)
	}
	live, err := p.Read(t.Context(), z)
	if err != nil {
		t.Fatal(err)
	}
	set := func(name zone.Name, typ, value string) zone.RRSet {
		r, err := zone.NewRRSet(name+"."+z, typ, 300, []string{value})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	desired := append(live.Sets, set("menu", "A", "192.0.2.20"), set("old", "A", "192.0.2.21"), set("console", "A", "203.0.113.1"),
		set("shop", "A", "203.0.113.2"), set("a-shop", "TXT", "heritage=external-dns,external-dns/owner=k8s"))
	if _, err := p.Apply(t.Context(), provider.NewPlan(z, desired, live, "others", "")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("BIND_TSIG", s.TSIG.Secret.Reveal())
	dir := t.TempDir()
	settings := func(partial bool) string {
		return fmt.Sprintf("organisation: X\nzones:\n  directory: zones\n  %s: {provider: bind, partial: %v}\nproviders:\n  bind: {type: rfc2136, server: %q, key-name: %s, key-secret: \"env:BIND_TSIG\"}\n",
			z, partial, s.Address, s.TSIG.Name)
	}
	write := func(path, text string) {
		t.Helper()
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const menu = "menu:\n  ttl: 300\n  type: A\n  value: 192.0.2.20\n"
	write("slipway.yaml", settings(true))
	write("zones/"+string(z)+".yaml", menu+"old:\n  ttl: 300\n  type: A\n  value: 192.0.2.21\n")
	commit(t, dir, "What is in force")
	write("zones/"+string(z)+".yaml", menu+"new:\n  ttl: 300\n  type: A\n  value: 192.0.2.22\n")

	code, out, errs := call(t, "plan", dir)
	if code != 0 || !strings.Contains(out, "+ new.") || !strings.Contains(out, "- old.") || !strings.Contains(out, "1 to create, 0 to change, 1 to delete") ||
		!strings.Contains(out, "4 record sets of others in this zone stay as they are.") || strings.Contains(out, "console") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	write("zones/"+string(z)+".yaml", menu+"shop:\n  ttl: 300\n  type: A\n  value: 192.0.2.66\n")
	if code, out, errs = call(t, "plan", dir); code != 2 || !strings.Contains(errs, "A shop.apps.finmicro.example cannot be set") || !strings.Contains(errs, `external-dns (owner "k8s") made it`) {
		t.Errorf("a record of external-dns: exit code %d\n%s%s", code, out, errs)
	}
	write("slipway.yaml", settings(false)) // as if all of the zone were Slipway's
	if code, out, errs = call(t, "plan", dir); code != 0 || !strings.Contains(out, "- console.") || !strings.Contains(out, "3 to delete") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	t.Setenv("BIND_TSIG", "AAAAaaaaAAAAaaaaAAAAaaaaAAAAaaaa")
	if code, out, errs = call(t, "plan", dir, "--format", "json"); code != 2 || !strings.Contains(errs, "at provider bind") || strings.Contains(out+errs, "AAAAaaaa") {
		t.Errorf("a wrong key: exit code %d\n%s%s", code, out, errs)
	}
	os.Unsetenv("BIND_TSIG")
	if code, _, errs = call(t, "plan", dir); code != 2 || !strings.Contains(errs, "env:BIND_TSIG") {
		t.Errorf("no key: exit code %d\n%s", code, errs)
	}
}
