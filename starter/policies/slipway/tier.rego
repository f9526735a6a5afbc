# METADATA
# title: Risk tier
# description: |
#   Decides how risky a change is, and so who must approve it. Slipway finds out
#   the facts (input.signals, input.zones, input.apps, input.change, input.findings,
#   input.requester); this package says what they mean, and an organisation that
#   thinks otherwise puts its own slipway.tier into policies/ of its zones repository.
#
#   green   internal names only, no personal, financial or health data, asked for by somebody
#           who may: approved by rule
#   yellow  seen by the whole world, or anything that is not plainly green: one approver
#   red     a trademark in a public name; personal, financial or health data; asked for by a third
#           party; or a change of the settings and policies that judge every change: Legal, Security
#           and Product, each a different person
#
#   What Slipway reads from this package: tier, reasons, score, weights, approvals. Whatever it cannot read,
#   it takes for red: a mistake here never approves anything.
# custom:
#   controls: [SOC2:CC3.2, SOC2:CC8.1, ISO27001:A.8.32, SOX:ITGC-CM]
package slipway.tier

# METADATA
# title: What each signal weighs, 0 to 100
# description: A signal's share of the score is its weight times its strength.
weights := {
	"apply-limit": 15,
	"brand-in-name": 60,
	"bulk-change": 15,
	"deletion": 10,
	"dependants": 20,
	"domain-edit": 40,
	"financial-data": 60,
	"health-data": 70,
	"low-ttl": 5,
	"new-app": 5,
	"new-zone": 25,
	"personal-data": 60,
	"policy-or-settings-edit": 80,
	"public-exposure": 25,
	"restricted-type": 15,
	"third-party": 60,
	"unsettled-app": 10,
	"wildcard": 20,
	"young-app": 5,
}

# A likeness to a brand from here on counts as the brand itself in a public name.
brand_threshold := 0.7

# From this score on, many small risks together count as a great one.
red_score := 90

# So many record sets in one change, or removed by it, are more than routine.
bulk_edits := 50

yellow_deletes := 5

red_deletes := 25

# Members may edit the platform's own internal zones without being asked.
platform_group := "platform-ops"

sensitive := {
	"pii": "personal data",
	"financial": "financial data",
	"health": "health data",
}

# METADATA
# title: The score, 0 to 100
# description: The strongest signal of each name counts once, so that a change of many records does not weigh more for that alone.
score := min([100, round(sum([points |
	some name, weight in weights
	points := weight * strongest[name]
]))])

strongest[name] := max({s.value | some s in counted; s.name == name}) if some name in {s.name | some s in counted}

# A brand in a name that only the company sees is no risk.
counted contains s if {
	some s in input.signals
	not brand_inside(s)
}

brand_inside(s) if {
	s.name == "brand-in-name"
	s.zone in internal_zones
}

internal_zones contains z.name if {
	some z in input.zones
	z.visibility == "internal"
}

# METADATA
# title: Why a change is red
# scope: document
red_reasons contains reason if {
	some f in input.change.files
	f.kind in {"settings", "policy"}
	reason := sprintf("It changes %s, which decides how every later change is judged.", [f.path])
}

red_reasons contains reason if {
	some s in counted
	s.name == "brand-in-name"
	s.value >= brand_threshold
	reason := sprintf("A trademark in a public name: %s", [s.reason])
}

red_reasons contains reason if {
	some app in input.apps
	some class in data_classes(app)
	reason := sprintf("The app %s handles %s.", [app.name, sensitive[class]])
}

red_reasons contains reason if {
	some s in input.signals
	s.name == "third-party"
	reason := s.reason
}

red_reasons contains reason if {
	input.change.deletes >= red_deletes
	reason := sprintf("It removes %d record sets at once.", [input.change.deletes])
}

red_reasons contains reason if {
	score >= red_score
	reason := sprintf("Many risks come together: the score is %d of 100.", [score])
}

# METADATA
# title: What the pinned packs raise
# description: A pack may ask for a stricter tier, never for a milder one.
red_reasons contains e.why if {
	some name

	# "some pack in data.packs" would evaluate the packs whole, not this one rule of each.
	# regal ignore:mixed-iteration
	some e in data.packs[name].escalate
	e.tier == "red"
}

# METADATA
# title: Why a change is at least yellow
# scope: document
yellow_reasons contains reason if {
	some z in input.zones
	z.visibility == "external"
	reason := sprintf("Names in %s can be seen by the whole world.", [z.name])
}

yellow_reasons contains reason if {
	some z in input.zones
	not visibility_declared(z)
	reason := sprintf("Nothing says who can see names in %s.", [z.name])
}

yellow_reasons contains reason if {
	some app in input.apps
	"external" in exposures(app)
	reason := sprintf("The app %s can be reached from outside the company.", [app.name])
}

yellow_reasons contains reason if {
	some app in input.apps
	some exposure in exposures(app)
	not exposure_declared(exposure)
	reason := sprintf("The app %s does not say who can reach it.", [app.name])
}

yellow_reasons contains reason if {
	some app in input.apps
	undeclared_data(app)
	reason := sprintf("The app %s does not say which data it handles.", [app.name])
}

yellow_reasons contains reason if {
	some app in input.apps
	app.op != "create"
	app.previous_owner != input.requester.id
	not trusted
	reason := sprintf("The app %s belongs to %s, who did not ask for this.", [app.name, app.previous_owner])
}

yellow_reasons contains reason if {
	some edit in input.change.edits
	edit.app == ""
	not trusted
	reason := sprintf("It edits the platform's own records in %s.", [edit.zone])
}

yellow_reasons contains e.why if {
	some name

	# As for red.
	# regal ignore:mixed-iteration
	some e in data.packs[name].escalate
	e.tier == "yellow"
}

yellow_reasons contains "Nobody is recorded as asking for it." if not known_requester

yellow_reasons contains reason if {
	some s in input.signals
	s.name in {"wildcard", "restricted-type", "new-zone", "domain-edit"}
	reason := s.reason
}

# A zone's own idea of a large change, from slipway.yaml.
yellow_reasons contains s.reason if {
	some s in input.signals
	s.name in {"bulk-change", "deletion"}
	s.zone != ""
}

# So much of a zone that it is applied only when somebody who may release it has looked at it.
yellow_reasons contains reason if some reason in limit_reasons

limit_reasons contains s.reason if {
	some s in input.signals
	s.name == "apply-limit"
}

# So many others rely on one name that a slip would be felt far away.
yellow_reasons contains s.reason if {
	some s in input.signals
	s.name == "dependants"
	s.value >= 1
}

yellow_reasons contains reason if {
	count(input.change.edits) >= bulk_edits
	reason := sprintf("It edits %d record sets at once.", [count(input.change.edits)])
}

yellow_reasons contains reason if {
	input.change.deletes >= yellow_deletes
	input.change.deletes < red_deletes
	reason := sprintf("It removes %d record sets at once.", [input.change.deletes])
}

yellow_reasons contains reason if {
	some f in input.change.files
	f.kind == "other"
	not harmless(f.path)
	reason := sprintf("It changes %s, a file that Slipway cannot judge.", [f.path])
}

# METADATA
# title: Why a change is green
# scope: document
green_reasons contains "Its names are seen inside the company only." if count(input.zones) > 0

green_reasons contains reason if {
	some app in input.apps
	reason := sprintf("The app %s is internal and handles no personal, financial or health data.", [app.name])
}

green_reasons contains "It changes no name, no app and no rule." if {
	count(input.zones) == 0
	count(input.apps) == 0
}

# Rules of their own, since "not x in y" is silent, not true, when x or y is missing.
visibility_declared(z) if z.visibility in {"internal", "external"}

exposure_declared(exposure) if exposure in {"internal", "external"}

data_declared(class) if class in (object.keys(sensitive) | {"none"})

known_requester if input.requester.id != ""

trusted if platform_group in input.requester.groups

# An app is judged by what it was as well as by what it becomes: taking a declaration
# away is the very thing that somebody should look at.
data_classes(app) := {class |
	some class in array.concat(app.data, app.previous_data)
	class in object.keys(sensitive)
}

exposures(app) := {exposure |
	some exposure in [app.exposure, app.previous_exposure]
	exposure != null
}

undeclared_data(app) if count(app.data) == 0

undeclared_data(app) if {
	some class in app.data
	not data_declared(class)
}

# Text for people, and the artifacts (SBOM, provenance) that lie beside the apps.
harmless(path) if endswith(path, ".md")

harmless(path) if startswith(path, "apps/")

harmless(path) if {
	some app in input.apps
	some artifact in app.artifacts
	artifact == path
}

# METADATA
# title: The tier
# description: No reason for red or yellow is not enough for green; there must be a reason for green.
# scope: document
tier := "red" if count(red_reasons) > 0

tier := "yellow" if {
	count(red_reasons) == 0
	count(yellow_reasons) > 0
}

tier := "green" if {
	count(red_reasons) == 0
	count(yellow_reasons) == 0
	count(green_reasons) > 0
}

# METADATA
# title: The reasons for the tier, for people
# scope: document
reasons := red_reasons if tier == "red"

reasons := yellow_reasons if tier == "yellow"

reasons := green_reasons if tier == "green"

# METADATA
# title: Which approval rules of slipway.yaml apply, and why
# scope: document
approvals contains {"rule": "red", "why": red_reasons} if tier == "red"

approvals contains {"rule": "yellow", "why": yellow_reasons} if tier == "yellow"

# Who may release what takes too much of a zone is asked at once, and not again when it is applied.
approvals contains {"rule": "yellow", "why": limit_reasons} if {
	tier == "red"
	count(limit_reasons) > 0
}

# A domain's registration is the business of those named for it, beside the tier's own approvers.
approvals contains {"rule": "new-domain", "why": domain_reasons} if {
	count(domain_reasons) > 0
	"new-domain" in input.approval_rules
}

domain_reasons contains s.reason if {
	some s in input.signals
	s.name == "domain-edit"
}
