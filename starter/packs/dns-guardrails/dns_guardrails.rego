# METADATA
# title: DNS guardrails
# description: >-
#   Keeps one change from taking down what many depend on. An app may bring
#   addresses and aliases, not delegations; nobody removes a large part of a zone
#   at once; the roots of a zone stay; a new name can be corrected within the hour.
# custom:
#   controls: [SOC2:CC8.1, ISO27001:A.8.32]
package packs.dns_guardrails

# What an app may bring. Everything else speaks for more than the app.
app_types := {"A", "AAAA", "ALIAS", "CAA", "CNAME", "HTTPS", "SVCB", "TXT"}

# So many record sets removed by one change are a migration, not an edit.
most_deletes := 100

# A new name that is wrong can be corrected within this time, in seconds.
longest_new_ttl := 3600

# Delegations that resolvers forget within minutes cost every visitor a look-up (RFC 9199 section 3.6).
shortest_delegation_ttl := 3600

# METADATA
# title: An app brings a record type that speaks for more than itself
# description: >-
#   A delegation, a mail exchanger or a redirected branch of names reaches beyond
#   one app. Those belong in the platform's own zone files.
deny contains {
	"rule": "app-record-type",
	"msg": sprintf("The app %s brings %s. A record of type %s decides about more than one app.", [edit.app, record(edit), edit.type]),
	"help": "Take the record out of the app, and ask the platform's operators to put it into the zone.",
	"record": record(edit),
} if {
	some edit in zone_edits
	edit.app != ""
	edit.op != "delete"
	not app_may(edit.type)
}

# METADATA
# title: A change removes a large part of a zone
# description: Such a change should be made in steps, each of which can be looked at and taken back.
# custom:
#   enforcement: soft-mandatory
deny contains {
	"rule": "mass-deletion",
	"msg": sprintf("This change removes %d record sets from %s at once. If one of them is still needed, nobody will see which.", [gone, input.zone.name]),
	"help": sprintf("Split it into changes of at most %d deletions.", [most_deletes]),
} if {
	gone := count([edit | some edit in zone_edits; edit.op == "delete"])
	gone > most_deletes
}

# METADATA
# title: The name servers or the start of a zone are removed
# description: Without its NS and SOA records a zone stops answering as a whole.
deny contains {
	"rule": "zone-root-removed",
	"msg": sprintf("This change removes %s. Without it every name in the zone stops working.", [record(edit)]),
	"help": "Put the record back; to move a zone, replace its values instead.",
	"record": record(edit),
} if {
	some edit in zone_edits
	edit.op == "delete"
	edit.name == edit.zone
	edit.type in {"NS", "SOA"}
}

# METADATA
# title: A zone has a single name server
# description: Two name servers, on different networks, are the least (RFC 2182 section 5).
# custom:
#   enforcement: soft-mandatory
deny contains {
	"rule": "single-name-server",
	"msg": sprintf("%s would be served by a single name server. When that one is down, every name below it is gone.", [edit.name]),
	"help": "Name at least two name servers.",
	"record": record(edit),
} if {
	some edit in zone_edits
	edit.op != "delete"
	edit.type == "NS"
	count(edit.after.values) < 2
}

app_may(type) if type in app_types

# METADATA
# title: A new name would be remembered for long
# description: Until it expires from caches, a mistake in a new name cannot be taken back.
warn contains {
	"rule": "new-name-ttl-long",
	"msg": sprintf("%s is new and would be remembered for %d seconds. A mistake in it stays that long.", [record(edit), edit.after.ttl]),
	"help": sprintf("Begin with a TTL of at most %d seconds, and raise it once it works.", [longest_new_ttl]),
	"record": record(edit),
} if {
	some edit in zone_edits
	edit.op == "create"
	not edit.type in {"DS", "NS", "SOA"}
	edit.after.ttl > longest_new_ttl
}

# METADATA
# title: A delegation is remembered for too short a time
# description: Every look-up below it waits for it again and again.
warn contains {
	"rule": "delegation-ttl-short",
	"msg": sprintf("%s would be forgotten after %d seconds, so every visitor waits for it again and again.", [record(edit), edit.after.ttl]),
	"help": sprintf("Give it a TTL of at least %d seconds.", [shortest_delegation_ttl]),
	"record": record(edit),
} if {
	some edit in zone_edits
	edit.op != "delete"
	edit.type in {"DS", "NS"}
	edit.after.ttl >= 0
	edit.after.ttl < shortest_delegation_ttl
}

# METADATA
# title: The name of a whole public zone is turned elsewhere
# description: What stands at the top of a public zone is the organisation's front door.
escalate contains {
	"tier": "red",
	"why": sprintf("It changes where %s itself leads, which everybody in the world uses.", [edit.zone]),
} if {
	some zone in input.zones
	zone.visibility == "external"
	some edit in input.change.edits
	edit.zone == zone.name
	edit.name == edit.zone
	edit.op != "create"
	edit.type in {"A", "AAAA", "ALIAS", "MX", "NS"}
}

zone_edits := [edit | some edit in input.change.edits; edit.zone == input.zone.name]

record(edit) := sprintf("%s %s", [edit.name, edit.type])
