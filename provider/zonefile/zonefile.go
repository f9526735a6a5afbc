// Package zonefile is the provider that keeps zones as RFC 1035 files in a
// directory, for the in-process CoreDNS (package nameserver) or any other server
// that reads files. A file is always one whole version of its zone, whenever this
// process is killed; one process at a time changes a zone, and a lock never
// outlives its holder. It serves no DNS itself. Read this file first, then apply.go
// and header.go, which says what stands at the top of a file and why.
package zonefile

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"slipway/provider"
	"slipway/zone"
)

// MaxFile bounds the file of one zone, in bytes: about five million records.
const MaxFile = 256 << 20

// Options say where the files are and what Slipway adds to a zone in them.
type Options struct {
	Name         string // what slipway.yaml calls this provider, for receipts; default Type
	Dir          string
	DefaultTTL   int               // seconds, for zone.NoTTL; default provider.DefaultTTL
	MName, RName zone.Name         // SOA names; defaults below the zone
	Applied      func(z zone.Name) // called after a file is in place, so that a server in the same process reloads it at once
	Now          func() time.Time  // default time.Now
}

// Provider implements provider.Provider and provider.Summariser. It is safe for
// concurrent use, also by several processes on one machine. Keep one for as long as
// there is a process: it remembers which files it has read.
type Provider struct {
	o Options

	// mu guards digests, for no longer than a look-up.
	mu      sync.Mutex
	digests map[zone.Name]known
}

// known is what was found out about a zone's file the last time it was read, by
// the file's own digest. It saves parsing a file that is still the same; a file
// that was edited has another digest, whatever its time stamp and header say.
type known struct {
	file   [sha256.Size]byte
	digest string
	serial uint32
}

// New opens the directory, making it if need be.
func New(o Options) (*Provider, error) {
	if o.Dir == "" {
		return nil, errors.New("zone files: no directory is set")
	}
	if o.Name == "" {
		o.Name = Type
	}
	if o.DefaultTTL == 0 {
		o.DefaultTTL = provider.DefaultTTL
	}
	if o.DefaultTTL < 0 {
		return nil, fmt.Errorf("zone files: a default TTL of %d seconds is not possible", o.DefaultTTL)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	for _, n := range []zone.Name{o.MName, o.RName} {
		if n == "" {
			continue
		}
		if canonical, err := zone.ParseName(string(n)); err != nil || canonical != n {
			return nil, fmt.Errorf("zone files: SOA name %q is not a domain name in canonical form", string(n))
		}
	}
	// Zone data is public in DNS.
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("zone files: %w", err)
	}
	return &Provider{o: o, digests: map[zone.Name]known{}}, nil
}

// Read returns the zone as its file has it, without what Slipway adds to make the
// file a zone: the SOA record, and NS records where the approved zone has none.
func (p *Provider) Read(ctx context.Context, z zone.Name) (*provider.Live, error) {
	c, err := p.open(ctx, z)
	if err != nil {
		return nil, err
	}
	if err := p.parse(c); err != nil {
		return nil, err
	}
	return p.live(c), nil
}

// Summary implements provider.Summariser: it parses a file only when it is another
// one than the last time.
func (p *Provider) Summary(ctx context.Context, z zone.Name) (*provider.Live, error) {
	c, err := p.open(ctx, z)
	if err != nil {
		return nil, err
	}
	if err := p.summarise(c); err != nil {
		return nil, err
	}
	return p.live(c), nil
}

// content is one version of a zone's file.
type content struct {
	zone   zone.Name
	path   string
	exists bool
	bytes  []byte
	header header

	// Filled in by summarise or parse.
	serial uint32
	digest string
	sets   []zone.RRSet // parse only
}

func (p *Provider) live(c *content) *provider.Live {
	return &provider.Live{Zone: c.zone, Sets: c.sets, Serial: c.serial, Digest: c.digest, Exists: c.exists, DefaultTTL: p.o.DefaultTTL}
}

// open reads a zone's file. A file is replaced whole, so it needs no lock.
func (p *Provider) open(ctx context.Context, z zone.Name) (*content, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	path, err := Path(p.o.Dir, z)
	if err != nil {
		return nil, err
	}
	c := &content{zone: z, path: path}
	c.bytes, err = readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, fmt.Errorf("zone %s: %w", z, err)
	}
	c.exists = true
	c.header = parseHeader(c.bytes)
	return c, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	// The size first, so that the file is read into one piece of memory.
	buf := bytes.NewBuffer(make([]byte, 0, min(info.Size(), MaxFile)+bytes.MinRead))
	n, err := io.Copy(buf, io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, err
	}
	if n > MaxFile {
		return nil, fmt.Errorf("%s has more than %d bytes: it is too large for one zone", path, MaxFile)
	}
	return buf.Bytes(), nil
}

// summarise finds the content digest and the serial of a file.
func (p *Provider) summarise(c *content) error {
	if c.exists {
		p.mu.Lock()
		k, ok := p.digests[c.zone]
		p.mu.Unlock()
		if ok && k.file == sha256.Sum256(c.bytes) {
			c.digest, c.serial = k.digest, k.serial
			return nil
		}
	}
	return p.parse(c)
}

func (p *Provider) parse(c *content) error {
	if err := c.parse(); err != nil {
		return fmt.Errorf("zone %s: %w: %w", c.zone, provider.ErrDamaged, err)
	}
	if c.exists {
		p.remember(c)
	}
	return nil
}

// parse reads the record sets of a file.
func (c *content) parse() error {
	if !c.exists {
		c.digest = provider.Digest(nil)
		return nil
	}
	soa, sets, err := zone.ReadMaster(bytes.NewReader(c.bytes), c.zone, c.path)
	if err != nil {
		return err
	}
	if soa == nil {
		return fmt.Errorf("%s has no SOA record, without which it is not a zone", c.path)
	}
	if c.header.ApexNS != "" {
		made := apexNS(c.zone, c.header.ApexNS)
		sets = slices.DeleteFunc(sets, made.Equal)
	}
	c.sets, c.digest, c.serial = sets, provider.Digest(sets), soa.Serial
	return nil
}

func (p *Provider) remember(c *content) {
	k := known{file: sha256.Sum256(c.bytes), digest: c.digest, serial: c.serial}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.digests[c.zone] = k
}
