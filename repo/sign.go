package repo

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
)

// signatureNamespace is the sshsig namespace that Git uses (gitformat-signature(5)).
const signatureNamespace = "git"

// commitObject is a commit before it is written.
type commitObject struct {
	tree              string
	parents           []string
	author, committer Person
	when              time.Time
	message           string
}

// bytes renders the commit; signature, when given, becomes its gpgsig header.
func (c commitObject) bytes(signature []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "tree %s\n", c.tree)
	for _, p := range c.parents {
		if p != "" {
			fmt.Fprintf(&b, "parent %s\n", p)
		}
	}
	stamp := fmt.Sprintf("%d %s", c.when.Unix(), c.when.Format("-0700"))
	fmt.Fprintf(&b, "author %s %s\n", c.author, stamp)
	fmt.Fprintf(&b, "committer %s %s\n", c.committer, stamp)
	if len(signature) > 0 {
		// Continuation lines of a header begin with a space.
		s := strings.TrimSuffix(string(signature), "\n")
		fmt.Fprintf(&b, "gpgsig %s\n", strings.ReplaceAll(s, "\n", "\n "))
	}
	fmt.Fprintf(&b, "\n%s", c.message)
	return b.Bytes()
}

// String renders p as Git does, without the characters that end a name or an address.
func (p Person) String() string {
	drop := func(s string) string {
		return strings.TrimSpace(strings.Map(func(r rune) rune {
			if isControl(r) || r == '<' || r == '>' {
				return -1
			}
			return r
		}, s))
	}
	name, email := strings.Trim(drop(p.Name), ".,:;\"'\\ "), strings.ReplaceAll(drop(p.Email), " ", "")
	if name == "" {
		name = email
	}
	return fmt.Sprintf("%s <%s>", name, email)
}

// writeCommit stores a commit, signed when there is a signer. With a signer whose
// signatures are deterministic (Ed25519), the same commit has the same name.
func (r *Repo) writeCommit(ctx context.Context, c commitObject, signer ssh.Signer) (string, error) {
	if !isObjectID(c.tree) {
		return "", fmt.Errorf("commit: %q is not a tree", c.tree)
	}
	if c.author.Email == "" {
		return "", fmt.Errorf("commit: the author has no e-mail address")
	}
	c.when = c.when.Truncate(time.Second)
	raw := c.bytes(nil)
	if signer != nil {
		sig, err := sshsig.Sign(bytes.NewReader(raw), signer, sshsig.HashSHA512, signatureNamespace)
		if err != nil {
			return "", fmt.Errorf("sign commit: %w", err)
		}
		raw = c.bytes(sshsig.Armor(sig))
	}
	return r.git.line(ctx, bytes.NewReader(raw), "hash-object", "-t", "commit", "-w", "--stdin")
}

// cleanMessage brings a commit message into Git's usual form: valid UTF-8, no
// control characters, no blank lines at either end, one line end.
func cleanMessage(s string) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\r\n", "\n"), "�")
	s = strings.Map(func(r rune) rune {
		if isControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, s)
	if len(s) > maxMessage {
		s = strings.ToValidUTF8(s[:maxMessage], "")
	}
	if s = strings.TrimSpace(s); s == "" {
		s = "Change the zones repository"
	}
	return s + "\n"
}

// AllowedSigners renders the allowed_signers file (ssh-keygen(1), ALLOWED
// SIGNERS) with which `git verify-commit` accepts commits signed by keys under
// the principal's name, and nothing else signed by them.
func AllowedSigners(principal string, keys ...ssh.PublicKey) []byte {
	var b bytes.Buffer
	for _, k := range keys {
		fmt.Fprintf(&b, "%s namespaces=\"%s\" %s", principal, signatureNamespace, ssh.MarshalAuthorizedKey(k))
	}
	return b.Bytes()
}
