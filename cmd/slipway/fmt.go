package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"slipway/repo"
	"slipway/zone"
)

func (t *tool) fmtCommand() *cobra.Command {
	var checkOnly bool
	var out *format
	c := &cobra.Command{
		Use:   "fmt [FILE|DIR]…",
		Short: "Lay zone files and app manifests out the canonical way",
		Long: `Lays zone files out as octoDNS dumps them, and app manifests as the portal writes them:
order of names and keys, indentation, quotes. What a file says never changes, and every
comment stays. A folder stands for the zone files and apps in it; without an argument it is
the one you are in.

Exit code 0: done. 1: with --check, a file would change. 2: a file cannot be read; the
message begins with file and line.`,
		Example: `  slipway fmt                                the whole repository
  slipway fmt --check                        for a pipeline: exit code 1 when a file would change
  slipway fmt zones/finmicro.example.yaml`,
		GroupID: groupCheck,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"."}
			}
			return t.layOut(c.Context(), args, checkOnly, *out)
		},
	}
	c.Flags().BoolVar(&checkOnly, "check", false, "change nothing; say what would change")
	out = formatFlag(c)
	return c
}

func (t *tool) layOut(ctx context.Context, args []string, checkOnly bool, out format) error {
	files, err := governed(args)
	if err != nil {
		return err
	}
	m := t.busy("Laying out")
	defer m.end()
	changed := []string{}
	var faults []error
	for i, file := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		m.count(uint64(i), uint64(len(files)))
		did, err := layOutFile(file, checkOnly)
		if err != nil {
			faults = append(faults, err)
		} else if did {
			changed = append(changed, file)
		}
	}
	m.end()
	if out == asJSON {
		err = t.printJSON(struct {
			Files   int      `json:"files"`
			Changed []string `json:"changed"`
			Check   bool     `json:"check"`
		}{len(files), changed, checkOnly})
		if err != nil {
			return err
		}
	} else {
		for _, file := range changed {
			fmt.Fprintln(t.stdout, flat(file))
		}
	}
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	if checkOnly && len(changed) > 0 {
		fmt.Fprintf(t.stderr, "%s not laid out. Run slipway fmt to do it.\n", areWord(len(changed)))
		return errAnswerIsNo
	}
	return nil
}

func areWord(n int) string {
	if n == 1 {
		return "1 file is"
	}
	return fmt.Sprintf("%d files are", n)
}

// governed finds the zone files and app manifests that the arguments mean.
func governed(args []string) ([]string, error) {
	var files []string
	for _, arg := range args {
		info, err := os.Stat(arg)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, &usage{what: arg + ": there is no such file or folder"}
		case err != nil:
			return nil, err
		case !info.IsDir():
			if _, isZone := zoneAt(arg); !isZone && !appAt(arg) {
				return nil, &usage{what: arg + " is neither a zone file nor an app's manifest", help: "Zone files are called <zone>.yaml; manifests lie in " + repo.AppsDirectory + "/."}
			}
			files = append(files, arg)
			continue
		}
		found, err := governedIn(arg)
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// governedIn lists the files of a zones repository, or of a folder that just holds some.
func governedIn(dir string) ([]string, error) {
	folders := []string{dir}
	src, err := os.ReadFile(filepath.Join(dir, repo.SettingsPath))
	switch {
	case err == nil:
		s, err := repo.ParseSettings(repo.SettingsPath, src)
		if err != nil {
			return nil, err
		}
		folders = []string{filepath.Join(dir, filepath.FromSlash(s.ZonesDirectory)), filepath.Join(dir, repo.AppsDirectory)}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	default:
		for _, sub := range []string{repo.DefaultZonesDirectory, "config", repo.AppsDirectory} {
			folders = append(folders, filepath.Join(dir, sub))
		}
	}
	var files []string
	for _, folder := range folders {
		entries, err := os.ReadDir(folder)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			file := filepath.Join(folder, e.Name())
			if _, isZone := zoneAt(file); e.Type().IsRegular() && (isZone || appAt(file)) {
				files = append(files, file)
			}
		}
	}
	return files, nil
}

// zoneAt is the zone that a file is of, by its name.
func zoneAt(file string) (zone.Name, bool) {
	base, yaml := strings.CutSuffix(filepath.Base(file), ".yaml")
	if !yaml || appAt(file) {
		return "", false
	}
	name, err := zone.ParseName(base)
	return name, err == nil && strings.Contains(string(name), ".") && name != "."
}

func appAt(file string) bool {
	abs, err := filepath.Abs(file)
	base, yaml := strings.CutSuffix(filepath.Base(file), ".yaml")
	return err == nil && yaml && filepath.Base(filepath.Dir(abs)) == repo.AppsDirectory && repo.ValidAppName(base)
}

// layOutFile lays one file out and says whether that changes it.
func layOutFile(file string, checkOnly bool) (bool, error) {
	src, err := readBounded(file, repo.MaxZoneFile)
	if err != nil {
		return false, err
	}
	var out []byte
	if name, ok := zoneAt(file); ok {
		out, err = zone.Format(name, filepath.ToSlash(file), src)
	} else {
		out, err = repo.FormatApp(filepath.ToSlash(file), src)
	}
	if err != nil || bytes.Equal(src, out) {
		return false, err
	}
	if checkOnly {
		return true, nil
	}
	return true, replaceFile(file, out)
}

// readBounded reads a file that may not be larger than limit.
func readBounded(file string, limit int64) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if info.Size() > limit {
		return nil, &zone.Error{Place: zone.Place{Path: file}, What: fmt.Sprintf("the file is %d bytes long; %d are allowed", info.Size(), limit), Help: "split it"}
	}
	return os.ReadFile(file)
}

// replaceFile writes a file in one step, so that an interruption leaves the old or the new.
func replaceFile(file string, content []byte) (err error) {
	mode := fs.FileMode(0o644)
	if info, err := os.Stat(file); err == nil {
		mode = info.Mode().Perm()
	}
	if real, err := filepath.EvalSymlinks(file); err == nil {
		file = real
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".slipway-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(content)
	if err = errors.Join(err, f.Chmod(mode), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}
