package packs.email_auth_test

import data.packs.email_auth as pack

zone := {"name": "finmicro.example", "visibility": "external", "parked": false}

parked := object.union(zone, {"parked": true})

edit(name, type, before, after) := {
	"op": "update", "zone": "finmicro.example", "name": name, "type": type, "app": "",
	"before": {"values": before}, "after": {"values": after},
}

gone(name, type, before) := {
	"op": "delete", "zone": "finmicro.example", "name": name, "type": type, "app": "",
	"before": {"values": before},
}

denied(z, edits) := {d.rule | some d in pack.deny with input as {"zone": z, "zones": [z], "change": {"edits": edits}}}

warned(edits) := {d.rule | some d in pack.warn with input as {"zone": zone, "zones": [zone], "change": {"edits": edits}}}

reject := ["\"v=DMARC1; p=reject; rua=mailto:d@finmicro.example\""]

watch := ["\"v=DMARC1; p=none\""]

test_dmarc_removed if {
	denied(zone, [gone("_dmarc.finmicro.example", "TXT", reject)]) == {"dmarc-removed"}
	denied(zone, [edit("_dmarc.finmicro.example", "TXT", reject, ["\"hello\""])]) == {"dmarc-removed"}
}

test_dmarc_moved_behind_an_alias if {
	alias := {"op": "create", "zone": "finmicro.example", "name": "_dmarc.finmicro.example", "type": "CNAME", "after": {"values": ["dmarc.mail.example."]}}
	denied(zone, [gone("_dmarc.finmicro.example", "TXT", reject), alias]) == set()
}

test_dmarc_weakened if {
	denied(zone, [edit("_dmarc.finmicro.example", "TXT", reject, watch)]) == {"dmarc-weakened"}
	denied(zone, [edit("_dmarc.finmicro.example", "TXT", watch, reject)]) == set()
	denied(zone, [edit("_dmarc.finmicro.example", "TXT", reject, reject)]) == set()
}

test_dmarc_subdomain_policy_is_not_the_policy if {
	denied(zone, [edit("_dmarc.finmicro.example", "TXT", ["\"v=DMARC1; sp=reject; p=none\""], watch)]) == set()
}

test_spf if {
	strict := ["\"v=spf1 include:_spf.mail.example -all\""]
	denied(zone, [gone("finmicro.example", "TXT", strict)]) == {"spf-removed"}
	denied(zone, [edit("finmicro.example", "TXT", strict, ["\"v=spf1 include:_spf.mail.example ~all\""])]) == {"spf-weakened"}
	denied(zone, [edit("finmicro.example", "TXT", strict, ["\"v=spf1 mx -all\"", "\"site-verification=1\""])]) == set()
	denied(zone, [edit("finmicro.example", "TXT", strict, ["\"v=spf1 mx\" \" -all\""])]) == set()
}

test_parked if {
	denied(parked, [edit("finmicro.example", "MX", ["0 ."], ["10 mail.finmicro.example."])]) == {"mail-for-parked-domain"}
	denied(parked, [edit("finmicro.example", "MX", ["10 mail.finmicro.example."], ["0 ."])]) == set()
	denied(zone, [edit("finmicro.example", "MX", ["0 ."], ["10 mail.finmicro.example."])]) == set()
}

test_removed_keys_and_transport if {
	warned([gone("s1._domainkey.finmicro.example", "TXT", ["\"v=DKIM1; p=abc\""])]) == {"dkim-removed"}
	warned([gone("_mta-sts.finmicro.example", "TXT", ["\"v=STSv1; id=1\""])]) == {"mta-sts-removed"}
}

test_mail_elsewhere_is_red if {
	some e in pack.escalate with input as {"change": {"edits": [edit("finmicro.example", "MX", ["10 a."], ["10 b."])]}}
	e.tier == "red"
}
