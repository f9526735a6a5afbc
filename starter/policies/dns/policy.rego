# METADATA
# title: Whose zones may change
# description: >-
#   An allowed change is to a zone that the organisation owns. A zone that the
#   whole world can see must also be one of those that are released for changes.
#   Slipway asks this package once for every zone that a change touches.
# custom:
#   controls: [SOC2:CC6.1, ISO27001:A.5.9, SOX:ITGC-CM]
package dns.policy

default allow := false

# METADATA
# title: The zone belongs to the organisation
# scope: rule
# description: An undeclared owner, or an undeclared organisation, is nobody's.
allow if {
	input.organisation.domain != ""
	input.zone.owner == input.organisation.domain
}

# METADATA
# title: A change to a zone of somebody else
# description: The organisation speaks for its own names only.
deny contains {
	"rule": "zone-owner",
	"msg": sprintf(
		"The zone %s is not recorded as belonging to %s. Names may only change in zones that the organisation owns, so that nobody speaks for somebody else.",
		[input.zone.name, organisation],
	),
	"help": "Declare the zone in slipway.yaml with the organisation's domain as its owner, or ask its owner to make the change.",
} if {
	input.zone
	not allow
}

# METADATA
# title: A change to a public zone that is not released
# description: Public zones are released one by one, by their exact name.
deny contains {
	"rule": "external-zone-not-allowed",
	"msg": sprintf(
		"The zone %s can be seen by the whole world and is not among the public zones that changes may touch.",
		[input.zone.name],
	),
	"help": "Use a zone that is released for public names, or have this one added to allowed-external in slipway.yaml.",
} if {
	input.zone.visibility == "external"
	not released
}

# METADATA
# title: A change to a zone of unknown visibility
# description: Without it nobody can say who would see the name.
deny contains {
	"rule": "zone-visibility-undeclared",
	"msg": sprintf(
		"Nothing says whether the zone %s is seen inside the company only or by the whole world.",
		[input.zone.name],
	),
	"help": "Declare the zone in slipway.yaml with visibility: internal or visibility: external.",
} if {
	input.zone
	not visibility_declared
}

# A rule of its own, since "not x in y" is silent, not true, when x or y is missing.
released if input.zone.name in input.organisation.allowed_external

visibility_declared if input.zone.visibility in {"internal", "external"}

default organisation := "the organisation"

organisation := input.organisation.name if input.organisation.name != ""
