package fetch

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
	"oras.land/oras-go/v2"

	"slipway/pack"
)

// startRegistry starts Debian's docker-registry on a free port and returns its address.
func startRegistry(t *testing.T, passwords string) string {
	t.Helper()
	binary, err := exec.LookPath("docker-registry")
	if err != nil {
		t.Skip("docker-registry is not installed: apt-get install docker-registry")
	}
	dir := t.TempDir()
	config := fmt.Sprintf("version: 0.1\nlog: {level: info, formatter: text}\nstorage: {filesystem: {rootdirectory: %q}}\nhttp: {addr: '127.0.0.1:0'}\n", filepath.Join(dir, "data"))
	if passwords != "" {
		file := filepath.Join(dir, "htpasswd")
		if err := os.WriteFile(file, []byte(passwords), 0o600); err != nil {
			t.Fatal(err)
		}
		config += fmt.Sprintf("auth: {htpasswd: {realm: packs, path: %q}}\n", file)
	}
	file := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(binary, "serve", file)
	log, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stdout = nil
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	address := make(chan string, 1)
	go func() {
		listening := regexp.MustCompile(`listening on (127\.0\.0\.1:\d+)`)
		lines := bufio.NewScanner(log)
		for lines.Scan() {
			if m := listening.FindStringSubmatch(lines.Text()); m != nil {
				address <- m[1]
			}
		}
		close(address)
	}()
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	select {
	case a, ok := <-address:
		if !ok {
			t.Fatal("docker-registry ended before it listened")
		}
		return a
	case <-time.After(20 * time.Second):
		t.Fatal("docker-registry does not listen after 20 seconds")
	}
	return ""
}

// A real registry takes a pack and gives the same bytes back.
func TestRegistry(t *testing.T) {
	address := startRegistry(t, "")
	src := get(t, "builtin:email-auth", Options{})
	p, err := pack.Open(src, nil)
	if err != nil {
		t.Fatal(err)
	}
	target := ociScheme + address + "/packs/email-auth:1.0.0"
	refused(t, target, Options{}, "does not give the artifact")
	digest, err := Publish(t.Context(), src, p, target, Options{})
	if err != nil {
		t.Fatal(err)
	}
	again, err := Publish(t.Context(), src, p, target, Options{})
	if err != nil || again != digest {
		t.Errorf("published again as %s, not %s: %v", again, digest, err)
	}
	for _, source := range []string{target, ociScheme + address + "/packs/email-auth@" + digest} {
		if !bytes.Equal(get(t, source, Options{}), src) {
			t.Errorf("%s gives another bundle", source)
		}
	}
	refused(t, ociScheme+address+"/packs/email-auth:2.0.0", Options{}, "does not give the artifact")
	refused(t, ociScheme+address+"/packs/email-auth", Options{}, "not an artifact")

	// What conftest pushes is no pack, and is told apart.
	r, ref, err := (Options{}).repository(ociScheme + address + "/loose:latest")
	if err != nil {
		t.Fatal(err)
	}
	layer, err := oras.PushBytes(t.Context(), r, conftestLayer, []byte("package main\n"))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := oras.PackManifest(t.Context(), r, oras.PackManifestVersion1_0, "application/vnd.cncf.openpolicyagent.config.v1+json", oras.PackManifestOptions{Layers: append(oras.PackManifestOptions{}.Layers, layer)})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Tag(t.Context(), manifest, ref.Reference); err != nil {
		t.Fatal(err)
	}
	refused(t, ociScheme+address+"/loose:latest", Options{}, "conftest push")
}

// A registry's password is looked up in Docker's config.json, and shown nowhere.
func TestRegistryWithPassword(t *testing.T) {
	const password = "for-the-registry-alone"
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	address := startRegistry(t, "ana:"+string(hash)+"\n")
	config := filepath.Join(t.TempDir(), "config.json")
	login := base64.StdEncoding.EncodeToString([]byte("ana:" + password))
	if err := os.WriteFile(config, fmt.Appendf(nil, `{"auths": {%q: {"auth": %q}}}`, address, login), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(empty, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	src := get(t, "builtin:tls", Options{})
	p, err := pack.Open(src, nil)
	if err != nil {
		t.Fatal(err)
	}
	target := ociScheme + address + "/packs/tls:1.0.0"
	if _, err := Publish(t.Context(), src, p, target, Options{DockerConfig: empty}); err == nil {
		t.Error("published without a password")
	}
	if _, err := Publish(t.Context(), src, p, target, Options{DockerConfig: config}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(get(t, target, Options{DockerConfig: config}), src) {
		t.Error("another bundle came")
	}
	if _, err := Get(t.Context(), target, Options{DockerConfig: empty}); err == nil || strings.Contains(err.Error(), password) || strings.Contains(err.Error(), login) {
		t.Errorf("got %v", err)
	}
}
