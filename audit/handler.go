package audit

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"slipway/audit/witness"
)

// Handler serves the log for reading as C2SP tlog-tiles says: /checkpoint, /tile/<L>/<N>
// and /tile/entries/<N>; and /cosigned, the newest checkpoint that enough witnesses have
// signed. Entries name people, so whoever mounts it decides who may read.
func (l *Log) Handler() http.Handler {
	path := filepath.Join(l.o.Dir, logDir)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "The log can only be read here.", http.StatusMethodNotAllowed)
			return
		}
		name := strings.TrimPrefix(r.URL.Path, "/")
		// Only names that this log could have written reach the file system.
		_, _, _, tile := parseTilePath(name)
		file := filepath.Join(path, filepath.FromSlash(name))
		switch {
		case name == witness.Dir:
			file = filepath.Join(CosignedDir(l.o.Dir), witness.File)
			fallthrough
		case name == checkpointFile:
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			w.Header().Set("Cache-Control", "no-cache")
		case tile:
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		default:
			http.NotFound(w, r)
			return
		}
		serveFile(w, r, file)
	})
}

// serveFile sends one file. Unlike http.ServeFile it neither lists folders nor
// redirects.
func serveFile(w http.ResponseWriter, r *http.Request, path string) {
	f, err := os.Open(path)
	if err == nil {
		defer f.Close()
		var info fs.FileInfo
		if info, err = f.Stat(); err == nil && !info.Mode().IsRegular() {
			err = fs.ErrNotExist
		}
	}
	if err != nil {
		w.Header().Del("Cache-Control")
		if errors.Is(err, fs.ErrNotExist) {
			http.NotFound(w, r)
			return
		}
		http.Error(w, "The log cannot be read at the moment.", http.StatusInternalServerError)
		return
	}
	if r.Method == http.MethodGet {
		io.Copy(w, f) // the client went away, when this fails
	}
}
