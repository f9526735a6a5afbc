package portal

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"slipway/approval"
	"slipway/lifecycle"
	"slipway/zone"
)

// sentence gives a text a capital letter and a full stop.
func sentence(s string) string {
	s = strings.TrimSpace(s)
	if s == "" {
		return ""
	}
	first, n := utf8.DecodeRuneInString(s)
	s = string(unicode.ToUpper(first)) + s[n:]
	if !strings.ContainsAny(s[len(s)-1:], ".!?") {
		s += "."
	}
	return s
}

// moment writes a time for people. Everyone sees UTC, and is told so: two who
// talk about a deadline must mean the same one.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2 Jan 2006, 15:04 UTC")
}

// day writes a full-date for people; what is no date stays as it is.
func day(s string) string {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return s
	}
	return t.Format("2 January 2006")
}

// age says roughly how long something has been so.
func age(t, now time.Time) string {
	d := now.Sub(t)
	unit := func(n int, what string) string {
		if n == 1 {
			return "1 " + what
		}
		return fmt.Sprintf("%d %ss", n, what)
	}
	switch {
	case d < time.Minute:
		return "less than a minute"
	case d < time.Hour:
		return unit(int(d.Minutes()), "minute")
	case d < 48*time.Hour:
		return unit(int(d.Hours()), "hour")
	}
	return unit(int(d.Hours()/24), "day")
}

// phaseWords are a phase in one or two words, for lists.
var phaseWords = map[lifecycle.Phase]string{
	lifecycle.Submitted: "Being checked",
	lifecycle.Denied:    "To be corrected",
	lifecycle.Waiting:   "Waiting for approval",
	lifecycle.Scheduled: "Scheduled",
	lifecycle.Approved:  "Approved",
	lifecycle.Merged:    "Being published",
	lifecycle.Held:      "Waiting for release",
	lifecycle.Applied:   "Being verified",
	lifecycle.Live:      "Live",
	lifecycle.Rejected:  "Rejected",
	lifecycle.Cancelled: "Cancelled",
	lifecycle.Expired:   "Expired",
	lifecycle.Failed:    "Stuck",
}

// phaseOf is the phase of a change in one or two words.
func phaseOf(st lifecycle.State) string {
	if st.Phase == lifecycle.Applied && len(st.Certify) > 0 {
		return "Getting the certificate"
	}
	return phaseWords[st.Phase]
}

// stepName is a step of a change as people call it.
func stepName(step string) string {
	if step == "certify" {
		return "get the certificate"
	}
	return step
}

// standing says in one sentence where a change stands, and in the next what happens now.
func standing(st lifecycle.State, deadline time.Time) (now, next string) {
	switch st.Phase {
	case lifecycle.Submitted:
		return "The request has been received and is being checked.", "This takes a few seconds."
	case lifecycle.Denied:
		return "The request cannot go ahead as it is.", "Correct what is listed below and send it again."
	case lifecycle.Waiting:
		next = "Still needed: " + needed(st.Missing) + "."
		if !deadline.IsZero() {
			next += " If nobody decides, the request expires on " + moment(deadline) + "."
		}
		return "The checks are done; the request is waiting for approval.", next
	case lifecycle.Scheduled:
		return "The request is approved and waits for its time.", "It goes ahead after " + moment(st.NotBefore) + " without anybody doing anything."
	case lifecycle.Approved:
		return "The request is approved.", "It is now put on record and published."
	case lifecycle.Merged:
		next = "The names are now being published."
		if done, all := st.Progress(); all > 1 {
			next = fmt.Sprintf("The names are now being published: %d of %d domains are done.", done, all)
		}
		return "The request is on record.", next
	case lifecycle.Held:
		return "The request is on record, and publishing it was stopped: it would take away or change more of a domain than the settings allow without a person looking.",
			"Somebody from " + approval.List(holders(st), "or") + " has to look at what is below and release it. If it is not wanted after all, it can be undone."
	case lifecycle.Applied:
		if len(st.Certify) > 0 {
			return "The names are published.", "Slipway is getting the certificate of " + strings.Join(st.Certify, ", ") + "; this takes some seconds. Then it checks that everything answers."
		}
		return "The names are published.", "Slipway is checking that they answer as approved."
	case lifecycle.Live:
		return "The request is done: everything answers as approved.", "Nothing more has to be done."
	case lifecycle.Rejected:
		return "The request was rejected.", "It is closed. You can ask again when the reason no longer holds."
	case lifecycle.Cancelled:
		return "The request was cancelled.", "Nothing was changed."
	case lifecycle.Expired:
		return "Nobody decided in time, so the request expired.", "Nothing was changed. You can ask again."
	case lifecycle.Failed:
		return "A step did not succeed, so the request is stuck.", "A person has to look at it. It can be tried again once the cause is gone."
	}
	return "The state of this request is not known to this version.", ""
}

func needed(missing []approval.Missing) string {
	var parts []string
	for _, m := range missing {
		parts = append(parts, m.Text)
	}
	if len(parts) == 0 {
		return "a decision"
	}
	return strings.Join(parts, "; and ")
}

// tierWords explain a tier in one line.
var tierWords = map[string]string{
	"green":  "Low risk: approved by rule, goes live at once.",
	"yellow": "Some risk: one person has to approve it.",
	"red":    "High risk: several groups have to approve it.",
}

var dataWords = map[string]string{
	"none":      "None of these",
	"pii":       "Personal data of people",
	"financial": "Financial data",
	"health":    "Health data",
}

// handles says what kinds of data an app handles, where the form's list of kinds is not beside it.
func handles(data []string) string {
	if slices.Equal(data, []string{"none"}) {
		return "No personal, financial or health data"
	}
	var out []string
	for _, d := range data {
		out = append(out, dataWords[d])
	}
	return strings.Join(out, ", ")
}

var exposureWords = map[string]string{
	"internal": "Only people in the company",
	"external": "Anyone on the internet",
}

var opWords = map[zone.Op]string{zone.Create: "New", zone.Update: "Changed", zone.Delete: "Removed"}

var viaWords = map[string]string{"cli": "the command line", "portal": "this portal", "push": "a Git push", "api": "the API"}

// typeWords say what common record types are; others stand as they are.
var typeWords = map[string]string{
	"A": "address (IPv4)", "AAAA": "address (IPv6)", "CNAME": "points to another name", "MX": "mail", "TXT": "text", "NS": "delegation",
	"CAA": "who may issue certificates", "SRV": "service", "DS": "DNSSEC",
}

var kindWords = map[string]string{"settings": "Settings", "policy": "Policy", "domain": "Domain", "other": "Other file"}
