package flow

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/audit"
	"slipway/drift"
	"slipway/identity"
	"slipway/lifecycle"
	"slipway/provider"
	"slipway/zone"
)

// edited replaces text in a zone's live file, as somebody does who goes past Slipway.
func (w *world) edited(z zone.Name, from, to string) {
	w.t.Helper()
	file := w.path("zones/" + string(z) + ".zone")
	raw, err := os.ReadFile(file)
	w.must(err)
	if !bytes.Contains(raw, []byte(from)) {
		w.t.Fatalf("%q is not in the zone file:\n%s", from, raw)
	}
	w.must(os.WriteFile(file, bytes.ReplaceAll(raw, []byte(from), []byte(to)), 0o644))
}

// compared compares one zone now.
func (w *world) compared(z zone.Name) drift.Report {
	w.t.Helper()
	found, err := w.flow.Drift(context.Background(), []zone.Name{z})
	w.must(err)
	if len(found) != 1 {
		w.t.Fatalf("%d reports", len(found))
	}
	return found[0]
}

func TestRevertDrift(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := context.Background()
	const z = "apps.finmicro.example"
	st := w.submit(green("apart", "192.0.2.40"))
	w.reaches(st.ID, lifecycle.Live)
	w.edited(z, "192.0.2.40", "192.0.2.66")
	seen := w.compared(z)
	for who, by := range map[string]identity.Person{"a requester": ana, "nobody": {}, "an administrator": admin, "legal": lena} {
		t.Run(who, func(t *testing.T) { w.refused(w.flow.RevertDrift(ctx, by, z, seen.Live), Forbidden) })
	}
	w.refused(w.flow.RevertDrift(ctx, ivy, "nowhere.example", seen.Live), NotFound)

	// Nobody decides on what they have not seen.
	w.edited(z, "192.0.2.66", "192.0.2.67")
	w.refused(w.flow.RevertDrift(ctx, ivy, z, seen.Live), Conflict)
	seen = w.compared(z)
	w.must(w.flow.RevertDrift(ctx, ivy, z, seen.Live))
	w.resolves("apart.apps.finmicro.example", "192.0.2.40")
	w.refused(w.flow.RevertDrift(ctx, ivy, z, seen.Live), Conflict)
	if now := w.compared(z); len(now.Differences) != 0 {
		t.Errorf("still apart: %+v", now)
	}
	ended, err := w.log.Index().Events(ctx, audit.Query{Action: audit.ResolveDrift, Newest: true})
	w.must(err)
	d, err := lifecycle.Decode[lifecycle.DriftEndDetails](ended[0].Event)
	w.must(err)
	if ended[0].Event.Actor.ID != ivy.ID || d.How != driftOverwrite || d.Live != seen.Live {
		t.Errorf("on record: %+v %+v", ended[0].Event, d)
	}

	// The same edit made again is drift again, and the decision does not hold for it.
	w.edited(z, "192.0.2.40", "192.0.2.67")
	if again := w.compared(z); len(again.Differences) != 1 {
		t.Errorf("not found again: %+v", again)
	}
	w.must(w.flow.RevertDrift(ctx, omar, z, seen.Live))
	next := w.submit(green("beside", "192.0.2.41"))
	w.reaches(next.ID, lifecycle.Live)
	w.resolves("apart.apps.finmicro.example", "192.0.2.40")
}

func TestAdoptDrift(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := context.Background()
	const z = "apps.finmicro.example"
	adopt := func(by identity.Person, live string) (lifecycle.State, error) {
		st, _, err := w.flow.AdoptDrift(ctx, by, z, live, "", "cli")
		return st, err
	}
	st := w.submit(green("apart", "192.0.2.40"))
	w.reaches(st.ID, lifecycle.Live)

	// What an app says is adopted into its manifest, and no other line of it changes.
	w.edited(z, "192.0.2.40", "192.0.2.66")
	inApp, err := adopt(omar, w.compared(z).Live)
	w.must(err)
	if inApp.Phase == lifecycle.Waiting {
		_, err = w.approve(ivy, inApp)
		w.must(err)
	}
	w.reaches(inApp.ID, lifecycle.Live)
	main, err := w.repo.Tree(ctx, "refs/heads/main")
	w.must(err)
	src, err := main.ReadFile(ctx, "apps/apart.yaml")
	w.must(err)
	if want := strings.Replace(string(green("apart", "192.0.2.40")["apps/apart.yaml"]), "192.0.2.40", "192.0.2.66", 1); string(src) != want {
		t.Errorf("the manifest is\n%s\nwant\n%s", src, want)
	}
	if now := w.compared(z); len(now.Differences) != 0 {
		t.Errorf("still apart: %+v", now)
	}

	file := w.path("zones/" + z + ".zone")
	raw, err := os.ReadFile(file)
	w.must(err)
	w.must(os.WriteFile(file, append(raw, "found.apps.finmicro.example. 300 IN A 192.0.2.70\n"...), 0o644))
	seen := w.compared(z)
	if len(seen.Differences) != 1 {
		t.Fatalf("%+v", seen)
	}
	_, err = adopt(identity.Person{}, seen.Live)
	w.refused(err, Forbidden)
	_, err = adopt(identity.Person{ID: "tess@studio.example", ThirdParty: true}, seen.Live)
	w.refused(err, Forbidden)
	_, err = adopt(ana, "sha256:other")
	w.refused(err, Conflict)
	adopted, err := adopt(omar, seen.Live)
	w.must(err)
	if adopted.Adopts != seen.Live || adopted.Requester != omar.ID {
		t.Errorf("%+v", adopted)
	}
	if adopted.Phase == lifecycle.Waiting {
		same, err := adopt(omar, seen.Live)
		if err != nil || same.ID != adopted.ID {
			t.Errorf("%s and %s, %v", adopted.ID, same.ID, err)
		}
		_, err = w.approve(ivy, adopted)
		w.must(err)
	}
	w.reaches(adopted.ID, lifecycle.Live)
	if now := w.compared(z); len(now.Differences) != 0 {
		t.Errorf("still apart: %+v", now)
	}
	w.resolves("found.apps.finmicro.example", "192.0.2.70")
	_, err = adopt(omar, seen.Live)
	w.refused(err, Conflict)
}

// Each record set of a file is edited in turn as somebody might in a console; adopting it changes that record
// set, and leaves every other line of the file as it is.
func TestAdoptIntoRealZones(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../shared/data/octodns-zones/*.yaml")
	if err != nil || len(files) == 0 {
		t.Skip("the real zones are not beside the checkout")
	}
	adopted, refused := 0, 0
	for _, path := range files {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		z := zone.Name(strings.TrimSuffix(filepath.Base(path), ".yaml"))
		f, err := zone.ParseYAML(z, path, string(src))
		if err != nil {
			continue // not every one of them is a zone that Slipway takes
		}
		sets, err := f.RRSets()
		if err != nil || len(sets) == 0 {
			continue
		}
		served := (&provider.Live{Zone: z}).WithTTLs(sets)
		first := served[0]
		for what, live := range map[string][]zone.RRSet{
			"missing": served[1:],
			"extra":   append([]zone.RRSet{{Name: "by-hand." + z, Type: "A", TTL: 300, Values: []string{"192.0.2.66"}}}, served...),
			"changed": append([]zone.RRSet{{Name: first.Name, Type: first.Type, TTL: 77, Values: first.Values}}, served[1:]...),
		} {
			g := f.Clone()
			now := provider.Live{Zone: z, Sets: live, Exists: true}
			rep := drift.Between(z, "approved", sets, &now, time.Time{})
			if len(rep.Differences) != 1 {
				t.Fatalf("%s: %s: %d differences", z, what, len(rep.Differences))
			}
			if err := adopt(g, rep.Differences); err != nil {
				t.Logf("%s: %v", what, err)
				refused++ // in words of the zone's file
				continue
			}
			adopted++
			again, err := zone.ParseYAML(z, path, string(g.Bytes()))
			if err != nil {
				t.Fatalf("%s: %s: %v", z, what, err)
			}
			got, err := again.RRSets()
			if err != nil {
				t.Fatalf("%s: %s: %v", z, what, err)
			}
			if left := drift.Between(z, "adopted", got, &now, time.Time{}); len(left.Differences) != 0 {
				t.Errorf("%s: %s: still apart: %+v", z, what, left.Differences)
			}
		}
	}
	t.Logf("%d edits adopted, %d refused, in %d files", adopted, refused, len(files))
	if adopted < 10*refused {
		t.Errorf("too many are refused")
	}
}
