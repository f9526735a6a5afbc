package packs.tls_test

import data.packs.tls as pack

zone := {"name": "finmicro.example", "visibility": "external"}

organisation := {"domain": "finmicro.example"}

caa(op, values) := {
	"op": op, "zone": "finmicro.example", "name": "finmicro.example", "type": "CAA",
	"before": {"values": []}, "after": {"values": values},
}

document(edits, apps) := {"zone": zone, "zones": [zone], "organisation": organisation, "change": {"edits": edits}, "apps": apps}

denied(edits, apps) := {d.rule | some d in pack.deny with input as document(edits, apps)}

warned(edits) := {d.rule | some d in pack.warn with input as document(edits, [])}

test_strict_caa if {
	edits := [caa("create", ["0 issue \"ca.example; accounturi=https://ca.example/1\"", "0 issuewild \";\""])]
	denied(edits, []) == set()
	warned(edits) == set()
}

test_caa if {
	denied([caa("delete", [])], []) == {"caa-removed"}
	denied([caa("update", ["0 iodef \"mailto:a@finmicro.example\"", "0 issuewild \";\""])], []) == {"caa-without-issue"}
	warned([caa("update", ["0 issue \"ca.example\""])]) == {"caa-allows-wildcards", "caa-any-account"}
	warned([caa("update", ["0 issue \";\"", "0 issuewild \";\""])]) == set()
}

test_public_app if {
	app := {"op": "create", "name": "a", "path": "apps/a.yaml", "hostname": "a.finmicro.example", "exposure": "external", "certificate": false}
	denied([], [app]) == {"public-app-without-certificate"}
	denied([], [object.union(app, {"certificate": true})]) == set()
	denied([], [object.union(app, {"exposure": "internal"})]) == set()
}

test_challenge if {
	e := {
		"op": "create", "zone": "finmicro.example", "name": "_acme-challenge.a.finmicro.example", "type": "CNAME",
		"after": {"values": ["a.acme.other.example."]},
	}
	denied([e], []) == {"challenge-delegated-outside"}
	denied([object.union(e, {"after": {"values": ["a.acme.finmicro.example."]}})], []) == set()
	denied([object.union(e, {"after": {"values": ["a.notfinmicro.example."]}})], []) == {"challenge-delegated-outside"}
}

test_other_authority_is_red if {
	count(pack.escalate) == 1 with input as document([caa("update", ["0 issue \"ca.example\""])], [])
	count(pack.escalate) == 0 with input as document([caa("create", ["0 issue \"ca.example\""])], [])
}
