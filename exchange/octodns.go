package exchange

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"slipway/zone"
)

// ReadOctoDNS reads a folder of octoDNS's YAML provider, or one zone file of it: a file
// <zone>.yaml a zone, or a folder <zone>. of several files (octoDNS's split layout).
func ReadOctoDNS(path string) (*Result, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	c := newCollector()
	if !info.IsDir() {
		if err := readOctoDNSFile(c, path, ""); err != nil {
			return nil, err
		}
		return c.result(), nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		file := filepath.Join(path, e.Name())
		switch {
		case e.Type().IsRegular() && strings.HasSuffix(e.Name(), ".yaml"):
			if zoneOfFile(e.Name()) == "" {
				c.lose("", file, "it is not a zone's file, by its name")
				continue
			}
			err = readOctoDNSFile(c, file, "")
		case e.IsDir() && strings.HasSuffix(e.Name(), ".") && zoneOfFile(e.Name()) != "":
			var parts []string
			if parts, err = filepath.Glob(filepath.Join(file, "*.yaml")); err != nil {
				return nil, err
			}
			for _, p := range parts {
				if err = readOctoDNSFile(c, p, zoneOfFile(e.Name())); err != nil {
					break
				}
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return c.result(), nil
}

func zoneOfFile(base string) zone.Name {
	n, err := zone.ParseName(strings.TrimSuffix(base, ".yaml"))
	if err != nil || !strings.Contains(string(n), ".") || n == "." {
		return ""
	}
	return n
}

func readOctoDNSFile(c *collector, file string, z zone.Name) error {
	if z == "" {
		if z = zoneOfFile(filepath.Base(file)); z == "" {
			return fmt.Errorf("%s: octoDNS names a zone's file after the zone: <zone>.yaml", file)
		}
	}
	src, err := readFile(file)
	if err != nil {
		return err
	}
	f, err := zone.ParseYAML(z, filepath.ToSlash(file), src)
	if err != nil {
		return err
	}
	sets, err := f.RRSets()
	if err != nil {
		return err
	}
	c.open(z)
	for _, r := range sets {
		if err := c.add(z, r); err != nil {
			return err
		}
	}
	return nil
}

// WriteOctoDNS writes one octoDNS YAML file a zone. octoDNS keeps no SOA: providers make their own.
func WriteOctoDNS(zones []Zone) (files []File, losses []Loss, err error) {
	for _, z := range zones {
		sets, lost := valid(z)
		losses = append(losses, lost...)
		name, err := fileName(z.Name, ".yaml")
		if err != nil {
			return nil, nil, err
		}
		var b bytes.Buffer
		for {
			b.Reset()
			err := zone.WriteYAML(&b, z.Name, sets)
			if err == nil {
				break
			}
			// One set may have no form in octoDNS's YAML: it is left out, and the rest stays.
			i := unwritable(z.Name, sets)
			if i < 0 {
				return nil, nil, err
			}
			losses = append(losses, Loss{z.Name, label(sets[i]), "left out: octoDNS's YAML cannot hold it"})
			sets = append(append([]zone.RRSet{}, sets[:i]...), sets[i+1:]...)
		}
		files = append(files, File{name, b.Bytes()})
	}
	return files, losses, nil
}

func unwritable(z zone.Name, sets []zone.RRSet) int {
	for i, r := range sets {
		if zone.WriteYAML(&bytes.Buffer{}, z, []zone.RRSet{r}) != nil {
			return i
		}
	}
	return -1
}
