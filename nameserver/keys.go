package nameserver

import (
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/coredns/coredns/plugin/dnssec"
	"github.com/miekg/dns"

	"slipway/provider/zonefile"
	"slipway/zone"
)

// keyring is a directory of DNSSEC keys in the form of BIND's dnssec-keygen
// (K<zone>.+<algorithm>+<tag>.key and .private), so that its tools can read them
// and a key made elsewhere can be put in. It is not safe for concurrent use.
type keyring struct {
	dir string
	log *slog.Logger

	// found holds the files of each zone by stem, read once: looking through the
	// directory for every zone would cost the square of their number.
	found map[string][]string
}

// keyFile matches a public key's file name and captures the zone's stem.
var keyFile = regexp.MustCompile(`^K(.+)\.\+\d{3}\+\d{5}\.key$`)

// open returns the zone's keys and makes one when there is none.
func (k *keyring) open(z zone.Name, origin string) ([]*dnssec.DNSKEY, error) {
	if k.dir == "" {
		return nil, errors.New("no directory for DNSSEC keys is set (Options.KeyDir)")
	}
	stem, err := zonefile.Stem(z)
	if err != nil {
		return nil, err
	}
	if err := k.list(); err != nil {
		return nil, err
	}
	if len(k.found[stem]) == 0 {
		base, err := k.generate(stem, origin)
		if err != nil {
			return nil, fmt.Errorf("make a DNSSEC key: %w", err)
		}
		k.found[stem] = []string{base}
		k.log.Info("made a DNSSEC key", "zone", string(z), "file", base+".key")
	}
	var keys []*dnssec.DNSKEY
	for _, base := range k.found[stem] {
		if info, err := os.Stat(base + ".private"); err == nil && info.Mode().Perm()&0o077 != 0 {
			return nil, fmt.Errorf("private key %s.private can be read by other accounts (mode %04o): run chmod 600 on it, and replace the key if anyone may have read it", base, info.Mode().Perm())
		}
		key, err := dnssec.ParseKeyFile(base+".key", base+".private")
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", base, err)
		}
		owner, err := wireName(key.K.Hdr.Name)
		if err != nil || owner != origin {
			return nil, fmt.Errorf("key %s belongs to %s, not to %s", base, key.K.Hdr.Name, origin)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func (k *keyring) list() error {
	if k.found != nil {
		return nil
	}
	if err := os.MkdirAll(k.dir, 0o700); err != nil {
		return fmt.Errorf("directory for DNSSEC keys: %w", err)
	}
	entries, err := os.ReadDir(k.dir)
	if err != nil {
		return fmt.Errorf("directory for DNSSEC keys: %w", err)
	}
	k.found = map[string][]string{}
	for _, e := range entries {
		if m := keyFile.FindStringSubmatch(e.Name()); m != nil {
			k.found[m[1]] = append(k.found[m[1]], filepath.Join(k.dir, strings.TrimSuffix(e.Name(), ".key")))
		}
	}
	return nil
}

// generate makes one combined signing key: flags 257 (RFC 4034 section 2.1.1) and
// ECDSAP256SHA256, which RFC 8624 section 3.1 says to sign with. One key for both
// roles is what on-the-fly signing can use: a separate key-signing key protects
// nothing when both must be online.
func (k *keyring) generate(stem, origin string) (base string, err error) {
	key := &dns.DNSKEY{
		Hdr:       dns.RR_Header{Name: origin, Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 3600},
		Flags:     dns.ZONE | dns.SEP,
		Protocol:  3,
		Algorithm: dns.ECDSAP256SHA256,
	}
	private, err := key.Generate(256)
	if err != nil {
		return "", err
	}
	if _, ok := private.(*ecdsa.PrivateKey); !ok {
		return "", fmt.Errorf("unexpected key type %T", private)
	}
	base = filepath.Join(k.dir, fmt.Sprintf("K%s.+%03d+%05d", stem, key.Algorithm, key.KeyTag()))
	text := func(s string) func(io.Writer) error {
		return func(w io.Writer) error { _, err := io.WriteString(w, s); return err }
	}
	// The private half first: a public half means that the key is complete, and
	// what a kill between the two leaves behind is never used.
	if err := zonefile.Replace(base+".private", 0o600, text(key.PrivateKeyString(private))); err != nil {
		return "", err
	}
	if err := zonefile.Replace(base+".key", 0o600, text(key.String()+"\n")); err != nil {
		return "", err
	}
	return base, nil
}

// split reports whether the zone's keys have the two roles of RFC 6781 section 3.1.
func split(keys []*dnssec.DNSKEY) bool {
	secureEntry := 0
	for _, k := range keys {
		if k.K.Flags&dns.SEP != 0 {
			secureEntry++
		}
	}
	return secureEntry > 0 && secureEntry < len(keys)
}

// delegation returns the DS records for the parent: of the keys with the secure
// entry point bit, in SHA-256 (RFC 8624 section 3.3).
func delegation(keys []*dnssec.DNSKEY) []string {
	var out []string
	for _, k := range keys {
		if k.K.Flags&dns.SEP != 0 {
			out = append(out, k.K.ToDS(dns.SHA256).String())
		}
	}
	slices.Sort(out)
	return out
}
