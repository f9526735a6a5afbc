package portal_test

import (
	"net/http"
	"strings"
	"testing"

	"slipway/portal"
)

// Buttons are there for those who may press them, and a certificate with nothing left to do has none.
func TestWhoIsOfferedToRenewAndRevoke(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.ask(ana, filled())
	for _, c := range []struct {
		who, id       string
		renew, revoke bool
	}{
		{ana, certificateID, true, true},
		{ivy, certificateID, true, true}, // of a group that manages certificates
		{bob, certificateID, false, false},
		{admin, certificateID, false, false},
		{ivy, ownKeyID, false, true}, // the app renews it, since it has the key
		{ivy, revokedID, false, false},
		{ivy, expiredID, true, false},
	} {
		body := b.do(c.who, "GET", "/certificates/"+c.id, nil).Body.String()
		if got := strings.Contains(body, "/renew"); got != c.renew {
			t.Errorf("%s may renew %.8s: %v", c.who, c.id, got)
		}
		if got := strings.Contains(body, "/revoke"); got != c.revoke {
			t.Errorf("%s may revoke %.8s: %v", c.who, c.id, got)
		}
	}
}

func TestChainIsAFile(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	w := b.do(bob, "GET", "/certificates/"+certificateID+"/chain.pem", nil)
	if w.Code != http.StatusOK || w.Body.String() != chainPEM || w.Header().Get("Content-Disposition") != `attachment; filename="expense-tracker-3fa9c1.pem"` {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}

// A search narrows the list, and warnings and what came from elsewhere are not for third parties.
func TestCertificatesList(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	stuck := b.ask(tess, external("stuck"))
	b.decide(ivy, stuck, "approve", "")
	for _, c := range []struct {
		who, query string
		has, hasnt string
	}{
		{bob, "", `expenses.apps|stuck.finmicro|kiosk.finmicro|id="warnings"|/strays`, revokedID},
		{bob, "?search=KIOSK", "kiosk.finmicro-apps.example</a>", "29 days left"},
		{bob, "?search=3fa9c1+stuck", "5 hours left", "29 days left"},
		{bob, "?status=revoked", revokedID, "29 days left"},
		{bob, "?status=expired", "ended 2 days ago", "29 days left"},
		{bob, "?status=all", revokedID + "|" + expiredID, "No certificate fits"},
		{tess, "?status=all", ownKeyID, certificateID},
		{tess, "", ownKeyID, "/strays"},
		{tess, "", ownKeyID, `id="warnings"`},
	} {
		body := b.do(c.who, "GET", "/certificates"+c.query, nil).Body.String()
		for words := range strings.SplitSeq(c.has, "|") {
			if !strings.Contains(body, words) {
				t.Errorf("%s%s: no %q", c.who, c.query, words)
			}
		}
		if strings.Contains(body, c.hasnt) {
			t.Errorf("%s%s: there is %q", c.who, c.query, c.hasnt)
		}
	}
	if strings.Contains(b.do(tess, "GET", "/", nil).Body.String(), `id="warnings"`) || !strings.Contains(b.do(bob, "GET", "/", nil).Body.String(), `id="warnings"`) {
		t.Error("warnings are on the first page of the organisation's people, and of nobody else")
	}
}

func TestNoRootToTrust(t *testing.T) {
	t.Parallel()
	for name, root := range map[string]func() []byte{"none": nil, "not made yet": func() []byte { return nil }, "broken": func() []byte { return []byte("x") }} {
		b := newBench(t, func(o *portal.Options) { o.Root = root })
		w := b.do("", "GET", "/ca", nil)
		if body := w.Body.String(); w.Code != http.StatusOK || !strings.Contains(body, "no certificate authority of its own") || strings.Contains(body, "/ca/root") {
			t.Errorf("%s: %d %s", name, w.Code, body)
		}
	}
}
