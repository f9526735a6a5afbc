package lint

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Page is the rule's page of the manual, in Markdown.
func (r Rule) Page() string {
	var out strings.Builder
	fmt.Fprintf(&out, "# %s\n\n%s. Severity: **%s**. Controls: %s.\n\n", r.ID, r.Title, r.Severity, strings.Join(r.Controls, ", "))
	fmt.Fprintf(&out, "**Why it matters.** %s\n\n**What to do.** %s\n\n", markdown(r.Why), markdown(r.Help))
	fmt.Fprintf(&out, "## Found\n\n```\n%s\n```\n\n## Not found\n\n```\n%s\n```\n\n", strings.TrimSpace(r.Bad), strings.TrimSpace(r.Good))
	if strings.Contains(r.Bad+r.Good, "-- "+observations+" --") {
		out.WriteString("`observations` stands for what the DNS and web servers say outside the repository: this rule speaks only with\n`slipway check --online` or `--replay`.\n\n")
	}
	if strings.Contains(r.Bad+r.Good, "-- in-force/") {
		out.WriteString("Files under `in-force/` are as they were before the change.\n\n")
	}
	out.WriteString("[All rules](README.md)\n")
	return out.String()
}

// markdown keeps text from being read as HTML.
func markdown(s string) string {
	return strings.NewReplacer("<", "\\<", "_dmarc", "`_dmarc`").Replace(s)
}

// Index is the manual's list of all rules, in Markdown.
func Index(rules []Rule) string {
	rules = slices.Clone(rules)
	slices.SortFunc(rules, func(a, b Rule) int { return cmp.Compare(a.ID, b.ID) })
	var out strings.Builder
	out.WriteString(`# Lint rules

What ` + "`slipway check`" + ` finds in a change whatever the organisation's policies say. These pages are
generated from the rules; ` + "`slipway rules`" + ` shows the same.

Each rule weighs as the list says: **deny** stops a change, **warn** is for whoever approves it, **info** is worth
knowing. ` + "`slipway.yaml`" + ` can change that, everywhere or in some zones, and let one record pass until a day:

` + "```yaml" + `
rules:
  wildcard: {severity: deny}
  ttl-out-of-bounds: {severity: info, zones: [apps.finmicro.example]}
waivers:
  - rule: wildcard
    record: '*.shop.finmicro.example A'
    reason: The shop names its branches itself
    by: ivy@finmicro.example
    expires: 2027-01-31        # the last day
mail:                          # what external zones with mail must say
  spf: v=spf1 include:_spf.finmicro.example -all
  dmarc: v=DMARC1; p=reject; rua=mailto:dmarc@finmicro.example
  senders:                     # machines that send mail, as which domain: SPF must let them pass
    finmicro.example: [192.0.2.25, '2001:db8::25']
` + "```" + `

Where a rule finds something in no record, a waiver names a ` + "`zone`" + ` or a ` + "`file`" + ` (such as ` + "`apps/menu.yaml`" + `) instead. Both hold for rules
of policies too, by their names (` + "`own/no-wildcards`" + `), as far as [their authors let them](../decisions/0019-exceptions-from-policies.md).

The settings in force decide, not those that a change brings; and a change of the settings itself is red. A waiver
lets its finding pass and leaves an info finding in its place, so that every approver sees it. Rules that look outside
the repository speak only with ` + "`slipway check --online`" + `, whose answers ` + "`--record`" + ` keeps and ` + "`--replay`" + ` uses again.

| rule | severity | what it finds |
|---|---|---|
`)
	for _, r := range rules {
		fmt.Fprintf(&out, "| [%s](%s.md) | %s | %s |\n", r.ID, r.ID, r.Severity, r.Title)
	}
	return out.String()
}
