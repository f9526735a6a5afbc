package audit

import (
	"crypto/sha256"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fingerprint is everything about the files below dir that somebody could have changed.
func fingerprint(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		found[path] = info.Mode().String() + info.ModTime().String()
		if d.Type().IsRegular() {
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			sum := sha256.Sum256(raw)
			found[path] += string(sum[:])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestInspect(t *testing.T) {
	for name, tt := range map[string]struct {
		damage                   func(t *testing.T, dir string)
		note, problem, leftovers string
		compared                 bool
	}{
		"sound":    {damage: func(*testing.T, string) {}, compared: true},
		"no index": {damage: func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, indexFile)) }, note: "there is no index", compared: true},
		"damaged": {damage: func(t *testing.T, dir string) {
			os.WriteFile(filepath.Join(dir, indexFile), []byte(strings.Repeat("no database", 1000)), 0o600)
		}, note: "damaged", compared: true},
		"behind": {damage: func(t *testing.T, dir string) {
			changeIndex(t, dir, "DELETE FROM events WHERE idx = (SELECT max(idx) FROM events)")
		}, note: "1 events behind", compared: true},
		"ahead": {damage: func(t *testing.T, dir string) {
			changeIndex(t, dir, "INSERT INTO events SELECT idx+1, json FROM events ORDER BY idx DESC LIMIT 1")
		}, problem: "end of the log was lost", compared: true},
		"another event": {damage: func(t *testing.T, dir string) {
			changeIndex(t, dir, "UPDATE events SET json = '{}'")
		}, problem: "not the one that the index has seen", compared: true},
		"apart": {damage: func(t *testing.T, dir string) { os.WriteFile(filepath.Join(dir, indexFile+"-wal"), []byte("x"), 0o600) }, note: "a server runs or was killed"},
		"unfinished": {damage: func(t *testing.T, dir string) {
			os.WriteFile(filepath.Join(dir, documentsDir, unfinished, "1"), nil, 0o600)
		}, leftovers: "documents/.unfinished/1", compared: true},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t)
			l := openLog(t, o)
			add(t, l, submitted("c1"))
			closeLog(t, l)
			tt.damage(t, o.Dir)
			before := fingerprint(t, o.Dir)
			in, err := Inspect(t.Context(), o.Dir)
			if err != nil {
				t.Fatal(err)
			}
			if in.Log != 2 || in.Compared != tt.compared || strings.Join(in.Leftovers, " ") != tt.leftovers ||
				!strings.Contains(in.Note, tt.note) || (tt.note == "") != (in.Note == "") ||
				!strings.Contains(in.Problem, tt.problem) || (tt.problem == "") != (in.Problem == "") {
				t.Errorf("%+v", in)
			}
			after := fingerprint(t, o.Dir)
			for file, was := range before {
				if after[file] != was {
					t.Errorf("%s was changed", file)
				}
			}
			if len(after) != len(before) {
				t.Errorf("there were %d files, and are %d", len(before), len(after))
			}
		})
	}
	if _, err := Inspect(t.Context(), t.TempDir()); err == nil {
		t.Error("inspected a log that is not there")
	}
}

// changeIndex writes to the index of a closed log as somebody else could.
func changeIndex(t *testing.T, dir, statement string) {
	t.Helper()
	x, err := openIndex(t.Context(), sqliteFile(filepath.Join(dir, indexFile)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.writer.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
	if err := x.close(); err != nil {
		t.Fatal(err)
	}
}
