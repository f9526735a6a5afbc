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
		l, ok := NewBrands([]string{brand}).Match(zone.Name(name), "")
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
