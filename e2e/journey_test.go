//go:build integration

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/drift"
	"slipway/lifecycle"
)

// TestJourney takes changes of every tier through one server on real zones.
// The subtests build on one another: they are one organisation's day.
func TestJourney(t *testing.T) {
	source := realRepository(t, "2s")
	w := newWorld(t, "--repository", source)

	t.Run("the real zones are served as they were", func(t *testing.T) {
		// judiciary.uk is signed, and is the largest of the four.
		// The first zones are applied in the background of the first start.
		deadline := time.Now().Add(20 * time.Second)
		for w.dig("judiciary.uk", "MX") == "" {
			if time.Now().After(deadline) {
				t.Fatal("judiciary.uk has MX records in its file; the nameserver gives none")
			}
			time.Sleep(100 * time.Millisecond)
		}
		if sig := w.dig("judiciary.uk", "DNSKEY"); sig == "" {
			t.Errorf("judiciary.uk is marked dnssec: required, and has no DNSKEY")
		}
	})

	t.Run("green goes live without a human", func(t *testing.T) {
		a := w.request("cora@justice.gov.uk", "canteen", "canteen.test.justice.gov.uk", "internal",
			"--data", "none", "--a", "192.0.2.33", "--wait")
		if a.Verdict.Tier != "green" {
			t.Fatalf("tier %s: %v", a.Verdict.Tier, a.Verdict.TierReasons)
		}
		live := w.await(a.Change.ID, lifecycle.Live)
		if got := w.dig("canteen.test.justice.gov.uk", "A"); got != "192.0.2.33" {
			t.Errorf("the nameserver answers %q", got)
		}
		if len(live.Change.Votes) != 0 {
			t.Errorf("votes on a green change: %v", live.Change.Votes)
		}
		if len(live.Change.Receipts) == 0 || live.Change.Receipts[0].ProviderChange == "" {
			t.Errorf("no receipt: %+v", live.Change.Receipts)
		}
	})

	var yellow answer
	t.Run("yellow waits for one approver, and not its requester", func(t *testing.T) {
		yellow = w.request("omar@justice.gov.uk", "opening-hours", "hours.cica.gov.uk", "external", "--data", "none", "--a", "198.51.100.7")
		if yellow.Verdict.Tier != "yellow" {
			t.Fatalf("tier %s: %v", yellow.Verdict.Tier, yellow.Verdict.TierReasons)
		}
		id := yellow.Change.ID
		w.await(id, lifecycle.Waiting)

		// Omar is an approver by group, but it is his request: no door lets him.
		if r := w.slipway("omar@justice.gov.uk", "approve", id, "--yes"); r.code != 1 || !strings.Contains(r.stderr, "own") {
			t.Errorf("self-approval by command line: exit %d, %s%s", r.code, r.stdout, r.stderr)
		}
		subject := w.change(id).Change.Subject
		ballot := map[string]string{"decision": "approve", "change_digest": subject.ChangeDigest, "policy_digest": subject.PolicyDigest}
		if code, raw := w.rawAPI(w.token("omar@justice.gov.uk"), "POST", "/api/v1/changes/"+id+"/votes", ballot); code != 422 && code != 403 {
			t.Errorf("self-approval by API: %d %s", code, raw)
		}
		// Somebody in no group may not either.
		if r := w.slipway("cora@justice.gov.uk", "approve", id, "--yes"); r.code != 1 {
			t.Errorf("approval by a stranger: exit %d, %s%s", r.code, r.stdout, r.stderr)
		}
		// An approval of other content is stale.
		ballot["change_digest"] = "sha256:" + strings.Repeat("0", 64)
		if code, raw := w.rawAPI(w.token("ivy@justice.gov.uk"), "POST", "/api/v1/changes/"+id+"/votes", ballot); code != 422 && code != 409 {
			t.Errorf("stale approval: %d %s", code, raw)
		}
		if got := w.change(id).Change.Phase; got != lifecycle.Waiting {
			t.Fatalf("phase %s after refused votes", got)
		}
		if got := w.dig("hours.cica.gov.uk", "A"); got != "" {
			t.Fatalf("served before it was approved: %s", got)
		}

		if r := w.slipway("ivy@justice.gov.uk", "approve", id, "--yes"); r.code != 0 {
			t.Fatalf("approval: exit %d, %s%s", r.code, r.stdout, r.stderr)
		}
		w.await(id, lifecycle.Live)
		if got := w.dig("hours.cica.gov.uk", "A"); got != "198.51.100.7" {
			t.Errorf("the nameserver answers %q", got)
		}
	})

	t.Run("red waits for three different people", func(t *testing.T) {
		a := w.request("cora@justice.gov.uk", "probation-info", "probation-info.cica.gov.uk", "external", "--data", "pii", "--a", "198.51.100.8")
		if a.Verdict.Tier != "red" {
			t.Fatalf("tier %s: %v", a.Verdict.Tier, a.Verdict.TierReasons)
		}
		id := a.Change.ID
		w.await(id, lifecycle.Waiting)
		// Lena is in Legal and Security: she counts for one of them.
		for _, person := range []string{"lena@justice.gov.uk", "pia@justice.gov.uk"} {
			if r := w.slipway(person, "approve", id, "--yes"); r.code != 0 {
				t.Fatalf("approval by %s: exit %d, %s%s", person, r.code, r.stdout, r.stderr)
			}
		}
		if got := w.change(id).Change; got.Phase != lifecycle.Waiting || len(got.Missing) == 0 {
			t.Fatalf("two people satisfied three groups: %s, missing %v", got.Phase, got.Missing)
		}
		if r := w.slipway("lena@justice.gov.uk", "approve", id, "--yes"); r.code == 0 {
			t.Errorf("Lena voted twice: %s", r.stdout)
		}
		if r := w.slipway("sam@justice.gov.uk", "approve", id, "--yes"); r.code != 0 {
			t.Fatalf("approval by sam: exit %d, %s%s", r.code, r.stdout, r.stderr)
		}
		w.await(id, lifecycle.Live)
	})

	t.Run("a rejection ends it, with its reason", func(t *testing.T) {
		a := w.request("cora@justice.gov.uk", "raffle", "raffle.cica.gov.uk", "external", "--data", "none", "--a", "198.51.100.9")
		if r := w.slipway("ivy@justice.gov.uk", "reject", a.Change.ID); r.code != 2 && r.code != 1 {
			t.Errorf("a rejection without a reason: exit %d", r.code)
		}
		if r := w.slipway("ivy@justice.gov.uk", "reject", a.Change.ID, "--reason", "Raffles need a licence", "--yes"); r.code != 0 {
			t.Fatalf("rejection: exit %d, %s%s", r.code, r.stdout, r.stderr)
		}
		if got := w.await(a.Change.ID, lifecycle.Rejected).Change.Problem; !strings.Contains(got, "licence") {
			t.Errorf("the reason is not shown: %q", got)
		}
	})

	t.Run("the requester cancels, and may ask for a time", func(t *testing.T) {
		a := w.request("cora@justice.gov.uk", "later", "later.test.justice.gov.uk", "internal", "--data", "none", "--a", "192.0.2.40",
			"--not-before", time.Now().Add(24*time.Hour).UTC().Format(time.RFC3339))
		w.await(a.Change.ID, lifecycle.Scheduled)
		if r := w.slipway("omar@justice.gov.uk", "request", "cancel", a.Change.ID, "--reason", "not mine"); r.code != 1 {
			t.Errorf("a stranger cancelled: exit %d", r.code)
		}
		if r := w.slipway("cora@justice.gov.uk", "request", "cancel", a.Change.ID, "--reason", "changed my mind"); r.code != 0 {
			t.Fatalf("cancel: exit %d, %s%s", r.code, r.stdout, r.stderr)
		}
		w.await(a.Change.ID, lifecycle.Cancelled)
	})

	t.Run("a third party's request is red", func(t *testing.T) {
		a := w.request("bo@supplier.example", "supplier-tool", "supplier.test.justice.gov.uk", "internal", "--data", "none", "--a", "192.0.2.41")
		if a.Verdict.Tier != "red" {
			t.Errorf("tier %s: %v", a.Verdict.Tier, a.Verdict.TierReasons)
		}
	})

	t.Run("git push", func(t *testing.T) { pushes(t, w) })
	t.Run("the commit is signed", func(t *testing.T) { signatures(t, w, yellow.Change.ID) })
	t.Run("drift", func(t *testing.T) { driftFound(t, w) })
	t.Run("the log verifies, and names a flipped byte's place", func(t *testing.T) { flippedBytes(t, w) })
	t.Run("reindex gives the same pages", func(t *testing.T) { reindexed(t, w) })
}

func pushes(t *testing.T, w *world) {
	const ana = "ana@justice.gov.uk"
	dir := w.clone(ana)
	manifest := `owner: ana@justice.gov.uk
team: testing
purpose: Shows the pushed way in
exposure: internal
data: [none]
expires: ` + time.Now().AddDate(0, 6, 0).Format(time.DateOnly) + `
hostname: pushed.test.justice.gov.uk
certificate: false
records:
  - {name: pushed.test.justice.gov.uk, type: A, ttl: 300, values: [192.0.2.50]}
`
	write(t, filepath.Join(dir, "apps", "pushed.yaml"), manifest)
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-q", "-m", "Add the pushed app")

	r := gitResult(t, dir, "push", "origin", "HEAD:refs/for/main")
	if r.code != 0 || !strings.Contains(r.stderr, "GREEN") {
		t.Fatalf("push: exit %d; the pusher saw:\n%s", r.code, r.stderr)
	}
	deadline := time.Now().Add(30 * time.Second)
	for w.dig("pushed.test.justice.gov.uk", "A") != "192.0.2.50" {
		if time.Now().After(deadline) {
			t.Fatal("the pushed app is not live after 30 s")
		}
		time.Sleep(100 * time.Millisecond)
	}

	// Main has moved by now; git itself would refuse to push from behind.
	git(t, dir, "pull", "-q", "--rebase", "origin", "main")
	git(t, dir, "commit", "-q", "--allow-empty", "-m", "Straight to main")
	for _, refused := range [][]string{
		{"push", "origin", "HEAD:main"},
		{"push", "--force", "origin", "HEAD:main"},
		{"push", "origin", ":main"},
		{"push", "origin", "HEAD:refs/heads/mine"},
	} {
		before := git(t, dir, "ls-remote", "origin")
		r := gitResult(t, dir, refused...)
		if r.code == 0 || !strings.Contains(r.stderr, "refs/for/main") {
			t.Errorf("git %s: exit %d; it should say what to do instead:\n%s", strings.Join(refused, " "), r.code, r.stderr)
		}
		if after := git(t, dir, "ls-remote", "origin"); after != before {
			t.Errorf("git %s moved a ref:\n%s\n%s", strings.Join(refused, " "), before, after)
		}
	}
	git(t, dir, "reset", "-q", "--hard", "origin/main")

	// A bad change is refused where it was made, with the place.
	write(t, filepath.Join(dir, "apps", "bad.yaml"), strings.Replace(strings.ReplaceAll(manifest, "pushed", "bad"), "192.0.2.50", "not-an-address", 1))
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-q", "-m", "Add a bad app")
	r = gitResult(t, dir, "push", "origin", "HEAD:refs/for/main")
	if r.code == 0 || !strings.Contains(r.stderr, "apps/bad.yaml") {
		t.Errorf("bad push: exit %d; the pusher saw:\n%s", r.code, r.stderr)
	}

	// The author of a commit may not approve it, whoever pushed it.
	write(t, filepath.Join(dir, "apps", "bad.yaml"), strings.NewReplacer("pushed.test.justice.gov.uk", "hers.cica.gov.uk", "internal", "external", "192.0.2.50", "198.51.100.60").Replace(manifest))
	git(t, dir, "add", "-A")
	git(t, dir, "reset", "-q", "--soft", "origin/main")
	git(t, dir, "commit", "-q", "-m", "An app by Ivy", "--author", "Ivy <ivy@justice.gov.uk>")
	r = gitResult(t, dir, "push", "origin", "HEAD:refs/for/main")
	id := changeID(r.stderr)
	if r.code != 0 || id == "" {
		t.Fatalf("push: exit %d\n%s", r.code, r.stderr)
	}
	if r := w.slipway("ivy@justice.gov.uk", "approve", id, "--yes"); r.code != 1 {
		t.Errorf("the commit's author approved it: exit %d %s%s", r.code, r.stdout, r.stderr)
	}
}

// changeID finds the change in what a pusher saw.
func changeID(text string) string {
	_, rest, ok := strings.Cut(text, "/changes/")
	if !ok {
		return ""
	}
	return strings.TrimSpace(strings.FieldsFunc(rest, func(r rune) bool { return r == '\n' || r == ' ' || r == '\x1b' })[0])
}

func signatures(t *testing.T, w *world, id string) {
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("git verify-commit needs ssh-keygen (Debian package openssh-client)")
	}
	dir := w.clone("ivy@justice.gov.uk")
	_, signers := w.rawAPI("", "GET", "/allowed_signers", nil)
	allowed := filepath.Join(t.TempDir(), "allowed_signers")
	write(t, allowed, string(signers))
	commit := w.change(id).Change.Commit
	r := gitResult(t, dir, "-c", "gpg.ssh.allowedSignersFile="+allowed, "verify-commit", commit)
	if r.code != 0 || !strings.Contains(r.stderr, "Good") {
		t.Errorf("git verify-commit %s: exit %d\n%s", commit, r.code, r.stderr)
	}
	message := git(t, dir, "show", "-s", "--format=%B", commit)
	for _, trailer := range []string{"Change-Id: " + id, "Requested-by: ", "Approved-by: ", "Tier: yellow", "Change-Digest: sha256:", "Policy-Digest: sha256:", "Event-Id: "} {
		if !strings.Contains(message, trailer) {
			t.Errorf("the commit has no trailer %q:\n%s", trailer, message)
		}
	}
}

func driftFound(t *testing.T, w *world) {
	file := filepath.Join(w.data, "zones", "test.justice.gov.uk.zone")
	content := read(t, file)
	if !strings.Contains(content, "192.0.2.33") {
		t.Fatalf("the zone file has no record of the canteen:\n%s", content)
	}
	write(t, file, strings.Replace(content, "192.0.2.33", "192.0.2.66", 1))
	deadline := time.Now().Add(20 * time.Second)
	for {
		var found struct{ Reports []drift.Report }
		w.api(w.token("omar@justice.gov.uk"), "GET", "/api/v1/drift", nil, &found)
		text := fmt.Sprintf("%+v", found.Reports)
		if strings.Contains(text, "canteen.test.justice.gov.uk") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the hand edit was not reported within the interval: %s", text)
		}
		time.Sleep(200 * time.Millisecond)
	}
	r := w.slipway("omar@justice.gov.uk", "drift", "test.justice.gov.uk")
	if r.code != 1 || !strings.Contains(r.stdout, "canteen.test.justice.gov.uk") {
		t.Errorf("slipway drift: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	r = w.slipway("omar@justice.gov.uk", "audit", "log", "--action", "detect-drift", "--format", "json")
	if !strings.Contains(r.stdout, "canteen.test.justice.gov.uk") {
		t.Errorf("no event names the record:\n%s%s", r.stdout, r.stderr)
	}
	write(t, file, content)
}

func flippedBytes(t *testing.T, w *world) {
	if r := w.verify(); r.code != 0 {
		t.Fatalf("verify: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	// A copy, so that the server goes on.
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(w.data, "audit"))); err != nil {
		t.Fatal(err)
	}
	files := 0
	err := filepath.WalkDir(filepath.Join(dir, "log"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content := []byte(read(t, path))
		if len(content) == 0 {
			return nil
		}
		files++
		flipped := append([]byte(nil), content...)
		flipped[len(flipped)/2] ^= 1
		write(t, path, string(flipped))
		r := w.slipway("", "audit", "verify", "--dir", dir)
		place, _ := filepath.Rel(dir, path)
		if r.code != 1 || !strings.Contains(r.stdout+r.stderr, strings.TrimPrefix(place, "log/")) {
			t.Errorf("a flipped byte in %s: exit %d\n%s%s", place, r.code, r.stdout, r.stderr)
		}
		write(t, path, string(content))
		return nil
	})
	if err != nil || files < 3 {
		t.Errorf("flipped a byte in %d files: %v", files, err)
	}
}

func reindexed(t *testing.T, w *world) {
	pages := func() string {
		var all strings.Builder
		var list struct{ Changes []json.RawMessage }
		w.api(w.token("omar@justice.gov.uk"), "GET", "/api/v1/changes?limit=1000", nil, &list)
		for _, c := range list.Changes {
			all.Write(c)
			all.WriteByte('\n')
		}
		_, apps := w.rawAPI(w.token("omar@justice.gov.uk"), "GET", "/api/v1/apps", nil)
		all.Write(apps)
		return all.String()
	}
	before := pages()
	w.stop()
	r := run(t, exec.Command(filepath.Join(binaries, "slipwayd"), "reindex", "--data", w.data))
	if r.code != 0 {
		t.Fatalf("reindex: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	// The workflow engine's database is lost as well: nothing may depend on it.
	if err := os.RemoveAll(filepath.Join(w.data, "workflows")); err != nil {
		t.Fatal(err)
	}
	w.start()
	if after := pages(); after != before {
		t.Errorf("the pages differ after reindex:\n--- before\n%s\n--- after\n%s", before, after)
	}
}
