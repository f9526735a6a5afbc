package evidence

import (
	"encoding/base64"
	"strings"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"slipway/audit"
	"slipway/audit/timestamp"
)

// What others than the log's owner signed of it is what holds against an owner who has the key.

// witnesses checks who cosigned the log, and that the bundle's state of it goes on from there.
func (v *verifier) witnesses() error {
	const all = "That the log shows everybody the same history. Its owner has its key, and could keep two."
	raw, err := v.c.read(cosignedFile, maxSmall)
	there := v.c.files[cosignedFile] != nil
	switch {
	case v.o.Witnesses == nil && there:
		v.notProven(CheckWitness, "%s Witnesses have signed it, but you named none to trust (--witness-policy).", all)
		return nil
	case v.o.Witnesses == nil:
		v.notProven(CheckWitness, "%s No witness has signed it.", all)
		return nil
	case !there:
		v.problem(CheckWitness, cosignedFile, nil, "No witness has signed the log.")
		return nil
	case err != nil:
		v.problem(CheckWitness, cosignedFile, nil, "It cannot be read: %v.", err)
		return nil
	}
	tree, ok := v.wentOn(CheckWitness, cosignedFile, raw)
	if !ok {
		return nil
	}
	who, _, err := v.o.Witnesses.Verify(raw)
	if err != nil {
		v.problem(CheckWitness, cosignedFile, nil, "The witnesses that you trust have not signed it: %v.", err)
		return nil
	}
	v.proven(CheckWitness, "%s signed that the log had these first %d events, and no others, at the time.", strings.Join(who, ", "), tree.Size)
	if later := v.since(tree.Size); later > 0 {
		v.notProven(CheckWitness, "That everybody sees the newest %s of this bundle: the witnesses had not signed so far yet.", count(later, "event"))
	}
	return nil
}

// since counts the events that came after a state of the log.
func (v *verifier) since(size uint64) int {
	n := 0
	for i := range v.events {
		if v.events[i].Index >= size {
			n++
		}
	}
	return n
}

// wentOn checks that a checkpoint is the log's, and that the log only grew from there to the bundle's.
func (v *verifier) wentOn(check Check, file string, raw []byte) (audit.Tree, bool) {
	tree, err := audit.OpenCheckpoint(raw, v.trust.Log)
	if err != nil {
		v.problem(check, file, nil, "It is not signed by the log's key: %v.", err)
		return tree, false
	}
	then, err1 := base64.StdEncoding.DecodeString(tree.Root)
	now, err2 := base64.StdEncoding.DecodeString(v.m.Tree.Root)
	path, known := v.consistency[tree.Size]
	if err1 != nil || err2 != nil || !known ||
		proof.VerifyConsistency(rfc6962.DefaultHasher, tree.Size, v.m.Tree.Size, path, then, now) != nil {
		v.problem(check, file, nil, "The log of the bundle does not go on from this state of %d events, or the bundle does not prove it: there may be two histories.", tree.Size)
		return tree, false
	}
	return tree, true
}

// readConsistency reads how the log grew.
func (v *verifier) readConsistency() error {
	v.consistency = map[uint64][][]byte{}
	if v.c.files[consistentFile] == nil {
		return nil
	}
	err := v.c.lines(consistentFile, func(_ int, line []byte) error {
		var l consistencyLine
		if err := strict(line, &l); err != nil {
			return err
		}
		path, err := hashes(l.Path)
		if l.To == v.m.Tree.Size {
			v.consistency[l.From] = path
		}
		return err
	})
	if err != nil {
		v.problem(CheckWitness, consistentFile, nil, "It cannot be read: %v.", err)
	}
	return nil
}

// timestamps checks what timestamp authorities signed of the log.
func (v *verifier) timestamps() error {
	const when = "When things happened. The times in the events are the server's own."
	if v.data == nil {
		return nil
	}
	if len(v.data.Timestamps) == 0 || v.o.TimestampRoots == nil {
		if len(v.data.Timestamps) > 0 {
			v.notProven(CheckTimestamp, "%s Authorities have timestamped the log, but you named none to trust (--timestamp-roots).", when)
		} else {
			v.notProven(CheckTimestamp, "%s No timestamp authority has signed the log after them.", when)
		}
		return nil
	}
	for _, s := range v.data.Timestamps {
		token, ok1 := v.content(s.Token)
		checkpoint, ok2 := v.content(s.Checkpoint)
		if !ok1 || !ok2 {
			continue // reported among the documents
		}
		file := documentsDir + strings.TrimPrefix(s.Checkpoint, "sha256:")
		tree, ok := v.wentOn(CheckTimestamp, file, checkpoint)
		if !ok {
			continue
		}
		at, signer, err := timestamp.Verify(token, checkpoint, v.o.TimestampRoots)
		if err != nil {
			v.problem(CheckTimestamp, documentsDir+strings.TrimPrefix(s.Token, "sha256:"), nil, "The timestamp is not one that you can trust: %v.", err)
			continue
		}
		v.proven(CheckTimestamp, "The log's first %d events were there on %s at the latest, says %s.", tree.Size, at.Format("2006-01-02 15:04:05 UTC"), signer.Subject)
	}
	return nil
}
