package risk

import (
	"math"
	"strings"
	"testing"

	"slipway/zone"
)

func TestMatch(t *testing.T) {
	brands := NewBrands([]string{"finmicro", "FinPay", "art"})
	for _, c := range []struct {
		name   string
		value  float64
		reason string
	}{
		{"expenses", 0, ""},
		{"finance", 0, ""},
		{"starter", 0, ""}, // "art" is too short to count inside a word
		{"micro", 0, ""},
		{"final", 0, ""},
		{"_finmicro._tcp", 0, ""},
		{"*", 0, ""},

		{"finmicro", wholeLabel, `"finmicro" is the brand "finmicro"`},
		{"fin-micro", wholeLabel, `is the brand "finmicro"`},
		{"finpay", wholeLabel, `is the brand "FinPay"`},
		{"api.finmicro", wholeLabel, `is the brand`},
		{"fínmicro", wholeLabel, "is the brand"},
		{"art", wholeLabel, "is the brand"},

		{"finmicro-news", ownWord, "as a word"},
		{"finmicro2", ownWord, "as a word"},
		{"art-shop", ownWord, "as a word"},
		{"login-finmicro", besideRisky, `beside "login"`},
		{"finmicro-secure-area", besideRisky, `beside "secure"`},
		{"verifyfinpay", besideRisky, `beside "verify"`},
		{"finpaypay", besideRisky, `beside "pay"`},
		{"myfinmicroapp", insideLabel, `has the brand "finmicro" in it`},

		{"f1nmicro", confusable, "looks like"},
		{"finrnicro", confusable, "looks like"},
		{"finmicr0", confusable, "looks like"},
		{"fіnmicro", confusable, "looks like"}, // Cyrillic і
		{"xn--fnmicro-rog", confusable, "looks like"},
		{"shop-finmıcro", confusable, "looks like"},

		{"finmicrp", neighbourKey, "slip of a finger"},
		{"finpat", neighbourKey, "slip of a finger"},
		{"finmicso", flippedBit, "one flipped bit"}, // r and s differ in the lowest bit
		{"finmcro", oneEdit, "one letter"},
		{"finmicrro", oneEdit, "one letter"},
		{"finmicor", oneEdit, "one letter"},
		{"finplay", oneEdit, "one letter"},
		{"finmacra", twoEdits, "two letters"},
		{"login.fin.micro", acrossLabels, "across its dots"},
	} {
		name, err := zone.ParseName(c.name + ".finmicro.example")
		if err != nil {
			t.Fatal(err)
		}
		got, ok := brands.Match(name, "finmicro.example")
		if ok != (c.value > 0) || got.Value != c.value || !strings.Contains(got.Reason, c.reason) {
			t.Errorf("%s: got %.2f %q, want %.2f %q", c.name, got.Value, got.Reason, c.value, c.reason)
		}
	}
	if l, ok := brands.Match("finmicro.example", "finmicro.example"); ok {
		t.Errorf("the apex itself: %+v", l)
	}
	if l, _ := brands.Match("finmicro-pay.example", ""); l.Value != besideRisky {
		t.Errorf("a name outside the zone is judged whole: %+v", l)
	}
	if _, ok := NewBrands(nil).Match("finmicro.example", ""); ok {
		t.Error("no brands, no likeness")
	}
}

// A domain of the organisation under another ending, or worn by somebody else's.
func TestEnding(t *testing.T) {
	brands := NewBrands(nil, "finmicro.example", "apps.finmicro.example", "fin-pay.co.uk")
	for name, want := range map[string]string{
		"finmicro.net":                  `is the organisation's "finmicro.example" under another ending`,
		"shop.finmicro.com":             `under another ending`,
		"fin-pay.uk":                    `is the organisation's "fin-pay.co.uk" under another ending`,
		"finmicro-example.net":          `wears the organisation's "finmicro.example"`,
		"wwwfinmicro.net":               `wears the organisation's "finmicro.example"`,
		"finmicro.example.login.net":    `has the organisation's "finmicro.example" at its front`,
		"finmicro.example":              "",
		"deep.apps.finmicro.example":    "",
		"weather.example":               "",
		"co.uk":                         "",
		"notfinmicro.example.login.net": "",
	} {
		got, ok := brands.Match(zone.Name(name), "")
		if ok != (want != "") || !strings.Contains(got.Reason, want) || ok && got.Value != otherEnding {
			t.Errorf("%s: got %.2f %q, want %q", name, got.Value, got.Reason, want)
		}
	}
}

// Explain says what Match says, and shows every measure.
func TestExplain(t *testing.T) {
	brands := NewBrands([]string{"finmicro", "finpay"}, "finmicro.example")
	for _, name := range []zone.Name{"login-finmicro.finmicro.example", "f1nmicro.net", "weather.finmicro.example", "xn--fnmicro-rog.example", "*.finmicro.example"} {
		for _, apex := range []zone.Name{"finmicro.example", ""} {
			best, _ := brands.Match(name, apex)
			top := 0.0
			for _, m := range brands.Explain(name, apex) {
				top = max(top, m.Score)
				if (m.Score > 0) != (m.Reason != "") || m.Name == "" || m.Brand == "" {
					t.Errorf("%s: %+v", name, m)
				}
			}
			if top != best.Value {
				t.Errorf("%s below %q: explained as %.2f, measured as %.2f", name, apex, top, best.Value)
			}
		}
	}
	if got := len(brands.Explain("a.example", "")); got != 2*(len(measures)+1)+1 {
		t.Errorf("%d measures", got)
	}
}

func TestBitFlip(t *testing.T) {
	for pair, want := range map[[2]string]bool{{"a", "c"}: true, {"a", "b"}: false, {"abc", "abb"}: true, {"a", "a"}: false, {"a", "ab"}: false, {"", ""}: false} {
		if got := bitFlip(pair[0], pair[1]); got != want {
			t.Errorf("%q: %v, want %v", pair, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"ab", "ba", 1}, {"abc", "acb", 1}, {"kitten", "sitting", 3}, {"ca", "abc", 3}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
		if got := distance(c.b, c.a); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.b, c.a, got, c.want)
		}
	}
}

func TestNeighbours(t *testing.T) {
	for pair, want := range map[string]bool{"as": true, "qa": true, "aq": true, "wa": true, "az": true, "sz": true, "qs": false, "pm": false, "aa": false, "op": true, "1q": true, "é1": false} {
		if got := neighbours(pair[0], pair[1]); got != want {
			t.Errorf("neighbours %q: %v, want %v", pair, got, want)
		}
	}
}

func FuzzMatch(f *testing.F) {
	for _, s := range []string{"finmicro", "xn--fnmicro-rog", "login.fin.micro", "", ".", "\xff", "ａ", "ß", strings.Repeat("a.", 200)} {
		f.Add(s, "finmicro")
	}
	f.Add("art", "")
	f.Fuzz(func(t *testing.T, name, brand string) {
		if len(name) > 255 || len(brand) > 63 {
			return
		}
		brands := NewBrands([]string{brand}, "finmicro.example", zone.Name(brand))
		l, ok := brands.Match(zone.Name(name), "")
		top := 0.0
		for _, m := range brands.Explain(zone.Name(name), "") {
			top = max(top, m.Score)
		}
		if top != l.Value {
			t.Errorf("Explain(%q, %q) comes to %v, Match to %v", name, brand, top, l.Value)
		}
		if math.IsNaN(l.Value) || l.Value < 0 || l.Value > 1 || ok != (l.Value > 0) || ok != (l.Reason != "") {
			t.Errorf("Match(%q, %q) = %+v, %v", name, brand, l, ok)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	brands := NewBrands([]string{"finmicro", "finpay"})
	for b.Loop() {
		brands.Match("expense-tracker.apps.finmicro.example", "finmicro.example")
	}
}
