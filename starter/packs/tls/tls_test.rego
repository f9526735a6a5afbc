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

certificate := {
	"app": "pay", "path": "apps/pay.yaml", "line": 6, "exposure": "internal", "data": ["none"], "mtls": false, "days": 90,
	"names": [{"name": "pay.finmicro.example", "wildcard": false, "own": true, "under_hostname": true, "zone": "finmicro.example", "visibility": "external"}],
	"key": {"kind": "ecdsa", "bits": 256}, "authorities": [{"name": "public", "public": true, "forbidden": ""}],
}

with_certificate(change) := {"zone": zone, "zones": [zone], "organisation": organisation, "change": {"edits": []}, "apps": [], "certificates": [object.union(certificate, change)]}

refused(change) := {d.rule | some d in pack.deny with input as with_certificate(change)}

remarked(change) := {d.rule | some d in pack.warn with input as with_certificate(change)}

raised(change) := {e.tier | some e in pack.escalate with input as with_certificate(change)}

named(change) := {"names": [object.union(certificate.names[0], change)]}

test_good_certificate if {
	refused({}) == set()
	remarked({}) == set()
	raised({}) == set()
}

test_names_of_a_certificate if {
	refused(named({"under_hostname": false})) == {"certificate-name-beyond-app"}
	refused(named({"visibility": "internal"})) == {"internal-name-at-public-authority"}
	refused(object.union(named({"visibility": "internal"}), {"authorities": [{"name": "internal", "public": false, "forbidden": ""}]})) == set()
	some d in pack.deny with input as with_certificate(named({"under_hostname": false}))
	d.path == "apps/pay.yaml"
	d.line == 6
}

test_data_demands_mtls if {
	refused({"data": ["financial"]}) == {"data-demands-mtls"}
	refused({"data": ["health", "pii"]}) == {"data-demands-mtls"}
	refused({"data": ["financial"], "mtls": true}) == set()
	refused({"data": ["financial"], "exposure": "external"}) == set()
	refused({"data": ["pii"]}) == set()
	some d in pack.deny with input as with_certificate({"data": ["health", "pii", "financial"]})
	contains(d.msg, " handles financial data and health data inside ")
}

test_key_and_lifetime if {
	remarked({"key": {"kind": "rsa", "bits": 2048}}) == {"certificate-key-ageing"}
	remarked({"key": {"kind": "rsa", "bits": 3072}}) == set()
	remarked({"days": 180.5}) == {"certificate-lives-long"}
	remarked({"days": 0}) == set()
}

test_wildcard_certificate if {
	raised(named({"wildcard": true, "name": "*.pay.finmicro.example"})) == {"red"}
	raised(named({"wildcard": true, "name": "*.pay.finmicro.example", "visibility": "internal"})) == {"yellow"}
}

test_tlsa if {
	tlsa := {"op": "create", "zone": "finmicro.example", "name": "_443._tcp.finmicro.example", "type": "TLSA", "after": {"values": ["3 1 1 ab"]}}
	unsigned := object.union(document([tlsa], []), {"zone": {"name": "finmicro.example", "visibility": "external", "dnssec": ""}})
	{w.rule | some w in pack.warn with input as unsigned} == {"tlsa-without-dnssec"}
	signed := object.union(unsigned, {"zone": {"dnssec": "required"}})
	{w.rule | some w in pack.warn with input as signed} == set()
}
