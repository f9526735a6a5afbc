package risk

import (
	"strings"
	"testing"
)

// Characters have the skeleton of the letters that they are taken for.
func TestSkeleton(t *testing.T) {
	for to, from := range map[string]string{
		"a": "аαɑ4ａ𝐚𝒶ᗅ", "b": "ьƅ8Ꮟ", "c": "сϲⅽᴄ", "d": "ԁⅾɗ", "e": "еєҽ3℮ｅ", "f": "ƒẝꞙ", "g": "ɡց9ᶃ", "h": "һհᏂ",
		"i": "іıɩι1lӏⅼ|!Ꭵ", "j": "јϳ", "k": "кκ", "m": "мⅿ", "n": "пոռη", "o": "оοσօ0ө𐐬ഠ", "p": "рρ⍴",
		"q": "ԛգ", "r": "гᴦꭇ", "s": "ѕʂ5ꜱ", "t": "тτ7", "u": "υսцʋꭎ", "v": "ѵνⅴᴠ", "w": "ԝωшɯ", "x": "хχ×ⅹ᙮",
		"y": "уγүɣỿ", "z": "ᴢʐ2", "ss": "ß", "ae": "æӕ", "oe": "œ",
	} {
		for _, r := range from {
			if got, want := skeleton(string(r)), skeleton(to); got != want {
				t.Errorf("%c (%U) looks like %q, want %q", r, r, got, want)
			}
		}
	}
	for _, pair := range [][2]string{{"finrnicro", "finmicro"}, {"vvallet", "wallet"}, {"c1oud", "doud"}, {"clock", "dock"}, {"PAYPAL", "раураӏ"}, {"ﬁnmicro", "finmicro"}, {"fin-micro", "finmicro"}} {
		if a, b := skeleton(pair[0]), skeleton(pair[1]); a != b {
			t.Errorf("%q looks like %q, %q like %q", pair[0], a, pair[1], b)
		}
	}
	seen := map[string]string{}
	for _, c := range "abcdefghjklmnopqrstuvwxyz" { // i and l are one shape; no others are
		s := skeleton(string(c))
		if first, twice := seen[s]; twice {
			t.Errorf("%s and %c look alike", first, c)
		}
		seen[s] = string(c)
		if strings.ContainsFunc(s, func(r rune) bool { return r > 'z' }) {
			t.Errorf("%c looks like %q", c, s)
		}
	}
}
