package evidence

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"slipway/audit"
	"slipway/repo"
)

// Files of a bundle. docs/evidence.md says what is in each.
const (
	manifestFile   = "manifest.json"
	readmeFile     = "README.txt"
	checkpointFile = "checkpoint"
	cosignedFile   = "cosigned"
	consistentFile = "consistency.jsonl"
	eventsFile     = "events.jsonl"
	proofsFile     = "proofs.jsonl"
	keysFile       = "keys.json"
	dataFile       = "data.json"
	sealFile       = "seal"
	gitFile        = "git/zones.bundle"
	signersFile    = "git/allowed_signers"
	documentsDir   = "documents/"
	policyDir      = "policy/"
)

// extraDirs are where files for people may lie: nothing is proven of what they say.
var extraDirs = []string{"reports/", "controls/"}

// dataVersion counts the forms that Fold gives to the same events. A bundle of another
// version cannot be made again to compare.
const dataVersion = 1

// ErrNothing says that the log has no event about a subject.
var ErrNothing = errors.New("the log has no event about it")

// Source is where evidence is taken from.
type Source struct {
	Log            *audit.Reader
	Keys           audit.Keys // what the server says that its log is verified with
	Repo           *repo.Repo // nil: no commits, and the bundle says so
	AllowedSigners []byte     // who signs commits; empty: the bundle says so
}

// Options say what to export.
type Options struct {
	Subject Subject
	// Extra makes files for people out of the data, by their names below reports/ and controls/; nil makes none.
	Extra func(ctx context.Context, d *Data) (map[string][]byte, error)
	// Seal records the export in the log, where there is a writer: see Sealer.
	Seal func(ctx context.Context, manifest string, d *Data) ([]byte, error)
}

// Manifest lists what is in a bundle. Its SHA-256 is what an export-evidence event seals.
type Manifest struct {
	Format      string     `json:"format"`
	DataVersion int        `json:"data_version"`
	Subject     Subject    `json:"subject"`
	Tree        audit.Tree `json:"tree"`
	Events      int        `json:"events"`
	// Absent says why documents that events refer to are not there, by digest; an erased one is not among them.
	Absent map[string]string `json:"absent"`
	Gaps   []Gap             `json:"gaps"`  // what else is not there
	Files  []File            `json:"files"` // sorted by path; all but the manifest itself and the seal
}

// File is one file of a bundle.
type File struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"` // hex
	Size   int64  `json:"size"`
}

// Exported is what became of an export.
type Exported struct {
	Manifest  string `json:"manifest"` // its digest, "sha256:…"
	Events    int    `json:"events"`
	Documents int    `json:"documents"`
	Missing   []Gap  `json:"missing"`
	Sealed    bool   `json:"sealed"`
}

// Export writes a bundle. The same log, subject and checkpoint give the same bytes, but for
// the seal. Documents are read one at a time; what is in memory is the events.
func Export(ctx context.Context, w io.Writer, src Source, o Options) (*Exported, error) {
	if err := o.Subject.tidy(); err != nil {
		return nil, err
	}
	c, err := collect(ctx, src, o.Subject)
	if err != nil {
		return nil, err
	}
	x := &exporter{c: c, p: &packer{zip: zip.NewWriter(w)}, sizes: map[string]int64{}, why: map[string]string{}}
	if err := x.record(ctx); err != nil {
		return nil, err
	}
	if err := x.papers(ctx); err != nil {
		return nil, err
	}
	if src.Repo == nil {
		x.gap("The commits of the zones repository and the policies in force.", "The bundle was made without the repository.")
	} else if err := x.commits(ctx); err != nil {
		return nil, err
	}
	data, err := x.tell(ctx, o.Extra)
	if err != nil {
		return nil, err
	}
	return x.close(ctx, data, o.Seal)
}

type exporter struct {
	c     *collection
	p     *packer
	sizes map[string]int64  // documents in the bundle
	why   map[string]string // those that are not
	gaps  []Gap
}

func (x *exporter) gap(what, why string) { x.gaps = append(x.gaps, Gap{what, why}) }

// proofLine is one line of proofs.jsonl: where the event on the same line of events.jsonl lies.
type proofLine struct {
	Index uint64   `json:"index"`
	Why   string   `json:"why"`
	Path  []string `json:"path"` // RFC 6962 audit path, base64, from the leaf up
}

// record writes the events, their proofs, the checkpoint and the keys.
func (x *exporter) record(ctx context.Context) error {
	log := x.c.src.Log
	if err := x.p.bytes(readmeFile, []byte(readme)); err != nil {
		return err
	}
	if err := x.p.bytes(checkpointFile, log.Checkpoint()); err != nil {
		return err
	}
	err := x.p.file(eventsFile, func(w io.Writer) error {
		for i := range x.c.events {
			raw, err := log.Entry(ctx, x.c.events[i].Index)
			if err != nil {
				return err
			}
			if _, err := w.Write(append(bytes.Clone(raw), '\n')); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = x.p.file(proofsFile, func(w io.Writer) error {
		lines := json.NewEncoder(w)
		for i := range x.c.events {
			e := &x.c.events[i]
			path, err := log.Proof(ctx, e.Index)
			if err != nil {
				return err
			}
			if err := lines.Encode(proofLine{e.Index, e.Why, encoded(path)}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := x.others(ctx); err != nil {
		return err
	}
	return x.p.file(keysFile, x.c.src.Keys.Write)
}

// consistencyLine is one line of consistency.jsonl: the log of from events became that of to events
// by appending alone (RFC 6962 section 2.1.2).
type consistencyLine struct {
	From uint64   `json:"from"`
	To   uint64   `json:"to"`
	Path []string `json:"path"`
}

// others writes what others than the log have signed of it: the newest checkpoint of the witnesses, and
// how the log went on from there and from every checkpoint that was timestamped.
func (x *exporter) others(ctx context.Context) error {
	log := x.c.src.Log
	sizes := map[uint64]bool{}
	cosigned, err := log.Cosigned()
	if err != nil {
		return err
	}
	if cosigned != nil {
		cp, err := describe(cosigned)
		if err != nil {
			return err
		}
		sizes[cp.Size] = true
		if err := x.p.bytes(cosignedFile, cosigned); err != nil {
			return err
		}
	}
	for i := range x.c.events {
		if e := &x.c.events[i]; e.Event.Action == audit.TimestampCheckpoint && e.Why != WhyBoundary {
			sizes[detail(&e.Event).Size] = true
		}
	}
	delete(sizes, 0)
	if len(sizes) == 0 {
		return nil
	}
	return x.p.file(consistentFile, func(w io.Writer) error {
		lines := json.NewEncoder(w)
		for _, size := range slices.Sorted(maps.Keys(sizes)) {
			if size > log.Tree().Size {
				continue // an event that names a state of the log which never was
			}
			path, err := log.Consistency(ctx, size, log.Tree().Size)
			if err != nil {
				return err
			}
			if err := lines.Encode(consistencyLine{size, log.Tree().Size, encoded(path)}); err != nil {
				return err
			}
		}
		return nil
	})
}

func encoded(path [][]byte) []string {
	out := []string{}
	for _, hash := range path {
		out = append(out, base64.StdEncoding.EncodeToString(hash))
	}
	return out
}

// papers writes the documents that are there.
func (x *exporter) papers(ctx context.Context) error {
	docs := x.c.src.Log.Documents()
	for _, digest := range x.c.documents {
		if x.c.erased[digest] {
			continue // also one whose erasure was interrupted
		}
		content, err := docs.Get(ctx, digest)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, fs.ErrNotExist):
			x.why[digest] = "It is not in the server's store of documents, and no event says that it was erased."
			continue
		case err != nil:
			x.why[digest] = "It cannot be read on the server, or it was altered there."
			continue
		}
		x.sizes[digest] = int64(len(content))
		if err := x.p.bytes(documentsDir+strings.TrimPrefix(digest, "sha256:"), content); err != nil {
			return err
		}
	}
	return nil
}

// document reads one that is in the bundle.
func (x *exporter) document(ctx context.Context) func(string) ([]byte, bool) {
	return func(digest string) ([]byte, bool) {
		if _, in := x.sizes[digest]; !in {
			return nil, false
		}
		content, err := x.c.src.Log.Documents().Get(ctx, digest)
		return content, err == nil
	}
}

// tell writes the data, and what is made from it for people.
func (x *exporter) tell(ctx context.Context, extra func(context.Context, *Data) (map[string][]byte, error)) (*Data, error) {
	cp, err := describe(x.c.src.Log.Checkpoint())
	if err != nil {
		return nil, err
	}
	d, err := Fold(x.c.events, Bundled{Subject: x.c.subject, Checkpoint: cp, Document: x.document(ctx), Sizes: x.sizes, Why: x.why, Gaps: x.gaps})
	if err != nil {
		return nil, err
	}
	if err := x.p.file(dataFile, d.Write); err != nil || extra == nil {
		return d, err
	}
	files, err := extra(ctx, d)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !validPath(name) || !slices.ContainsFunc(extraDirs, func(dir string) bool { return strings.HasPrefix(name, dir) }) {
			return nil, fmt.Errorf("the file %q has no place in a bundle", name)
		}
		if err := x.p.bytes(name, files[name]); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// Write writes the data as JSON, as it lies in a bundle.
func (d *Data) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	return e.Encode(d)
}

// close writes the manifest, and its seal.
func (x *exporter) close(ctx context.Context, d *Data, seal func(context.Context, string, *Data) ([]byte, error)) (*Exported, error) {
	m := Manifest{Format: Format, DataVersion: dataVersion, Subject: x.c.subject, Tree: x.c.src.Log.Tree(), Events: len(d.Events), Absent: x.why, Gaps: orEmpty(x.gaps), Files: x.p.files}
	slices.SortFunc(m.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	raw, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return nil, err
	}
	raw = append(raw, '\n')
	if err := x.p.bytes(manifestFile, raw); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(raw)
	out := &Exported{Manifest: "sha256:" + hex.EncodeToString(sum[:]), Events: len(d.Events), Documents: len(x.sizes), Missing: d.Missing}
	if seal != nil {
		proof, err := seal(ctx, out.Manifest, d)
		if err != nil {
			return nil, fmt.Errorf("record the export: %w", err)
		}
		if err := x.p.bytes(sealFile, proof); err != nil {
			return nil, err
		}
		out.Sealed = true
	}
	return out, x.p.zip.Close()
}

// packer writes a zip file that holds nothing but names and contents: no times, no owners.
type packer struct {
	zip   *zip.Writer
	files []File
	total int64
}

// epoch is the earliest time that a zip file can hold; tools that unpack one without a time complain.
var epoch = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

func (p *packer) bytes(name string, content []byte) error {
	return p.file(name, func(w io.Writer) error { _, err := w.Write(content); return err })
}

func (p *packer) file(name string, write func(io.Writer) error) error {
	header := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: epoch}
	header.SetMode(0o644)
	w, err := p.zip.CreateHeader(header)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	counted := &counter{w: w, sum: sha256.New(), left: MaxBundle - p.total}
	if err := write(counted); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	p.total += counted.n
	p.files = append(p.files, File{Path: name, SHA256: hex.EncodeToString(counted.sum.Sum(nil)), Size: counted.n})
	return nil
}
