package exchange

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"slipway/zone"
)

// lines are a result's record sets and losses, one a line.
func lines(r *Result) string {
	var b strings.Builder
	for _, z := range r.Zones {
		b.WriteString("zone " + string(z.Name) + "\n")
		for _, s := range z.Sets {
			b.WriteString("  " + label(s) + " ")
			if s.TTL == zone.NoTTL {
				b.WriteString("-")
			} else {
				b.WriteString(strconv.Itoa(s.TTL))
			}
			b.WriteString(" " + strings.Join(s.Values, " | ") + s.Extra + "\n")
		}
	}
	for _, l := range r.Losses {
		b.WriteString("loss " + l.String() + "\n")
	}
	return b.String()
}

const state = `{"version":4,"terraform_version":"1.11.4","resources":[
 {"mode":"managed","type":"aws_route53_zone","name":"main","instances":[{"attributes":{"name":"aws.example","zone_id":"Z1"}}]},
 {"mode":"managed","type":"aws_route53_record","name":"a","instances":[
  {"attributes":{"zone_id":"Z1","name":"www","type":"A","ttl":60,"records":["192.0.2.1","192.0.2.2"]}},
  {"attributes":{"zone_id":"Z1","name":"\\052.aws.example","type":"CNAME","ttl":60,"records":["www.aws.example"]}},
  {"attributes":{"zone_id":"Z1","name":"aws.example","type":"TXT","ttl":60,"records":["v=spf1 \\\"q\\\" -all","one\"\"two \\303\\244"]}},
  {"attributes":{"zone_id":"Z1","name":"","type":"A","alias":[{"name":"d1.cloudfront.net","zone_id":"Z2","evaluate_target_health":false}]}},
  {"attributes":{"zone_id":"Z1","name":"w","type":"A","ttl":60,"set_identifier":"blue","records":["192.0.2.3"]}},
  {"attributes":{"zone_id":"Z1","name":"aws.example","type":"SOA","ttl":60,"records":["a. b. 1 2 3 4 5"]}},
  {"attributes":{"zone_id":"Z9","name":"nowhere","type":"A","ttl":60,"records":["192.0.2.3"]}}]},
 {"mode":"managed","type":"cloudflare_zone","name":"cf","instances":[{"attributes":{"zone":"cf.example","id":"c1"}}]},
 {"mode":"managed","type":"cloudflare_record","name":"r","instances":[
  {"attributes":{"zone_id":"c1","name":"@","type":"MX","ttl":1,"priority":10,"content":"mail.cf.example"}},
  {"attributes":{"zone_id":"c1","name":"www","type":"A","ttl":1,"value":"192.0.2.4","proxied":true}},
  {"attributes":{"zone_id":"c1","name":"cf.example","type":"CAA","ttl":300,"data":[{"flags":"0","tag":"issue","value":"ca.example"}]}},
  {"attributes":{"zone_id":"c1","name":"_sip._tcp","type":"SRV","ttl":300,"data":{"priority":1,"weight":2,"port":3,"target":"sip.cf.example"}}},
  {"attributes":{"zone_id":"c1","name":"t","type":"TXT","ttl":300,"content":"say \"hi\""}}]},
 {"mode":"managed","type":"google_dns_managed_zone","name":"g","instances":[{"attributes":{"name":"gz","dns_name":"g.example."}}]},
 {"mode":"managed","type":"google_dns_record_set","name":"g","instances":[
  {"attributes":{"managed_zone":"gz","name":"www.g.example.","type":"A","ttl":5,"rrdatas":["192.0.2.5"]}},
  {"attributes":{"managed_zone":"gz","name":"geo.g.example.","type":"A","ttl":5,"routing_policy":[{"wrr":[]}]}}]},
 {"mode":"managed","type":"azurerm_dns_zone","name":"az","instances":[{"attributes":{"name":"az.example"}}]},
 {"mode":"managed","type":"azurerm_dns_a_record","name":"a","instances":[{"attributes":{"zone_name":"az.example","name":"@","ttl":30,"records":["192.0.2.6"]}}]},
 {"mode":"managed","type":"azurerm_dns_cname_record","name":"c","instances":[{"attributes":{"zone_name":"az.example","name":"www","ttl":30,"record":"az.example"}}]},
 {"mode":"managed","type":"azurerm_dns_mx_record","name":"m","instances":[{"attributes":{"zone_name":"az.example","name":"@","ttl":30,"record":[{"preference":"10","exchange":"m.az.example"}]}}]},
 {"mode":"managed","type":"azurerm_dns_txt_record","name":"t","instances":[{"attributes":{"zone_name":"az.example","name":"t","ttl":30,"record":[{"value":"a\\b \"c\""}]}}]},
 {"mode":"managed","type":"azurerm_dns_caa_record","name":"ca","instances":[{"attributes":{"zone_name":"az.example","name":"@","ttl":30,"record":[{"flags":0,"tag":"issue","value":"ca.example"}]}}]},
 {"mode":"managed","type":"azurerm_dns_a_record","name":"al","instances":[{"attributes":{"zone_name":"az.example","name":"al","ttl":30,"target_resource_id":"/subscriptions/x"}}]},
 {"mode":"managed","type":"digitalocean_record","name":"d","instances":[{"attributes":{"name":"x"}}]},
 {"mode":"managed","type":"aws_instance","name":"i","instances":[{"attributes":{"name":"x"}}]}]}`

const stateRead = `zone aws.example
  aws.example Route53Provider/ALIAS 942942942 {"evaluate-target-health":false,"hosted-zone-id":"Z2","name":"d1.cloudfront.net.","type":"A"}
  aws.example TXT 60 "onetwo \195\164" | "v=spf1 \"q\" -all"
  *.aws.example CNAME 60 www.aws.example.
  www.aws.example A 60 192.0.2.1 | 192.0.2.2
zone az.example
  az.example A 30 192.0.2.6
  az.example CAA 30 0 issue "ca.example"
  az.example MX 30 10 m.az.example.
  t.az.example TXT 30 "a\\b \"c\""
  www.az.example CNAME 30 az.example.
zone cf.example
  cf.example CAA 300 0 issue "ca.example"
  cf.example MX - 10 mail.cf.example.
  _sip._tcp.cf.example SRV 300 1 2 3 sip.cf.example.
  t.cf.example TXT 300 "say \"hi\""
  www.cf.example A - 192.0.2.4{"octodns":{"cloudflare":{"proxied":true}}}
zone g.example
  www.g.example A 5 192.0.2.5
loss aws_route53_record.a: left out: its zone is not in the state; name it with --zone
loss digitalocean_record.d: left out: this kind of resource is not understood
loss w.aws.example A: left out: it is one answer of several (routing policy, set identifier "blue")
loss al.az.example A: left out: it is an alias of an Azure resource
loss geo.g.example A: left out: it has a routing policy
`

func TestReadTerraform(t *testing.T) {
	r, err := parseTerraform("terraform.tfstate", []byte(state), "")
	if err != nil {
		t.Fatal(err)
	}
	if got := sortedLines(lines(r)); got != sortedLines(stateRead) {
		t.Errorf("got\n%s\nwant\n%s", lines(r), stateRead)
	}
	shown := `{"format_version":"1.0","values":{"root_module":{"child_modules":[{"resources":[
	 {"type":"aws_route53_record","name":"w","values":{"zone_id":"Z1","name":"www.fall.example","type":"A","ttl":60,"records":["192.0.2.1"]}}]}]}}}`
	r, err = parseTerraform("show.json", []byte(shown), "fall.example")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := lines(r), "zone fall.example\n  www.fall.example A 60 192.0.2.1\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, bad := range []string{`{"version":3}`, `{}`, `[]`, `{"version":4,"resources":[{"instances":[{"attributes":[]}]}]}`, `nonsense`} {
		if _, err := parseTerraform("x", []byte(bad), ""); err == nil || !strings.HasPrefix(err.Error(), "x: ") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func sortedLines(s string) string {
	l := strings.Split(s, "\n")
	slices.Sort(l)
	return strings.Join(l, "\n")
}

func TestReadDNSControl(t *testing.T) {
	src := `{"registrars":[{"name":"none","type":"NONE"}],"dns_providers":[],"domains":[
	 {"name":"example.org","registrar":"none","dnsProviders":{},"nameservers":[{"name":"ns1.example.net"}],"records":[
	  {"type":"A","name":"@","ttl":300,"target":"192.0.2.1"},
	  {"type":"CNAME","name":"www","target":"@"},
	  {"type":"CNAME","name":"a","subdomain":"b","target":"www"},
	  {"type":"MX","name":"@","mxpreference":10,"target":"mail.example.net."},
	  {"type":"TXT","name":"t","target":"\"quoted\" text"},
	  {"type":"TXT","name":"u","target":"one","txtstrings":["one","two"]},
	  {"type":"ALIAS","name":"al","target":"x.example.net.","meta":{"cloudflare_proxy":"on"}},
	  {"type":"CF_REDIRECT","name":"@","target":"a,b"},
	  {"type":"A","name":"bad","target":"not an address"}]},
	 {"name":"example.org!inside","records":[]}]}`
	want := `zone example.org
  a.b.example.org CNAME - www.example.org.
  al.example.org ALIAS - x.example.net.
  example.org A 300 192.0.2.1
  example.org MX - 10 mail.example.net.
  example.org NS - ns1.example.net.
  t.example.org TXT - "\"quoted\" text"
  u.example.org TXT - "onetwo"
  www.example.org CNAME - example.org.
`
	r, err := parseDNSControl("ir.json", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	got := lines(&Result{Zones: r.Zones})
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	losses := lines(&Result{Losses: r.Losses})
	for _, l := range []string{"CF_REDIRECT", "bad.example.org A", "cloudflare_proxy", `"inside"`} {
		if !strings.Contains(losses, l) {
			t.Errorf("the losses do not name %s:\n%s", l, losses)
		}
	}
	if _, err := parseDNSControl("x", []byte("{}")); err == nil {
		t.Error("JSON without domains is read")
	}
}

// TestReadOctoDNSSplit reads octoDNS's layout of a folder a zone.
func TestReadOctoDNSSplit(t *testing.T) {
	dir := t.TempDir()
	for file, src := range map[string]string{
		"example.org./$example.org.yaml": "---\n'':\n  type: MX\n  value: {exchange: m.example.org., preference: 1}\n",
		"example.org./www.yaml":          "---\nwww:\n  type: A\n  value: 192.0.2.1\n",
		"example.net.yaml":               "---\nwww:\n  type: A\n  value: 192.0.2.2\n",
		"config.yaml":                    "providers: {}\n",
	} {
		file = filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(src), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r, err := ReadOctoDNS(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := "zone example.net\n  www.example.net A - 192.0.2.2\nzone example.org\n  example.org MX - 1 m.example.org.\n  www.example.org A - 192.0.2.1\nloss " +
		filepath.Join(dir, "config.yaml") + ": it is not a zone's file, by its name\n"
	if got := lines(r); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func FuzzTerraform(f *testing.F) {
	f.Add([]byte(`{"version":4,"resources":[{"type":"cloudflare_zone","instances":[{"attributes":{"zone":"a.example","id":"c"}}]},{"type":"cloudflare_record","instances":[{"attributes":{"zone_id":"c","name":"@","type":"CAA","data":[{"flags":"0","tag":"issue","value":"b"}]}}]}]}`))
	f.Add([]byte(`{"values":{"root_module":{"child_modules":[{"resources":[{"type":"aws_route53_record","values":{"name":"a","records":["1"],"type":"TXT"}}]}]}}}`))
	f.Add([]byte(`{"resource":{"aws_route53_zone":{"z":{"name":"a.example"}},"aws_route53_record":{"r":[{"zone_id":"${aws_route53_zone.z.zone_id}","name":"x","type":"A","records":["$${x}"]}]}}}`))
	f.Fuzz(func(t *testing.T, src []byte) {
		r, err := parseTerraform("x", src, "fall.example")
		checkResult(t, r, err)
	})
}

func FuzzDNSControl(f *testing.F) {
	f.Add([]byte(`{"domains":[{"name":"a.example","records":[{"type":"MX","name":"@","mxpreference":1,"target":"m"},{"type":"LOC","name":"l","loclatitude":4294967295}]}]}`))
	f.Add([]byte(`{"domains":[{"name":"a.example!x"},{"name":"","nameservers":[{"name":"n"}]}]}`))
	f.Fuzz(func(t *testing.T, src []byte) {
		r, err := parseDNSControl("x", src)
		checkResult(t, r, err)
	})
}

// checkResult holds what every reader promises: sets that are valid and in their zones.
func checkResult(t *testing.T, r *Result, err error) {
	if err != nil {
		return
	}
	for _, z := range r.Zones {
		for _, s := range z.Sets {
			if err := s.Validate(); err != nil || !s.Name.In(z.Name) {
				t.Fatalf("zone %s has %+v: %v", z.Name, s, err)
			}
		}
	}
}

func FuzzOrigin(f *testing.F) {
	f.Add([]byte("$ORIGIN example.org.\n@ IN SOA a. b. 1 2 3 4 5\n"), "db.example.org")
	f.Add([]byte("a IN SOA"), "x")
	f.Fuzz(func(t *testing.T, src []byte, base string) { originOf(src, base) })
}

func FuzzTSIG(f *testing.F) {
	f.Add([]byte("key \"k\" {\n algorithm hmac-sha256;\n secret \"c2VjcmV0\";\n};\n"))
	f.Add([]byte("c2VjcmV0\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		if k, err := ParseTSIG(src, "", ""); err == nil && (k.Name == "" || k.Secret == "") {
			t.Fatalf("%q is a key without a name or a secret", src)
		}
	})
}

func FuzzRoute53Text(f *testing.F) {
	f.Add(`v=spf1 -all`)
	f.Add("a\"\"b \\303\\244 \\\"")
	f.Fuzz(func(t *testing.T, s string) {
		octets, err := route53Text(s)
		if err != nil {
			return
		}
		if back, err := route53Text(route53Quote(octets)); err != nil || back != octets {
			t.Fatalf("%q became %q, then %q (%v)", s, octets, back, err)
		}
	})
}
