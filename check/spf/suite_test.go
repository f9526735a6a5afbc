package spf

import (
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"slipway/zone"
)

// suites is a module that carries the open test suites for SPF among its test data.
const suites = "blitiri.com.ar/go/spf@v1.6.0"

// suiteDir downloads the module of the suites.
func suiteDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module suites\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", suites)
	c.Dir = dir
	out, err := c.Output()
	if err != nil {
		t.Skipf("%s cannot be downloaded: %v", suites, err)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil || module.Dir == "" {
		t.Skipf("%s cannot be downloaded: %s", suites, out)
	}
	return filepath.Join(module.Dir, "testdata")
}

type suite struct {
	Description string
	Tests       map[string]struct {
		Helo, Host  string
		From        string `yaml:"mailfrom"`
		Result      oneOrMore
		Explanation string
	}
	Data map[string][]map[string]any `yaml:"zonedata"`
}

type oneOrMore []string

func (o *oneOrMore) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*o = oneOrMore{n.Value}
		return nil
	}
	return n.Decode((*[]string)(o))
}

// answer is the Ask of a suite's zone data.
func (s suite) answer(n zone.Name, typ string) ([]string, error) {
	var out []string
	for range 8 {
		alias, hasTXT, silent := "", false, false
		for owner, records := range s.Data {
			at, ok := name(owner)
			if !ok || at != n {
				continue
			}
			for _, r := range records {
				for t := range r {
					hasTXT = hasTXT || t == "TXT"
				}
			}
			for _, r := range records {
				for t, v := range r {
					switch {
					case t == "TIMEOUT" || t == "SERVFAIL" || t == "CNAMELOOP":
						silent = true // about what is not listed beside it
					case t == "CNAME":
						alias = v.(string)
					case t == typ, t == "SPF" && typ == "TXT" && !hasTXT: // the suite says it this way
						if text := value(t, v); text != "NONE" {
							out = append(out, text)
						}
					}
				}
			}
		}
		if silent && len(out) == 0 {
			return nil, ErrTemporary
		}
		if alias == "" {
			return out, nil
		}
		n, _ = name(alias)
	}
	return nil, ErrTemporary
}

func value(typ string, v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []any:
		if typ == "MX" {
			return "10 " + v[1].(string)
		}
		var out string
		for _, s := range v {
			out += s.(string)
		}
		return out
	}
	return ""
}

// departures are tests of the suites that say otherwise than Check does, and why.
var departures = map[string]string{
	"pyspf-tests.yml default-modifier":       "default= is that program's own, and no part of RFC 7208",
	"pyspf-tests.yml default-modifier-harsh": "default= is that program's own, and no part of RFC 7208",
}

// The open test suites, by the people who wrote the first implementations, hold.
func TestSuites(t *testing.T) {
	dir := suiteDir(t)
	for _, file := range []string{"rfc7208-tests.yml", "rfc4408-tests.yml", "pyspf-tests.yml"} {
		f, err := os.Open(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		dec := yaml.NewDecoder(f)
		n := 0
		for {
			var s suite
			err := dec.Decode(&s)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			for id, c := range s.Tests {
				n++
				out, err := Check(Sender{IP: netip.MustParseAddr(c.Host), From: c.From, Helo: c.Helo, Receiver: "receiver.test"}, s.answer)
				if err != nil {
					t.Errorf("%s %s: %v", file, id, err)
					continue
				}
				if why, known := departures[file+" "+id]; known {
					t.Logf("%s: %s", id, why)
					continue
				}
				if !slices.Contains(c.Result, string(out.Result)) {
					t.Errorf("%s %s: %s (%s), want %v", file, id, out.Result, out.Problem, c.Result)
				}
				if c.Explanation != "" && c.Explanation != "DEFAULT" && out.Result == Fail && !strings.EqualFold(out.Explanation, c.Explanation) {
					t.Errorf("%s %s: explains %q, want %q", file, id, out.Explanation, c.Explanation)
				}
			}
		}
		t.Logf("%s: %d tests", file, n)
	}
}
