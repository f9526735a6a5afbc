package portal_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"slipway/audit"
	"slipway/evidence/controls"
	"slipway/portal"
)

// Who may not read the whole log learns nothing of how often things happen, by page or by API.
func TestControlsAreForThoseWhoReadTheRecord(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, who := range []string{ana, bob, tess} {
		page, api := b.do(who, "GET", "/controls", nil), b.call(who, "GET", "/api/v1/controls", "")
		if page.Code != http.StatusForbidden || api.Code != http.StatusForbidden || strings.Contains(page.Body.String()+api.Body.String(), "SOC2:") {
			t.Errorf("%s: %d %d", who, page.Code, api.Code)
		}
		if home := b.do(who, "GET", "/", nil).Body.String(); strings.Contains(home, `href="/controls"`) {
			t.Errorf("%s is led to a page that is not for them", who)
		}
	}
	for _, who := range []string{ivy, audrey, admin} {
		if w := b.do(who, "GET", "/controls", nil); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `href="/controls" aria-current="page"`) {
			t.Errorf("%s: %d", who, w.Code)
		}
	}
}

func TestControlsCountTheRecord(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.ask(ana, filled())
	b.decide(ivy, b.ask(ana, external("shop")), "approve", "")
	var c controls.Coverage
	if err := json.Unmarshal(b.call(audrey, "GET", "/api/v1/controls", "").Body.Bytes(), &c); err != nil {
		t.Fatal(err)
	}
	row := func(id string) controls.Row {
		for _, r := range c.Controls {
			if r.ID == id {
				return r
			}
		}
		t.Fatalf("%s is not there", id)
		return controls.Row{}
	}
	if r := row("SOX:ITGC-CM-1"); r.State != controls.Covered || r.Pieces[0].Counts[audit.SubmitChange] != 2 || r.Events != 2 {
		t.Errorf("%+v", r)
	}
	if r := row("SOC2:C1.2"); r.State != controls.Silent {
		t.Errorf("nothing was erased, and the control is %s", r.State)
	}
	// Before anything happened there is nothing, and the page begins with what has no evidence.
	w := b.do(audrey, "GET", "/controls?framework=sox&to="+b.now().Add(-48*time.Hour).Format(time.DateOnly), nil)
	body := w.Body.String()
	none, silent := strings.Index(body, `id="state-none"`), strings.Index(body, `id="state-silent"`)
	if w.Code != http.StatusOK || none < 0 || silent < none || strings.Index(body, "SOX:ITGC-CM-1") < silent {
		t.Errorf("%d: none at %d, silent at %d", w.Code, none, silent)
	}
	if !strings.Contains(body, "SOX:ITGC-AC-5") || strings.Contains(body, "SOC2:CC8.1") {
		t.Error("another framework than the chosen one is shown")
	}
	if w := b.call(audrey, "GET", "/api/v1/controls?from=2027-01-02&to=2027-01-01", ""); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "ends before it begins") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// An organisation's own mapping is what the page shows, and a broken one is said, not passed over.
func TestControlsOfTheOrganisation(t *testing.T) {
	t.Parallel()
	src := "frameworks: {fin: {prefix: FIN, title: 'Own <b>controls</b>'}}\ncontrols: {'FIN:1': {title: 'Names & numbers', evidence: [decision]}}\n"
	b := newBench(t, func(o *portal.Options) {
		o.Controls = func(context.Context) (*controls.Mapping, []controls.Check, error) {
			m, err := controls.Default()
			if err == nil {
				m, err = m.Extend(controls.Path, []byte(src))
			}
			return m, nil, err
		}
	})
	body := b.do(audrey, "GET", "/controls?framework=fin", nil).Body.String()
	for _, want := range []string{"Own &lt;b&gt;controls&lt;/b&gt;", "Names &amp; numbers", "FIN:1"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q", want)
		}
	}
	src = "controls: {'FIN:1': {title: a}}\n"
	if w := b.do(audrey, "GET", "/controls", nil); w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), "controls.yaml, line 1:") {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
}
