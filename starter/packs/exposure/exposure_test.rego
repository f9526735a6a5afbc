package packs.exposure_test

import data.packs.exposure as pack

external := {"name": "finmicro.example", "visibility": "external"}

inside := {"name": "finmicro.example", "visibility": "internal"}

edit(name, value) := {
	"op": "create", "zone": "finmicro.example", "name": name, "type": "A", "app": "",
	"after": {"values": [value], "ttl": 300},
}

found(z, name, value) := {d.rule |
	some d in (pack.deny | pack.warn) with input as {"zone": z, "change": {"edits": [edit(name, value)]}}
}

test_plain_name if {
	found(external, "menu.finmicro.example", "192.0.2.1") == set()
}

test_console if {
	found(external, "grafana-eu.ops.finmicro.example", "192.0.2.1") == {"console-name-public"}
	found(inside, "grafana.finmicro.example", "10.0.0.1") == set()
}

test_a_word_inside_a_word_is_no_console if {
	found(external, "sshop.finmicro.example", "192.0.2.1") == set()
}

test_undeclared_visibility_counts_as_public if {
	found({"name": "finmicro.example", "visibility": ""}, "jenkins.finmicro.example", "192.0.2.1") == {"console-name-public"}
}

test_unfinished if {
	found(external, "pay-staging.finmicro.example", "192.0.2.1") == {"unfinished-name-public"}
}

test_spelled_address if {
	found(external, "ip-10-1-2-3.finmicro.example", "192.0.2.1") == {"name-spells-address"}
	found(external, "route-110-1-2.finmicro.example", "192.0.2.1") == set()
}

test_internal_name_leads_outside if {
	found(inside, "a.finmicro.example", "8.8.8.8") == {"internal-name-leads-outside"}
	found(inside, "a.finmicro.example", "10.1.1.1") == set()
}

test_wildcard_is_red if {
	e := edit("*.finmicro.example", "192.0.2.1")
	count(pack.escalate) == 1 with input as {"zones": [external], "apps": [], "change": {"edits": [e]}}
	count(pack.escalate) == 0 with input as {"zones": [inside], "apps": [], "change": {"edits": [e]}}
}

test_opening_an_app_is_red if {
	count(pack.escalate) == 1 with input as {
		"zones": [], "change": {"edits": []},
		"apps": [{"name": "a", "previous_exposure": "internal", "exposure": "external"}],
	}
}
