package packs.dns_guardrails_test

import data.packs.dns_guardrails as pack

zone := {"name": "finmicro.example", "visibility": "external"}

edit(op, name, type, ttl, values) := {
	"op": op, "zone": "finmicro.example", "name": name, "type": type, "app": "",
	"before": {"ttl": 300, "values": ["192.0.2.1"]},
	"after": {"ttl": ttl, "values": values},
}

denied(edits) := {d.rule | some d in pack.deny with input as {"zone": zone, "zones": [zone], "change": {"edits": edits}}}

warned(edits) := {d.rule | some d in pack.warn with input as {"zone": zone, "zones": [zone], "change": {"edits": edits}}}

escalated(edits) := {e.tier | some e in pack.escalate with input as {"zones": [zone], "change": {"edits": edits}}}

test_plain_address_passes if {
	edits := [edit("create", "menu.finmicro.example", "A", 300, ["192.0.2.7"])]
	denied(edits) == set()
	warned(edits) == set()
	escalated(edits) == set()
}

test_app_may_not_delegate if {
	denied([object.union(edit("create", "x.finmicro.example", "NS", 3600, ["a.", "b."]), {"app": "x"})]) == {"app-record-type"}
}

test_app_may_bring_an_address if {
	denied([object.union(edit("create", "x.finmicro.example", "A", 300, ["192.0.2.1"]), {"app": "x"})]) == set()
}

test_mass_deletion if {
	gone := [edit("delete", sprintf("n%d.finmicro.example", [i]), "A", 300, []) | some i in numbers.range(1, 101)]
	denied(gone) == {"mass-deletion"}
	denied(array.slice(gone, 0, 100)) == set()
}

test_another_zones_deletions_do_not_count if {
	gone := [object.union(edit("delete", sprintf("n%d.other.example", [i]), "A", 300, []), {"zone": "other.example"}) | some i in numbers.range(1, 101)]
	denied(gone) == set()
}

test_zone_root if {
	denied([edit("delete", "finmicro.example", "NS", 300, [])]) == {"zone-root-removed"}
	denied([edit("delete", "sub.finmicro.example", "NS", 300, [])]) == set()
}

test_single_name_server if {
	denied([edit("update", "finmicro.example", "NS", 86400, ["ns1.finmicro.example."])]) == {"single-name-server"}
}

test_ttl_of_new_names if {
	warned([edit("create", "a.finmicro.example", "A", 86400, ["192.0.2.1"])]) == {"new-name-ttl-long"}
	warned([edit("update", "a.finmicro.example", "A", 86400, ["192.0.2.1"])]) == set()
	warned([edit("create", "a.finmicro.example", "NS", 60, ["a.", "b."])]) == {"delegation-ttl-short"}
}

test_front_door_is_red if {
	escalated([edit("update", "finmicro.example", "A", 300, ["192.0.2.9"])]) == {"red"}
	escalated([edit("update", "www.finmicro.example", "A", 300, ["192.0.2.9"])]) == set()
}
