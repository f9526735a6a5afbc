// Command verify-evidence is a second verifier of Slipway's bundles of evidence, written from docs/evidence.md:
// it uses none of Slipway's packages, so that nobody has to believe the program that made a bundle. It
// prints what is wrong, and ends with 0 when nothing is. Commits it leaves to git.
package main

import (
	"archive/zip"
	"bytes"
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type object map[string]any

func parse(raw []byte) (o object) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	_ = d.Decode(&o) // what cannot be read has no members
	return o
}

// get is a member of a member…; at is the same as text, list as a list.
func (o object) get(names ...string) any {
	var v any = map[string]any(o)
	for _, name := range names {
		v = as(v)[name]
	}
	return v
}
func (o object) at(names ...string) string {
	return strings.TrimPrefix(fmt.Sprint(o.get(names...)), "<nil>")
}
func as(v any) object                       { o, _ := v.(map[string]any); return o }
func (o object) list(names ...string) []any { list, _ := o.get(names...).([]any); return list }

type event struct {
	object
	index int64
	why   string
	raw   []byte
}

type verifier struct {
	files    map[string][]byte
	vkey     string // of the log, trusted
	m        object // the manifest
	size     int64  // of the log
	events   []event
	problems int
}

// check reports a problem unless all is well.
func (v *verifier) check(ok bool, check, what string, args ...any) bool {
	if !ok {
		v.problems++
		fmt.Printf("%s: %s\n", check, fmt.Sprintf(what, args...))
	}
	return ok
}

func main() {
	keys, err := os.ReadFile(append(os.Args, "", "")[2])
	z, zipErr := zip.OpenReader(append(os.Args, "")[1])
	if err = cmp.Or(err, zipErr); err != nil {
		fmt.Fprintln(os.Stderr, "usage: verify-evidence BUNDLE KEYS\n", err)
		os.Exit(2)
	}
	lines := strings.Split(strings.TrimSpace(string(keys)), "\n") // as `slipway audit keys` prints them, or the log's key alone
	v := &verifier{files: map[string][]byte{}, vkey: cmp.Or(parse(keys).at("log"), lines[len(lines)-1])}
	left := int64(1 << 30) // bytes that this program reads into memory
	for _, f := range z.File {
		r, err := f.Open()
		if v.check(v.files[f.Name] == nil && filepath.IsLocal(f.Name) && err == nil, "container", "%q has no place in a bundle", f.Name) {
			v.files[f.Name], err = io.ReadAll(io.LimitReader(r, left))
			left -= int64(len(v.files[f.Name]))
			v.check(err == nil && left > 0, "container", "%s cannot be read: %v", f.Name, err)
		}
	}
	for _, check := range []func(){v.manifest, v.log, v.signatures, v.chosen, v.documents, v.git, v.changes, v.seal} {
		check()
	}
	fmt.Printf("%d events, %d problems; not looked at: data.json, reports, witnesses, timestamps\n", len(v.events), v.problems)
	os.Exit(min(v.problems, 1))
}

func hash(raw []byte) string { s := sha256.Sum256(raw); return hex.EncodeToString(s[:]) }

func (v *verifier) manifest() {
	v.m = parse(v.files["manifest.json"])
	v.check(v.m.at("format") == "slipway-evidence/1", "manifest", "not one that this program knows")
	listed := map[string]bool{"manifest.json": true, "seal": true}
	for _, f := range v.m.list("files") {
		name := as(f).at("path")
		listed[name] = v.check(v.files[name] != nil && hash(v.files[name]) == as(f).at("sha256"), "manifest", "%s is missing or altered", name)
	}
	for name := range v.files {
		v.check(listed[name], "manifest", "%s is not as listed", name)
	}
}

// checkpoint opens a signed note (C2SP tlog-checkpoint).
func (v *verifier) checkpoint(raw []byte) (size int64, root string) {
	if key, err := note.NewVerifier(v.vkey); err == nil {
		if n, err := note.Open(raw, note.VerifierList(key)); err == nil {
			fmt.Sscanf(strings.TrimPrefix(n.Text, key.Name()+"\n"), "%d\n%s\n", &size, &root)
		}
	}
	return size, root
}

// included checks an RFC 6962 audit path.
func included(leaf []byte, index, size int64, path []tlog.Hash, root string) bool {
	want, err := tlog.ParseHash(root)
	return err == nil && index < size && tlog.CheckRecord(path, size, want, index, tlog.RecordHash(leaf)) == nil
}

func (v *verifier) log() {
	size, root := v.checkpoint(v.files["checkpoint"])
	v.size = size
	v.check(size > 0 && fmt.Sprint(size) == v.m.at("tree", "size") && root == v.m.at("tree", "root"), "checkpoint", "not the manifest's, or not signed by the trusted key")
	lines, proofs := bytes.Split(v.files["events.jsonl"], []byte("\n")), bytes.Split(v.files["proofs.jsonl"], []byte("\n"))
	v.check(fmt.Sprint(len(lines)-1) == v.m.at("events") && len(lines) == len(proofs), "inclusion", "%d events and %d proofs", len(lines), len(proofs))
	for i := range min(len(lines), len(proofs)) - 1 {
		var p struct{ Path []tlog.Hash }
		_ = json.Unmarshal(proofs[i], &p) // a wrong path leads to another root
		index, _ := strconv.ParseInt(parse(proofs[i]).at("index"), 10, 64)
		v.check(len(v.events) == 0 || v.events[len(v.events)-1].index < index, "order", "event %d stands too late", index)
		if v.check(included(lines[i], index, size, p.Path, root), "inclusion", "event %d is not in the log", index) {
			v.events = append(v.events, event{parse(lines[i]), index, parse(proofs[i]).at("why"), lines[i]})
		}
	}
}

// id is the RFC 7638 thumbprint of an Ed25519 key as a JWK; this program knows no other keys.
func (o object) id() string {
	sum := sha256.Sum256(fmt.Appendf(nil, `{"crv":"Ed25519","kty":"OKP","x":%q}`, o.at("x")))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// signed checks a detached JWS (RFC 7515 appendix F) over the event without its signature.
func (e event) signed(key object) bool {
	b64 := base64.RawURLEncoding
	header := b64.EncodeToString([]byte(`{"alg":"EdDSA","kid":"` + key.id() + `"}`))
	encoded, ok := strings.CutPrefix(e.at("signature"), header+"..")
	sig, err := b64.DecodeString(encoded)
	x, _ := b64.DecodeString(key.at("x"))
	before, after, found := bytes.Cut(e.raw, []byte(`,"signature":"`+e.at("signature")+`"`)) // no other value can have this text
	input := []byte(header + "." + b64.EncodeToString(slices.Concat(before, after)))
	return ok && err == nil && found && len(x) == ed25519.PublicKeySize && ed25519.Verify(x, input, sig)
}

// signatures follows the keys from the one that began the log.
func (v *verifier) signatures() {
	var key object
	for i, e := range v.events {
		for _, k := range e.list("details", "events", "keys") {
			if i == 0 && e.index == 0 && e.at("action") == "start-log" && e.at("details", "log") == v.vkey && as(k).id() == e.at("key_id") {
				key = as(k)
			}
		}
		v.check(e.at("key_id") == key.id() && e.signed(key), "signature", "event %d is not signed by the key whose turn it was", e.index)
		if e.at("action") == "rotate-key" {
			key = as(e.get("details", "key"))
		}
	}
}

// chosen checks that the bundle is about its subject, and that a complete one leaves nothing out.
func (v *verifier) chosen() {
	s, next, named := as(v.m.get("subject")), int64(0), false
	period, complete := s.at("app")+s.at("zone")+s.at("change") == "", s.at("complete") == "true"
	for _, e := range v.events {
		about := e.why == "subject"
		for of, name := range map[string]string{s.at("app"): e.at("resource", "app"), s.at("zone"): e.at("resource", "zone"), s.at("change"): e.at("change")} {
			named = named || period || about && of != "" && of == name
		}
		v.check(next == 0 || e.index == next || period && !about || !period && !complete, "subject", "event %d is left out", next)
		if about || next > 0 && complete {
			next = e.index + 1
		}
	}
	v.check(named && (!complete || next == v.size), "subject", "the bundle is not about its subject, or not all of it")
}

func (v *verifier) documents() {
	known, erased := map[string]bool{}, map[string]bool{}
	for _, e := range v.events {
		erased[e.at("resource", "name")] = erased[e.at("resource", "name")] || e.at("action") == "erase-document"
	}
	for _, e := range v.events {
		for _, ref := range as(e.get("artifact_refs")) {
			digest := fmt.Sprint(ref)
			file := "documents/" + strings.TrimPrefix(digest, "sha256:")
			content, there := v.files[file]
			known[file] = known[file] || e.why != "boundary" && v.check(!there && erased[digest] || there && "sha256:"+hash(content) == digest, "document", "%s is altered or missing", file)
		}
	}
	for name := range v.files {
		v.check(known[name] || !strings.HasPrefix(name, "documents/"), "document", "no event names %s", name)
	}
}

// git unpacks the Git bundle, and holds commits to events and policies to commits.
func (v *verifier) git() {
	dir, _ := os.MkdirTemp("", "verify-evidence-")
	defer os.RemoveAll(dir)
	_ = os.WriteFile(filepath.Join(dir, "signers"), v.files["git/allowed_signers"], 0o600)
	git := func(stdin []byte, args ...string) string {
		c := exec.Command("git", append([]string{"-c", "gpg.ssh.allowedSignersFile=signers"}, args...)...)
		c.Dir, c.Stdin = dir, bytes.NewReader(stdin)
		out, _ := c.Output() // what git cannot do is found missing below
		return string(out)
	}
	_, pack, there := bytes.Cut(v.files["git/zones.bundle"], []byte("\n\n"))
	git(nil, "init", "-q")
	git(pack, "unpack-objects", "-q")
	for _, e := range v.events {
		if there && e.why == "subject" && e.at("action") == "merge-change" {
			said := git(nil, "show", "-s", "--format=%P %G? %(trailers:key=Change-Id,valueonly,separator=)", e.at("git_commit"))
			want := fmt.Sprintf("%s %s G %s\n", e.at("details", "base"), e.at("details", "head"), e.at("change"))
			v.check(said == want, "git", "the commit of %s is another, or not signed by who may", e.at("change"))
		}
	}
	for name, content := range v.files {
		if rest, policy := strings.CutPrefix(name, "policy/"); policy {
			v.check(git(nil, "cat-file", "blob", strings.Replace(rest, "/", ":", 1)) == string(content), "git", "%s is not what the commit has", name)
		}
	}
}

// changes checks that what was merged had been approved by others, and that no step of what went live is missing.
func (v *verifier) changes() {
	what := func(e event) string { return e.at("details", "change_digest") + " " + e.at("details", "policy_digest") }
	for at, last := range v.events {
		n, approved, seen, id := map[string]int{}, map[string]string{}, map[string]event{}, last.at("change")
		for _, e := range v.events[:at] {
			action, zone := e.at("action"), e.at("resource", "zone")
			switch {
			case e.why != "subject" || e.at("change") != id:
				continue
			case action == "approve-change" || action == "approve-by-rule":
				approved[e.at("actor", "id")] = what(e)
			case action == "withdraw-approval":
				delete(approved, e.at("actor", "id"))
			case action == "void-approvals":
				clear(approved)
			case strings.HasSuffix(action, "-dns-record"):
				n[zone]++
			case action == "apply-zone" && last.at("action") == "go-live":
				v.check(e.at("details", "edits") == fmt.Sprint(n[zone]), "life-cycle", "%s: record sets of %s are left out", id, zone)
			}
			n[action]++
			seen[action] = e
		}
		merge, check, asked := seen["merge-change"], seen["check-change"], seen["submit-change"].at("actor", "id")
		switch chain := last.list("approval_chain"); {
		case last.why == "subject" && last.at("action") == "go-live":
			v.check(fmt.Sprint(n["apply-zone"]) == merge.at("details", "zone_count") && n["issue-certificate"] >= len(merge.list("details", "certify")), "life-cycle", "%s: steps are left out", id)
		case last.why == "subject" && last.at("action") == "merge-change":
			v.check(check.at("details", "denied") == "false" && what(check) == what(last), "approval", "%s was not merged as it was judged", id)
			v.check(len(chain) > 0 || approved["slipway"] == what(last), "approval", "%s was approved by nobody", id)
			for _, who := range chain {
				own := slices.Contains(check.list("details", "authors"), who) || who == asked || asked == ""
				v.check(!own && approved[fmt.Sprint(who)] == what(last), "approval", "%s: %q is no approver of it", id, who)
			}
		}
	}
}

// seal checks the C2SP tlog-proof of the event that names this manifest, if the bundle has one.
func (v *verifier) seal() {
	head, checkpoint, _ := bytes.Cut(v.files["seal"], []byte("\n\n"))
	words, path := append(strings.Fields(string(head)), "", "", "", "", ""), []tlog.Hash{}
	for _, word := range words[5:] {
		if h, err := tlog.ParseHash(word); err == nil {
			path = append(path, h)
		}
	}
	raw, _ := base64.StdEncoding.DecodeString(words[2])
	index, _ := strconv.ParseInt(words[4], 10, 64) // 0 when it is none
	size, root := v.checkpoint(checkpoint)
	ours := parse(raw).at("action") == "export-evidence" && parse(raw).at("details", "bundle") == "sha256:"+hash(v.files["manifest.json"])
	v.check(ours && included(raw, index, size, path, root) || v.files["seal"] == nil, "seal", "it is not of this bundle")
}
