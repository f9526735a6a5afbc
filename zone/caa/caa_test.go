package caa

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"slipway/zone"
)

func TestParseValue(t *testing.T) {
	p, err := ParseValue(`128 Issue "ca.example; a=b"`)
	if err != nil || !p.Critical() || p.Tag != "issue" || p.Value != "ca.example; a=b" {
		t.Errorf("%+v %v", p, err)
	}
	for _, bad := range []string{"", "0", "0 issue", `256 issue "x"`, `-1 issue "x"`, `0 is-sue "x"`, `0 "" "x"`, `0 issue "x`, `0 issue a b`} {
		if p, err := ParseValue(bad); err == nil {
			t.Errorf("%q is read as %+v", bad, p)
		}
	}
	if got := Properties(zone.RRSet{Values: []string{`0 issue "x"`, "broken"}}); len(got) != 1 {
		t.Errorf("%+v", got)
	}
}

// The grammar of RFC 8659 section 4.2, its examples included.
func TestIssuer(t *testing.T) {
	for value, want := range map[string]string{
		"ca1.example.net":                 "ca1.example.net",
		" CA1.Example.Net ":               "ca1.example.net",
		";":                               "",
		"":                                "",
		"%%%%%":                           "",
		"ca1.example.net; account=230123": "ca1.example.net account=230123",
		"ca1.example.net;account = 1 ; policy=ev": "ca1.example.net account=1 policy=ev",
		"; account=1":                 " account=1",
		"ca1.example.net; account":    "",
		"ca1.example.net; account=1;": "",
		"ca1.example.net; acc ount=1": "",
		"ca1.example.net; -a=1":       "",
		"ca1.example.net; a=":         "ca1.example.net a=",
		"ca1.example.net; a=b c":      "",
		"ca1 .example.net":            "",
		"-ca.example":                 "",
		"ca..example":                 "",
		"ca.example.":                 "",
		"ca1.example.net; accounturi=https://ca.test/a=1": "ca1.example.net accounturi=https://ca.test/a=1",
	} {
		i := Property{Tag: "issue", Value: value}.Issuer()
		got := i.Domain
		for _, p := range i.Parameters {
			got += " " + p.Tag + "=" + p.Value
		}
		if got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}

func records(sets map[zone.Name][]string) Lookup {
	return func(_ context.Context, n zone.Name) ([]string, error) {
		v := sets[n]
		if slices.Contains(v, "SERVFAIL") {
			return nil, errors.New("SERVFAIL")
		}
		return v, nil
	}
}

func TestPermits(t *testing.T) {
	const account = "https://ca.example/acct/7"
	for name, c := range map[string]struct {
		sets      map[zone.Name][]string
		name      zone.Name // "" for pay.finmicro.example
		permitted bool
		at        zone.Name
		reason    string
	}{
		"no records":            {permitted: true, reason: "every authority"},
		"ours at the name":      {sets: map[zone.Name][]string{"pay.finmicro.example": {`0 issue "ca.example"`}}, permitted: true, at: "pay.finmicro.example"},
		"ours above":            {sets: map[zone.Name][]string{"finmicro.example": {`0 issue "CA.Example"`}}, permitted: true, at: "finmicro.example"},
		"at the top":            {sets: map[zone.Name][]string{"example": {`0 issue "other.test"`}}, at: "example", reason: "allow other.test"},
		"the nearest counts":    {sets: map[zone.Name][]string{"pay.finmicro.example": {`0 issue ";"`}, "finmicro.example": {`0 issue "ca.example"`}}, at: "pay.finmicro.example", reason: "no authority at all"},
		"one of several":        {sets: map[zone.Name][]string{"finmicro.example": {`0 issue "other.test"`, `0 issue "ca.example"`}}, permitted: true, at: "finmicro.example"},
		"only a contact":        {sets: map[zone.Name][]string{"finmicro.example": {`0 iodef "mailto:x@finmicro.example"`}}, permitted: true, at: "finmicro.example", reason: "do not limit"},
		"only issuewild":        {sets: map[zone.Name][]string{"finmicro.example": {`0 issuewild ";"`}}, permitted: true, at: "finmicro.example"},
		"wildcard by issue":     {sets: map[zone.Name][]string{"finmicro.example": {`0 issue "ca.example"`}}, name: "*.finmicro.example", permitted: true, at: "finmicro.example"},
		"wildcard by issuewild": {sets: map[zone.Name][]string{"finmicro.example": {`0 issue "ca.example"`, `0 issuewild ";"`}}, name: "*.finmicro.example", at: "finmicro.example", reason: "issuewild records of finmicro.example allow no authority"},
		"wildcard alone":        {sets: map[zone.Name][]string{"finmicro.example": {`0 issue ";"`, `0 issuewild "ca.example"`}}, name: "*.finmicro.example", permitted: true, at: "finmicro.example"},
		"unknown and critical":  {sets: map[zone.Name][]string{"finmicro.example": {`0 issue "ca.example"`, `128 tbs "x"`}}, at: "finmicro.example", reason: `unknown kind "tbs"`},
		"unknown":               {sets: map[zone.Name][]string{"finmicro.example": {`0 issue "ca.example"`, `0 tbs "x"`}}, permitted: true, at: "finmicro.example"},
		"known and critical":    {sets: map[zone.Name][]string{"finmicro.example": {`128 issue "ca.example"`, `128 iodef "mailto:x@y.test"`}}, permitted: true, at: "finmicro.example"},
		"broken":                {sets: map[zone.Name][]string{"finmicro.example": {`0 issue "ca.example"`, `0 issue`}}, at: "finmicro.example", reason: "cannot be read"},
		"ungrammatical":         {sets: map[zone.Name][]string{"finmicro.example": {`0 issue "ca.example; x"`}}, at: "finmicro.example", reason: "no authority at all"},
		"cannot be looked up":   {sets: map[zone.Name][]string{"finmicro.example": {"SERVFAIL"}}, at: "finmicro.example", reason: "cannot be looked up"},
		"our account":           {sets: map[zone.Name][]string{"finmicro.example": {`0 issue "ca.example; accounturi=` + account + `"`}}, permitted: true, at: "finmicro.example"},
		"another account":       {sets: map[zone.Name][]string{"finmicro.example": {`0 issue "ca.example; accounturi=` + account + `8"`}}, at: "finmicro.example", reason: "only for the account " + account + "8, and ours is"},
		"two accounts":          {sets: map[zone.Name][]string{"finmicro.example": {`0 issue "ca.example; accounturi=` + account + `; accounturi=` + account + `"`}}, at: "finmicro.example", reason: "more than one account"},
		"another in another":    {sets: map[zone.Name][]string{"finmicro.example": {`0 issue "ca.example; accounturi=x"`, `0 issue "ca.example; accounturi=` + account + `"`}}, permitted: true, at: "finmicro.example"},
		"our way of proof":      {sets: map[zone.Name][]string{"finmicro.example": {`0 issue "ca.example; validationmethods=http-01,dns-01"`}}, permitted: true, at: "finmicro.example"},
		"another way of proof":  {sets: map[zone.Name][]string{"finmicro.example": {`0 issue "ca.example; validationmethods=http-01"`}}, at: "finmicro.example", reason: "only after proof by http-01"},
		"no way of proof":       {sets: map[zone.Name][]string{"finmicro.example": {`0 issue "ca.example; validationmethods="`}}, at: "finmicro.example"},
		"a part of a way":       {sets: map[zone.Name][]string{"finmicro.example": {`0 issue "ca.example; validationmethods=dns-012"`}}, at: "finmicro.example"},
		"another's parameter":   {sets: map[zone.Name][]string{"finmicro.example": {`0 issue "ca.example; policy=ev"`}}, permitted: true, at: "finmicro.example"},
	} {
		q := Request{Name: c.name, Authority: []string{"ca.example", "www.ca.example"}, Account: account, Method: "dns-01"}
		if q.Name == "" {
			q.Name = "pay.finmicro.example"
		}
		d, err := Permits(t.Context(), q, records(c.sets))
		if d.Permitted != c.permitted || d.At != c.at || !strings.Contains(d.Reason, c.reason) || d.Reason == "" {
			t.Errorf("%s: %+v", name, d)
		}
		if (err != nil) != (name == "cannot be looked up") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Whoever does not say who they are meets no condition.
	none := Request{Name: "pay.finmicro.example", Authority: []string{"ca.example"}}
	for _, p := range []string{"accounturi=x", "accounturi=", "validationmethods=dns-01", "validationmethods="} {
		if d, err := Permits(t.Context(), none, records(map[zone.Name][]string{"finmicro.example": {`0 issue "ca.example; ` + p + `"`}})); d.Permitted || err != nil {
			t.Errorf("%s: %+v %v", p, d, err)
		}
	}
	any := Request{Name: "pay.finmicro.example", Authority: []string{"ca.example"}, Account: AnyAccount, Method: "dns-01"}
	for p, want := range map[string]bool{"accounturi=x": true, "accounturi=x; accounturi=x": false, "accounturi=x; validationmethods=http-01": false} {
		if d, err := Permits(t.Context(), any, records(map[zone.Name][]string{"finmicro.example": {`0 issue "ca.example; ` + p + `"`}})); d.Permitted != want || err != nil {
			t.Errorf("%s: %+v %v", p, d, err)
		}
	}
	if d, _ := Permits(t.Context(), Request{Name: "pay.finmicro.example", Authority: []string{""}}, records(map[zone.Name][]string{"finmicro.example": {`0 issue ";"`}})); d.Permitted {
		t.Error("nobody is an authority")
	}
}

func FuzzPermits(f *testing.F) {
	f.Add(`0 issue "ca.example; accounturi=x; validationmethods=dns-01"`)
	f.Add(`128 tbs "\000"`)
	f.Add(`0 issuewild ";"`)
	f.Fuzz(func(t *testing.T, value string) {
		q := Request{Name: "finmicro.example", Authority: []string{"ca.example"}, Account: "x", Method: "dns-01"}
		d, err := Permits(t.Context(), q, records(map[zone.Name][]string{"finmicro.example": {value}}))
		if err != nil && value != "SERVFAIL" {
			t.Fatal(err)
		}
		p, err := ParseValue(value)
		if err != nil && d.Permitted {
			t.Fatal("a record that cannot be read permits")
		}
		if d.Permitted && p.Tag == "issue" && p.Issuer().Domain != "ca.example" {
			t.Fatalf("%q permits us", value)
		}
	})
}
