package exchange

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"slipway/zone"
)

// This file reads and writes DNSControl's intermediate representation: what `dnscontrol
// print-ir` prints and `dnscontrol preview --ir FILE` reads.

type controlConfig struct {
	Registrars []controlParty  `json:"registrars"`
	Providers  []controlParty  `json:"dns_providers"`
	Domains    []controlDomain `json:"domains"`
}

type controlParty struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

type controlDomain struct {
	Name        string              `json:"name"`
	UniqueName  string              `json:"uniquename,omitempty"` // with the tag of a split horizon; later versions want it
	Meta        map[string]string   `json:"meta,omitempty"`
	Registrar   string              `json:"registrar"`
	Providers   map[string]int      `json:"dnsProviders"`
	Nameservers []controlNameserver `json:"nameservers,omitempty"`
	Records     []controlRecord     `json:"records"`
}

// nameserverTTL is where DNSControl keeps what NAMESERVER_TTL says.
const nameserverTTL = "ns_ttl"

type controlNameserver struct {
	Name string `json:"name"`
}

type controlRecord struct {
	Type      string            `json:"type"`
	Name      string            `json:"name"`
	Subdomain string            `json:"subdomain,omitempty"`
	TTL       uint32            `json:"ttl,omitempty"`
	Target    string            `json:"target"`
	Meta      map[string]string `json:"meta,omitempty"`
	Texts     []string          `json:"txtstrings,omitempty"` // before DNSControl 4

	MXPreference     uint16 `json:"mxpreference,omitempty"`
	SRVPriority      uint16 `json:"srvpriority,omitempty"`
	SRVWeight        uint16 `json:"srvweight,omitempty"`
	SRVPort          uint16 `json:"srvport,omitempty"`
	CAATag           string `json:"caatag,omitempty"`
	CAAFlag          uint8  `json:"caaflag,omitempty"`
	DSKeyTag         uint16 `json:"dskeytag,omitempty"`
	DSAlgorithm      uint8  `json:"dsalgorithm,omitempty"`
	DSDigestType     uint8  `json:"dsdigesttype,omitempty"`
	DSDigest         string `json:"dsdigest,omitempty"`
	NAPTROrder       uint16 `json:"naptrorder,omitempty"`
	NAPTRPreference  uint16 `json:"naptrpreference,omitempty"`
	NAPTRFlags       string `json:"naptrflags,omitempty"`
	NAPTRService     string `json:"naptrservice,omitempty"`
	NAPTRRegexp      string `json:"naptrregexp,omitempty"`
	SSHFPAlgorithm   uint8  `json:"sshfpalgorithm,omitempty"`
	SSHFPFingerprint uint8  `json:"sshfpfingerprint,omitempty"`
	SvcPriority      uint16 `json:"svcpriority,omitempty"`
	SvcParams        string `json:"svcparams,omitempty"`
	TLSAUsage        uint8  `json:"tlsausage,omitempty"`
	TLSASelector     uint8  `json:"tlsaselector,omitempty"`
	TLSAMatching     uint8  `json:"tlsamatchingtype,omitempty"`
	LOCVersion       uint8  `json:"locversion,omitempty"`
	LOCSize          uint8  `json:"locsize,omitempty"`
	LOCHorizontal    uint8  `json:"lochorizpre,omitempty"`
	LOCVertical      uint8  `json:"locvertpre,omitempty"`
	LOCLatitude      uint32 `json:"loclatitude,omitempty"`
	LOCLongitude     uint32 `json:"loclongitude,omitempty"`
	LOCAltitude      uint32 `json:"localtitude,omitempty"`
}

// ReadDNSControl reads the JSON of `dnscontrol print-ir`.
func ReadDNSControl(path string) (*Result, error) {
	src, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return parseDNSControl(path, src)
}

func parseDNSControl(path string, src []byte) (*Result, error) {
	var config controlConfig
	if err := json.Unmarshal(src, &config); err != nil {
		return nil, fmt.Errorf("%s: it is not the JSON of dnscontrol print-ir: %w", path, err)
	}
	if config.Domains == nil {
		return nil, fmt.Errorf("%s: it has no domains; make it with dnscontrol print-ir --out FILE", path)
	}
	c := newCollector()
	for _, d := range config.Domains {
		name, tag, _ := strings.Cut(d.Name, "!")
		z, err := zone.ParseName(name)
		if err != nil || name == "" {
			c.lose("", d.Name, "left out: it is not a domain name")
			continue
		}
		if tag != "" {
			c.lose(z, "", "the view %q of a split horizon is left out; only the one without a tag can be a zone", tag)
			continue
		}
		c.open(z)
		own := false // the records have NS of the zone's own
		for _, r := range d.Records {
			made, why := controlSet(z, r)
			if why != "" {
				c.lose(z, r.Name+" "+r.Type, "left out: %s", why)
				continue
			}
			own = own || made.Type == "NS" && made.Name == z
			for k := range r.Meta {
				c.lose(z, label(made), "its setting %s has no place here", k)
			}
			if err := c.add(z, made); err != nil {
				return nil, err
			}
		}
		for _, n := range d.Nameservers {
			if own {
				break
			}
			ttl := zone.NoTTL
			if n, err := strconv.ParseUint(d.Meta[nameserverTTL], 10, 31); err == nil && n > 0 {
				ttl = int(n)
			}
			if err := c.add(z, zone.RRSet{Name: z, Type: "NS", TTL: ttl, Values: []string{strings.TrimSuffix(n.Name, ".") + "."}}); err != nil {
				return nil, err
			}
		}
	}
	return c.result(), nil
}

// controlSet reads one record, or says why it cannot be one.
func controlSet(z zone.Name, r controlRecord) (zone.RRSet, string) {
	set := zone.RRSet{Type: r.Type, TTL: zone.NoTTL}
	if r.TTL > 0 {
		set.TTL = int(min(r.TTL, 1<<31-1))
	}
	short := r.Name
	if r.Subdomain != "" {
		short = strings.TrimPrefix(r.Name+"."+r.Subdomain, "@.")
	}
	name, err := below(z, short)
	if err != nil {
		return set, err.Error()
	}
	set.Name = name
	target := r.Target
	// A target without its dot is relative to the domain, and "@" is the domain.
	switch r.Type {
	case "ALIAS", "CNAME", "DNAME", "MX", "NS", "PTR", "SRV", "NAPTR", "HTTPS", "SVCB":
		if target != "." && !strings.HasSuffix(target, ".") {
			n, err := below(z, target)
			if err != nil {
				return set, err.Error()
			}
			target = n.FQDN()
		}
	}
	value := target
	switch r.Type {
	case "A", "AAAA", "ALIAS", "CNAME", "DNAME", "NS", "PTR", "OPENPGPKEY", "DHCID", "SMIMEA":
	case "TXT", "SPF":
		if len(r.Texts) > 0 {
			target = strings.Join(r.Texts, "")
		}
		value = text(target)
	case "MX":
		value = fmt.Sprintf("%d %s", r.MXPreference, target)
	case "SRV":
		value = fmt.Sprintf("%d %d %d %s", r.SRVPriority, r.SRVWeight, r.SRVPort, target)
	case "CAA":
		value = fmt.Sprintf("%d %s %s", r.CAAFlag, r.CAATag, text(target))
	case "DS":
		value = fmt.Sprintf("%d %d %d %s", r.DSKeyTag, r.DSAlgorithm, r.DSDigestType, r.DSDigest)
	case "NAPTR":
		value = fmt.Sprintf("%d %d %s %s %s %s", r.NAPTROrder, r.NAPTRPreference, text(r.NAPTRFlags), text(r.NAPTRService), text(r.NAPTRRegexp), target)
	case "SSHFP":
		value = fmt.Sprintf("%d %d %s", r.SSHFPAlgorithm, r.SSHFPFingerprint, target)
	case "HTTPS", "SVCB":
		value = fmt.Sprintf("%d %s %s", r.SvcPriority, target, r.SvcParams)
	case "TLSA":
		value = fmt.Sprintf("%d %d %d %s", r.TLSAUsage, r.TLSASelector, r.TLSAMatching, target)
	case "LOC":
		rr := &dns.LOC{Version: r.LOCVersion, Size: r.LOCSize, HorizPre: r.LOCHorizontal, VertPre: r.LOCVertical, Latitude: r.LOCLatitude, Longitude: r.LOCLongitude, Altitude: r.LOCAltitude}
		value = strings.TrimPrefix(rr.String(), rr.Hdr.String())
	default:
		return set, "it is DNSControl's own type, or one that is not understood"
	}
	set.Values = []string{value}
	return set, ""
}

// WriteDNSControl writes all zones as one file, dnscontrol.json. Its reader adds the registrar and
// the providers, which a zone does not name.
func WriteDNSControl(zones []Zone) (files []File, losses []Loss, err error) {
	config := controlConfig{Registrars: []controlParty{{"none", "NONE"}}, Providers: []controlParty{}, Domains: []controlDomain{}}
	for _, z := range zones {
		sets, lost := valid(z)
		losses = append(losses, lost...)
		d := controlDomain{Name: string(z.Name), UniqueName: string(z.Name), Registrar: "none", Providers: map[string]int{}, Records: []controlRecord{}}
		for _, r := range sets {
			if r.Name == z.Name && r.Type == "NS" { // DNSControl refuses them as records
				for _, v := range r.Values {
					d.Nameservers = append(d.Nameservers, controlNameserver{v})
				}
				if r.TTL > 0 {
					d.Meta = map[string]string{nameserverTTL: strconv.Itoa(r.TTL)}
				}
				continue
			}
			if r.Extra != "" {
				losses = append(losses, Loss{z.Name, label(r), "its other settings have no place in DNSControl"})
			}
			for _, v := range r.Values {
				record, err := controlRecordOf(z.Name, r, v)
				if err != nil {
					losses = append(losses, Loss{z.Name, label(r), "left out: " + err.Error()})
					break
				}
				d.Records = append(d.Records, record)
			}
		}
		config.Domains = append(config.Domains, d)
	}
	src, err := marshal(config)
	if err != nil {
		return nil, nil, err
	}
	return []File{{"dnscontrol.json", src}}, losses, nil
}

func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func controlRecordOf(z zone.Name, r zone.RRSet, value string) (controlRecord, error) {
	out := controlRecord{Type: r.Type, Name: r.Name.Relative(z)}
	if out.Name == "" {
		out.Name = "@"
	}
	if r.TTL > 0 {
		out.TTL = uint32(r.TTL)
	}
	own := fmt.Errorf("DNSControl has no type %s", r.Type)
	if !r.InDNS() && r.Type != "ALIAS" {
		return out, own
	}
	parts, err := zone.Fields(value)
	if err != nil {
		return out, err
	}
	p := fieldReader{parts: parts}
	switch r.Type {
	case "A", "AAAA", "ALIAS", "CNAME", "DNAME", "NS", "PTR", "OPENPGPKEY", "DHCID":
		out.Target = value
	case "SMIMEA":
		out.Target = value
	case "TXT", "SPF":
		out.Target = strings.Join(parts, "")
		if !printable(out.Target) {
			return out, fmt.Errorf("JSON cannot hold its octets")
		}
	case "MX":
		out.MXPreference, out.Target = uint16(p.number()), p.rest()
	case "SRV":
		out.SRVPriority, out.SRVWeight, out.SRVPort, out.Target = uint16(p.number()), uint16(p.number()), uint16(p.number()), p.rest()
	case "CAA":
		out.CAAFlag, out.CAATag, out.Target = uint8(p.number()), p.next(), p.rest()
	case "DS":
		out.DSKeyTag, out.DSAlgorithm, out.DSDigestType, out.DSDigest = uint16(p.number()), uint8(p.number()), uint8(p.number()), p.rest()
	case "NAPTR":
		out.NAPTROrder, out.NAPTRPreference = uint16(p.number()), uint16(p.number())
		out.NAPTRFlags, out.NAPTRService, out.NAPTRRegexp, out.Target = p.next(), p.next(), p.next(), p.rest()
	case "SSHFP":
		out.SSHFPAlgorithm, out.SSHFPFingerprint, out.Target = uint8(p.number()), uint8(p.number()), p.rest()
	case "HTTPS", "SVCB":
		head := strings.SplitN(value, " ", 3)
		out.SvcPriority, out.Target = uint16(p.number()), p.next()
		if len(head) == 3 {
			out.SvcParams = head[2]
		}
	case "TLSA":
		out.TLSAUsage, out.TLSASelector, out.TLSAMatching, out.Target = uint8(p.number()), uint8(p.number()), uint8(p.number()), p.rest()
	case "LOC":
		rr, err := dns.NewRR(". 0 IN LOC " + value)
		loc, ok := rr.(*dns.LOC)
		if err != nil || !ok {
			return out, fmt.Errorf("it cannot be read as a LOC record")
		}
		out.LOCVersion, out.LOCSize, out.LOCHorizontal, out.LOCVertical = loc.Version, loc.Size, loc.HorizPre, loc.VertPre
		out.LOCLatitude, out.LOCLongitude, out.LOCAltitude = loc.Latitude, loc.Longitude, loc.Altitude
	default:
		return out, own
	}
	return out, nil
}

// printable says whether JSON, which holds characters and not octets, can hold the text unchanged.
func printable(s string) bool { return !slices.Contains([]rune(s), '\uFFFD') }

// fieldReader takes a value's parts one by one. Values are valid, so numbers are numbers.
type fieldReader struct{ parts []string }

func (p *fieldReader) next() string {
	if len(p.parts) == 0 {
		return ""
	}
	s := p.parts[0]
	p.parts = p.parts[1:]
	return s
}

func (p *fieldReader) number() uint64 {
	n, _ := strconv.ParseUint(p.next(), 10, 32)
	return n
}

func (p *fieldReader) rest() string {
	s := strings.Join(p.parts, " ")
	p.parts = nil
	return s
}
