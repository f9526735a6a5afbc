package lint

import (
	"slices"
	"strings"
	"testing"

	"slipway/check/finding"
)

// The machines that send mail are looked at when the change has to do with them, and only then.
func TestSenders(t *testing.T) {
	const (
		settings = "domain: finmicro.example\nzones:\n  finmicro.example: {visibility: external}\nmail:\n  senders:\n    shop.finmicro.example: [9.9.9.25]\n"
		inForce  = "-- in-force/slipway.yaml --\n" + settings
		before   = "-- in-force/zones/finmicro.example.yaml --\n"
		zones    = "-- zones/finmicro.example.yaml --\n"
		record   = "shop: {type: TXT, ttl: 3600, value: 'v=spf1 include:_spf.finmicro.example include:mail.test -all'}\n"
		ours     = "_spf: {type: TXT, ttl: 3600, value: 'v=spf1 a:mx1.finmicro.example ?all'}\n"
		passes   = "mx1: {type: A, ttl: 3600, value: 9.9.9.25}\n"
		moved    = "mx1: {type: A, ttl: 3600, value: 9.9.9.26}\n"
		other    = "www2: {type: A, ttl: 3600, value: 9.9.9.9}\n"
	)
	outside := observed("mail.test TXT NOERROR", `mail.test. TXT "v=spf1 ip4:9.9.9.99 -all"`)
	w := world(t)
	for _, c := range []struct{ name, archive, says string }{
		{"passes by an address of ours", inForce + zones + record + ours + passes, ""},
		{"the address moves away", outside + inForce + before + record + ours + passes + zones + record + ours + moved, "result fail, not pass: -all at shop.finmicro.example decides"},
		{"nobody knows what is outside", inForce + before + record + ours + passes + zones + record + ours + moved, ""},
		{"no record", inForce + before + record + ours + passes + zones + ours + passes, "result none"},
		{"a record that is void", inForce + zones + "shop: {type: TXT, ttl: 3600, value: 'v=spf1 include:nothing.finmicro.example -all'}\n", "result permerror"},
		{"nothing matches", inForce + zones + "shop: {type: TXT, ttl: 3600, value: 'v=spf1 ip4:9.9.9.1'}\n", "no term names it"},
		{"it fails already, and the change is about something else", inForce + before + record + ours + moved + zones + record + ours + moved + other, ""},
		{"the settings name it", outside + before + record + ours + moved + "-- slipway.yaml --\n" + settings, "9.9.9.25 sends as shop.finmicro.example"},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := slices.DeleteFunc(judge(t, w, omar, c.archive), func(f finding.Finding) bool { return f.Rule != "spf-sender-refused" })
			if (len(found) > 0) != (c.says != "") || len(found) > 1 || len(found) == 1 && (!strings.Contains(found[0].Message, c.says) || found[0].Line == 0) {
				t.Errorf("%+v", found)
			}
		})
	}
}
