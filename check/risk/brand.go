package risk

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"

	"slipway/zone"
)

// Likeness says how much a name resembles a brand, 0 to 1, and why in words.
type Likeness struct {
	Brand  string
	Value  float64
	Reason string
}

// Strengths of each kind of likeness. The order is what a reader of a name would
// be fooled by most.
const (
	wholeLabel   = 1.0
	confusable   = 0.95
	besideRisky  = 0.95
	ownWord      = 0.9
	insideLabel  = 0.85
	neighbourKey = 0.8
	oneEdit      = 0.75
	acrossLabels = 0.7
	twoEdits     = 0.5
)

// Lengths from which likeness is more than coincidence: "art" is inside
// "starter", and two edits turn half of a short word into another.
const (
	minInside   = 4
	minOneEdit  = 5
	minTwoEdits = 8
)

// maxLabels bounds the work on one name; a name has at most 127 labels.
const maxLabels = 127

// riskyWords turn a brand's name into bait ("combosquatting": Kintis et al.,
// "Hiding in Plain Sight", CCS 2017).
var riskyWords = []string{
	"account", "auth", "bank", "billing", "confirm", "help", "invoice", "login", "mfa", "pay", "payment",
	"password", "recover", "reset", "secure", "security", "signin", "sso", "support", "unlock", "update", "verify", "wallet",
}

// Brands compares names with the organisation's brands. It is made once and
// safe for concurrent use.
type Brands struct {
	all []brand
}

type brand struct {
	text  string // as in slipway.yaml
	plain string // folded to a-z and 0-9, without hyphens
	skel  string // its skeleton: what it looks like
}

// NewBrands prepares brands as slipway.yaml lists them.
func NewBrands(names []string) *Brands {
	b := &Brands{}
	for _, n := range names {
		plain := squeeze(fold(n))
		if plain == "" {
			continue
		}
		b.all = append(b.all, brand{text: n, plain: plain, skel: skeleton(n)})
	}
	return b
}

// Match returns the strongest likeness of the labels of name below apex to any
// brand. The apex itself is not judged: the organisation's own domain bears its brand.
// A name that is not below apex is judged whole.
func (b *Brands) Match(name, apex zone.Name) (Likeness, bool) {
	labels := name.Labels()
	if name.In(apex) {
		labels = labels[:len(labels)-len(apex.Labels())]
	}
	if len(labels) > maxLabels {
		labels = labels[:maxLabels]
	}
	var best Likeness
	joined := ""
	for _, label := range labels {
		if strings.HasPrefix(label, "_") || label == "*" {
			continue // service labels (RFC 8552) are not read by people
		}
		shown := decode(label)
		joined += squeeze(fold(shown))
		for _, br := range b.all {
			if l, ok := br.like(shown); ok && l.Value > best.Value {
				best = l
			}
		}
	}
	if best.Value < acrossLabels && len(labels) > 1 {
		for _, br := range b.all {
			if len(br.plain) >= minOneEdit && strings.Contains(joined, br.plain) {
				best = Likeness{br.text, acrossLabels, fmt.Sprintf("the name spells the brand %q across its dots", br.text)}
				break
			}
		}
	}
	return best, best.Value > 0
}

// like compares one label, as people see it, with one brand.
func (b brand) like(label string) (Likeness, bool) {
	found := func(value float64, format string, args ...any) (Likeness, bool) {
		return Likeness{b.text, value, fmt.Sprintf(format, args...)}, true
	}
	folded := fold(label)
	plain := squeeze(folded)
	words := split(folded)
	switch {
	case folded == b.plain || plain == b.plain:
		return found(wholeLabel, "%q is the brand %q", label, b.text)
	case slices.Contains(words, b.plain):
		if risky := riskyBeside(words, b.plain); risky != "" {
			return found(besideRisky, "%q puts the brand %q beside %q, as forged sites do", label, b.text, risky)
		}
		return found(ownWord, "%q has the brand %q as a word", label, b.text)
	case len(b.plain) >= minInside && strings.Contains(plain, b.plain):
		if risky := riskyAround(plain, b.plain); risky != "" {
			return found(besideRisky, "%q puts the brand %q beside %q, as forged sites do", label, b.text, risky)
		}
		return found(insideLabel, "%q has the brand %q in it", label, b.text)
	}
	// Only now by looks: a name that really says the brand is better told so.
	if skel := skeleton(label); len(b.skel) >= minInside && strings.Contains(skel, b.skel) {
		return found(confusable, "%q looks like the brand %q, with other letters in place of its own", label, b.text)
	}
	for _, w := range append(words, plain) {
		if value, how := b.near(w); value > 0 {
			return found(value, "%q differs from the brand %q by %s", label, b.text, how)
		}
	}
	return Likeness{}, false
}

// near compares one word with the brand by edits.
func (b brand) near(w string) (float64, string) {
	if d := len(w) - len(b.plain); len(b.plain) < minOneEdit || d > 2 || d < -2 {
		return 0, ""
	}
	switch d := distance(w, b.plain); {
	case d == 1 && slipOfKey(w, b.plain):
		return neighbourKey, "one slip of a finger on the keyboard"
	case d == 1:
		return oneEdit, "one letter"
	case d == 2 && len(b.plain) >= minTwoEdits:
		return twoEdits, "two letters"
	}
	return 0, ""
}

func riskyBeside(words []string, brand string) string {
	for _, w := range words {
		if w != brand && slices.Contains(riskyWords, w) {
			return w
		}
	}
	return ""
}

// riskyAround finds a risky word in what remains of a label without the brand.
func riskyAround(plain, brand string) string {
	before, after, _ := strings.Cut(plain, brand)
	for _, rest := range []string{before, after} {
		if slices.Contains(riskyWords, rest) {
			return rest
		}
	}
	return ""
}

// decode gives a label as people see it: U-labels decoded (RFC 5891).
func decode(label string) string {
	if u, err := idna.Punycode.ToUnicode(label); err == nil {
		return u
	}
	return label
}

// fold lowers case, and takes accents and full-width forms away, but keeps letters what they are.
func fold(s string) string {
	var out strings.Builder
	for _, r := range norm.NFKD.String(strings.ToLower(s)) {
		if !unicode.Is(unicode.Mn, r) {
			out.WriteRune(unicode.ToLower(r))
		}
	}
	return out.String()
}

// squeeze drops what only separates.
func squeeze(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r == '.' || r == ' ' || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, s)
}

// split breaks a label into its words.
func split(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return !unicode.IsLetter(r) })
}
