package part

import (
	"strings"
	"testing"
	"time"
)

func TestReader(t *testing.T) {
	t.Setenv("PART_TOKEN", "hunter2hunter2")
	for name, c := range map[string]struct {
		params map[string]string
		want   string // "" : good
	}{
		"all there":          {map[string]string{"url": "https://siem.example.org/in", "token": "env:PART_TOKEN", "every": "7d", "batch": "10", "format": "cef"}, ""},
		"this machine":       {map[string]string{"url": "http://127.0.0.1:9/in", "token": "env:PART_TOKEN"}, ""},
		"misspelt":           {map[string]string{"url": "https://s.example", "token": "env:PART_TOKEN", "fromat": "cef"}, `part: fromat: there is no such setting`},
		"plain http":         {map[string]string{"url": "http://siem.example.org", "token": "env:PART_TOKEN"}, "part: url: use https"},
		"address with user":  {map[string]string{"url": "https://u:p@siem.example.org", "token": "env:PART_TOKEN"}, "without user and password"},
		"no address":         {map[string]string{"token": "env:PART_TOKEN"}, "part: url: it must be set"},
		"no token":           {map[string]string{"url": "https://s.example"}, "part: token: it must be set"},
		"token in the clear": {map[string]string{"url": "https://s.example", "token": "hunter2hunter2"}, "part: token: "},
		"token not there":    {map[string]string{"url": "https://s.example", "token": "env:PART_NONE"}, "PART_NONE"},
		"word":               {map[string]string{"url": "https://s.example", "token": "env:PART_TOKEN", "format": "xml"}, `"xml" is none of: json, cef`},
		"number":             {map[string]string{"url": "https://s.example", "token": "env:PART_TOKEN", "batch": "0"}, `"0" is not a number from 1 to 100`},
		"time":               {map[string]string{"url": "https://s.example", "token": "env:PART_TOKEN", "every": "1s"}, "is not a length of time from 1m0s"},
	} {
		r := Read("part", c.params, nil)
		r.URL("url")
		token := r.Secret(t.Context(), "token", true)
		every := r.Duration("every", time.Hour, time.Minute, 100*24*time.Hour)
		r.Number("batch", 5, 1, 100)
		r.OneOf("format", "json", "cef")
		err := r.Done()
		switch {
		case c.want == "" && (err != nil || token.Reveal() != "hunter2hunter2"):
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2")):
			t.Errorf("%s: %v", name, err)
		}
		if c.params["every"] == "7d" && every != 7*24*time.Hour {
			t.Errorf("%s: %s", name, every)
		}
	}
}
