package zone

import (
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// kind is how one field of a record's data is written and checked.
type kind int

const (
	word    kind = iota // one token without quotes
	u8                  // 0..255
	u16                 // 0..65535
	ipv4                // RFC 1035 section 3.4.1
	ipv6                // RFC 3596, written as RFC 5952 has it
	host                // a domain name, always absolute
	hexes               // base 16, lower case
	base64              // base 64, without spaces
	quoted              // one quoted string
	text                // TXT: any length, cut into strings of 255 octets
	tag                 // RFC 8659 section 4.1: letters and digits
	upper               // a quoted string of flags, upper case
	degrees             // LOC: a whole number
	decimal             // LOC: a number
	metres              // LOC: a number, followed by m in presentation form
	compass             // LOC: N, S, E or W
	params              // SVCB: key=value pairs to the end of the line
)

// field is one part of a record's data, in RFC presentation order.
type field struct {
	key   string // octoDNS's name for it; "" when the value is not a mapping
	alias string // octoDNS's older name, still read
	kind  kind
	def   string // used when the key is missing; "" means that it must be there
	none  bool   // may be missing with an empty value
}

// recordType is what octoDNS and the RFCs say about one type.
type recordType struct {
	fields  []field
	single  bool   // at most one record (RFC 2181 section 10.1, RFC 6672 section 2.4)
	rfc     string // where the form is defined
	example string
}

// mapping says whether octoDNS writes a value as a mapping.
func (t recordType) mapping() bool { return t.fields[0].key != "" }

// certain says whether the fields' own checks leave nothing that could be wrong
// with a value; other types are packed by miekg/dns to be sure.
func (t recordType) certain() bool {
	return !slices.ContainsFunc(t.fields, func(f field) bool {
		switch f.kind {
		case u8, u16, ipv4, ipv6, host, hexes, base64, text:
			return false
		}
		return true
	})
}

func one(k kind) []field { return []field{{kind: k}} }

// recordTypes are the types that octoDNS documents and DNS knows. Any other
// type that DNS knows is kept as one presentation string; ALIAS, which only
// providers know, is here because its value is a plain name.
var recordTypes = map[string]recordType{
	"A":          {fields: one(ipv4), rfc: "RFC 1035", example: "192.0.2.10"},
	"AAAA":       {fields: one(ipv6), rfc: "RFC 3596", example: "2001:db8::10"},
	"ALIAS":      {fields: one(host), single: true, example: "app.example.net."},
	"CNAME":      {fields: one(host), single: true, rfc: "RFC 1035", example: "app.example.net."},
	"DNAME":      {fields: one(host), single: true, rfc: "RFC 6672", example: "example.net."},
	"NS":         {fields: one(host), rfc: "RFC 1035", example: "ns1.example.net."},
	"PTR":        {fields: one(host), rfc: "RFC 1035", example: "host.example.net."},
	"OPENPGPKEY": {fields: one(base64), rfc: "RFC 7929", example: "mQINBF…"},
	"TXT":        {fields: one(text), rfc: "RFC 1035", example: `"v=spf1 -all"`},
	"SPF":        {fields: one(text), rfc: "RFC 4408", example: `"v=spf1 -all"`},
	"CAA": {rfc: "RFC 8659", example: `0 issue "letsencrypt.org"`, fields: []field{
		{key: "flags", kind: u8, def: "0"}, {key: "tag", kind: tag}, {key: "value", kind: quoted, none: true}}},
	// octoDNS first named these fields one off (flags, protocol, algorithm, public_key); see legacyDS.
	"DS": {rfc: "RFC 4034", example: "60485 13 2 d4b7…", fields: []field{
		{key: "key_tag", kind: u16}, {key: "algorithm", kind: u8}, {key: "digest_type", kind: u8}, {key: "digest", kind: hexes}}},
	"LOC": {rfc: "RFC 1876", example: "51 30 12.748 N 0 7 39.611 W 0m 1m 10m 10m", fields: []field{
		{key: "lat_degrees", kind: degrees}, {key: "lat_minutes", kind: degrees}, {key: "lat_seconds", kind: decimal}, {key: "lat_direction", kind: compass},
		{key: "long_degrees", kind: degrees}, {key: "long_minutes", kind: degrees}, {key: "long_seconds", kind: decimal}, {key: "long_direction", kind: compass},
		{key: "altitude", kind: metres}, {key: "size", kind: metres}, {key: "precision_horz", kind: metres}, {key: "precision_vert", kind: metres}}},
	"MX": {rfc: "RFC 1035", example: "10 mail.example.com.", fields: []field{
		{key: "preference", alias: "priority", kind: u16}, {key: "exchange", alias: "value", kind: host}}},
	"NAPTR": {rfc: "RFC 3403", example: `100 50 "S" "SIP+D2U" "" _sip._udp.example.com.`, fields: []field{
		{key: "order", kind: u16}, {key: "preference", kind: u16}, {key: "flags", kind: upper, none: true},
		{key: "service", kind: quoted, none: true}, {key: "regexp", kind: quoted, none: true}, {key: "replacement", kind: host}}},
	"SRV": {rfc: "RFC 2782", example: "10 60 5060 sip.example.com.", fields: []field{
		{key: "priority", kind: u16}, {key: "weight", kind: u16}, {key: "port", kind: u16}, {key: "target", kind: host}}},
	"SSHFP": {rfc: "RFC 4255", example: "4 2 a87f…", fields: []field{
		{key: "algorithm", kind: u8}, {key: "fingerprint_type", kind: u8}, {key: "fingerprint", kind: hexes}}},
	"SVCB":  {rfc: "RFC 9460", example: `1 svc.example.com. alpn="h2,h3"`, fields: serviceFields},
	"HTTPS": {rfc: "RFC 9460", example: `1 . alpn="h2,h3"`, fields: serviceFields},
	"TLSA": {rfc: "RFC 6698", example: "3 1 1 0d6f…", fields: []field{
		{key: "certificate_usage", kind: u8, def: "0"}, {key: "selector", kind: u8, def: "0"}, {key: "matching_type", kind: u8, def: "0"},
		{key: "certificate_association_data", kind: hexes}}},
	"URI": {rfc: "RFC 7553", example: `10 1 "https://www.example.com/"`, fields: []field{
		{key: "priority", kind: u16}, {key: "weight", kind: u16}, {key: "target", kind: quoted}}},
}

var serviceFields = []field{
	{key: "svcpriority", kind: u16}, {key: "targetname", kind: host}, {key: "svcparams", kind: params, none: true}}

// urlForward is octoDNS's own type for redirects. Its values, like those of a
// provider's types, are kept as JSON.
const urlForward = "URLFWD"

// providerType says whether only a provider or octoDNS itself knows the type,
// so that its values are JSON and no zone file can hold it.
func providerType(typ string) bool {
	return typ == urlForward || strings.Contains(typ, "/") || !knownType(typ)
}

// inMaster says whether a zone file can hold the type.
func inMaster(typ string) bool { return typ != "ALIAS" && !providerType(typ) }

// knownType says whether a value of the type has a presentation form that is understood here.
func knownType(typ string) bool {
	if _, ok := recordTypes[typ]; ok {
		return true
	}
	if rest, ok := strings.CutPrefix(typ, "TYPE"); ok {
		// RFC 3597 section 5. A type that has a name goes by it and by no
		// other, or a rule about MX could be passed by writing TYPE15.
		n, err := strconv.ParseUint(rest, 10, 16)
		_, named := dns.TypeToString[uint16(n)]
		return err == nil && n != 0 && !named && strconv.FormatUint(n, 10) == rest
	}
	t, ok := dns.StringToType[typ]
	return ok && !notData[t]
}

// notData are the types that are questions, mechanics of the protocol, or
// made by the signer of a zone; a person never writes them into one.
var notData = map[uint16]bool{
	dns.TypeNone: true, dns.TypeANY: true, dns.TypeAXFR: true, dns.TypeIXFR: true, dns.TypeMAILA: true, dns.TypeMAILB: true,
	dns.TypeOPT: true, dns.TypeTSIG: true, dns.TypeTKEY: true, dns.TypeSIG: true, dns.TypeSOA: true, dns.TypeReserved: true,
	dns.TypeRRSIG: true, dns.TypeNSEC: true, dns.TypeNSEC3: true, dns.TypeNSEC3PARAM: true, dns.TypeDNSKEY: true,
	dns.TypeCDS: true, dns.TypeCDNSKEY: true, dns.TypeKEY: true, dns.TypeNXT: true, dns.TypeNULL: true, dns.TypeUNSPEC: true,
	dns.TypeZONEMD: true, dns.TypeNXNAME: true,
}
