package portal

import (
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"slipway/check"
	"slipway/repo"
	"slipway/zone"
)

func formSettings(t testing.TB) *repo.Settings {
	t.Helper()
	s, err := repo.ParseSettings("slipway.yaml", []byte(`
domain: finmicro.example
zones:
  directory: zones
  apps.finmicro.example: {visibility: internal, owner: finmicro.example, provider: local}
  finmicro.example: {visibility: external, owner: finmicro.example, provider: local}
  parked.example: {visibility: external, owner: finmicro.example, provider: local, parked: true}
providers:
  local: {type: zonefile}
`))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func good() url.Values {
	return url.Values{
		"name": {"expense-tracker"}, "purpose": {"Tracks expenses"}, "team": {"finance"}, "exposure": {"internal"}, "host": {"expenses"}, "zone": {"apps.finmicro.example"},
		"targets": {"192.0.2.10"}, "data": {"none"},
	}
}

func TestBuild(t *testing.T) {
	settings := formSettings(t)
	for _, c := range []struct {
		what    string
		set     url.Values
		wrong   string // fields, in the form's order
		host    zone.Name
		records []string
	}{
		{"as it is", nil, "", "expenses.apps.finmicro.example", []string{"A 300 192.0.2.10"}},
		{"both kinds of address", url.Values{"targets": {"2001:DB8::1, 192.0.2.10\n192.0.2.11"}}, "", "expenses.apps.finmicro.example", []string{"A 300 192.0.2.10 192.0.2.11", "AAAA 300 2001:db8::1"}},
		{"a name to point to", url.Values{"targets": {"LB.Hosting.example."}, "ttl": {"60"}}, "", "expenses.apps.finmicro.example", []string{"CNAME 60 lb.hosting.example."}},
		{"the whole name in the first field", url.Values{"host": {"Expenses.Apps.FinMicro.example"}}, "", "expenses.apps.finmicro.example", []string{"A 300 192.0.2.10"}},
		{"several labels", url.Values{"host": {"a.b"}}, "", "a.b.apps.finmicro.example", []string{"A 300 192.0.2.10"}},
		{"beyond ASCII", url.Values{"host": {"müll"}}, "", "xn--mll-hoa.apps.finmicro.example", []string{"A 300 192.0.2.10"}},
		{"nothing", url.Values{"name": {""}, "purpose": {" "}, "team": {""}, "exposure": {""}, "host": {""}, "zone": {""}, "targets": {""}, "data": {}}, "name purpose team exposure zone targets data", "", nil},
		{"no host", url.Values{"host": {""}}, "host", "", nil},
		{"a domain of somebody else", url.Values{"zone": {"example.org"}}, "zone", "", nil},
		{"two names", url.Values{"targets": {"a.example b.example"}}, "targets", "expenses.apps.finmicro.example", nil},
		{"name and address", url.Values{"targets": {"a.example 192.0.2.1"}}, "targets", "expenses.apps.finmicro.example", nil},
		{"an address of one machine only", url.Values{"targets": {"fe80::1%eth0"}}, "targets", "expenses.apps.finmicro.example", nil},
		{"an address that is none", url.Values{"targets": {"192.0.2.300"}}, "targets", "expenses.apps.finmicro.example", nil},
		{"a word", url.Values{"targets": {"server"}}, "targets", "expenses.apps.finmicro.example", nil},
		{"too many", url.Values{"targets": {strings.Repeat("192.0.2.1\n", 51)}}, "targets", "expenses.apps.finmicro.example", nil},
		{"a TTL that is none", url.Values{"ttl": {"5m"}}, "ttl", "expenses.apps.finmicro.example", []string{"A 300 192.0.2.10"}},
		{"a name with a path in it", url.Values{"name": {"../slipway"}}, "name", "expenses.apps.finmicro.example", []string{"A 300 192.0.2.10"}},
		{"none and another", url.Values{"data": {"none", "pii"}}, "data", "expenses.apps.finmicro.example", []string{"A 300 192.0.2.10"}},
		{"data that nobody knows", url.Values{"data": {"secret"}}, "data", "expenses.apps.finmicro.example", []string{"A 300 192.0.2.10"}},
		{"a day that is none", url.Values{"expires": {"2027-02-30"}, "not_before": {"tomorrow"}}, "expires not_before", "expenses.apps.finmicro.example", []string{"A 300 192.0.2.10"}},
		{"behind the gateway", url.Values{"certificate": {"yes"}, "upstream": {"http://10.1.2.3:8080"}, "mtls": {"required"}}, "", "expenses.apps.finmicro.example", []string{"A 300 192.0.2.10"}},
		{"an upstream that is no address", url.Values{"upstream": {"10.1.2.3:8080"}}, "upstream", "expenses.apps.finmicro.example", []string{"A 300 192.0.2.10"}},
		{"an upstream with a password", url.Values{"upstream": {"http://me:secret@10.1.2.3/"}}, "upstream", "expenses.apps.finmicro.example", []string{"A 300 192.0.2.10"}},
		{"visitors' certificates that nobody asks for", url.Values{"mtls": {"required"}}, "mtls", "expenses.apps.finmicro.example", []string{"A 300 192.0.2.10"}},
		{"a novel", url.Values{"purpose": {strings.Repeat("x", 2001)}}, "purpose", "expenses.apps.finmicro.example", []string{"A 300 192.0.2.10"}},
		{"a control character", url.Values{"team": {"a\x00b"}}, "team", "expenses.apps.finmicro.example", []string{"A 300 192.0.2.10"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			v := good()
			for k, value := range c.set {
				v[k] = value
			}
			app, bad := readForm(v).build("ana@finmicro.example", settings, nil)
			var wrong []string
			for _, e := range inOrder(bad) {
				wrong = append(wrong, e.ID)
			}
			if got := strings.Join(wrong, " "); got != c.wrong || len(wrong) != len(bad) {
				t.Errorf("wrong: %q (%v), want %q", got, bad, c.wrong)
			}
			var records []string
			for _, rr := range app.Records {
				records = append(records, strings.Join(append([]string{rr.Type, strconv.Itoa(rr.TTL)}, rr.Values...), " "))
			}
			if app.Hostname != c.host || !slices.Equal(records, c.records) {
				t.Errorf("host %q, records %q; want %q, %q", app.Hostname, records, c.host, c.records)
			}
			if len(bad) == 0 {
				if _, err := app.Marshal(); err != nil {
					t.Errorf("the manifest: %v", err)
				}
			}
		})
	}
}

// A form that is filled from an app and sent back unchanged asks for the same app.
func TestFormOfRoundTrips(t *testing.T) {
	settings := formSettings(t)
	app := &repo.App{
		Name: "expense-tracker", Owner: "ana@finmicro.example", Team: "finance", Purpose: "Tracks\nexpenses", Exposure: "external", Data: []string{"pii", "health"},
		Expires: "2027-06-30", Hostname: "finmicro.example", Certificate: true, ThirdParty: "ACME", Upstream: "http://10.0.0.1", MTLS: true, Path: "apps/expense-tracker.yaml",
		Records: []zone.RRSet{
			{Name: "x.finmicro.example", Type: "CAA", TTL: 60, Values: []string{`0 issue "ca.example"`}},
			{Name: "finmicro.example", Type: "A", TTL: 60, Values: []string{"192.0.2.10", "192.0.2.11"}},
			{Name: "finmicro.example", Type: "AAAA", TTL: 60, Values: []string{"2001:db8::1"}},
		},
	}
	f := formOf(app, settings)
	again, bad := f.build("bob@finmicro.example", settings, app)
	if len(bad) > 0 {
		t.Fatal(bad)
	}
	if !reflect.DeepEqual(app, again) {
		t.Errorf("\n%+v\nwant\n%+v", again, app)
	}
}

func TestFieldOf(t *testing.T) {
	lines := map[string]int{"owner": 1, "purpose": 3, "hostname": 5, "records": 8}
	for _, c := range []struct {
		path string
		line int
		rule string
		want string
	}{
		{"apps/a.yaml", 3, "", "purpose"}, {"apps/a.yaml", 4, "", "purpose"}, {"apps/a.yaml", 5, "", "host"}, {"apps/a.yaml", 12, "", "targets"}, {"apps/a.yaml", 1, "", ""},
		{"apps/a.yaml", 0, "data-demands-mtls", "mtls"}, {"apps/a.yaml", 0, "app-purpose-missing", "purpose"}, {"apps/a.yaml", 1, "app-expiry-missing", "expires"}, {"apps/a.yaml", 9, "ttl-out-of-bounds", "ttl"}, {"apps/a.yaml", 9, "malformed-value", "targets"}, {"apps/a.yaml", 0, "other", ""}, {"apps/b.yaml", 3, "", ""}, {"zones/x.yaml", 3, "", ""},
	} {
		got := fieldOf(check.Finding{Path: c.path, Line: c.line, Rule: c.rule}, "apps/a.yaml", lines)
		if got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// Every field that build can blame has a control on the page.
func TestEveryFieldHasAPlace(t *testing.T) {
	source, err := files.ReadFile("templates/request.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fields {
		if !strings.Contains(string(source), `control $v "`+f.ID+`"`) || !strings.Contains(string(source), `name="`+f.ID+`"`) {
			t.Errorf("the field %s has no control, or no place for what is wrong with it", f.ID)
		}
	}
}

func FuzzForm(f *testing.F) {
	f.Add(good().Encode())
	f.Add("name=a&host=..&zone=apps.finmicro.example&targets=%00&data=pii&ttl=-1&expires=2027-02-30")
	f.Add("targets=fe80::1%25eth0+%5C000.example&host=*&zone=finmicro.example&name=x&purpose=%F0%9F%98%80&third_party=%0A")
	f.Add("host=%5C.%5C%20a&zone=finmicro.example.&targets=_a.b")
	settings := formSettings(f)
	f.Fuzz(func(t *testing.T, query string) {
		v, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		form := readForm(v)
		app, bad := form.build("ana@finmicro.example", settings, nil)
		for id := range bad {
			if !slices.ContainsFunc(fields, func(f field) bool { return f.ID == id }) {
				t.Errorf("the field %q is not on the form", id)
			}
		}
		if len(bad) > 0 {
			return
		}
		if app.Path != "apps/"+app.Name+".yaml" || strings.ContainsAny(app.Name, "/.") {
			t.Errorf("path %q", app.Path)
		}
		raw, err := app.Marshal()
		if err != nil {
			t.Skip() // said to the person as it is
		}
		again, err := repo.ParseApp(app.Path, raw)
		if err != nil || again.Hostname != app.Hostname || again.Purpose != app.Purpose || again.Owner != "ana@finmicro.example" {
			t.Errorf("what was asked and what was written differ: %+v, %+v, %v", app, again, err)
		}
		for _, rr := range again.Records {
			if rr.Name != again.Hostname {
				t.Errorf("a record of another name: %+v", rr)
			}
		}
	})
}
