package pack

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/bundle"

	"slipway/check/policy"
)

// Bounds on a bundle. One that is larger is data, not policy.
const (
	MaxBundle = 4 << 20 // compressed
	MaxFiles  = 500
	maxTotal  = 16 << 20 // unpacked
)

const (
	signaturesFile = ".signatures.json"
	dataFile       = "data.json"
)

// File is one file of a bundle.
type File struct {
	Path string // "email_auth.rego": slash-separated, below the bundle's root
	Src  []byte
}

// unpack reads an archive of plain files. Links, devices, names that lead out of the
// archive, names that stand twice, and files that a pack has no use for are refused.
func unpack(src []byte) ([]File, error) {
	if len(src) > MaxBundle {
		return nil, &Fault{Pack: "bundle", What: fmt.Sprintf("it is larger than %d MiB", MaxBundle>>20)}
	}
	zipped, err := gzip.NewReader(bytes.NewReader(src))
	if err != nil {
		return nil, &Fault{Pack: "bundle", What: "it is not a tar.gz file: " + err.Error()}
	}
	// One byte more than allowed, so that what is too large is known to be.
	bounded := &io.LimitedReader{R: zipped, N: maxTotal + 1}
	archive := tar.NewReader(bounded)
	var files []File
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, damaged(bounded, err)
		}
		if h.Typeflag == tar.TypeDir || h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		name := strings.TrimPrefix(strings.TrimPrefix(h.Name, "./"), "/") // OPA writes "/data.json"
		if h.Typeflag != tar.TypeReg {
			return nil, &Fault{Pack: "bundle", What: fmt.Sprintf("%q in it is not a plain file", h.Name)}
		}
		if h.Size > policy.MaxFileBytes {
			return nil, &Fault{Pack: "bundle", What: fmt.Sprintf("%q in it is larger than %d bytes", h.Name, policy.MaxFileBytes)}
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			return nil, damaged(bounded, err)
		}
		files = append(files, File{Path: name, Src: content})
		if len(files) > MaxFiles {
			break // ordered says so
		}
	}
	// The end of the compressed stream carries its checksum: read to it.
	if _, err := io.Copy(io.Discard, bounded); err != nil || bounded.N <= 0 {
		return nil, damaged(bounded, err)
	}
	return ordered(files)
}

func damaged(r *io.LimitedReader, err error) error {
	if r.N <= 0 {
		return &Fault{Pack: "bundle", What: fmt.Sprintf("unpacked, it is larger than %d MiB", maxTotal>>20)}
	}
	return &Fault{Pack: "bundle", What: "it is damaged: " + err.Error(), Help: "Fetch it again."}
}

// ordered checks a bundle's files as a set, and sorts them.
func ordered(files []File) ([]File, error) {
	if len(files) > MaxFiles {
		return nil, &Fault{Pack: "bundle", What: fmt.Sprintf("it holds more than %d files", MaxFiles)}
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	total := 0
	for i, f := range files {
		total += len(f.Src)
		base := path.Base(f.Path)
		switch {
		case !fs.ValidPath(f.Path) || f.Path == "." || strings.ContainsAny(f.Path, "\\\x00\n\r:"):
			return nil, &Fault{Pack: "bundle", What: fmt.Sprintf("the name %q in it leads out of it, or is not a plain path", f.Path), Help: "Do not use this file; tell its maker."}
		case i > 0 && files[i-1].Path == f.Path:
			return nil, &Fault{Pack: "bundle", What: fmt.Sprintf("%q stands in it twice", f.Path)}
		case f.Path == bundle.ManifestExt, f.Path == signaturesFile, base == dataFile:
		case path.Ext(f.Path) == bundle.RegoExt, path.Ext(f.Path) == ".md":
		default:
			return nil, &Fault{Pack: "bundle", What: fmt.Sprintf("%q in it is nothing that a pack holds", f.Path), Help: "A pack holds .manifest, .signatures.json, Rego files, data.json files and Markdown."}
		}
	}
	if total > maxTotal {
		return nil, &Fault{Pack: "bundle", What: fmt.Sprintf("unpacked, it is larger than %d MiB", maxTotal>>20)}
	}
	return files, nil
}

// archive writes files as a bundle. It stores instead of compressing: bundles are
// small, and so the same files give the same digest whatever the compressor's version.
func archive(files []File) []byte {
	var b bytes.Buffer
	zipped, err := gzip.NewWriterLevel(&b, gzip.NoCompression)
	if err != nil {
		panic(err) // the level is valid
	}
	w := tar.NewWriter(zipped)
	for _, f := range files {
		// A buffer does not fail, and ordered let only names through that tar can hold.
		_ = w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.Path, Mode: 0o644, Size: int64(len(f.Src))})
		_, _ = w.Write(f.Src)
	}
	_ = w.Close()
	_ = zipped.Close()
	return b.Bytes()
}

// ReadDir reads the files of a pack's folder. Other hidden files than a bundle's own are left out.
func ReadDir(dir fs.FS) ([]File, error) {
	var files []File
	err := fs.WalkDir(dir, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := name != "." && strings.HasPrefix(d.Name(), ".")
		if d.IsDir() {
			if hidden {
				return fs.SkipDir
			}
			return nil
		}
		if hidden && name != bundle.ManifestExt && name != signaturesFile {
			return nil
		}
		if !d.Type().IsRegular() {
			return &Fault{Pack: "folder", What: fmt.Sprintf("%s is not a plain file", name)}
		}
		if len(files) > MaxFiles {
			return &Fault{Pack: "folder", What: fmt.Sprintf("it holds more than %d files", MaxFiles)}
		}
		src, err := readBounded(dir, name)
		if err != nil {
			return err
		}
		files = append(files, File{Path: name, Src: src})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return ordered(files)
}

func readBounded(dir fs.FS, name string) ([]byte, error) {
	f, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, policy.MaxFileBytes+1))
	if err != nil {
		return nil, err
	}
	if len(src) > policy.MaxFileBytes {
		return nil, &Fault{Pack: "folder", What: fmt.Sprintf("%s is larger than %d bytes", name, policy.MaxFileBytes)}
	}
	return src, nil
}

// Build makes a bundle of a pack's files, and reads it back as any reader would. The
// same files give the same bytes. A signature among the files stays.
func Build(files []File) (src []byte, p *Pack, err error) {
	if files, err = ordered(slices.Clone(files)); err != nil {
		return nil, nil, err
	}
	src = archive(files)
	if p, err = Open(src, nil); err != nil {
		return nil, nil, err
	}
	return src, p, nil
}
