package risk

import (
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
	otherEnding  = 0.95
	neighbourKey = 0.8
	flippedBit   = 0.78
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

// Brands compares names with the organisation's brands and domains. It is made once
// and safe for concurrent use.
type Brands struct {
	all     []brand
	domains []zone.Name // registrable domains of the organisation
}

type brand struct {
	text  string // as in slipway.yaml
	plain string // folded to a-z and 0-9, without hyphens
	skel  string // its skeleton: what it looks like
}

// NewBrands prepares brands as slipway.yaml lists them, and the domains that the
// organisation has: a new domain that is one of them under another ending resembles it.
func NewBrands(names []string, domains ...zone.Name) *Brands {
	b := &Brands{}
	for _, n := range names {
		plain := squeeze(fold(n))
		if plain == "" {
			continue
		}
		b.all = append(b.all, brand{text: n, plain: plain, skel: skeleton(n)})
	}
	for _, d := range domains {
		if d = registrable(d); d != "" && !slices.Contains(b.domains, d) {
			b.domains = append(b.domains, d)
		}
	}
	slices.Sort(b.domains)
	return b
}

// Match returns the strongest likeness of the labels of name below apex to any
// brand. The apex itself is not judged: the organisation's own domain bears its brand.
// A name that is not below apex is judged whole, its ending included.
func (b *Brands) Match(name, apex zone.Name) (Likeness, bool) {
	var best Likeness
	b.each(name, apex, func(m Measure) {
		if m.Score > best.Value {
			best = Likeness{m.Brand, m.Score, m.Reason}
		}
	})
	return best, best.Value > 0
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
