package check

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"testing/fstest"

	"slipway/check/internal/scenario"
	"slipway/repo"
)

// bigFiles is a zones repository of many zones with many names each.
func bigFiles(zones, names int) fstest.MapFS {
	var settings bytes.Buffer
	settings.WriteString("organisation: Fin Micro Ltd\ndomain: finmicro.example\nbrands: [finmicro, finpay]\nttl: {min: 60, max: 86400}\nzones:\n  directory: zones\n")
	files := fstest.MapFS{}
	for z := range zones {
		name := fmt.Sprintf("z%04d.finmicro.example", z)
		fmt.Fprintf(&settings, "  %s: {visibility: external, owner: finmicro.example}\n", name)
		var zone bytes.Buffer
		zone.WriteString("---\n")
		for n := range names {
			fmt.Fprintf(&zone, "host-%06d:\n  ttl: 300\n  type: A\n  value: 9.9.%d.%d\n", n, n/250%250, n%250)
		}
		files["zones/"+name+".yaml"] = &fstest.MapFile{Data: zone.Bytes(), Mode: 0o644}
	}
	files["slipway.yaml"] = &fstest.MapFile{Data: settings.Bytes(), Mode: 0o644}
	return files
}

// benchmarkOneRecord judges a change of one record as a cold `slipway check`
// does: the repository opened, both trees read, the policies compiled.
func benchmarkOneRecord(b *testing.B, zones, names int) {
	files := bigFiles(zones, names)
	const path = "zones/z0000.finmicro.example.yaml"
	before := string(files[path].Data)
	w := scenario.FromFiles(b, files)
	changed := bytes.Replace([]byte(before), []byte("host-000007:\n  ttl: 300\n"), []byte("host-000007:\n  ttl: 600\n"), 1)
	head := w.Head(b, append([]byte("-- "+path+" --\n"), changed...)).Commit()
	dir := w.Repo.Dir()
	b.ReportAllocs()
	for b.Loop() {
		if err := judgeCold(b.Context(), dir, head); err != nil {
			b.Fatal(err)
		}
	}
}

func judgeCold(ctx context.Context, dir, head string) error {
	r, err := repo.Open(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	if err := r.SetCache(""); err != nil {
		return err
	}
	base, err := r.Tree(ctx, repo.Main)
	if err != nil {
		return err
	}
	tree, err := r.Tree(ctx, head)
	if err != nil {
		return err
	}
	v, err := NewEngine().Run(ctx, Input{Repo: r, Base: base, Head: tree, Requester: Requester{ID: "omar@finmicro.example"}, AsOf: scenario.Now})
	if err != nil {
		return err
	}
	if v.Change.Updates != 1 || len(v.Change.Edits) != 1 || v.Tier != Yellow {
		return fmt.Errorf("not the verdict of this change: %+v", v)
	}
	return nil
}

func BenchmarkCheckOneRecord100k(b *testing.B)      { benchmarkOneRecord(b, 1, 100_000) }
func BenchmarkCheckOneRecord1000Zones(b *testing.B) { benchmarkOneRecord(b, 1_000, 100) }

// BenchmarkCheckWarm is the same with everything cached, as in the portal's preview.
func BenchmarkCheckWarm(b *testing.B) {
	w := scenario.FromFiles(b, baseFiles(b, nil))
	in := Input{Repo: w.Repo, Base: w.Base, Head: w.Head(b, []byte("-- zones/apps.finmicro.example.yaml --\nmenu: {type: A, ttl: 300, value: 10.1.2.10}\n")), AsOf: scenario.Now}
	engine := NewEngine()
	for b.Loop() {
		if _, err := engine.Run(b.Context(), in); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCheckBulk judges a change of ten thousand record sets in a hundred zones.
func BenchmarkCheckBulk(b *testing.B) {
	w := scenario.FromFiles(b, bigFiles(100, 100))
	in := Input{Repo: w.Repo, Head: w.Base, Requester: Requester{ID: "omar@finmicro.example"}, AsOf: scenario.Now}
	for b.Loop() {
		v, err := NewEngine().Run(b.Context(), in)
		if err != nil {
			b.Fatal(err)
		}
		if len(v.Change.Edits) != 10_000 || v.Tier != Red {
			b.Fatalf("not the verdict of this change: %s, %d edits", v.Tier, len(v.Change.Edits))
		}
	}
}
