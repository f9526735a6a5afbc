package repo

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"slipway/zone"
)

func set(name, typ string, ttl int, values ...string) *zone.RRSet {
	return &zone.RRSet{Name: zone.Name(name), Type: typ, TTL: ttl, Values: values}
}

func TestEditApp(t *testing.T) {
	const head = "owner: ana@finmicro.example # who\nhostname: a.apps.example\n\n"
	for name, tt := range map[string]struct {
		src, want string // "" for want: refused
		edit      zone.Edit
		why       string
	}{
		"an address": {
			head + "records:\n  # the host\n  - {name: a.apps.example, type: A, ttl: 300, values: [192.0.2.1]}\n  - {name: a.apps.example, type: TXT, values: [\"x\"]}\n",
			head + "records:\n  # the host\n  - {name: a.apps.example, type: A, ttl: 60, values: [192.0.2.66, 192.0.2.67]}\n  - {name: a.apps.example, type: TXT, values: [\"x\"]}\n",
			zone.Edit{Name: "a.apps.example", Type: "A", After: set("a.apps.example", "A", 60, "192.0.2.66", "192.0.2.67")}, ""},
		"the last of them, before another key": {
			head + "records:\n- {name: a.apps.example, type: A, ttl: 300, values: [192.0.2.1]} # keep\n\n# below\ncertificate: true\n",
			head + "records:\n- {name: a.apps.example, type: A, ttl: 60, values: [192.0.2.1]} # keep\n\n# below\ncertificate: true\n",
			zone.Edit{Name: "a.apps.example", Type: "A", After: set("a.apps.example", "A", 60, "192.0.2.1")}, ""},
		"written below each other": {
			head + "records:\n  - name: a.apps.example\n    type: A\n    value: 192.0.2.1\n\n  - name: b.apps.example\n    type: A\n    values:\n      - 192.0.2.1\n",
			head + "records:\n  - name: a.apps.example\n    type: A\n    values: [192.0.2.66]\n\n  - name: b.apps.example\n    type: A\n    values:\n      - 192.0.2.1\n",
			zone.Edit{Name: "a.apps.example", Type: "A", After: set("a.apps.example", "A", zone.NoTTL, "192.0.2.66")}, ""},
		"taken out": {
			head + "records:\n  - {name: a.apps.example, type: A, values: [192.0.2.1]}\n  # about b\n  - {name: b.apps.example, type: A, values: [192.0.2.1]}\ncertificate: true\n",
			head + "records:\n  - {name: a.apps.example, type: A, values: [192.0.2.1]}\n  # about b\ncertificate: true\n",
			zone.Edit{Name: "b.apps.example", Type: "A"}, ""},
		"the only one taken out": {
			head + "records:\n  - {name: a.apps.example, type: A, values: [192.0.2.1]}\n", head + "records:\n",
			zone.Edit{Name: "a.apps.example", Type: "A"}, ""},
		"no line break at the end": {
			head + "records:\n  - {name: a.apps.example, type: A, values: [192.0.2.1]}", head + "records:\n  - {name: a.apps.example, type: A, values: [192.0.2.2]}\n",
			zone.Edit{Name: "a.apps.example", Type: "A", After: set("a.apps.example", "A", zone.NoTTL, "192.0.2.2")}, ""},
		"line breaks of another system": {
			strings.ReplaceAll(head+"records:\n  - {name: a.apps.example, type: A, values: [192.0.2.1]}\n", "\n", "\r\n"), strings.ReplaceAll(head+"records:\n  - {name: a.apps.example, type: A, values: [192.0.2.2]}\n", "\n", "\r\n"),
			zone.Edit{Name: "a.apps.example", Type: "A", After: set("a.apps.example", "A", zone.NoTTL, "192.0.2.2")}, ""},
		"not there": {head + "records:\n  - {name: a.apps.example, type: A, values: [192.0.2.1]}\n", "",
			zone.Edit{Name: "b.apps.example", Type: "A", After: set("b.apps.example", "A", 60, "192.0.2.2")}, "no such record"},
		"all on one line": {head + "records: [{name: a.apps.example, type: A, values: [192.0.2.1]}]\n", "",
			zone.Edit{Name: "a.apps.example", Type: "A", After: set("a.apps.example", "A", 60, "192.0.2.2")}, "one below the other"},
		"a comment inside": {head + "records:\n  - name: a.apps.example # ours\n    type: A\n    value: 192.0.2.1\n", "",
			zone.Edit{Name: "a.apps.example", Type: "A", After: set("a.apps.example", "A", 60, "192.0.2.2")}, "comments"},
		"an anchor": {head + "records:\n  - &x {name: a.apps.example, type: A, values: [192.0.2.1]}\n", "",
			zone.Edit{Name: "a.apps.example", Type: "A", After: set("a.apps.example", "A", 60, "192.0.2.2")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := EditApp("apps/a.yaml", []byte(tt.src), []zone.Edit{tt.edit})
			var fault *zone.Error
			switch {
			case tt.want == "" && (!errors.As(err, &fault) || !strings.Contains(fault.What, tt.why) || fault.Place.Path != "apps/a.yaml"):
				t.Errorf("not refused as it should be: %v\n%s", err, got)
			case tt.want != "" && (err != nil || string(got) != tt.want):
				t.Errorf("%v\n%s\nwant\n%s", err, got, tt.want)
			}
		})
	}
}

// An edit changes the one record set that it names, or nothing.
func FuzzEditApp(f *testing.F) {
	f.Add("owner: a@b.example\nrecords:\n  - {name: a.example, type: A, values: [192.0.2.1]}\n", true)
	f.Add("records:\n- name: a.example\n  type: A\n  value: 192.0.2.1\n\n# x\nteam: y\n", false)
	f.Add("records: [{name: a.example, type: A, values: [192.0.2.1]}]", true)
	f.Fuzz(func(t *testing.T, src string, remove bool) {
		before, err := ParseApp("apps/a.yaml", []byte(src))
		if err != nil || len(before.Records) == 0 {
			return
		}
		e := zone.Edit{Name: before.Records[0].Name, Type: before.Records[0].Type}
		if !remove {
			changed := before.Records[0]
			changed.TTL = 77
			e.After = &changed
		}
		got, err := EditApp("apps/a.yaml", []byte(src), []zone.Edit{e})
		if err != nil {
			return
		}
		after, err := ParseApp("apps/a.yaml", got)
		if err != nil {
			t.Fatalf("%v\n%s", err, got)
		}
		want := slices.Clone(before.Records)
		if remove {
			want = want[1:]
		} else {
			want[0].TTL = 77
		}
		if !slices.EqualFunc(after.Records, want, zone.RRSet.Equal) {
			t.Errorf("%v\nwant %v", after.Records, want)
		}
	})
}
