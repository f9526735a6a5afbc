package risk

import (
	"strings"
	"sync"
)

// lookalikes maps characters to the ASCII letters that they are taken for: the
// part of Unicode's confusables (UTS 39 section 4) whose targets are letters of
// domain names, for the scripts that registries mix in practice (Cyrillic, Greek,
// Armenian, Latin extensions), and the digits that stand for letters.
var lookalikes = sync.OnceValue(func() map[rune]string {
	m := map[rune]string{}
	for to, from := range map[string]string{
		"a": "аαɑ4", "b": "ьƅ8", "c": "сϲⅽ", "d": "ԁⅾɗ", "e": "еєҽ3", "f": "ƒẝ", "g": "ɡց9", "h": "һհ",
		"i": "іıɩι1lӏⅼ|!", "j": "јϳ", "k": "кκ", "m": "мⅿ", "n": "пոռη", "o": "оοσօ0ө", "p": "рρ",
		"q": "ԛգ", "r": "гᴦ", "s": "ѕʂ5", "t": "тτ7", "u": "υսцʋ", "v": "ѵνⅴ", "w": "ԝωш", "x": "хχ×ⅹ",
		"y": "уγүɣ", "z": "ᴢʐ2", "ss": "ß", "ae": "æӕ", "oe": "œ",
	} {
		for _, r := range from {
			m[r] = to
		}
	}
	return m
})

// lookalikePairs are letters that run together into another.
var lookalikePairs = strings.NewReplacer("rn", "m", "vv", "w", "cl", "d", "nn", "m")

// skeleton gives what a label looks like: two labels with one skeleton are taken
// for each other. It is for comparing only, never for showing.
func skeleton(s string) string {
	var out strings.Builder
	table := lookalikes()
	for _, r := range lookalikePairs.Replace(squeeze(fold(s))) {
		if to, ok := table[r]; ok {
			out.WriteString(to)
		} else {
			out.WriteRune(r)
		}
	}
	return out.String()
}
