# METADATA
# title: E-mail authentication
# description: >-
#   Keeps what protects the organisation's mail from being taken away or weakened.
#   Lint says what is wrong with a record by itself; this pack looks at what a record was
#   before, since the dangerous edit is the one that leaves a valid record behind.
# custom:
#   controls: [SOC2:CC6.6, ISO27001:A.5.14]
package packs.email_auth

# METADATA
# title: DMARC is removed
# description: Without it anybody can send mail in the organisation's name, and nobody is told.
# custom:
#   enforcement: soft-mandatory
deny contains {
	"rule": "dmarc-removed",
	"msg": sprintf("This change removes the DMARC record of %s. Anybody could then send mail in its name, and nobody would be told.", [trim_prefix(edit.name, "_dmarc.")]),
	"help": "Keep the record. A domain that sends no mail needs it most: v=DMARC1; p=reject.",
	"record": record(edit),
} if {
	some edit in txt_edits
	startswith(edit.name, "_dmarc.")
	dmarc(edit.before)
	not dmarc(becomes(edit))
	not alias_instead(edit)
}

# METADATA
# title: DMARC is weakened
# description: A policy that asked receivers to refuse forged mail asks for less.
# custom:
#   enforcement: soft-mandatory
deny contains {
	"rule": "dmarc-weakened",
	"msg": sprintf("The DMARC policy at %s goes from %s to %s, so mail that is forged in our name would be accepted again.", [edit.name, was, next]),
	"help": "Keep the stricter policy. To find out why good mail is refused, read the reports that rua= asks for.",
	"record": record(edit),
} if {
	some edit in txt_edits
	startswith(edit.name, "_dmarc.")
	was := dmarc_policy(edit.before)
	next := dmarc_policy(edit.after)
	strictness[next] < strictness[was]
}

# METADATA
# title: SPF is removed
# description: Receivers can no longer tell which servers may send for the domain.
# custom:
#   enforcement: soft-mandatory
deny contains {
	"rule": "spf-removed",
	"msg": sprintf("This change removes the SPF record of %s. Receivers could no longer tell who may send mail for it.", [edit.name]),
	"help": "Keep the record; a name that sends no mail says v=spf1 -all.",
	"record": record(edit),
} if {
	some edit in txt_edits
	spf(edit.before)
	not spf(becomes(edit))
}

# METADATA
# title: SPF is weakened
# description: A domain that named all its senders lets others in.
# custom:
#   enforcement: soft-mandatory
deny contains {
	"rule": "spf-weakened",
	"msg": sprintf("The SPF record of %s no longer ends in -all, so it stops saying that nobody else may send.", [edit.name]),
	"help": "Keep -all, and name the additional sender before it.",
	"record": record(edit),
} if {
	some edit in txt_edits
	spf_strict(edit.before)
	spf(edit.after)
	not spf_strict(edit.after)
}

# METADATA
# title: A parked domain gets mail
# description: Nobody reads it, and its address can be used to take over accounts.
deny contains {
	"rule": "mail-for-parked-domain",
	"msg": sprintf("%s is parked, and this change makes it receive mail that nobody expects.", [input.zone.name]),
	"help": "Give it the null MX (0 .), or take parked: true away in slipway.yaml first.",
	"record": record(edit),
} if {
	input.zone.parked
	some edit in zone_edits
	edit.type == "MX"
	edit.op != "delete"
	some value in edit.after.values
	not null_mx(value)
}

strictness := {"none": 0, "quarantine": 1, "reject": 2}

null_mx(value) if regex.match(`^0\s+\.$`, value)

# METADATA
# title: A DKIM key is removed
# description: Mail that is on its way, signed with this key, can no longer be verified.
warn contains {
	"rule": "dkim-removed",
	"msg": sprintf("This change removes the DKIM key at %s. Mail that was signed with it and is still on its way counts as forged.", [edit.name]),
	"help": "Stop signing with the key first, and remove it a week later.",
	"record": record(edit),
} if {
	some edit in zone_edits
	edit.op == "delete"
	contains(edit.name, "._domainkey.")
	not alias_instead(edit)
}

# METADATA
# title: Enforced transport security for mail is removed
# description: Mail could again be read or changed on its way (RFC 8461).
warn contains {
	"rule": "mta-sts-removed",
	"msg": sprintf("This change removes %s, so servers that send us mail may again do so unencrypted.", [record(edit)]),
	"help": "Set the MTA-STS policy to mode none for as long as its max_age, and remove the record then (RFC 8461 section 2.6).",
	"record": record(edit),
} if {
	some edit in txt_edits
	edit.op == "delete"
	startswith(edit.name, "_mta-sts.")
}

# METADATA
# title: Mail goes elsewhere
# description: Who receives the organisation's mail can reset its passwords.
escalate contains {
	"tier": "red",
	"why": sprintf("It changes who receives mail for %s, and so who can reset passwords there.", [edit.name]),
} if {
	some edit in input.change.edits
	edit.type == "MX"
	edit.op != "create"
}

zone_edits := [edit | some edit in input.change.edits; edit.zone == input.zone.name]

txt_edits := [edit | some edit in zone_edits; edit.type in {"TXT", "SPF"}]

# The record moves to whoever runs it for the organisation, behind an alias at the same name.
alias_instead(edit) if {
	some other in input.change.edits
	other.name == edit.name
	other.type == "CNAME"
	other.op != "delete"
}

# A deletion has no after, and "not" of something that is missing is silent, not true.
becomes(edit) := object.get(edit, "after", {"values": []})

record(edit) := sprintf("%s %s", [edit.name, edit.type])

# text joins the strings of a TXT value (RFC 1035 section 3.3.14) and takes the quotes away.
text(value) := replace(trim(replace(value, "\" \"", ""), "\""), "\\;", ";")

spf(set) if {
	some value in set.values
	regex.match(`(?i)^v=spf1(\s|$)`, text(value))
}

spf_strict(set) if {
	some value in set.values
	regex.match(`(?i)^v=spf1\s(.*\s)?(-all|redirect=\S+)\s*$`, text(value))
}

dmarc(set) if {
	some value in set.values
	regex.match(`^v\s*=\s*DMARC1\s*(;|$)`, text(value))
}

dmarc_policy(set) := lower(found[0][1]) if {
	some value in set.values
	regex.match(`^v\s*=\s*DMARC1\s*(;|$)`, text(value))
	found := regex.find_all_string_submatch_n(`(?i);\s*p\s*=\s*(none|quarantine|reject)`, text(value), 1)
}
