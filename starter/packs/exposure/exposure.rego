# METADATA
# title: Exposure
# description: >-
#   Keeps what is meant for insiders out of public names. Whoever attacks a company
#   begins with its names, and a name such as jenkins says what to try.
# custom:
#   controls: [SOC2:CC6.6, ISO27001:A.8.20]
package packs.exposure

# Labels of consoles, databases and remote access: an attacker's first guesses.
consoles := {
	"adminer", "argocd", "cpanel", "elasticsearch", "grafana", "idrac", "ilo", "ipmi", "jenkins", "k8s",
	"kibana", "kubernetes", "mongo", "mongodb", "mysql", "phpmyadmin", "portainer", "postgres", "prometheus",
	"rabbitmq", "rdp", "redis", "ssh", "vault", "vnc", "webmin", "zabbix",
}

# Labels of systems that are not finished, and so less guarded.
unfinished := {"dev", "qa", "sandbox", "staging", "stage", "test", "testing", "uat"}

address_types := {"A", "AAAA", "ALIAS", "CNAME", "HTTPS"}

# METADATA
# title: A console or database gets a public name
# description: Such systems are reached over the company's own network.
# custom:
#   enforcement: soft-mandatory
deny contains {
	"rule": "console-name-public",
	"msg": sprintf("%s can be seen by the whole world, and its name says that a console or a database is there.", [edit.name]),
	"help": "Give it a name in an internal zone. If it must be reached from outside, put it behind the company's sign-in, under a name that does not say what it is.",
	"record": record(edit),
} if {
	input.zone.visibility != "internal"
	some edit in zone_edits
	edit.op == "create"
	edit.type in address_types
	some part in parts(edit)
	part in consoles
}

# METADATA
# title: An unfinished system gets a public name
# description: Test systems are less guarded, and hold copies of real data more often than anybody thinks.
warn contains {
	"rule": "unfinished-name-public",
	"msg": sprintf("%s can be seen by the whole world, and its name says that it is not finished.", [edit.name]),
	"help": "Give test systems names in an internal zone.",
	"record": record(edit),
} if {
	input.zone.visibility != "internal"
	some edit in zone_edits
	edit.op == "create"
	edit.type in address_types
	some part in parts(edit)
	part in unfinished
}

# METADATA
# title: A public name spells out an inside address
# description: Names such as ip-10-1-2-3 draw a map of the inside network for everybody.
warn contains {
	"rule": "name-spells-address",
	"msg": sprintf("The public name %s spells out an address inside the company's network.", [edit.name]),
	"help": "Use a name that does not contain the address.",
	"record": record(edit),
} if {
	input.zone.visibility != "internal"
	some edit in zone_edits
	edit.op == "create"
	regex.match(`(^|[^0-9])(10|192[-.]168|172[-.](1[6-9]|2[0-9]|3[01]))([-.][0-9]{1,3}){2,3}([^0-9]|$)`, edit.name)
}

# METADATA
# title: An internal name leads to a public address
# description: Traffic that is believed to stay inside would leave the company.
warn contains {
	"rule": "internal-name-leads-outside",
	"msg": sprintf("%s is an internal name, and it leads to the public address %s.", [edit.name, value]),
	"help": "Use an inside address, or say in the app's purpose why the traffic leaves the company.",
	"record": record(edit),
} if {
	input.zone.visibility == "internal"
	some edit in zone_edits
	edit.op != "delete"
	edit.type in {"A", "AAAA"}
	some value in edit.after.values
	not inside(value)
}

inside(value) if {
	some block in inside_blocks
	net.cidr_contains(block, value)
}

# RFC 1918, RFC 6598, RFC 3927, loopback, RFC 4193, RFC 4291, and the blocks for examples (RFC 5737, RFC 3849).
inside_blocks := [
	"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "127.0.0.0/8",
	"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "fc00::/7", "fe80::/10", "::1/128", "2001:db8::/32",
]

# METADATA
# title: A public wildcard
# description: It answers for every name that nobody thought of, for ever.
escalate contains {
	"tier": "red",
	"why": sprintf("%s answers to the whole world for every name that nobody thought of.", [edit.name]),
} if {
	some zone in input.zones
	zone.visibility != "internal"
	some edit in input.change.edits
	edit.zone == zone.name
	edit.op != "delete"
	startswith(edit.name, "*.")
}

# METADATA
# title: An app opens itself to the world
# description: What was built for insiders meets strangers.
escalate contains {
	"tier": "red",
	"why": sprintf("The app %s was internal and opens itself to the whole world.", [app.name]),
} if {
	some app in input.apps
	app.previous_exposure == "internal"
	app.exposure == "external"
}

zone_edits := [edit | some edit in input.change.edits; edit.zone == input.zone.name]

record(edit) := sprintf("%s %s", [edit.name, edit.type])

# parts are the words of a name below its zone: "grafana-eu.ops" is grafana, eu and ops.
parts(edit) := {part | some part in regex.split(`[-._]`, trim_suffix(edit.name, edit.zone)); part != ""}
