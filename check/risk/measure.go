package risk

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"slipway/zone"
)

// Measure is one way in which a name can resemble a brand, and how much it does.
type Measure struct {
	Name   string  `json:"measure"` // "flipped bit"
	Brand  string  `json:"brand"`
	Score  float64 `json:"score"` // 0 to 1
	Reason string  `json:"reason"`
}

// looks is one label in all the forms that measures compare.
type looks struct {
	shown string   // as people see it: U-labels decoded
	plain string   // folded, without separators
	words []string // folded, split where no letter stands
	skel  string   // what it looks like
}

func look(label string) looks {
	shown := decode(label)
	folded := fold(shown)
	return looks{shown: shown, plain: squeeze(folded), words: split(folded), skel: skeleton(shown)}
}

// says reports whether the label spells the brand, so that looking like it is no news.
func (l looks) says(b brand) bool {
	return l.plain == b.plain || slices.Contains(l.words, b.plain) || len(b.plain) >= minInside && strings.Contains(l.plain, b.plain)
}

// measures compare one label with one brand, the plainest likeness first. No
// likeness is a score of 0.
var measures = []struct {
	name  string
	score func(b brand, l looks) (score float64, reason string)
}{
	{"the brand itself", func(b brand, l looks) (float64, string) {
		return when(l.plain == b.plain, wholeLabel, "%q is the brand %q", l.shown, b.text)
	}},
	{"beside a word of forged sites", func(b brand, l looks) (float64, string) {
		risky := ""
		if slices.Contains(l.words, b.plain) {
			risky = riskyBeside(l.words, b.plain)
		}
		if risky == "" && len(b.plain) >= minInside && strings.Contains(l.plain, b.plain) && l.plain != b.plain {
			risky = riskyAround(l.plain, b.plain)
		}
		return when(risky != "", besideRisky, "%q puts the brand %q beside %q, as forged sites do", l.shown, b.text, risky)
	}},
	{"as a word", func(b brand, l looks) (float64, string) {
		return when(slices.Contains(l.words, b.plain) && l.plain != b.plain, ownWord, "%q has the brand %q as a word", l.shown, b.text)
	}},
	{"inside a longer label", func(b brand, l looks) (float64, string) {
		return when(len(b.plain) >= minInside && strings.Contains(l.plain, b.plain) && l.plain != b.plain, insideLabel, "%q has the brand %q in it", l.shown, b.text)
	}},
	{"letters that look alike", func(b brand, l looks) (float64, string) {
		return when(len(b.skel) >= minInside && !l.says(b) && strings.Contains(l.skel, b.skel), confusable,
			"%q looks like the brand %q, with other letters in place of its own", l.shown, b.text)
	}},
	{"slip on the keyboard", func(b brand, l looks) (float64, string) {
		return when(l.anyWord(b, slipOfKey), neighbourKey, "%q differs from the brand %q by one slip of a finger on the keyboard", l.shown, b.text)
	}},
	{"flipped bit", func(b brand, l looks) (float64, string) {
		return when(l.anyWord(b, bitFlip), flippedBit,
			"%q differs from the brand %q by one flipped bit: a fault in a computer's memory leads its visitors there", l.shown, b.text)
	}},
	{"letters changed", func(b brand, l looks) (float64, string) {
		if l.anyWord(b, func(w, brand string) bool { return distance(w, brand) == 1 }) {
			return oneEdit, fmt.Sprintf("%q differs from the brand %q by one letter", l.shown, b.text)
		}
		return when(len(b.plain) >= minTwoEdits && l.anyWord(b, func(w, brand string) bool { return distance(w, brand) == 2 }), twoEdits,
			"%q differs from the brand %q by two letters", l.shown, b.text)
	}},
}

func when(so bool, score float64, format string, args ...any) (float64, string) {
	if !so {
		return 0, ""
	}
	return score, fmt.Sprintf(format, args...)
}

// anyWord compares the words of a label, and the whole, with a brand that is long
// enough for a likeness to be more than chance, and that the label does not spell.
func (l looks) anyWord(b brand, like func(w, brand string) bool) bool {
	if len(b.plain) < minOneEdit || l.says(b) {
		return false
	}
	near := func(w string) bool {
		d := len(w) - len(b.plain)
		return d >= -2 && d <= 2 && like(w, b.plain)
	}
	return near(l.plain) || slices.ContainsFunc(l.words, near)
}

// bitFlip reports whether one bit of one letter makes a into b ("bitsquatting":
// Dinaburg, Black Hat 2011).
func bitFlip(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	flips := 0
	for i := range len(a) {
		flips += bits.OnesCount8(a[i] ^ b[i])
	}
	return flips == 1
}

// Explain measures a name against every brand in every way, those that find nothing
// included: one result for each measure and brand, the strongest over its labels.
func (b *Brands) Explain(name, apex zone.Name) []Measure {
	var order []string
	best := map[string]Measure{}
	b.each(name, apex, func(m Measure) {
		key := m.Brand + "\x00" + m.Name
		old, seen := best[key]
		if !seen {
			order = append(order, key)
		}
		if !seen || m.Score > old.Score {
			best[key] = m
		}
	})
	out := make([]Measure, len(order))
	for i, key := range order {
		out[i] = best[key]
	}
	return out
}

// each measures the labels of name below apex.
func (b *Brands) each(name, apex zone.Name, found func(Measure)) {
	labels := name.Labels()
	whole := !name.In(apex) || apex == ""
	if !whole {
		labels = labels[:len(labels)-len(apex.Labels())]
	}
	if len(labels) > maxLabels {
		labels = labels[:maxLabels]
	}
	var all []looks
	joined := ""
	for _, label := range labels {
		if strings.HasPrefix(label, "_") || label == "*" {
			continue // service labels (RFC 8552) are not read by people
		}
		l := look(label)
		all = append(all, l)
		joined += l.plain
	}
	for _, br := range b.all {
		spelt := false
		for _, l := range all {
			spelt = spelt || l.says(br)
			for _, m := range measures {
				score, reason := m.score(br, l)
				found(Measure{m.name, br.text, score, reason})
			}
		}
		score, reason := when(len(labels) > 1 && !spelt && len(br.plain) >= minOneEdit && strings.Contains(joined, br.plain), acrossLabels,
			"the name spells the brand %q across its dots", br.text)
		found(Measure{"across the dots", br.text, score, reason})
	}
	if whole {
		for _, d := range b.domains {
			score, reason := ending(name, d)
			found(Measure{"another ending", string(d), score, reason})
		}
	}
}

// ending compares a name with a domain of the organisation that it does not lie in:
// the same word under another ending, or the whole domain worn at the front.
func ending(name, own zone.Name) (float64, string) {
	if name.In(own) {
		return 0, ""
	}
	word, _, _ := strings.Cut(string(own), ".")
	theirs, _, _ := strings.Cut(string(registrable(name)), ".")
	if theirs == word {
		return otherEnding, fmt.Sprintf("%q is the organisation's %q under another ending", name.Unicode(), own.Unicode())
	}
	dashed := strings.ReplaceAll(string(own), ".", "-")
	for _, l := range name.Labels() {
		if l == dashed || l == "www"+word || l == "www-"+word {
			return otherEnding, fmt.Sprintf("%q wears the organisation's %q as a word of its own", name.Unicode(), own.Unicode())
		}
	}
	return when(strings.Contains("."+string(name)+".", "."+string(own)+"."), otherEnding,
		"%q has the organisation's %q at its front, and ends elsewhere", name.Unicode(), own.Unicode())
}

// registrable is the part of a name that somebody registers: one label and the public
// suffix below which it stands. "" for a name that has none.
func registrable(n zone.Name) zone.Name {
	d, err := publicsuffix.EffectiveTLDPlusOne(strings.ToLower(string(n)))
	if err != nil {
		return ""
	}
	return zone.Name(d)
}
