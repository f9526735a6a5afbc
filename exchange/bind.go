package exchange

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"slipway/zone"
)

// ReadBIND reads a zone file in RFC 1035 form, or every one in a folder. Whose zone a file is
// is said by zone if given, else by the file ($ORIGIN, or the SOA's owner), else by its name
// (example.org.zone, db.example.org).
func ReadBIND(path string, name zone.Name) (*Result, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	files := []string{path}
	if info.IsDir() {
		files = nil
		entries, err := os.ReadDir(path)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.Type().IsRegular() && !strings.HasPrefix(e.Name(), ".") {
				files = append(files, filepath.Join(path, e.Name()))
			}
		}
		if name != "" && len(files) != 1 {
			return nil, fmt.Errorf("%s: it holds %d files, which cannot all be the zone %s", path, len(files), name)
		}
	}
	out := &Result{}
	for _, file := range files {
		src, err := readFile(file)
		if err != nil {
			return nil, err
		}
		z := name
		if z == "" {
			z = originOf(src, filepath.Base(file))
		}
		if z == "" {
			if !info.IsDir() {
				return nil, fmt.Errorf("%s: it does not say which zone it is of; say so with --zone", file)
			}
			out.Losses = append(out.Losses, Loss{Why: file + " is not a zone file, or does not say of which zone"})
			continue
		}
		if slices.ContainsFunc(out.Zones, func(o Zone) bool { return o.Name == z }) {
			return nil, fmt.Errorf("%s: the zone %s has another file in this folder", file, z)
		}
		soa, sets, err := zone.ReadMaster(bytes.NewReader(src), z, filepath.ToSlash(file))
		if err != nil {
			return nil, err
		}
		out.Zones = append(out.Zones, Zone{z, soa, sets})
	}
	slices.SortFunc(out.Zones, func(a, b Zone) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return out, nil
}

// originOf finds out whose zone a file is.
func originOf(src []byte, base string) zone.Name {
	origin := ""
	for line := range bytes.Lines(src) {
		if len(line) > 4096 {
			continue
		}
		l, _, _ := strings.Cut(string(line), ";")
		fields := strings.Fields(l)
		if len(fields) == 2 && strings.EqualFold(fields[0], "$ORIGIN") && strings.HasSuffix(fields[1], ".") {
			origin = fields[1]
			continue
		}
		if !slices.ContainsFunc(fields, func(f string) bool { return strings.EqualFold(f, "SOA") }) {
			continue
		}
		owner := fields[0]
		switch {
		case l[0] == ' ' || l[0] == '\t' || owner == "@":
			owner = origin
		case !strings.HasSuffix(owner, ".") && origin != "":
			owner += "." + origin
		case !strings.HasSuffix(owner, "."):
			owner = ""
		}
		if n, err := zone.ParseName(owner); err == nil && owner != "" {
			return n
		}
		break
	}
	if origin == "" && !bytes.Contains(bytes.ToUpper(src[:min(len(src), 64<<10)]), []byte("SOA")) {
		return ""
	}
	base = strings.TrimPrefix(base, "db.")
	for _, ext := range []string{".zone", ".db", ".txt", ".bind", ".hosts"} {
		base = strings.TrimSuffix(base, ext)
	}
	n, err := zone.ParseName(base)
	if err != nil || !strings.Contains(string(n), ".") {
		return ""
	}
	return n
}

// BINDOptions are what a zone file needs and octoDNS does not know.
type BINDOptions struct {
	Now        time.Time
	DefaultTTL int // of sets without one
}

// WriteBIND writes one zone file a zone. A zone without an SOA gets one: its first nameserver,
// hostmaster@zone, and a serial from the time (RFC 1912 section 2.2).
func WriteBIND(zones []Zone, o BINDOptions) (files []File, losses []Loss, err error) {
	for _, z := range zones {
		sets, lost := valid(z)
		losses = append(losses, lost...)
		name, err := fileName(z.Name, ".zone")
		if err != nil {
			return nil, nil, err
		}
		soa := z.SOA
		if soa == nil {
			if soa, err = defaultSOA(z.Name, sets, o.Now); err != nil {
				return nil, nil, err
			}
		}
		if !slices.ContainsFunc(sets, func(r zone.RRSet) bool { return r.Name == z.Name && r.Type == "NS" }) {
			losses = append(losses, Loss{Zone: z.Name, Why: "it has no NS records of its own, without which no nameserver loads it (RFC 1035 section 6.1)"})
		}
		for _, r := range sets {
			if !r.InDNS() {
				losses = append(losses, Loss{z.Name, label(r), "DNS does not know this type; it is kept in a comment, which Slipway reads"})
			} else if r.Extra != "" {
				losses = append(losses, Loss{z.Name, label(r), "its other settings are kept in a comment, which Slipway reads"})
			}
		}
		var b bytes.Buffer
		if err := zone.WriteMaster(&b, z.Name, *soa, sets, o.DefaultTTL); err != nil {
			return nil, nil, err
		}
		files = append(files, File{name, b.Bytes()})
	}
	return files, losses, nil
}

func defaultSOA(z zone.Name, sets []zone.RRSet, now time.Time) (*zone.SOA, error) {
	mname := z
	for _, r := range sets {
		if r.Name == z && r.Type == "NS" && len(r.Values) > 0 {
			n, err := zone.ParseName(r.Values[0])
			if err != nil {
				return nil, fmt.Errorf("zone %s: %w", z, err)
			}
			mname = n
		}
	}
	rname, err := zone.ParseName("hostmaster." + z.FQDN())
	if err != nil {
		return nil, fmt.Errorf("zone %s: %w", z, err)
	}
	// A serial of seconds grows with every export and fits until 2106.
	return &zone.SOA{MName: mname, RName: rname, Serial: uint32(now.Unix()), Refresh: 7200, Retry: 900, Expire: 1209600, Minimum: 300}, nil
}
