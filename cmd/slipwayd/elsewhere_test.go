package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"slipway/audit/audittest"
	"slipway/lifecycle"
	"slipway/nameserver"
	"slipway/provider/providertest/servers"
	"slipway/starter"
	"slipway/zone"
)

// An app goes live on servers that are not Slipway's own: BIND, by signed update, and
// PowerDNS, by its API. Its zone is applied there, and it is there that it is seen.
func TestZonesElsewhere(t *testing.T) {
	const apps, public = zone.Name("apps.finmicro.example"), zone.Name("finmicro-apps.example")
	bind, pdns := servers.StartBIND(t, apps), servers.StartPowerDNS(t)
	t.Setenv("TEST_TSIG", bind.TSIG.Secret.Reveal())
	t.Setenv("TEST_API_KEY", pdns.APIKey.Reveal())

	// The starter kit, with two of its zones elsewhere.
	dir := kitWith(t, func(text string) string {
		text = strings.Replace(text, "internal, owner: finmicro.example, provider: local", "internal, owner: finmicro.example, provider: bind", 1)
		text = strings.Replace(text, string(public)+": {visibility: external, owner: finmicro.example, provider: local", string(public)+": {visibility: external, owner: finmicro.example, provider: pdns", 1)
		text = strings.Replace(text, "providers:\n", fmt.Sprintf("providers:\n  bind: {type: rfc2136, server: %q, key-name: %s, key-secret: 'env:TEST_TSIG'}\n  pdns: {type: powerdns, url: %q, api-key: 'env:TEST_API_KEY', dns: %q}\n",
			bind.Address, bind.TSIG.Name, pdns.URL, pdns.Address), 1)
		if strings.Count(text, "provider: bind") != 1 || strings.Count(text, "provider: pdns") != 1 {
			t.Fatalf("the starter kit's settings are laid out differently:\n%s", text)
		}
		return text
	})
	data := filepath.Join(audittest.TempDir(t), "data")
	srv, err := start(t.Context(), settings{
		data: data, listen: "127.0.0.1:0", dns: "127.0.0.1:0", dnsExternal: "127.0.0.1:0", namespace: "slipway",
		logFormat: "text", logLevel: "error", repository: dir, organisation: starter.Sample(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.close(t.Context())
	ana, err := srv.demoClient(t.Context(), demoRequester, "product-manager")
	if err != nil {
		t.Fatal(err)
	}
	var shown strings.Builder
	hostname := "expenses-elsewhere." + apps
	id, err := srv.demoRequest(t.Context(), &shown, ana, "expense-tracker-elsewhere", "internal", hostname, "")
	if err != nil {
		t.Fatalf("%v\n%s", err, &shown)
	}
	if err := follow(t.Context(), &shown, ana, id, lifecycle.Live); err != nil {
		t.Fatalf("%v\n%s", err, &shown)
	}
	if got, err := nameserver.Resolve(t.Context(), bind.Address, hostname, "A", 5e9); err != nil || len(got) != 1 {
		t.Errorf("BIND answers %v, %v", got, err)
	}
	if got, err := nameserver.Resolve(t.Context(), srv.names.Internal(), hostname, "A", 5e9); err == nil && len(got) > 0 { // it has the zone above, and may say that there is no such name
		t.Errorf("the embedded name server answers %v for a zone that is elsewhere", got)
	}
	// What the repository has of the other zone was served when the server started.
	if got, err := nameserver.Resolve(t.Context(), pdns.Address, public, "SOA", 5e9); err != nil || len(got) != 1 {
		t.Errorf("PowerDNS answers %v, %v", got, err)
	}
	// No credential is in anything that the server has written.
	for _, secret := range []string{bind.TSIG.Secret.Reveal(), pdns.APIKey.Reveal()} {
		err := filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil // the server is running, and files come and go
			}
			f, err := os.Open(path)
			if err != nil {
				return nil
			}
			defer f.Close()
			raw, err := io.ReadAll(io.LimitReader(f, 64<<20))
			if err == nil && strings.Contains(string(raw), secret) {
				t.Errorf("a credential stands in %s", path)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if strings.Contains(shown.String(), secret) {
			t.Error("a credential is shown")
		}
	}
}

// kitWith is a repository with the starter kit, whose settings were edited.
func kitWith(t *testing.T, edit func(settings string) string) string {
	t.Helper()
	kit, err := starter.Kit(starter.Sample())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, kit); err != nil {
		t.Fatal(err)
	}
	raw, err := fs.ReadFile(kit, "slipway.yaml")
	if err != nil {
		t.Fatal(err)
	}
	settingsFile := filepath.Join(dir, "slipway.yaml")
	if err := os.Chmod(settingsFile, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(settingsFile, []byte(edit(string(raw))), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"add", "-A"}, {"-c", "user.name=Ana", "-c", "user.email=ana@finmicro.example", "commit", "-qm", "zones"}} {
		if out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	return dir
}
