// Package exchange brings zones in from other tools and takes them out again: BIND zone
// files, zone transfers, octoDNS, DNSControl's JSON and Terraform. It never writes into a
// zones repository by itself: readers return zones and what they could not represent,
// writers return files and the same. Nothing that another tool says is lost in silence: what has
// no place here is a Loss. Read this file first, then one format's.
package exchange

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"slipway/zone"
)

const (
	maxSource  = 256 << 20 // bytes read from one source
	maxRecords = 10_000_000
)

// Zone is one zone on its way.
type Zone struct {
	Name zone.Name
	SOA  *zone.SOA // nil where the source has none
	Sets []zone.RRSet
}

// Loss is something that could not be represented on the other side.
type Loss struct {
	Zone   zone.Name `json:"zone,omitempty"`
	Record string    `json:"record,omitempty"`
	Why    string    `json:"why"`
}

func (l Loss) String() string {
	s := l.Record
	if s == "" {
		s = l.Zone.Unicode()
	}
	if s == "" {
		return l.Why
	}
	return s + ": " + l.Why
}

// Result is what a reader found. Zones are sorted by name, their sets by name and type.
type Result struct {
	Zones  []Zone
	Losses []Loss
}

// collector gathers records into sets.
type collector struct {
	zones   map[zone.Name]map[zone.Key]*zone.RRSet
	records int
	losses  []Loss
}

func newCollector() *collector { return &collector{zones: map[zone.Name]map[zone.Key]*zone.RRSet{}} }

func (c *collector) lose(z zone.Name, record, format string, args ...any) {
	c.losses = append(c.losses, Loss{z, record, fmt.Sprintf(format, args...)})
}

// open notes a zone, which may stay empty.
func (c *collector) open(z zone.Name) {
	if c.zones[z] == nil {
		c.zones[z] = map[zone.Key]*zone.RRSet{}
	}
}

// add takes records of one name and type. What is wrong with them is found at the end, by set.
func (c *collector) add(z zone.Name, r zone.RRSet) error {
	if c.records += len(r.Values); c.records > maxRecords {
		return fmt.Errorf("there are more than %d records; bring them in zone by zone", maxRecords)
	}
	c.open(z)
	have := c.zones[z][r.Key()]
	if have == nil {
		r.Values = slices.Clone(r.Values)
		c.zones[z][r.Key()] = &r
		return nil
	}
	if have.TTL != r.TTL {
		// RFC 2181 section 5.2: the records of a set have one TTL.
		c.lose(z, label(r), "its records have several TTLs; the lowest counts")
		if have.TTL == zone.NoTTL || r.TTL != zone.NoTTL && r.TTL < have.TTL {
			have.TTL = r.TTL
		}
	}
	if have.Extra != r.Extra {
		c.lose(z, label(r), "its records have different settings; the first count")
	}
	have.Values = append(have.Values, r.Values...)
	return nil
}

func label(r zone.RRSet) string { return r.Name.Unicode() + " " + r.Type }

// result makes canonical sets. One that is malformed is a loss.
func (c *collector) result() *Result {
	out := &Result{}
	for z, sets := range c.zones {
		one := Zone{Name: z}
		for _, r := range sets {
			made, err := zone.NewRRSet(r.Name, r.Type, r.TTL, r.Values)
			if err == nil && !made.Name.In(z) {
				err = errors.New("it is not in the zone " + string(z))
			}
			if err != nil {
				var e *zone.Error
				if errors.As(err, &e) {
					err = errors.New(e.What)
				}
				c.lose(z, label(*r), "left out: %s", err)
				continue
			}
			made.Extra = r.Extra
			one.Sets = append(one.Sets, made)
		}
		slices.SortFunc(one.Sets, bySet)
		out.Zones = append(out.Zones, one)
	}
	slices.SortFunc(out.Zones, func(a, b Zone) int { return strings.Compare(string(a.Name), string(b.Name)) })
	slices.SortStableFunc(c.losses, func(a, b Loss) int {
		if n := strings.Compare(string(a.Zone), string(b.Zone)); n != 0 {
			return n
		}
		return strings.Compare(a.Record+a.Why, b.Record+b.Why)
	})
	out.Losses = slices.Compact(c.losses)
	return out
}

func bySet(a, b zone.RRSet) int {
	if n := strings.Compare(string(a.Name), string(b.Name)); n != 0 {
		return n
	}
	return strings.Compare(a.Type, b.Type)
}

// below reads a name that other tools write relative to the zone, with "@" or nothing for
// the zone itself, or in full with or without the trailing dot.
func below(z zone.Name, s string) (zone.Name, error) {
	if s == "" || s == "@" {
		return z, nil
	}
	n, err := zone.ParseName(s)
	if err != nil {
		return "", err
	}
	if strings.HasSuffix(s, ".") || n.In(z) {
		return n, nil
	}
	return zone.ParseName(string(n) + "." + z.FQDN())
}

// text makes the value of a TXT record from the text itself, whatever is in it.
func text(s string) string { return zone.QuoteText(s) }

// File is one file to write; Name is a plain file name.
type File struct {
	Name    string
	Content []byte
}

// fileName is the name of a zone's file. The zone's name comes from outside and may hold what
// leads out of the folder, or what no file can be called.
func fileName(z zone.Name, ext string) (string, error) {
	s := string(z)
	if s == "." || s == "" || strings.HasPrefix(s, ".") || strings.ContainsAny(s, "/\\:\x00") {
		return "", fmt.Errorf("zone %s: no file can be called that", z)
	}
	return s + ext, nil
}

// Exists is the refusal to overwrite.
type Exists struct{ Paths []string }

func (e *Exists) Error() string {
	return fmt.Sprintf("%s would be overwritten", strings.Join(e.Paths, ", "))
}

// WriteFiles writes the files into a folder, which is made. Unless force says so, nothing is
// written when any of them is there already.
func WriteFiles(dir string, files []File, force bool) error {
	var there []string
	for _, f := range files {
		if filepath.Base(f.Name) != f.Name {
			return fmt.Errorf("%q is not a file name", f.Name)
		}
		path := filepath.Join(dir, f.Name)
		_, err := os.Lstat(path)
		switch {
		case err == nil:
			there = append(there, path)
		case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrInvalid):
			return err
		}
	}
	if len(there) > 0 && !force {
		return &Exists{there}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(dir, f.Name), f.Content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// readFile reads a source of bounded size.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxSource {
		return nil, fmt.Errorf("%s: it is %d bytes long; %d are allowed", path, info.Size(), maxSource)
	}
	return os.ReadFile(path)
}

// valid separates the sets that can be written anywhere from those that are malformed.
func valid(z Zone) (sets []zone.RRSet, losses []Loss) {
	for _, r := range z.Sets {
		if err := r.Validate(); err != nil {
			var e *zone.Error
			if errors.As(err, &e) {
				err = errors.New(e.What)
			}
			losses = append(losses, Loss{z.Name, label(r), "left out: " + err.Error()})
			continue
		}
		sets = append(sets, r)
	}
	return sets, losses
}
