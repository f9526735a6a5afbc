package main

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"slipway/audit/audittest"
	"slipway/drift"
	"slipway/starter"
	"slipway/zone"
)

// The parent of a zone below one of ours is asked at our servers. Without a resolver nobody else is asked, and no
// internal zone is looked for outside.
func TestParents(t *testing.T) {
	srv, err := start(t.Context(), settings{
		data: filepath.Join(audittest.TempDir(t), "data"), listen: "127.0.0.1:0", dns: "127.0.0.1:0", dnsExternal: "127.0.0.1:0", namespace: "slipway",
		logFormat: "text", logLevel: "error", organisation: starter.Sample(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.close(t.Context())
	tree, settings, err := srv.main(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ours := 0
	for z, of := range settings.Zones {
		d, err := srv.parent(t.Context(), tree, z)
		for deadline := time.Now().Add(20 * time.Second); err != nil && !errors.Is(err, drift.ErrNoParent) && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			d, err = srv.parent(t.Context(), tree, z) // the zones are being served for the first time
		}
		_, below := settings.ZoneOf(z.Parent())
		switch {
		case below && (err != nil || !d.Hidden || len(d.Differences(of.DNSSEC == "required")) != 0 && of.DNSSEC != "required"):
			t.Errorf("%s: %+v, %v", z, d, err)
		case !below && !errors.Is(err, drift.ErrNoParent):
			t.Errorf("%s was looked for outside: %v", z, err)
		}
		if below {
			ours++
		}
	}
	if ours == 0 {
		t.Error("no zone of the starter kit is below another")
	}
	if _, err := srv.parent(t.Context(), tree, zone.Name("nowhere.test")); !errors.Is(err, drift.ErrNoParent) {
		t.Errorf("%v", err)
	}
}
