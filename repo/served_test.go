package repo

import (
	"context"
	"testing"
	"testing/fstest"
	"time"

	"slipway/zone"
)

// The key of a zone changes with what is served, and with nothing else.
func TestServedKeys(t *testing.T) {
	ctx := context.Background()
	app := func(address string) string {
		return "owner: ana@finmicro.example\nhostname: a.apps.example\nrecords:\n  - {name: a.apps.example, type: A, ttl: 300, values: [" + address + "]}\n"
	}
	settings := "organisation: X\nzones:\n  directory: zones\n  apps.example: {}\n  other.example: {}\n"
	first := map[string]string{
		"slipway.yaml":             settings,
		"zones/other.example.yaml": "www:\n  type: A\n  value: 192.0.2.1\n",
		"apps/a.yaml":              app("192.0.2.9"),
	}
	for name, tt := range map[string]struct {
		path, text string
		changes    []zone.Name
	}{
		"a zone's file":        {"zones/other.example.yaml", "www:\n  type: A\n  value: 192.0.2.2\n", []zone.Name{"other.example"}},
		"an app":               {"apps/a.yaml", app("192.0.2.10"), []zone.Name{"apps.example"}},
		"a file beside":        {"README.md", "hello\n", nil},
		"settings of no zone":  {"slipway.yaml", settings + "domain: x.example\n", nil},
		"a zone below, by app": {"slipway.yaml", settings + "  a.apps.example: {}\n", []zone.Name{"apps.example", "a.apps.example"}},
		"an app of its own":    {"apps/b.yaml", "owner: ana@finmicro.example\nrecords:\n  - {name: b.other.example, type: A, values: [192.0.2.3]}\n", []zone.Name{"other.example"}},
	} {
		t.Run(name, func(t *testing.T) {
			before := keysOf(ctx, t, first)
			files := map[string]string{}
			for p, text := range first {
				files[p] = text
			}
			files[tt.path] = tt.text
			after := keysOf(ctx, t, files)
			changed := map[zone.Name]bool{}
			for z, key := range after {
				if key != before[z] {
					changed[z] = true
				}
			}
			if len(changed) != len(tt.changes) {
				t.Errorf("changed: %v, want %v", changed, tt.changes)
			}
			for _, z := range tt.changes {
				if !changed[z] {
					t.Errorf("the key of %s stayed", z)
				}
			}
		})
	}
}

func keysOf(ctx context.Context, t *testing.T, files map[string]string) map[zone.Name]string {
	t.Helper()
	kit := fstest.MapFS{}
	for p, text := range files {
		kit[p] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	r, err := Create(ctx, t.TempDir()+"/zones.git", kit, Person{Name: "Slipway", Email: "slipway@x.example"}, time.Unix(1, 0), testSigner(t))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	tr, err := r.Tree(ctx, "refs/heads/main")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := tr.ServedKeys(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}
