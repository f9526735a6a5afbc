# METADATA
# title: Domain registration
# description: >-
#   A registered domain is the organisation's name in the world. It is neither given
#   up nor moved by the way: such a change stands alone, and the right people see it.
# custom:
#   controls: [SOC2:CC6.1, ISO27001:A.5.9]
package packs.domain_registration

# METADATA
# title: A domain is given up while its names are in use
# description: Whoever registers it next receives the organisation's visitors and mail.
deny contains {
	"rule": "domain-given-up-in-use",
	"msg": sprintf("This change gives up the registration of %s and keeps names in it. Whoever registers it next gets their visitors and mail.", [domain(file)]),
	"help": "Remove its names first, in a change of its own, and give the registration up a year later.",
	"path": file.path,
} if {
	some file in domain_files
	file.op == "delete"
	some edit in input.change.edits
	below(edit.name, domain(file))
	edit.op != "delete"
}

# METADATA
# title: The chain of trust to a zone is cut
# description: With the DS record gone, answers for the zone can be forged again, or stop validating.
# custom:
#   enforcement: soft-mandatory
deny contains {
	"rule": "ds-removed",
	"msg": sprintf("This change removes %s DS. Answers below that name could be forged again, and if the zone stays signed for long, nobody notices.", [edit.name]),
	"help": "To change keys, put the new DS beside the old one, and remove the old one later (RFC 6781 section 4.1.2).",
	"record": sprintf("%s DS", [edit.name]),
} if {
	some edit in input.change.edits
	edit.zone == input.zone.name
	edit.type == "DS"
	edit.op == "delete"
}

# METADATA
# title: A registration and names in one change
# description: Different people answer for the two, and each should see what is theirs.
warn contains {
	"rule": "registration-with-names",
	"msg": sprintf("This change edits the registration of %s together with %d record sets. Different people answer for the two.", [domain(file), count(input.change.edits)]),
	"help": "Make two changes of it, the registration first.",
	"path": file.path,
} if {
	count(input.change.edits) > 0
	some file in domain_files
	file.op != "delete"
}

# METADATA
# title: Several registrations in one change
# description: A slip in such a change can cost more than one name.
warn contains {
	"rule": "many-registrations",
	"msg": sprintf("This change edits the registrations of %d domains at once.", [count(domain_files)]),
	"help": "Make one change of each, unless it is the same edit in all of them.",
} if {
	count(domain_files) > 5
}

# METADATA
# title: All name servers are exchanged at once
# description: Who answers for the whole zone changes in one step, with no way back for a day.
warn contains {
	"rule": "all-name-servers-exchanged",
	"msg": sprintf("All name servers of %s are exchanged at once. If the new ones do not answer, neither does anything below the name.", [edit.name]),
	"help": "Add the new name servers first, see that they answer, and remove the old ones later.",
	"record": sprintf("%s NS", [edit.name]),
} if {
	some edit in input.change.edits
	edit.zone == input.zone.name
	edit.type == "NS"
	edit.op == "update"
	count({v | some v in edit.before.values} & {v | some v in edit.after.values}) == 0
}

# METADATA
# title: A registration begins, changes or ends
escalate contains {
	"tier": "red",
	"why": sprintf("It would %s the registration of %s, which is the organisation's name in the world.", [file.op, domain(file)]),
} if {
	some file in domain_files
}

domain_files := [file | some file in input.change.files; file.kind == "domain"]

domain(file) := trim_suffix(trim_prefix(file.path, "domains/"), ".yaml")

below(name, apex) if name == apex

below(name, apex) if endswith(name, concat("", [".", apex]))
