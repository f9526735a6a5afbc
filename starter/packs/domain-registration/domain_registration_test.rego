package packs.domain_registration_test

import data.packs.domain_registration as pack

zone := {"name": "finmicro.example", "visibility": "external"}

file(op) := {"op": op, "path": "domains/finmicro.example.yaml", "kind": "domain"}

edit(op, name, type, before, after) := {
	"op": op, "zone": "finmicro.example", "name": name, "type": type,
	"before": {"values": before}, "after": {"values": after},
}

denied(files, edits) := {d.rule | some d in pack.deny with input as {"zone": zone, "change": {"files": files, "edits": edits}}}

warned(files, edits) := {d.rule | some d in pack.warn with input as {"zone": zone, "change": {"files": files, "edits": edits}}}

address := edit("create", "www.finmicro.example", "A", [], ["192.0.2.1"])

test_given_up_in_use if {
	denied([file("delete")], [address]) == {"domain-given-up-in-use"}
	denied([file("delete")], [edit("delete", "www.finmicro.example", "A", ["192.0.2.1"], [])]) == set()
	denied([file("delete")], [edit("create", "www.notfinmicro.example", "A", [], ["192.0.2.1"])]) == set()
}

test_registration_stands_alone if {
	warned([file("update")], [address]) == {"registration-with-names"}
	warned([file("update")], []) == set()
}

test_many if {
	files := [object.union(file("update"), {"path": sprintf("domains/d%d.example.yaml", [i])}) | some i in numbers.range(1, 6)]
	warned(files, []) == {"many-registrations"}
}

test_ds if {
	denied([], [edit("delete", "sub.finmicro.example", "DS", ["1 13 2 ab"], [])]) == {"ds-removed"}
}

test_name_servers if {
	warned([], [edit("update", "finmicro.example", "NS", ["a.", "b."], ["c.", "d."])]) == {"all-name-servers-exchanged"}
	warned([], [edit("update", "finmicro.example", "NS", ["a.", "b."], ["b.", "c."])]) == set()
}

test_red if {
	count(pack.escalate) == 1 with input as {"change": {"files": [file("create")], "edits": []}}
	count(pack.escalate) == 0 with input as {"change": {"files": [], "edits": [address]}}
}
