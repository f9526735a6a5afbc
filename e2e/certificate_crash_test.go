//go:build integration

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"slipway/audit"
	"slipway/cert"
	"slipway/lifecycle"
)

// certificateSteps are the events of one issuance, as the server's log names them before and after each.
var certificateSteps = []audit.Action{audit.OrderCertificate, audit.WriteChallenge, audit.RemoveChallenge, audit.IssueCertificate}

// TestCertificateCrash kills the server with SIGKILL before and after each step of issuance and of renewal, and
// checks that each ends in one certificate, with no proof left in the zone and a log that verifies.
func TestCertificateCrash(t *testing.T) {
	w := newWorld(t)
	const (
		cora = "cora@finmicro.example"
		omar = "omar@finmicro.example"
	)
	w.token(cora)
	w.token(omar)
	kills := 0
	for _, step := range certificateSteps {
		for _, moment := range []string{"msg=recording", "msg=recorded"} {
			kills += 2
			name := fmt.Sprintf("tls-%s-%s", step, strings.TrimPrefix(moment, "msg="))
			t.Run(name, func(t *testing.T) {
				hostname := name + ".apps.finmicro.example"
				w.issueAndKill(t, name, hostname, moment, step, cora)
				issued := w.certificates(t, omar, name)
				if len(issued) != 1 {
					t.Fatalf("%d certificates after a kill while issuing", len(issued))
				}
				w.renewAndKill(t, issued[0].ID, moment, step, omar)
				all := w.certificates(t, omar, name)
				replacing := 0
				for _, c := range all {
					if c.Replaces == issued[0].ID {
						replacing++
					}
				}
				if len(all) != 2 || replacing != 1 {
					t.Errorf("%d certificates, %d in the place of the first, after a kill while renewing", len(all), replacing)
				}
				if got := w.dig("_acme-challenge."+hostname, "TXT"); got != "" {
					t.Errorf("a proof is left: %s", got)
				}
			})
		}
	}
	t.Logf("%d kills", kills)
	if r := w.verify(); r.code != 0 {
		t.Errorf("verify: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

func (w *world) issueAndKill(t *testing.T, name, hostname, moment string, step audit.Action, requester string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	body := map[string]any{
		"request_id": name,
		"title":      name,
		"app": map[string]any{
			"name": name, "owner": requester, "team": "testing", "purpose": "Survives a crash", "certificate": true,
			"exposure": "internal", "data": []string{"none"}, "expires": time.Now().AddDate(0, 6, 0).Format(time.DateOnly),
			"hostname": hostname,
			"records":  []map[string]any{{"name": hostname, "type": "A", "ttl": 300, "values": []string{"192.0.2.77"}}},
		},
	}
	watch := w.lines.watch()
	go w.tryAPI(ctx, w.tokens[requester], "POST", "/api/v1/changes", body)
	err := seen(ctx, watch, moment, "step="+string(step), "app="+name)
	w.kill()
	if err != nil {
		t.Fatalf("%v\n%s", err, w.lines.tail(40))
	}
	w.start()
	var made answer
	w.api(w.tokens[requester], "POST", "/api/v1/changes", body, &made)
	for {
		a := w.changeAs(requester, made.Change.ID)
		if a.Change.Phase == lifecycle.Live {
			count := map[audit.Action]int{}
			for _, e := range a.Events {
				count[e.Event.Action]++
			}
			if count[audit.IssueCertificate] != 1 || count[audit.GoLive] != 1 || count[audit.WriteChallenge] != count[audit.RemoveChallenge] {
				t.Errorf("events: %v", count)
			}
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("change %s is still %s: %s\n%s", made.Change.ID, a.Change.Phase, a.Change.Problem, w.lines.tail(60))
		}
		time.Sleep(30 * time.Millisecond)
	}
}

// renewAndKill asks for a renewal as often as it takes, as a client with patience does.
func (w *world) renewAndKill(t *testing.T, id, moment string, step audit.Action, by string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	path := "/api/v1/certificates/" + id + "/renew"
	watch := w.lines.watch()
	go w.tryAPI(ctx, w.tokens[by], "POST", path, map[string]any{})
	err := seen(ctx, watch, moment, "step="+string(step))
	w.kill()
	if err != nil {
		t.Fatalf("%v\n%s", err, w.lines.tail(40))
	}
	w.start()
	for {
		code, raw := w.rawAPI(w.tokens[by], "POST", path, map[string]any{})
		if code/100 == 2 || code == 409 { // 409: it was renewed before the kill
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("renewal: %d %s\n%s", code, raw, w.lines.tail(60))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (w *world) certificates(t *testing.T, by, app string) []cert.Certificate {
	t.Helper()
	var answer struct{ Certificates []cert.Certificate }
	code, raw := w.rawAPI(w.tokens[by], "GET", "/api/v1/certificates?app="+app, nil)
	if err := json.Unmarshal(raw, &answer); code != 200 || err != nil {
		t.Fatalf("certificates of %s: %d %v %s", app, code, err, raw)
	}
	return answer.Certificates
}
