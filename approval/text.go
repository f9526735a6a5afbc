package approval

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Text says for people who must approve: "One approver from InfoSec or Platform Ops".
func (r Requirement) Text() string {
	var parts []string
	if all := distinct(r.AllOf); len(all) > 0 {
		parts = append(parts, eachOf(all))
	}
	if n := r.count(); n > 0 {
		parts = append(parts, anyOf(n, r.AnyOf))
	}
	if len(parts) == 0 {
		return "Nobody can approve this: the rule “" + r.Rule + "” names no group in slipway.yaml"
	}
	return capital(strings.Join(parts, ", and "))
}

// anyOf: "one approver from InfoSec or Platform Ops".
func anyOf(n int, groups []string) string {
	from := " from " + List(distinct(groups), "or")
	if n == 1 {
		return "one approver" + from
	}
	return number(n) + " approvers" + from + ", each a different person"
}

// eachOf: "one approver each from Legal, Security and Product, three different people".
func eachOf(groups []string) string {
	if len(groups) == 1 {
		return "one approver from " + GroupName(groups[0])
	}
	return "one approver each from " + List(groups, "and") + ", " + number(len(groups)) + " different people"
}

// List joins group names for people: "Legal, Security and Product".
func List(groups []string, conjunction string) string {
	names := make([]string, len(groups))
	for i, g := range groups {
		names[i] = GroupName(g)
	}
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " " + conjunction + " " + names[last]
}

// GroupName is a group as people read it: "platform-ops" is "Platform Ops".
func GroupName(group string) string {
	words := strings.FieldsFunc(group, func(r rune) bool { return r == '-' || r == '_' || r == ' ' })
	for i, w := range words {
		switch lower := strings.ToLower(w); lower {
		case "infosec":
			words[i] = "InfoSec"
		case "devops":
			words[i] = "DevOps"
		case "it", "hr", "qa", "dns", "sre", "ciso", "cto", "dpo", "pki", "soc", "grc":
			words[i] = strings.ToUpper(w)
		case "and", "of", "or", "the", "for":
			words[i] = lower
		default:
			words[i] = capital(w)
		}
	}
	if len(words) == 0 {
		return group
	}
	return capital(strings.Join(words, " "))
}

func number(n int) string {
	words := [...]string{"no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"}
	if n >= 0 && n < len(words) {
		return words[n]
	}
	return strconv.Itoa(n)
}

func capital(s string) string {
	_, size := utf8.DecodeRuneInString(s)
	return strings.ToUpper(s[:size]) + s[size:]
}
