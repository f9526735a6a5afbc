package slipway.tier_test

import data.slipway.tier

internal_zone := {"name": "apps.finmicro.example", "owner": "finmicro.example", "visibility": "internal"}

external_zone := {"name": "finmicro.example", "owner": "finmicro.example", "visibility": "external"}

app := {
	"op": "create",
	"name": "expenses",
	"owner": "ana@finmicro.example",
	"previous_owner": null,
	"exposure": "internal",
	"previous_exposure": null,
	"data": ["none"],
	"previous_data": [],
	"artifacts": {"sbom": "sboms/expenses.json"},
}

edit := {"op": "create", "zone": "apps.finmicro.example", "name": "expenses.apps.finmicro.example", "type": "A", "app": "expenses"}

base := {
	"organisation": {"name": "Fin Micro Ltd", "domain": "finmicro.example"},
	"requester": {"id": "ana@finmicro.example", "groups": [], "third_party": false},
	"zones": [internal_zone],
	"apps": [app],
	"change": {"creates": 1, "updates": 0, "deletes": 0, "edits": [edit], "files": []},
	"signals": [{"name": "new-app", "value": 1, "reason": "A new app.", "zone": ""}],
	"findings": [],
	"approval_rules": ["yellow", "red", "new-domain"],
}

platform := {"id": "omar@finmicro.example", "groups": ["platform-ops"], "third_party": false}

with_app(fields) := object.union(base, {"apps": [object.union(app, fields)]})

signal(name, value, zone) := {"name": name, "value": value, "reason": sprintf("because of %s", [name]), "zone": zone}

with_signals(signals) := object.union(base, {"signals": signals})

change(fields) := object.union(base, {"change": object.union(base.change, fields)})

rules(doc) := {a.rule | some a in tier.approvals with input as doc}

test_internal_app_without_data_is_green if {
	tier.tier == "green" with input as base
	tier.approvals == set() with input as base
	tier.score == 5 with input as base
	count(tier.reasons) == 2 with input as base
}

test_external_zone_is_yellow if {
	doc := object.union(base, {"zones": [external_zone]})
	tier.tier == "yellow" with input as doc
	rules(doc) == {"yellow"}
	tier.reasons == {"Names in finmicro.example can be seen by the whole world."} with input as doc
}

test_external_app_is_yellow if tier.tier == "yellow" with input as with_app({"exposure": "external"})

test_an_app_that_was_external_is_yellow if {
	tier.tier == "yellow" with input as with_app({
		"op": "update",
		"previous_owner": "ana@finmicro.example",
		"previous_exposure": "external",
	})
}

test_undeclared_is_never_green if {
	tier.tier == "yellow" with input as with_app({"exposure": ""})
	tier.tier == "yellow" with input as with_app({"data": []})
	tier.tier == "yellow" with input as with_app({"data": ["something"]})
	tier.tier == "yellow" with input as object.union(base, {"zones": [object.union(internal_zone, {"visibility": ""})]})
	tier.tier == "yellow" with input as object.union(base, {"requester": {"id": "", "groups": []}})
}

test_sensitive_data_is_red_even_inside if {
	every class in ["pii", "financial", "health"] {
		tier.tier == "red" with input as with_app({"data": [class]})
		rules(with_app({"data": [class]})) == {"red"}
	}
}

test_a_declaration_taken_away_is_red if tier.tier == "red" with input as with_app({"previous_data": ["pii"]})

test_brand_in_public_name_is_red if {
	doc := object.union(with_signals([signal("brand-in-name", 1, "finmicro.example")]), {"zones": [external_zone]})
	tier.tier == "red" with input as doc
	rules(doc) == {"red"}
}

test_brand_in_internal_name_is_green if {
	doc := with_signals([signal("brand-in-name", 1, "apps.finmicro.example")])
	tier.tier == "green" with input as doc
	tier.score == 0 with input as doc
}

test_faint_likeness_is_not_a_brand if {
	doc := object.union(with_signals([signal("brand-in-name", 0.5, "finmicro.example")]), {"zones": [external_zone]})
	tier.tier == "yellow" with input as doc
}

test_third_party_is_red if tier.tier == "red" with input as with_signals([signal("third-party", 1, "")])

test_settings_and_policies_are_red if {
	every kind in ["settings", "policy"] {
		tier.tier == "red" with input as change({"files": [{"kind": kind, "path": "slipway.yaml"}]})
	}
}

test_other_files if {
	tier.tier == "green" with input as change({"files": [{"kind": "other", "path": "README.md"}]})
	tier.tier == "green" with input as change({"files": [{"kind": "other", "path": "sboms/expenses.json"}]})
	tier.tier == "yellow" with input as change({"files": [{"kind": "other", "path": ".github/workflows/ci.yml"}]})
}

test_platform_records_need_the_platform_group if {
	doc := change({"edits": [object.union(edit, {"app": ""})]})
	tier.tier == "yellow" with input as doc
	tier.tier == "green" with input as object.union(doc, {"requester": platform, "apps": []})
}

test_app_of_somebody_else_is_yellow if {
	doc := with_app({"op": "update", "previous_owner": "bob@finmicro.example"})
	tier.tier == "yellow" with input as doc
	tier.tier == "green" with input as object.union(doc, {"requester": platform})
}

test_deletions if {
	tier.tier == "green" with input as change({"deletes": 4})
	tier.tier == "yellow" with input as change({"deletes": 5})
	tier.tier == "red" with input as change({"deletes": 25})
}

test_a_zones_own_limit_is_yellow if {
	every name in ["bulk-change", "deletion"] {
		tier.tier == "yellow" with input as with_signals([signal(name, 1, "apps.finmicro.example")])
		tier.tier == "green" with input as with_signals([signal(name, 1, "")])
	}
}

test_many_dependants_are_yellow if {
	tier.tier == "yellow" with input as with_signals([signal("dependants", 1, "")])
	tier.tier == "green" with input as with_signals([signal("dependants", 0.9, "")])
}

test_bulk_is_yellow if tier.tier == "yellow" with input as change({"edits": [edit | some _ in numbers.range(1, 50)]})

test_domain_edit_asks_its_own_approvers if {
	doc := with_signals([signal("domain-edit", 1, "")])
	tier.tier == "yellow" with input as doc
	rules(doc) == {"yellow", "new-domain"}
	rules(object.union(doc, {"approval_rules": ["yellow", "red"]})) == {"yellow"}
}

test_wildcard_and_restricted_types_are_yellow if {
	every name in ["wildcard", "restricted-type", "new-zone"] {
		tier.tier == "yellow" with input as with_signals([signal(name, 1, "")])
	}
}

test_too_much_of_a_zone_asks_who_may_release_it if {
	doc := with_signals([signal("apply-limit", 1, "apps.finmicro.example")])
	tier.tier == "yellow" with input as doc
	rules(doc) == {"yellow"}
	rules(object.union(doc, {"change": object.union(doc.change, {"deletes": 25})})) == {"red", "yellow"}
}

test_many_risks_are_red if {
	doc := object.union(
		with_signals([signal(name, 1, "finmicro.example") |
			some name in ["public-exposure", "wildcard", "restricted-type", "bulk-change", "deletion", "low-ttl", "new-app"]
		]),
		{"zones": [external_zone]},
	)
	tier.score == 95 with input as doc
	tier.tier == "red" with input as doc
}

test_nothing_governed_is_green if {
	doc := object.union(change({"edits": [], "files": []}), {"apps": [], "zones": [], "signals": []})
	tier.tier == "green" with input as doc
}

test_no_input_is_never_green if {
	not tier.tier == "green" with input as {}
	not tier.tier == "green" with input as {"zones": [], "apps": []}
}
