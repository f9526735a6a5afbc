package portal

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// luminance is WCAG 2.2's relative luminance of "#rrggbb".
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	var sum float64
	for i, weight := range []float64{.2126, .7152, .0722} {
		n, err := strconv.ParseUint(hex[1+2*i:3+2*i], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := float64(n) / 255
		if c <= .04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}

func contrast(t *testing.T, a, b string) float64 {
	la, lb := luminance(t, a), luminance(t, b)
	return (max(la, lb) + .05) / (min(la, lb) + .05)
}

// Every pair of colours that meets on a page, in light and in dark.
func TestContrast(t *testing.T) {
	raw, err := files.ReadFile("assets/slipway.css")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(raw), ":root {")
	light, rest, _ := strings.Cut(after, "}")
	_, after, _ = strings.Cut(rest, ":root {")
	dark, _, _ := strings.Cut(after, "}")
	for mode, block := range map[string]string{"light": light, "dark": dark} {
		c := map[string]string{}
		for _, m := range regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]{6});`).FindAllStringSubmatch(block, -1) {
			c[m[1]] = m[2]
		}
		for _, p := range []struct {
			ink     string
			grounds string
			least   float64
		}{
			{"ink", "ground paper sunken accent-soft good-soft warn-soft bad-soft", 4.5},
			{"ink-soft", "ground paper sunken bad-soft good-soft", 4.5},
			{"accent", "ground paper accent-soft good-soft", 4.5},
			{"accent-ink", "accent", 4.5},
			{"good", "good-soft paper ground", 4.5},
			{"warn", "warn-soft paper ground", 4.5},
			{"bad", "bad-soft paper ground", 4.5},
			{"edge", "paper ground", 3}, // edges of controls
			{"focus", "ground paper", 3},
		} {
			for _, ground := range strings.Fields(p.grounds) {
				if c[p.ink] == "" || c[ground] == "" {
					t.Fatalf("%s: there is no colour %s or %s", mode, p.ink, ground)
				}
				if r := contrast(t, c[p.ink], c[ground]); r < p.least {
					t.Errorf("%s: %s on %s has a contrast of %.2f:1, less than %.1f:1", mode, p.ink, ground, r, p.least)
				}
			}
		}
	}
}
