package portal

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"slipway/audit"
	"slipway/cert"
	"slipway/lifecycle"
)

func TestEventsAboutCertificatesAreTold(t *testing.T) {
	at := time.Date(2026, 12, 24, 9, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		action  audit.Action
		who     string
		details any
		want    string
	}{
		{audit.OrderCertificate, "slipway", cert.OrderDetails{Order: cert.Order{Names: []string{"a.example"}, Authority: "internal"}}, "Ordered a certificate for a.example from the authority “internal”."},
		{audit.WriteChallenge, "slipway", cert.ChallengeDetails{}, "Wrote a record that proves to the authority that the name is ours: _acme-challenge.a.example."},
		{audit.RemoveChallenge, "slipway", cert.ChallengeDetails{}, "Removed the record that proved the name to the authority: _acme-challenge.a.example."},
		{audit.IssueCertificate, "slipway", cert.IssueDetails{Certificate: cert.Certificate{Names: []string{"a.example"}, NotAfter: at}}, "Got a certificate for a.example, good until 24 Dec 2026, 09:00 UTC (serial number 3fa9c1)."},
		{audit.RevokeCertificate, "ivy@finmicro.example", cert.RevokeDetails{Reason: "key-compromise", Why: "Broken into."}, "revoked the certificate with serial number 3fa9c1 (Somebody else has, or may have, the private key). | Broken into."},
		{audit.RevokeCertificate, "slipway", cert.RevokeDetails{}, "Revoked the certificate with serial number 3fa9c1."},
		{audit.FailCertificate, "slipway", cert.FailDetails{Problem: "It is down.", Next: at}, "Could not renew the certificate; the next try is on 24 Dec 2026, 09:00 UTC. | It is down."},
		{audit.WarnCertificate, "slipway", cert.WarnDetails{Text: "It ends soon."}, "Warned about the certificate. | It ends soon."},
		{audit.DetectCertificate, "slipway", cert.Seen{Log: "log1", Names: []string{"a.example"}, Issuer: `O=X,CN=Some\, CA`}, "Found a certificate that did not come from here in the log log1: a.example, by Some, CA."},
		{audit.AcceptCertificate, "ivy@finmicro.example", cert.AcceptDetails{Reason: "Ours."}, "accepted a certificate from elsewhere (serial number 3fa9c1). | Ours."},
		{audit.ProveCertificate, "slipway", cert.ProveDetails{Log: "log1"}, "Checked that the log log1 shows the certificate, as it had promised."},
		{audit.DestroyKey, "slipway", cert.DestroyDetails{}, "Destroyed the private key of a certificate that is no longer used."},
	} {
		raw, err := json.Marshal(c.details)
		if err != nil {
			t.Fatal(err)
		}
		got := tell(audit.Event{Action: c.action, Actor: audit.Actor{ID: c.who}, Resource: audit.Resource{Record: "_acme-challenge.a.example", Name: "3fa9c1"}, Details: raw})
		text := got.What
		if got.Reason != "" {
			text += " | " + got.Reason
		}
		if text != c.want {
			t.Errorf("%s: %q, want %q", c.action, text, c.want)
		}
	}
}

func TestWhereAnAppStandsWithItsCertificate(t *testing.T) {
	now := time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)
	good := cert.Certificate{ID: "1", NotAfter: now.Add(time.Hour)}
	old := cert.Certificate{ID: "2", NotAfter: now.Add(-time.Hour), Problem: "It is down."}
	revoked := cert.Certificate{ID: "3", NotAfter: now.Add(2 * time.Hour), Revoked: now}
	getting := &lifecycle.State{Phase: lifecycle.Applied, Certify: []string{"x"}}
	failed := &lifecycle.State{Phase: lifecycle.Failed, Step: "certify", Certify: []string{"x"}, Problem: "No authority."}
	for _, c := range []struct {
		asked         bool
		certs         []cert.Certificate
		open          *lifecycle.State
		text, problem string
	}{
		{false, nil, nil, "Not asked for", ""},
		{true, nil, nil, "Asked for; there is none yet", ""},
		{true, []cert.Certificate{revoked}, nil, "Asked for; there is none yet", ""},
		{true, nil, getting, "Being got; this takes some seconds", ""},
		{true, nil, failed, "It could not be got", "No authority."},
		{true, []cert.Certificate{old}, nil, "Expired on 25 Nov 2026, 08:00 UTC", "It is down."},
		{true, []cert.Certificate{old, good, revoked}, nil, "Good until 25 Nov 2026, 10:00 UTC", ""},
	} {
		got := certificateOf(c.asked, "x", c.certs, c.open, now)
		if got.Text != c.text || got.Problem != c.problem {
			t.Errorf("%v: %q, %q; want %q, %q", c, got.Text, got.Problem, c.text, c.problem)
		}
	}
}

func TestCalendar(t *testing.T) {
	now := time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC) // a Wednesday
	var certs []cert.Certificate
	for _, in := range []int{-3, 0, 1, 2, 4, 5, 40, 41, 400} { // days
		certs = append(certs, cert.Certificate{NotAfter: now.AddDate(0, 0, in).Add(time.Hour)})
	}
	told := func(by string) string {
		var b strings.Builder
		for _, p := range calendar(certs, by, now) {
			raw, _ := json.Marshal([]any{p.Label, p.Count, p.Share, len(p.First), p.More})
			b.Write(raw)
		}
		return b.String()
	}
	if got, want := told("month"), `["November 2026",6,100,3,3]["December 2026",0,0,0,0]["January 2027",2,33,2,0]`; got != want {
		t.Errorf("by month: %s", got)
	}
	if got, want := told("week"), `["Week from 23 November",5,100,3,2]["Week from 30 November",1,20,1,0]["Week from 7 December",0,0,0,0]["Week from 14 December",0,0,0,0]["Week from 21 December",0,0,0,0]["Week from 28 December",0,0,0,0]["Week from 4 January",2,40,2,0]["Week from 11 January",0,0,0,0]`; got != want {
		t.Errorf("by week: %s", got)
	}
	if got := calendar(nil, "month", now); got != nil {
		t.Errorf("of nothing: %v", got)
	}
}
