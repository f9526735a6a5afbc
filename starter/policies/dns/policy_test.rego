package dns.policy_test

import data.dns.policy

organisation := {
	"name": "Fin Micro Ltd",
	"domain": "finmicro.example",
	"brands": ["finmicro"],
	"allowed_external": ["finmicro.example"],
}

rules(zone) := {d.rule |
	some d in policy.deny with input as {"organisation": organisation, "zone": zone}
}

intranet := {"name": "apps.finmicro.example", "owner": "finmicro.example", "visibility": "internal"}

external := {"name": "finmicro.example", "owner": "finmicro.example", "visibility": "external"}

test_own_internal_zone_is_allowed if {
	policy.allow with input as {"organisation": organisation, "zone": intranet}
	rules(intranet) == set()
}

test_released_external_zone_is_allowed if {
	policy.allow with input as {"organisation": organisation, "zone": external}
	rules(external) == set()
}

test_zone_of_somebody_else_is_denied if {
	rules(object.union(intranet, {"owner": "other.example"})) == {"zone-owner"}
}

test_zone_without_owner_is_denied if {
	rules(object.union(intranet, {"owner": ""})) == {"zone-owner"}
	rules({"name": "apps.finmicro.example", "visibility": "internal"}) == {"zone-owner"}
}

test_nobody_owns_a_zone_without_an_organisation if {
	not policy.allow with input as {
		"organisation": {"name": "", "domain": "", "allowed_external": []},
		"zone": {"name": "apps.finmicro.example", "owner": "", "visibility": "internal"},
	}
}

test_external_zone_that_is_not_released_is_denied if {
	rules(object.union(external, {"name": "finmicro-apps.example"})) == {"external-zone-not-allowed"}
}

test_a_released_zone_releases_no_zone_below_it if {
	rules(object.union(external, {"name": "deep.finmicro.example"})) == {"external-zone-not-allowed"}
}

test_unknown_visibility_is_denied if {
	rules(object.union(intranet, {"visibility": ""})) == {"zone-visibility-undeclared"}
	rules({"name": "apps.finmicro.example", "owner": "finmicro.example"}) == {"zone-visibility-undeclared"}
}

test_both_reasons_are_given if {
	rules({"name": "other.example", "owner": "other.example", "visibility": "external"}) == {
		"zone-owner",
		"external-zone-not-allowed",
	}
}

test_no_zone_no_denial if {
	policy.deny == set() with input as {"organisation": organisation}
}

test_nothing_is_released_by_silence if {
	some d in policy.deny with input as {"organisation": {"name": "", "domain": "finmicro.example"}, "zone": external}
	d.rule == "external-zone-not-allowed"
}
