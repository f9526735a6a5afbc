package zonefile

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"

	"slipway/zone"
)

// Suffix ends the name of every zone file, so that a server can be told to
// read `*.zone` and nothing else that lies in the directory.
const Suffix = ".zone"

// maxStem keeps a file name with its suffix, and with what a server puts before
// or after it (a journal, a key tag), under the 255 bytes of common file systems.
const maxStem = 200

// Stem turns a zone's name into one path component that is the same on every
// file system and cannot climb out of a directory: letters, digits, "-", "_" and
// inner dots stay, every other byte becomes %XX. RFC 2317 zones such as
// 0/25.2.0.192.in-addr.arpa and RFC 1035 escapes are the reason; "%" followed by
// a letter outside a-f marks the two names that need a word of their own.
func Stem(z zone.Name) (string, error) {
	canonical, err := zone.ParseName(string(z))
	if err != nil {
		return "", fmt.Errorf("zone %q: %w", string(z), err)
	}
	if canonical != z {
		return "", fmt.Errorf("zone %q: the name is not in canonical form, which is %q", string(z), string(canonical))
	}
	if z == "." {
		return "%root", nil
	}
	var b strings.Builder
	for i := range len(z) {
		c := z[i]
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	if b.Len() > maxStem {
		sum := sha256.Sum256([]byte(z))
		return "%long-" + hex.EncodeToString(sum[:]), nil
	}
	return b.String(), nil
}

// Path is where the file of zone z lies in dir.
func Path(dir string, z zone.Name) (string, error) {
	stem, err := Stem(z)
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, stem+Suffix), nil
}
