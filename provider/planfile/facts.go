package planfile

import (
	"fmt"
	"strings"
	"time"
)

// Facts are what a reader should know about a plan besides its edits, a sentence each.
func (p Plan) Facts() []string {
	var out []string
	if p.Exceeds != "" {
		out = append(out, sentence(p.Exceeds)+" A server holds such an apply until somebody has looked at it.")
	}
	if p.Lasts > 0 {
		out = append(out, fmt.Sprintf("Old answers may still be given for %s after it (the longest TTL of what changes or goes).", length(p.Lasts)))
	}
	switch p.Others {
	case 0:
	case 1:
		out = append(out, "One record set of others in this zone stays as it is.")
	default:
		out = append(out, fmt.Sprintf("%d record sets of others in this zone stay as they are.", p.Others))
	}
	for _, n := range p.Notes {
		out = append(out, sentence(n))
	}
	return out
}

func sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

// length writes a time in seconds for people: 1h, 5m, 1h30m.
func length(seconds int) string {
	s := (time.Duration(seconds) * time.Second).String()
	if short, ok := strings.CutSuffix(s, "m0s"); ok {
		s = short + "m"
	}
	if short, ok := strings.CutSuffix(s, "h0m"); ok {
		s = short + "h"
	}
	return s
}
