package evidence

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"slipway/audit"
)

// documents checks every document against its name, and that every one that an event refers to
// is there or was erased on record.
func (v *verifier) documents() error {
	erased := map[string]*Event{}
	for i := range v.events {
		if e := &v.events[i]; e.Event.Action == audit.EraseDocument {
			erased[e.Event.Resource.Name] = e
		}
	}
	good, err := v.passed(func() error {
		wanted := map[string]bool{}
		for i := range v.events {
			e := &v.events[i]
			if e.Why == WhyBoundary {
				continue
			}
			for _, digest := range e.Event.ArtifactRefs {
				file := documentsDir + strings.TrimPrefix(digest, "sha256:")
				if wanted[file] {
					continue
				}
				wanted[file] = true
				v.document(e.Index, digest, file, erased[digest])
			}
		}
		for _, name := range v.c.names {
			if strings.HasPrefix(name, documentsDir) && !wanted[name] {
				v.problem(CheckDocument, name, nil, "No event refers to this document.")
			}
		}
		return nil
	})
	if err != nil || !good {
		return err
	}
	v.proven(CheckDocument, "All %d documents are those that the events name by their SHA-256.", v.result.Documents)
	return nil
}

func (v *verifier) document(index uint64, digest, file string, erased *Event) {
	sum, listed := v.hashes[file]
	switch {
	case v.c.files[file] != nil && listed && "sha256:"+sum == digest:
		v.result.Documents++ // the manifest's sum was compared with the content
	case v.c.files[file] != nil:
		v.problem(CheckDocument, file, &index, "The document is not the one that event %d names.", index)
	case erased != nil:
		v.proven(CheckDocument, "The document %s is not here because it was erased on %s by %s, who gave as the reason: %s",
			digest, erased.Event.Timestamp.UTC().Format("2006-01-02 15:04 UTC"), erased.Event.Actor.ID, detail(&erased.Event).Because)
	default:
		why := v.m.Absent[digest]
		if why != "" {
			why = " The bundle says: " + why
		}
		v.problem(CheckDocument, file, &index, "Event %d refers to this document, which is not here, and no event says that it was erased.%s", index, why)
	}
}

// document content for Fold, which reads requests and verdicts only.
func (v *verifier) content(digest string) ([]byte, bool) {
	file := documentsDir + strings.TrimPrefix(digest, "sha256:")
	if sum := v.hashes[file]; "sha256:"+sum != digest {
		return nil, false
	}
	raw, err := v.c.read(file, audit.MaxDocument)
	return raw, err == nil
}

// tell makes the data again from the events, and compares.
func (v *verifier) tell() error {
	raw, err := v.c.read(checkpointFile, maxSmall)
	if err != nil {
		return stop(CheckCheckpoint, checkpointFile, "The checkpoint cannot be read: %v.", err)
	}
	cp, err := describe(raw)
	if err != nil {
		return stop(CheckCheckpoint, checkpointFile, "The checkpoint cannot be read: %v.", err)
	}
	sizes := map[string]int64{}
	for _, f := range v.m.Files {
		if digest, ok := strings.CutPrefix(f.Path, documentsDir); ok && v.c.files[f.Path] != nil {
			sizes["sha256:"+digest] = f.Size
		}
	}
	v.data, err = Fold(v.events, Bundled{Subject: v.m.Subject, Checkpoint: cp, Document: v.content, Sizes: sizes, Why: v.m.Absent, Gaps: v.m.Gaps})
	if err != nil {
		v.problem(CheckData, eventsFile, nil, "What the events say cannot be put together: %v.", err)
		return nil
	}
	v.result.Changes = len(v.data.Changes)
	for _, g := range v.m.Gaps {
		v.notProven(CheckData, "What is not here: %s %s", g.What, g.Why)
	}
	if slices.ContainsFunc(v.c.names, func(n string) bool {
		return slices.ContainsFunc(extraDirs, func(dir string) bool { return strings.HasPrefix(n, dir) })
	}) {
		v.notProven(CheckData, "What the files below reports/ and controls/ say. They are made for people from what was verified here; in doubt believe data.json and the events.")
	}
	if len(v.result.Problems) > 0 {
		return nil // the data of other events is other data
	}
	if v.m.DataVersion != dataVersion {
		v.notProven(CheckData, "What data.json says. It was put together by another version of Slipway, which this one cannot do again.")
		return nil
	}
	was, err := v.c.open(dataFile)
	if err != nil {
		v.problem(CheckData, dataFile, nil, "It cannot be read: %v.", err)
		return nil
	}
	defer was.Close()
	same := &comparer{with: was}
	if err := cmp.Or(v.data.Write(same), same.end()); err != nil {
		v.problem(CheckData, dataFile, nil, "It does not say what the events say.")
		return nil
	}
	v.proven(CheckData, "data.json says what the events say, no more and no less.")
	return nil
}

// comparer takes what is written to it, if it is what the reader has.
type comparer struct {
	with io.Reader
	buf  []byte
}

var errOther = errors.New("the two differ")

func (c *comparer) Write(p []byte) (int, error) {
	if len(c.buf) < len(p) {
		c.buf = make([]byte, len(p))
	}
	if _, err := io.ReadFull(c.with, c.buf[:len(p)]); err != nil || !bytes.Equal(p, c.buf[:len(p)]) {
		return 0, errOther
	}
	return len(p), nil
}

// end reports whether the reader has nothing more.
func (c *comparer) end() error {
	if n, err := c.with.Read(make([]byte, 1)); n > 0 || err != io.EOF {
		return errOther
	}
	return nil
}

// seal checks that the log has an event which names this very bundle.
func (v *verifier) seal() error {
	if v.c.files[sealFile] == nil {
		v.notProven(CheckSeal, "That somebody took this bundle out on record. It has no seal: it was made from the log's files without the server, or its seal was taken away.")
		return nil
	}
	raw, err := v.c.read(sealFile, maxSeal)
	if err != nil {
		v.problem(CheckSeal, sealFile, nil, "The seal cannot be read: %v.", err)
		return nil
	}
	s, err := parseSeal(raw)
	if err != nil {
		v.problem(CheckSeal, sealFile, nil, "The seal cannot be read: %v.", err)
		return nil
	}
	tree, err := audit.OpenCheckpoint(s.checkpoint, v.trust.Log)
	if err != nil {
		v.problem(CheckSeal, sealFile, nil, "Its checkpoint is not signed by the log's key: %v.", err)
		return nil
	}
	root, err := base64.StdEncoding.DecodeString(tree.Root)
	if err != nil || proof.VerifyInclusion(rfc6962.DefaultHasher, s.index, tree.Size, rfc6962.DefaultHasher.HashLeaf(s.event), s.path, root) != nil {
		v.problem(CheckSeal, sealFile, &s.index, "The event that seals the bundle is not in the log.")
		return nil
	}
	e, err := audit.OpenEntry(s.event)
	if err != nil || e.Event.Action != audit.ExportEvidence {
		v.problem(CheckSeal, sealFile, &s.index, "The event that seals the bundle is not one of taking evidence out.")
		return nil
	}
	if d := sealOf(&e.Event); d.Bundle != v.manifestDigest() {
		v.problem(CheckSeal, sealFile, &s.index, "The seal is of another bundle: since it was taken out, something in it was altered, added or removed.")
		return nil
	}
	v.proven(CheckSeal, "%s took this very bundle out on %s, which is event %d of the log. Not a byte of it is another since.",
		e.Event.Actor.ID, e.Event.Timestamp.UTC().Format("2006-01-02 15:04 UTC"), s.index)
	return nil
}

func (v *verifier) manifestDigest() string {
	sum := sha256.Sum256(v.raw)
	return "sha256:" + hex.EncodeToString(sum[:])
}
