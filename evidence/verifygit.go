package evidence

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"slipway/audit"
	"slipway/lifecycle"
)

// git checks the commits that events name, who signed them, and the files of the policies
// against the commits that they are said to be from.
func (v *verifier) git() error {
	if err := v.openPack(); err != nil {
		return err
	}
	merges := 0
	var signers []ssh.PublicKey
	good, err := v.passed(func() error {
		var err error
		if signers, err = v.signers(); err != nil {
			v.problem(CheckGitSigner, signersFile, nil, "Who may sign commits cannot be read: %v.", err)
		}
		for i := range v.events {
			e := &v.events[i]
			if e.Why != WhySubject || e.Event.Action != audit.MergeChange || v.pack == nil {
				continue
			}
			d, err := lifecycle.Decode[lifecycle.MergeDetails](e.Event)
			if err != nil {
				v.inEvent(CheckEvent, e.Index, "Event %d: %v.", e.Index, err)
				continue
			}
			if v.pack.objects[e.Event.GitCommit].kind == "" && v.gone(e.Event.Change) {
				continue // said among the gaps
			}
			merges++
			v.merge(e, d, signers)
		}
		v.policies()
		return nil
	})
	if err != nil || !good || v.pack == nil {
		return err
	}
	if merges > 0 {
		v.proven(CheckGit, "The %s that events name are in the Git bundle, with the changes, parents and approvals that the events say.", count(merges, "commit"))
	}
	switch {
	case merges == 0:
	case len(signers) == 0:
		v.notProven(CheckGitSigner, "Who signed the commits. The bundle has no list of allowed signers, and you gave none.")
	case v.o.AllowedSigners == nil:
		v.proven(CheckGitSigner, "The commits are signed by the key that the bundle names for that.")
		v.notProven(CheckGitSigner, "That this key is the server's: you gave no list of allowed signers (--allowed-signers). The commits themselves are named by events that are proven.")
	default:
		v.proven(CheckGitSigner, "The commits are signed by a key that you trust for that.")
	}
	return nil
}

func (v *verifier) openPack() error {
	if v.c.files[gitFile] == nil {
		return nil
	}
	r, err := v.c.open(gitFile)
	if err != nil {
		v.problem(CheckGit, gitFile, nil, "It cannot be read: %v.", err)
		return nil
	}
	defer r.Close()
	if v.pack, err = readPack(r); err != nil {
		v.pack = nil
		v.problem(CheckGit, gitFile, nil, "It cannot be read: %v.", err)
	}
	return nil
}

// gone reports whether the bundle admits that a change's commit is not there.
func (v *verifier) gone(change string) bool {
	for _, g := range v.m.Gaps {
		if g.What == "The commit of the change "+change+"." {
			return true
		}
	}
	return false
}

// signers reads the keys of an allowed_signers file (ssh-keygen(1), ALLOWED SIGNERS).
func (v *verifier) signers() ([]ssh.PublicKey, error) {
	raw := v.o.AllowedSigners
	if raw == nil && v.c.files[signersFile] != nil {
		var err error
		if raw, err = v.c.read(signersFile, maxSmall); err != nil {
			return nil, err
		}
	}
	var keys []ssh.PublicKey
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		_, rest, _ := strings.Cut(line, " ") // the principal
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(rest))
		if err != nil {
			return nil, fmt.Errorf("%.80q: %w", line, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// merge checks one commit on main against the event that names it.
func (v *verifier) merge(e *Event, d lifecycle.MergeDetails, signers []ssh.PublicKey) {
	place := e.Index
	wrong := func(check Check, what string, args ...any) {
		v.problem(check, gitFile, &place, "The commit %s of the change %s %s", e.Event.GitCommit, e.Event.Change, fmt.Sprintf(what, args...))
	}
	c, err := v.pack.commit(e.Event.GitCommit)
	if err != nil {
		wrong(CheckGit, "cannot be read: %v.", err)
		return
	}
	if len(c.parents) != 2 || c.parents[0] != d.Base || c.parents[1] != d.Head {
		wrong(CheckGit, "does not have the parents that event %d names.", place)
	}
	if ref := "refs/slipway/merged/" + e.Event.Change; v.pack.refs[ref] != e.Event.GitCommit {
		wrong(CheckGit, "is not the one that the Git bundle has under this change.")
	}
	trailers := trailersOf(c.message)
	for name, want := range map[string]string{"Change-Id": e.Event.Change, "Change-Digest": d.ChangeDigest, "Policy-Digest": d.PolicyDigest} {
		if got := trailers[name]; len(got) != 1 || got[0] != want {
			wrong(CheckGit, "says another %s than event %d.", name, place)
		}
	}
	if got := trailers["Approved-By"]; strings.Join(got, "\n") != strings.Join(e.Event.ApprovalChain, "\n") {
		wrong(CheckGit, "names other approvers than event %d.", place)
	}
	v.named(e, trailers["Event-Id"], wrong)
	if len(signers) == 0 {
		return
	}
	if err := signedBy(c, signers); err != nil {
		wrong(CheckGitSigner, "is not signed by who may sign: %v.", err)
	}
}

// named looks for the events that a commit rests on.
func (v *verifier) named(merge *Event, ids []string, wrong func(Check, string, ...any)) {
	for _, id := range ids {
		found := false
		for i := range v.events {
			e := &v.events[i]
			found = found || e.Event.EventID == id && e.Event.Change == merge.Event.Change && e.Index < merge.Index
		}
		if !found {
			wrong(CheckLifecycle, "rests on the event %.64s, which is not among those of the change: it was left out.", id)
		}
	}
}

// trailersOf reads the last paragraph of a commit's message.
func trailersOf(message string) map[string][]string {
	message = strings.TrimRight(message, "\n")
	trailers := map[string][]string{}
	for line := range strings.SplitSeq(message[strings.LastIndex(message, "\n\n")+1:], "\n") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			trailers[canonicalTrailer(name)] = append(trailers[canonicalTrailer(name)], value)
		}
	}
	return trailers
}

// canonicalTrailer makes a trailer's name the same however it is spelt: Git takes Change-Id and Change-ID for one.
func canonicalTrailer(name string) string {
	parts := strings.Split(strings.ToLower(name), "-")
	for i, p := range parts {
		if p != "" {
			parts[i] = strings.ToUpper(p[:1]) + p[1:]
		}
	}
	return strings.Join(parts, "-")
}

func signedBy(c *commit, signers []ssh.PublicKey) error {
	if c.signature == "" {
		return fmt.Errorf("it has no signature")
	}
	sig, err := sshsig.Unarmor([]byte(c.signature))
	if err != nil {
		return err
	}
	for _, key := range signers {
		if bytes.Equal(key.Marshal(), sig.PublicKey.Marshal()) {
			return sshsig.Verify(bytes.NewReader(c.signed), sig, key, sig.HashAlgorithm, "git")
		}
	}
	return fmt.Errorf("its key is not one of them")
}

// policies compares the files below policy/ with the commits that they are from.
func (v *verifier) policies() {
	checked := 0
	good, _ := v.passed(func() error {
		for _, name := range v.c.names {
			rest, ok := strings.CutPrefix(name, policyDir)
			if !ok {
				continue
			}
			if v.pack == nil {
				v.problem(CheckGit, name, nil, "It is not known to be what it says, because the commit that it is from is not here.")
				continue
			}
			commit, file, _ := strings.Cut(rest, "/")
			want, err := v.pack.file(commit, file)
			if err != nil {
				v.problem(CheckGit, name, nil, "It is not known to be what it says: %v.", err)
				continue
			}
			got, err := v.c.read(name, int64(len(want)))
			if err != nil || !bytes.Equal(got, want) {
				v.problem(CheckGit, name, nil, "It is not the file of the commit that it is said to be from.")
				continue
			}
			checked++
		}
		return nil
	})
	if good && checked > 0 {
		v.proven(CheckGit, "The %s with the organisation's rules are those of the commits that they are said to be from.", count(checked, "file"))
	}
}
