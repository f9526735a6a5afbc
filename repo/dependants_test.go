package repo

import (
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"slipway/zone"
)

func TestZonesNaming(t *testing.T) {
	r := newRepo(t, fstest.MapFS{
		"slipway.yaml":                {Data: []byte("domain: finmicro.example\n")},
		"zones/finmicro.example.yaml": {Data: []byte("www: {type: A, value: 192.0.2.1}\n")},
		"zones/finpay.example.yaml":   {Data: []byte("www: {type: CNAME, value: www.finmicro.example.}\n")},
		"zones/other.example.yaml":    {Data: []byte("www: {type: A, value: 192.0.2.1}\n")},
	})
	head := tree(t, r, Main)
	found, err := head.ZonesNaming(t.Context(), map[zone.Name]bool{"www.finmicro.example": true})
	if err != nil || !slices.Equal(found, []zone.Name{"finpay.example"}) {
		t.Errorf("got %v, %v", found, err)
	}
}

func TestPasts(t *testing.T) {
	r := newRepo(t, fstest.MapFS{
		"slipway.yaml": {Data: []byte("domain: finmicro.example\n")},
		"apps/a.yaml":  {Data: []byte("owner: ana@finmicro.example\n")},
	})
	head := tree(t, r, Main)
	pasts, err := head.Pasts(t.Context(), []string{"apps/a.yaml", "apps/b.yaml"}, time.Unix(0, 0))
	if err != nil || len(pasts) != 1 || pasts["apps/a.yaml"].Changes != 1 || pasts["apps/a.yaml"].Created.IsZero() {
		t.Errorf("got %+v, %v", pasts, err)
	}
	if pasts, err = head.Pasts(t.Context(), []string{"apps/a.yaml"}, time.Now().Add(24*365*100*time.Hour)); err != nil || len(pasts) != 0 {
		t.Errorf("since then: %+v, %v", pasts, err)
	}
	if pasts, err = r.EmptyTree().Pasts(t.Context(), []string{"apps/a.yaml"}, time.Unix(0, 0)); err != nil || len(pasts) != 0 {
		t.Errorf("no commit: %+v, %v", pasts, err)
	}
}
