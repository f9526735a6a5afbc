package nameserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"github.com/coredns/coredns/plugin/dnssec"
	"github.com/coredns/coredns/plugin/file"
	"github.com/coredns/coredns/plugin/pkg/cache"
	"github.com/coredns/coredns/request"

	"github.com/coredns/coredns/plugin"
	"github.com/miekg/dns"

	"slipway/provider/zonefile"
	"slipway/zone"
)

// MaxZoneFile bounds what is read for one zone, in bytes: about five million records.
const MaxZoneFile = 256 << 20

// signatureCache is how many record sets of one zone keep their signature; it is
// per zone because parent and child may both sign a set of one name (RFC 4035
// section 2.2) with different keys.
const signatureCache = 4096

// served is one zone from its file to its answers.
type served struct {
	Zone
	origin string // as in a question
	path   string
	log    *slog.Logger
	report func(z zone.Name, err error)

	chain plugin.Handler // dnssec (where signed), tidy, file
	ds    []string
	nokey error // the zone must be signed and cannot be: it is not served

	// loading is held while the file is read, so that an older content never
	// replaces a newer one.
	loading sync.Mutex
	seen    fs.FileInfo // of the file last read, or nil; guarded by loading

	data  atomic.Pointer[file.Zone] // nil: nothing to serve yet
	wrong atomic.Pointer[error]     // nil: served as the file says
}

func (s *Server) newServed(z Zone) (*served, error) {
	path, err := zonefile.Path(s.o.Dir, z.Name)
	if err != nil {
		return nil, err
	}
	origin, err := wireName(z.Name.FQDN())
	if err != nil {
		return nil, fmt.Errorf("zone %s: %w", z.Name, err)
	}
	sv := &served{Zone: z, origin: origin, path: path, log: s.log, report: s.o.Fault}
	answers := file.File{
		ZoneLookupFunc: func(string) (string, *file.Zone, bool) { return origin, sv.data.Load(), true },
	}
	sv.chain = tidy{zone: &sv.data, origin: origin, next: answers}
	if z.Signed {
		keys, err := s.keys.open(z.Name, origin)
		if err != nil {
			// Serving it unsigned would make every validating resolver that has the
			// DS record treat the zone as forged; serving nothing says that it is broken.
			sv.nokey = fmt.Errorf("zone %s must be signed and cannot be: %w", z.Name, err)
			sv.fail(sv.nokey)
			sv.chain = refusal(dns.RcodeServerFailure)
			return sv, nil
		}
		sv.ds = delegation(keys)
		sv.chain = dnssec.New([]string{origin}, keys, split(keys), sv.chain, cache.New[[]dns.RR](signatureCache))
	}
	return sv, nil
}

// load reads the zone's file when it differs from the one last read, or when
// forced. A file that cannot be used leaves the zone as it is served now.
func (sv *served) load(force bool) {
	sv.loading.Lock()
	defer sv.loading.Unlock()
	info, err := os.Stat(sv.path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && sv.seen == nil && sv.data.Load() == nil:
		return // nothing has been applied yet: not a fault
	case errors.Is(err, fs.ErrNotExist):
		sv.fail(fmt.Errorf("zone %s: its file %s is gone; the last version that was read is still being served", sv.Name, sv.path))
		sv.seen = nil
		return
	case err != nil:
		sv.fail(fmt.Errorf("zone %s: %w", sv.Name, err))
		return
	case !force && sv.seen != nil && same(sv.seen, info):
		return
	}
	data, info, err := read(sv.path, sv.origin)
	if info != nil {
		sv.seen = info // a broken file is not read again until it changes
	}
	if err != nil {
		kept := "it has never been read, so nothing is served for it"
		if sv.data.Load() != nil {
			kept = "the last good version is still being served"
		}
		sv.fail(fmt.Errorf("zone %s cannot be used as its file is now (%s): %w", sv.Name, kept, err))
		return
	}
	sv.data.Store(data)
	sv.fail(sv.nokey)
}

// fail sets what is wrong with the zone now (nil: nothing) and says so once.
func (sv *served) fail(err error) {
	var next *error
	if err != nil {
		next = &err
	}
	before := sv.wrong.Swap(next)
	switch {
	case err != nil && (before == nil || (*before).Error() != err.Error()):
		sv.log.Error("a zone is not served as it should be", "zone", string(sv.Name), "error", err)
	case err == nil && before != nil:
		sv.log.Info("a zone is served as it should be again", "zone", string(sv.Name))
	default:
		return
	}
	if sv.report != nil {
		sv.report(sv.Name, err)
	}
}

func (sv *served) fault() error {
	if e := sv.wrong.Load(); e != nil {
		return *e
	}
	return nil
}

// unsigned reports whether the zone must be signed and has no usable key.
func (sv *served) unsigned() bool { return sv.nokey != nil }

func same(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

func read(path, origin string) (*file.Zone, fs.FileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if info.Size() > MaxZoneFile {
		return nil, info, fmt.Errorf("%s has %d bytes, more than the %d that a zone may have", path, info.Size(), MaxZoneFile)
	}
	z, err := parse(bufio.NewReaderSize(f, 64<<10), origin, path)
	return z, info, err
}

// parse builds the zone that CoreDNS's file plugin answers from. That plugin's own
// Parse follows $INCLUDE, which would let an edit of a zone file publish any file
// of this machine, and takes records of other zones.
func parse(r io.Reader, origin, path string) (*file.Zone, error) {
	z := file.NewZone(origin, path)
	z.Upstream = alone{}
	zp := dns.NewZoneParser(io.LimitReader(r, MaxZoneFile), origin, path)
	for rr, ok := zp.Next(); ok; rr, ok = zp.Next() {
		h := rr.Header()
		owner, err := wireName(h.Name)
		if err != nil {
			return nil, fmt.Errorf("%s: record %q: %w", path, h.Name, err)
		}
		switch {
		case h.Class != dns.ClassINET:
			return nil, fmt.Errorf("%s: record %s %s has class %s; only IN is served", path, h.Name, dns.TypeToString[h.Rrtype], dns.ClassToString[h.Class])
		case !dns.IsSubDomain(origin, owner):
			return nil, fmt.Errorf("%s: record %s %s is outside zone %s", path, h.Name, dns.TypeToString[h.Rrtype], origin)
		case signerTypes[h.Rrtype]:
			return nil, fmt.Errorf("%s: record %s %s: this server signs zones itself, and keys or signatures in a zone file were approved by nobody", path, h.Name, dns.TypeToString[h.Rrtype])
		case h.Rrtype == dns.TypeSOA && owner != origin:
			return nil, fmt.Errorf("%s: SOA record at %s: only the zone's own name %s may have one", path, h.Name, origin)
		case h.Rrtype == dns.TypeSOA && z.SOA != nil:
			return nil, fmt.Errorf("%s: more than one SOA record at %s (RFC 1035 section 5.2 allows one)", path, origin)
		}
		if err := z.Insert(rr); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	if err := zp.Err(); err != nil {
		return nil, err
	}
	if z.SOA == nil {
		return nil, fmt.Errorf("%s: no SOA record for %s, without which it is not a zone", path, origin)
	}
	return z, nil
}

// signerTypes are what a signer makes. Package zone takes them for no part of a zone,
// so drift would not see them in a file; a CDS record among them would even make a
// parent trust another key (RFC 7344).
var signerTypes = map[uint16]bool{
	dns.TypeDNSKEY: true, dns.TypeRRSIG: true, dns.TypeNSEC: true, dns.TypeNSEC3: true, dns.TypeNSEC3PARAM: true,
	dns.TypeCDS: true, dns.TypeCDNSKEY: true, dns.TypeZONEMD: true, dns.TypeSIG: true, dns.TypeKEY: true, dns.TypeNXT: true,
}

// wireName returns name as it looks when it comes out of a message: lower case,
// and with the one spelling of escapes that miekg/dns uses for it.
func wireName(name string) (string, error) {
	buf := make([]byte, 256)
	n, err := dns.PackDomainName(name, buf, 0, nil, false)
	if err != nil {
		return "", fmt.Errorf("name %q: %w", name, err)
	}
	out, _, err := dns.UnpackDomainName(buf[:n], 0)
	if err != nil {
		return "", fmt.Errorf("name %q: %w", name, err)
	}
	return dns.CanonicalName(out), nil
}

// alone makes CNAME targets outside the zone the resolver's business. Chasing them
// here could answer an external question with a record of an internal zone.
type alone struct{}

func (alone) Lookup(context.Context, request.Request, string, uint16) (*dns.Msg, error) {
	return nil, nil
}

// refusal answers everything with one response code.
type refusal int

func (refusal) Name() string { return "refusal" }
func (c refusal) ServeDNS(context.Context, dns.ResponseWriter, *dns.Msg) (int, error) {
	return int(c), nil
}
