# METADATA
# title: Data handling
# description: >-
#   What an app must show before it may handle personal, financial or health data:
#   an encrypted connection, a list of what it is made of, an end, and somebody of the
#   organisation who answers for it.
# custom:
#   controls: [SOC2:CC6.1, ISO27001:A.5.12]
package packs.data_handling

sensitive := {"pii": "personal data", "financial": "financial data", "health": "health data"}

# After so long somebody must say again that the app is still needed.
longest_life_days := 366

day_ns := 86400000000000

# METADATA
# title: Delicate data without encryption
# description: Without a certificate everybody on the way can read along.
deny contains {
	"rule": "sensitive-without-certificate",
	"msg": sprintf("The app %s handles %s and asks for no certificate, so the data would travel in the clear.", [app.name, classes(app)]),
	"help": "Set certificate: true in the app's file.",
	"path": app.path,
} if {
	some app in sensitive_apps
	not app.certificate
}

# METADATA
# title: Delicate data without a list of parts
# description: When a library turns out to be dangerous, nobody could say whether the app uses it.
# custom:
#   enforcement: soft-mandatory
deny contains {
	"rule": "sensitive-without-sbom",
	"msg": sprintf("The app %s handles %s and does not say what it is built of. When a part turns out to be dangerous, nobody would know.", [app.name, classes(app)]),
	"help": "Add the bill of materials to the app's file, under artifacts: {sbom: …}.",
	"path": app.path,
} if {
	some app in sensitive_apps
	not app.artifacts.sbom
}

# METADATA
# title: Health data for the whole world
# description: Health data needs a stronger sign-in than a micro app on a public name brings.
# custom:
#   enforcement: soft-mandatory
deny contains {
	"rule": "health-data-public",
	"msg": sprintf("The app %s handles health data and could be reached by the whole world.", [app.name]),
	"help": "Make it internal, or talk to Security about a place for it.",
	"path": app.path,
} if {
	some app in sensitive_apps
	"health" in app.data
	app.exposure == "external"
}

# METADATA
# title: Data that is both there and not there
# description: An app that says none and something else has not been thought through.
deny contains {
	"rule": "data-contradiction",
	"msg": sprintf("The app %s says that it handles no delicate data, and names some all the same.", [app.name]),
	"help": "Take none out of data, or take the rest out.",
	"path": app.path,
} if {
	some app in input.apps
	app.op != "delete"
	"none" in app.data
	count(app.data) > 1
}

# METADATA
# title: Delicate data without an end in sight
# description: Data that nobody needs any more is a risk without a use.
# custom:
#   enforcement: soft-mandatory
deny contains {
	"rule": "sensitive-lives-too-long",
	"msg": sprintf("The app %s handles %s and may run until %s, which is more than a year away.", [app.name, classes(app), app.expires]),
	"help": "Set expires to a day within a year; it can be renewed then.",
	"path": app.path,
} if {
	now := time.parse_rfc3339_ns(input.as_of)
	some app in sensitive_apps
	end := time.parse_ns("2006-01-02", app.expires)
	end - now > longest_life_days * day_ns
}

# METADATA
# title: Delicate data run by a third party
# description: Such an app needs a contract about the data.
warn contains {
	"rule": "sensitive-run-by-third-party",
	"msg": sprintf("The app %s handles %s and is run by %s. There must be a contract about the data.", [app.name, classes(app), app.third_party]),
	"help": "Approvers: look for the data processing agreement before you approve.",
	"path": app.path,
} if {
	some app in sensitive_apps
	app.third_party != ""
}

# METADATA
# title: An app declares less delicate data than before
# description: Taking a declaration away takes the demands away too.
warn contains {
	"rule": "data-declassified",
	"msg": sprintf("The app %s no longer says that it handles %s. Whoever approves this should know where the data went.", [app.name, what]),
	"help": "Say in the change what happened to the data.",
	"path": app.path,
} if {
	some app in input.apps
	app.op == "update"
	some class in app.previous_data
	what := sensitive[class]
	not declares(app, class)
}

declares(app, class) if class in app.data

# METADATA
# title: Delicate data where there was none
escalate contains {
	"tier": "red",
	"why": sprintf("The app %s begins to handle %s.", [app.name, what]),
} if {
	some app in input.apps
	app.op == "update"
	some class in app.data
	what := sensitive[class]
	not declared(app, class)
}

declared(app, class) if class in app.previous_data

sensitive_apps := [app |
	some app in input.apps
	app.op != "delete"
	classes(app) != ""
]

classes(app) := concat(", ", {sensitive[class] | some class in app.data})
