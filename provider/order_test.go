package provider_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"slipway/provider"
	"slipway/zone"
)

// edits reads "+name TYPE value", "-name TYPE value" and "~name TYPE old>new".
func edits(t testing.TB, text string) []zone.Edit {
	t.Helper()
	set := func(name, typ, value string) *zone.RRSet {
		r, err := zone.NewRRSet(zone.Name(name), typ, 300, []string{value})
		if err != nil {
			t.Fatal(err)
		}
		return &r
	}
	var out []zone.Edit
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		words := strings.SplitN(line[1:], " ", 3)
		e := zone.Edit{Zone: "example", Name: zone.Name(words[0]), Type: words[1]}
		switch line[0] {
		case '+':
			e.Op, e.After = zone.Create, set(words[0], words[1], words[2])
		case '-':
			e.Op, e.Before = zone.Delete, set(words[0], words[1], words[2])
		case '~':
			before, after, _ := strings.Cut(words[2], ">")
			e.Op, e.Before, e.After = zone.Update, set(words[0], words[1], before), set(words[0], words[1], after)
		}
		out = append(out, e)
	}
	return out
}

func show(parts [][]zone.Edit) string {
	sign := map[zone.Op]string{zone.Create: "+", zone.Delete: "-", zone.Update: "~"}
	var b strings.Builder
	for _, part := range parts {
		var words []string
		for _, e := range part {
			words = append(words, fmt.Sprintf("%s%s %s", sign[e.Op], strings.TrimSuffix(string(e.Name), ".example"), e.Type))
		}
		b.WriteString(strings.Join(words, ", ") + "\n")
	}
	return b.String()
}

func TestOrder(t *testing.T) {
	const ds = "60485 13 2 d4b7d520e7bb5f0f67674a0cceb1e3e0614b93c4f9e99b8383f6a1e4469da50a"
	for _, tt := range []struct{ name, edits, want string }{
		{"nothing", "", ""},
		{"adds before switches before deletes",
			"-old.example A 192.0.2.1\n~www.example CNAME old.example>new.example\n+new.example A 192.0.2.2",
			"+new A\n~www CNAME\n-old A\n"},
		{"a name before what points at it",
			"+a.example CNAME b.example\n+b.example CNAME c.example\n+c.example A 192.0.2.1",
			"+c A\n+b CNAME\n+a CNAME\n"},
		{"and the other way round when they go",
			"-a.example A 192.0.2.1\n-b.example MX 10 a.example\n-c.example CNAME b.example",
			"-c CNAME\n-b MX\n-a A\n"},
		{"every type that names another name",
			"+a.example SRV 0 0 443 z.example\n+b.example HTTPS 1 z.example\n+c.example SVCB 1 z.example\n+d.example NS z.example\n+e.example PTR z.example\n+f.example ALIAS z.example\n+g.example DNAME z.example\n+h.example TXT z.example\n+z.example A 192.0.2.1",
			"+z A\n+a SRV\n+b HTTPS\n+c SVCB\n+d NS\n+e PTR\n+f ALIAS\n+g DNAME\n+h TXT\n"},
		{"a circle",
			"+a.example CNAME b.example\n+b.example CNAME a.example",
			"+b CNAME\n+a CNAME\n"},
		{"an alias takes the place of addresses at once",
			"+www.example CNAME host.example\n-www.example A 192.0.2.1\n-www.example AAAA 2001:db8::1\n+host.example A 192.0.2.2",
			"+host A\n-www A, -www AAAA, +www CNAME\n"},
		{"the sets of a name below a wildcard come together",
			"+x.example TXT hello\n+x.example A 192.0.2.1\n+y.example A 192.0.2.1",
			"+x A, +x TXT\n+y A\n"},
		{"DS last of what comes, first of what goes",
			"+a.example DS " + ds + "\n+a.example NS ns.b.example\n+z.example A 192.0.2.1\n~y.example A 192.0.2.1>192.0.2.2\n-c.example DS " + ds + "\n-c.example NS ns.b.example\n-b.example A 192.0.2.1\n+ns.b.example A 192.0.2.1",
			"+ns.b A\n+z A\n~y A\n+a DS, +a NS\n-c DS, -c NS\n-b A\n"},
		{"DS goes while the delegation stays",
			"-a.example DS " + ds + "\n~a.example NS ns1.b.example>ns2.b.example\n-z.example A 192.0.2.1",
			"-a DS, ~a NS\n-z A\n"},
	} {
		if got := show(provider.Order(edits(t, tt.edits))); got != tt.want {
			t.Errorf("%s:\n%swant\n%s", tt.name, got, tt.want)
		}
	}
}

// Whatever the plan: every edit is in it once, edits of one name are together, and the
// order is that of the content, not that in which the edits came.
func TestOrderProperties(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var text strings.Builder
		for i := range 30 {
			name := fmt.Sprintf("n%d.example", random.IntN(12))
			typ, value := "A", fmt.Sprintf("192.0.2.%d", i)
			if random.IntN(2) == 0 {
				typ, value = "MX", fmt.Sprintf("10 n%d.example", random.IntN(12))
			}
			if strings.Contains(text.String(), name+" "+typ) {
				continue
			}
			fmt.Fprintf(&text, "%c%s %s %s", "+-~"[random.IntN(3)], name, typ, value)
			fmt.Fprintf(&text, ">%s\n", value)
		}
		lines := strings.ReplaceAll(text.String(), ">", ">")
		for _, c := range []string{"+", "-"} { // only a switch has two values
			var out []string
			for l := range strings.Lines(lines) {
				if strings.HasPrefix(l, c) {
					l, _, _ = strings.Cut(l, ">")
					l += "\n"
				}
				out = append(out, l)
			}
			lines = strings.Join(out, "")
		}
		in := edits(t, lines)
		parts := provider.Order(in)
		n, seen := 0, map[zone.Name]bool{}
		for _, p := range parts {
			n += len(p)
			if seen[p[0].Name] {
				t.Fatalf("%s comes twice", p[0].Name)
			}
			seen[p[0].Name] = true
			for _, e := range p {
				if e.Name != p[0].Name {
					t.Fatalf("%s and %s in one part", e.Name, p[0].Name)
				}
			}
		}
		if n != len(in) {
			t.Fatalf("%d edits of %d", n, len(in))
		}
		shuffled := slices.Clone(in)
		random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if a, b := show(parts), show(provider.Order(shuffled)); a != b {
			t.Fatalf("the order of edits matters:\n%s\n%s", a, b)
		}
	}
}

func BenchmarkOrder(b *testing.B) {
	in := make([]zone.Edit, 100_000)
	for i := range in {
		set := zone.RRSet{Name: zone.Name(fmt.Sprintf("h%d.example", i)), Type: "CNAME", TTL: 300, Values: []string{fmt.Sprintf("h%d.example.", i+1)}}
		in[i] = zone.Edit{Op: zone.Create, Zone: "example", Name: set.Name, Type: "CNAME", After: &set}
	}
	for b.Loop() {
		provider.Order(in)
	}
}
