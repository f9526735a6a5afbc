package provider

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash"
	"slices"
	"strconv"

	"github.com/gowebpki/jcs"

	"slipway/zone"
)

// Digest is the content digest of a zone's record sets, whatever their order:
// SHA-256 over the RFC 8785 form of the array of sets, each with name, type, ttl,
// values and (where there is one) extra, sorted by name and then type. A set
// without a TTL counts as one with DefaultTTL.
func Digest(sets []zone.RRSet) string {
	order := make([]*zone.RRSet, len(sets))
	for i := range sets {
		order[i] = &sets[i]
	}
	byKey := func(a, b *zone.RRSet) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type)) }
	if !slices.IsSortedFunc(order, byKey) {
		slices.SortFunc(order, byKey)
	}
	h := sha256.New()
	buf := append(make([]byte, 0, 4096), '[')
	for i, set := range order {
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = flush(h, appendSet(buf, set))
	}
	h.Write(append(buf, ']'))
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

func flush(h hash.Hash, buf []byte) []byte {
	if len(buf) < 2048 {
		return buf
	}
	h.Write(buf)
	return buf[:0]
}

// appendSet writes one set in RFC 8785 form, its keys in their order. Building it
// here instead of canonicalising finished JSON keeps a digest of 100,000 sets at a
// tenth of a second; the test holds it against the general canonicaliser.
func appendSet(b []byte, set *zone.RRSet) []byte {
	b = append(b, '{')
	if set.Extra != "" {
		b = appendString(append(b, `"extra":`...), set.Extra)
		b = append(b, ',')
	}
	b = appendString(append(b, `"name":`...), string(set.Name))
	ttl := set.TTL
	if ttl == zone.NoTTL {
		ttl = DefaultTTL
	}
	b = strconv.AppendInt(append(b, `,"ttl":`...), int64(ttl), 10)
	b = appendString(append(b, `,"type":`...), set.Type)
	b = append(b, `,"values":[`...)
	values := set.Values
	if !slices.IsSorted(values) {
		values = slices.Sorted(slices.Values(values))
	}
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, v)
	}
	return append(b, "]}"...)
}

// appendString writes a JSON string as RFC 8785 section 3.2.2.2 has it. Zone data
// is printable ASCII nearly always; the rest goes the general way.
func appendString(b []byte, s string) []byte {
	start := len(b)
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"', c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c > '~':
			return append(b[:start], canonical(s)...)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

func canonical(s string) []byte {
	raw, _ := json.Marshal([]string{s}) // a string always marshals, invalid UTF-8 as U+FFFD
	out, err := jcs.Transform(raw)
	if err != nil { // not reachable: raw is an array of one valid string
		return raw[1 : len(raw)-1]
	}
	return out[1 : len(out)-1]
}
