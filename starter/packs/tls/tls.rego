# METADATA
# title: Certificates
# description: >-
#   Who may issue certificates for the organisation's names, and which apps must have
#   one. A certificate in the wrong hands is the organisation's face on somebody else.
# custom:
#   controls: [SOC2:CC6.7, ISO27001:A.8.24]
package packs.tls

# METADATA
# title: The limit on who may issue certificates is removed
# description: Without CAA every certificate authority in the world may issue for the name (RFC 8659).
# custom:
#   enforcement: soft-mandatory
deny contains {
	"rule": "caa-removed",
	"msg": sprintf("This change removes the CAA record of %s. Any certificate authority in the world could then issue certificates for it.", [edit.name]),
	"help": "Keep the record. To change the authority, add the new one before you remove the old one.",
	"record": sprintf("%s CAA", [edit.name]),
} if {
	some edit in zone_edits
	edit.type == "CAA"
	edit.op == "delete"
}

# METADATA
# title: A CAA record that limits nobody
# description: Only issue and issuewild limit who may issue (RFC 8659 section 4.2).
deny contains {
	"rule": "caa-without-issue",
	"msg": sprintf("The CAA record of %s names no authority, so it keeps nobody from issuing certificates.", [edit.name]),
	"help": `Add 0 issue "ca.example", or 0 issue ";" when nobody may.`,
	"record": sprintf("%s CAA", [edit.name]),
} if {
	some edit in caa_edits
	count([v | some v in edit.after.values; regex.match(`(?i)^\d+\s+issue\s`, v)]) == 0
}

# METADATA
# title: A public app without a certificate
# description: Browsers warn visitors off, and everybody on the way can read along.
deny contains {
	"rule": "public-app-without-certificate",
	"msg": sprintf("The app %s can be reached from outside and asks for no certificate, so browsers would warn visitors off.", [app.name]),
	"help": "Set certificate: true in the app's file.",
	"path": app.path,
} if {
	some app in input.apps
	app.op != "delete"
	app.exposure == "external"
	app.hostname != ""
	not app.certificate
}

# METADATA
# title: Somebody else can prove that a name is theirs
# description: Who answers for _acme-challenge gets certificates for the name above it (RFC 8555 section 8.4).
# custom:
#   enforcement: soft-mandatory
deny contains {
	"rule": "challenge-delegated-outside",
	"msg": sprintf("%s is handed to %s. Whoever runs that can get certificates for %s.", [edit.name, value, trim_prefix(edit.name, "_acme-challenge.")]),
	"help": "Point it at a name of the organisation, or let Slipway answer the challenge.",
	"record": sprintf("%s %s", [edit.name, edit.type]),
} if {
	some edit in zone_edits
	edit.op != "delete"
	edit.type in {"CNAME", "DNAME", "NS"}
	startswith(edit.name, "_acme-challenge.")
	some value in edit.after.values
	not ours(trim_suffix(value, "."))
}

# METADATA
# title: A certificate for a name outside of the app's hostname
# description: With it the app could answer in the place of another one, and be believed.
# custom:
#   enforcement: soft-mandatory
deny contains {
	"rule": "certificate-name-beyond-app",
	"msg": sprintf("The certificate of the app %s would also be for %s, which is not below its hostname. Whoever holds its key could answer there too.", [cert.app, name.name]),
	"help": "Give the app one hostname and put its names below it, or make a second app with a key of its own.",
	"path": cert.path,
	"line": line(cert),
} if {
	some cert in input.certificates
	some name in cert.names
	not name.under_hostname
}

# METADATA
# title: An internal name in a public certificate
# description: Public authorities write every certificate into logs that the whole world reads (RFC 6962).
# custom:
#   enforcement: soft-mandatory
deny contains {
	"rule": "internal-name-at-public-authority",
	"msg": sprintf("The name %s is for the inside of the company, and the authority %s writes every certificate into logs that the whole world reads.", [name.name, authority.name]),
	"help": "Let the organisation's own authority issue certificates for internal names: a rule with visibility: internal under certificates in slipway.yaml.",
	"path": cert.path,
	"line": line(cert),
} if {
	some cert in input.certificates
	some name in cert.names
	name.visibility == "internal"
	some authority in cert.authorities
	authority.public
}

# METADATA
# title: Delicate data without proof of who asks
# description: >-
#   Financial and health data inside of the company is for known machines and people
#   only. With mtls the gateway lets in nobody without a certificate of the organisation.
# custom:
#   enforcement: soft-mandatory
deny contains {
	"rule": "data-demands-mtls",
	"msg": sprintf("The app %s handles %s inside of the company and lets in whoever reaches it. For such data those who ask must prove who they are too.", [cert.app, classes]),
	"help": "Set mtls: required in the app's file, and upstream, so that the gateway sees to it.",
	"path": cert.path,
	"line": line(cert),
} if {
	some cert in input.certificates
	cert.exposure == "internal"
	not cert.mtls
	classes := concat(" and ", [what | some class, what in demands_mtls; class in cert.data])
	classes != ""
}

# METADATA
# title: Wildcard certificates are allowed
# description: One stolen key then stands for every name below.
warn contains {
	"rule": "caa-allows-wildcards",
	"msg": sprintf("The CAA record of %s does not rule out wildcard certificates. Whoever steals the key of one can be every name below it.", [edit.name]),
	"help": `Add 0 issuewild ";" unless a wildcard certificate is really in use.`,
	"record": sprintf("%s CAA", [edit.name]),
} if {
	input.zone.visibility == "external"
	some edit in caa_edits
	count([v | some v in edit.after.values; regex.match(`(?i)^\d+\s+issuewild\s+"?\s*;`, v)]) == 0
}

# METADATA
# title: Any customer of the authority may get a certificate
# description: >-
#   Without accounturi (RFC 8657) whoever can answer a challenge for the name, with any
#   account at the authority, gets a certificate.
warn contains {
	"rule": "caa-any-account",
	"msg": sprintf("The CAA record of %s allows every account at %s, not only ours.", [edit.name, authority]),
	"help": "Add our account at the authority: 0 issue \"ca.example; accounturi=https://…\".",
	"record": sprintf("%s CAA", [edit.name]),
} if {
	input.zone.visibility == "external"
	some edit in caa_edits
	some value in edit.after.values
	found := regex.find_all_string_submatch_n(`(?i)^\d+\s+issue(?:wild)?\s+"?\s*([a-z0-9.-]+)`, value, 1)
	authority := found[0][1]
	not contains(value, "accounturi=")
}

# METADATA
# title: A key of a kind that is going out of use
# description: RSA with 2048 bits is allowed until 2030 (NIST SP 800-131A); ECDSA is stronger and faster.
warn contains {
	"rule": "certificate-key-ageing",
	"msg": sprintf("The key of the certificate of %s would be RSA with %d bits, which is to be given up by 2030.", [cert.app, cert.key.bits]),
	"help": "Use ecdsa-p256, or rsa-3072 where something old needs RSA: keys, then type, under certificates in slipway.yaml.",
	"path": cert.path,
	"line": line(cert),
} if {
	some cert in input.certificates
	cert.key.kind == "rsa"
	cert.key.bits < 3072
}

# METADATA
# title: TLSA records that nobody may believe
# description: Without DNSSEC anybody on the way could replace the record, so clients pass over it (RFC 6698 section 4.1).
warn contains {
	"rule": "tlsa-without-dnssec",
	"msg": sprintf("%s says which certificate is the right one, and the zone %s is not signed, so no client may go by it.", [edit.name, input.zone.name]),
	"help": "Sign the zone first: dnssec: required in slipway.yaml. Or leave the record out.",
	"record": sprintf("%s TLSA", [edit.name]),
} if {
	input.zone.dnssec != "required"
	some edit in zone_edits
	edit.type == "TLSA"
	edit.op != "delete"
}

# METADATA
# title: A certificate that lives long
# description: A stolen key is of use for as long as its certificate. Renewal needs nobody's hands, so short lives cost nothing.
warn contains {
	"rule": "certificate-lives-long",
	"msg": sprintf("The certificate of the app %s would be good for %v days. If its key is stolen, it is of use to the thief for as long.", [cert.app, ceil(cert.days)]),
	"help": sprintf("Set a lifetime of at most %d days for the authority, under certificates in slipway.yaml.", [longest_days]),
	"path": cert.path,
	"line": line(cert),
} if {
	some cert in input.certificates
	cert.days > longest_days
}

demands_mtls := {"financial": "financial data", "health": "health data"}

longest_days := 100

line(cert) := max([1, cert.line])

ours(name) if {
	input.organisation.domain != ""
	name == input.organisation.domain
}

ours(name) if {
	input.organisation.domain != ""
	endswith(name, concat("", [".", input.organisation.domain]))
}

ours(name) if endswith(name, concat("", [".", input.zone.name]))

# METADATA
# title: Another authority may issue certificates
escalate contains {
	"tier": "red",
	"why": sprintf("It changes who may issue certificates for %s.", [edit.name]),
} if {
	some edit in input.change.edits
	edit.type == "CAA"
	edit.op == "update"
}

# METADATA
# title: A wildcard certificate
# description: One stolen key stands for every name below, those that are yet to come included.
escalate contains {
	"tier": wildcard_tier[name.visibility == "internal"],
	"why": sprintf("The app %s gets a wildcard certificate: whoever steals its key can be every name below %s.", [cert.app, trim_prefix(name.name, "*.")]),
} if {
	some cert in input.certificates
	some name in cert.names
	name.wildcard
}

# Inside of the company one person may decide it; where the world can see it, all must.
wildcard_tier := {true: "yellow", false: "red"}

zone_edits := [edit | some edit in input.change.edits; edit.zone == input.zone.name]

caa_edits := [edit | some edit in zone_edits; edit.type == "CAA"; edit.op != "delete"]
