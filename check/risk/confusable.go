package risk

import (
	"strings"

	"github.com/mtibben/confusables"
)

// Letters are taken for others by Unicode's own data first (UTS 39 section 4, the skeleton): some six thousand
// characters of all scripts. It is made for texts in one font and leaves out what fools readers of domain names all
// the same, so these are added to what it gives:
//   - digits that stand for letters, as in "f1nmicr0"; the data takes 0 and 1 alone for letters;
//   - one shape for i, l and |, which fonts of address bars draw alike; the data keeps i apart;
//   - the lower-case forms of Cyrillic and Greek letters that the data likens to small capitals (т, к, м, п, ь) or
//     to nothing (ц, ω, ш, χ, є), though forged names use them, and ß for ss;
//   - pairs of letters that run together: "rn" for m the data has, "vv", "cl" and "nn" it has not.
var beyondUnicode = strings.NewReplacer(
	"2", "z", "3", "e", "4", "a", "5", "s", "7", "t", "8", "b", "9", "g",
	"l", "i", "!", "i",
	"ᴛ", "t", "ĸ", "k", "ʍ", "m", "π", "n", "ƅ", "b", "ꞓ", "e",
	"ц", "u", "ω", "w", "ш", "w", "χ", "x", "ß", "ss",
)

// runTogether are letters that run together into another.
var runTogether = strings.NewReplacer("rn", "m", "vv", "w", "cl", "d", "nn", "m")

// skeleton gives what a label looks like: two labels with one skeleton are taken
// for each other. It is for comparing only, never for showing.
func skeleton(s string) string {
	// Once as it is written, and once folded: folding turns some characters into ones that look otherwise (ϲ into ς),
	// and others into ones that the data knows.
	seen := fold(confusables.Skeleton(fold(confusables.Skeleton(squeeze(s)))))
	return beyondUnicode.Replace(runTogether.Replace(squeeze(seen)))
}
