package packs.data_handling_test

import data.packs.data_handling as pack

app := {
	"op": "create", "name": "ledger", "path": "apps/ledger.yaml", "data": ["financial"], "previous_data": [],
	"exposure": "internal", "certificate": true, "expires": "2027-06-30", "artifacts": {"sbom": "sbom.cdx.json"},
}

with_app(change) := {"as_of": "2026-10-01T12:00:00Z", "apps": [object.union(app, change)]}

denied(change) := {d.rule | some d in pack.deny with input as with_app(change)}

warned(change) := {d.rule | some d in pack.warn with input as with_app(change)}

test_all_demands_met if {
	denied({}) == set()
	warned({}) == set()
}

test_demands if {
	denied({"certificate": false}) == {"sensitive-without-certificate"}
	denied({"data": ["health"], "exposure": "external"}) == {"health-data-public"}
	denied({"data": ["none", "pii"]}) == {"data-contradiction"}
	denied({"expires": "2028-06-30"}) == {"sensitive-lives-too-long"}
}

test_sbom if {
	bare := object.remove(app, ["artifacts"])
	rules := {d.rule | some d in pack.deny with input as {"as_of": "2026-10-01T12:00:00Z", "apps": [bare]}}
	rules == {"sensitive-without-sbom"}
}

test_no_demands_without_delicate_data if {
	denied({"data": ["none"], "certificate": false, "expires": "2029-01-01"}) == set()
}

test_removal_is_free if {
	denied({"op": "delete", "certificate": false}) == set()
}

test_third_party if {
	warned({"third_party": "Supplier Ltd"}) == {"sensitive-run-by-third-party"}
}

test_declassified if {
	warned({"op": "update", "data": ["none"], "previous_data": ["pii"]}) == {"data-declassified"}
	warned({"op": "update", "data": ["pii"], "previous_data": ["pii"]}) == set()
}

test_new_data_is_red if {
	count(pack.escalate) == 1 with input as with_app({"op": "update", "data": ["pii"], "previous_data": ["none"]})
	count(pack.escalate) == 0 with input as with_app({"op": "update", "data": ["pii"], "previous_data": ["pii"]})
}
