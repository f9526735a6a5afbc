package lint

import (
	"bytes"
	"context"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"slipway/change"
	"slipway/check/internal/scenario"
	"slipway/check/observe"
	"slipway/zone"
)

func TestParseSTSPolicy(t *testing.T) {
	for _, c := range []struct{ body, wrong string }{
		{"version: STSv1\r\nmode: enforce\r\nmx: mail.a.test\r\nmx: *.b.test\r\nmax_age: 604800\r\n", ""},
		{"version: STSv1\nmode: none\nmax_age: 0", ""},
		{"max_age:86400 \nmx:a.test\nmode:testing\nversion:STSv1\nnew-key: väl ue\n\n", ""},
		{"version: STSv1\nmode: enforce\nmode: junk\nmx: a.test\nmax_age: 1\nmax_age: x\n", ""}, // the first counts
		{"mode: enforce\nmx: a.test\nmax_age: 1\n", "no version"},
		{"version: STSv2\nmode: enforce\nmx: a.test\nmax_age: 1\n", "version is"},
		{"version: STSv1\nMode: enforce\nmx: a.test\nmax_age: 1\n", "no mode"},
		{"version: STSv1\nmode: Enforce\nmx: a.test\nmax_age: 1\n", "mode is"},
		{"version: STSv1\nmode: enforce\nmx: a.test\n", "no max_age"},
		{"version: STSv1\nmode: enforce\nmx: a.test\nmax_age: 31557601\n", "max_age is"},
		{"version: STSv1\nmode: enforce\nmx: a.test\nmax_age: -1\n", "max_age is"},
		{"version: STSv1\nmode: enforce\nmx: a.test\nmax_age: 1w\n", "max_age is"},
		{"version: STSv1\nmode: enforce\nmax_age: 1\n", "no mx"},
		{"version: STSv1\nmode: enforce\nmx: mail.*.test\nmax_age: 1\n", "mx"},
		{"version: STSv1\nmode: enforce\nmx: a..test\nmax_age: 1\n", "mx"},
		{"version: STSv1\nmode = enforce\n", "line 2"},
		{"<html>\n", "line 1"},
		{"\nversion: STSv1\nmode: none\nmax_age: 0", "line 1"},
		{"version: STSv1\nmode: none\nmax_age: 0\nx: \xff", "UTF-8"},
		{"", "no version"},
	} {
		_, err := parseSTSPolicy(c.body)
		if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%q: got %v, want %q", c.body, err, c.wrong)
		}
	}
	p, err := parseSTSPolicy("version: STSv1\nmode: enforce\nmx: Mail.a.test\nmx: *.b.test\nmax_age: 1")
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[zone.Name]bool{"mail.a.test": true, "a.test": false, "x.mail.a.test": false, "x.b.test": true, "b.test": false, "y.x.b.test": false} {
		if p.allows(host) != want {
			t.Errorf("%s: %v", host, !want)
		}
	}
}

// The policy is judged where it is announced or where the mail servers change, and by what was fetched.
func TestSTSPolicy(t *testing.T) {
	const (
		page    = "https://mta-sts.shop.finmicro.example/.well-known/mta-sts.txt GET "
		enforce = "| version: STSv1\n| mode: enforce\n| max_age: 604800\n| mx: mx1.finmicro.example\n"
		zones   = "-- zones/finmicro.example.yaml --\n"
		hosts   = "mx1: {type: A, ttl: 3600, value: 9.9.9.1}\nmx2: {type: A, ttl: 3600, value: 9.9.9.2}\nmta-sts.shop: {type: A, ttl: 3600, value: 9.9.9.10}\n"
		record  = "_mta-sts.shop: {type: TXT, ttl: 3600, value: v=STSv1\\; id=20261001}\n"
		one     = "shop: {type: MX, ttl: 3600, value: {preference: 10, exchange: mx1.finmicro.example.}}\n"
		two     = "shop: {type: MX, ttl: 3600, values: [{preference: 10, exchange: mx1.finmicro.example.}, {preference: 20, exchange: mx2.finmicro.example.}]}\n"
	)
	w := world(t)
	for _, c := range []struct {
		name, seen, records string
		before              string
		want                []string // rule and a part of the message
	}{
		{"it holds", page + "200 text/plain;charset=utf-8\n" + enforce, hosts + record + one, "", nil},
		{"a server is added before the policy knows it", page + "200 text/plain\n" + enforce, hosts + record + two, hosts + record + one, []string{"mta-sts-policy-mx deny mx2.finmicro.example"}},
		{"in testing it is said", page + "200 text/plain\n" + strings.Replace(enforce, "enforce", "testing", 1), hosts + record + two, "", []string{"mta-sts-policy-mx warn mx2.finmicro.example", "mta-sts-policy-weak warn testing"}},
		{"a redirect", page + "301 text/html\n", hosts + record + one, "", []string{"mta-sts-policy-invalid deny redirect"}},
		{"a page of HTML", page + "200 text/html\n" + enforce, hosts + record + one, "", []string{"mta-sts-policy-invalid deny text/plain"}},
		{"a bad certificate", page + "BAD-CERTIFICATE\n", hosts + record + one, "", []string{"mta-sts-policy-invalid deny certificate"}},
		{"nothing there", page + "404 text/plain\n", hosts + record + one, "", []string{"mta-sts-policy-invalid deny answers 404"}},
		{"too long", page + "TOO-LONG\n", hosts + record + one, "", []string{"mta-sts-policy-invalid deny longer"}},
		{"no server", page + "UNREACHABLE\n", hosts + record + one, "", []string{"not-observed warn No server answers"}},
		{"not recorded", "x.test A NOERROR\n", hosts + record + one, "", []string{"not-observed warn not recorded"}},
		{"no policy is announced", "x.test A NOERROR\n", hosts + two, hosts + one, nil},
		{"the change is about something else", "x.test A NOERROR\n", hosts + record + one + "www3: {type: A, ttl: 3600, value: 9.9.9.3}\n", hosts + record + one, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			archive := observed(c.seen) + zones + c.records
			if c.before != "" {
				archive += "-- in-force/zones/finmicro.example.yaml --\n" + c.before
			}
			var got []string
			for _, f := range judge(t, w, omar, archive) {
				if f.Rule == notObserved || strings.HasPrefix(f.Rule, "mta-sts-policy") {
					got = append(got, f.Rule+" "+string(f.Severity)+" "+f.Message)
				}
			}
			if !slices.EqualFunc(got, c.want, func(got, want string) bool {
				words := strings.SplitN(want, " ", 3)
				return strings.HasPrefix(got, words[0]+" "+words[1]+" ") && strings.Contains(got, words[2])
			}) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// A policy that a real server serves is judged the same from the recording.
func TestSTSPolicyServed(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "mta-sts.example.com" || r.URL.Path != "/.well-known/mta-sts.txt" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		w.Write([]byte("version: STSv1\r\nmode: enforce\r\nmx: *.example.com\r\nmax_age: 604800\r\n"))
	}))
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate()) // for example.com and all below it
	fetcher := observe.NewFetcher(roots, func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, server.Listener.Addr().String())
	})
	resolver, err := observe.NewResolver("127.0.0.1:1") // nothing is asked there
	if err != nil {
		t.Fatal(err)
	}
	w := world(t)
	w = &scenario.World{Repo: w.Repo, Base: w.Head(t, []byte("-- slipway.yaml --\ndomain: example.com\nzones:\n  example.com: {visibility: external}\n"))}
	head := w.Head(t, []byte("-- zones/example.com.yaml --\n'': {type: MX, ttl: 3600, value: {preference: 10, exchange: mx.shop.example.com.}}\n_mta-sts: {type: TXT, ttl: 3600, value: v=STSv1\\; id=1}\nmta-sts: {type: A, ttl: 3600, value: 9.9.9.9}\nmx.shop: {type: A, ttl: 3600, value: 9.9.9.8}\n"))
	judged := func(seen *observe.Log) []string {
		c, err := change.Compute(t.Context(), w.Repo, w.Base, head)
		if err != nil {
			t.Fatal(err)
		}
		settings, err := w.Base.Settings(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		found, err := Run(t.Context(), Input{Change: c, Base: w.Base, Head: head, Settings: settings, AsOf: scenario.Now, Observed: seen})
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, f := range found {
			if strings.HasPrefix(f.Rule, "mta-sts") || f.Rule == notObserved {
				out = append(out, f.Message)
			}
		}
		return out
	}
	live := observe.Online(resolver, fetcher, scenario.Now)
	want := []string{"The MTA-STS policy of example.com does not name its mail server mx.shop.example.com, so senders that obey it will not deliver there."}
	if got := judged(live); !slices.Equal(got, want) {
		t.Errorf("live: %q", got)
	}
	recorded, err := observe.Read("seen.json", bytes.NewReader(live.Set().Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	server.Close()
	if got := judged(observe.Replay(recorded)); !slices.Equal(got, want) {
		t.Errorf("replayed: %q", got)
	}
}

func FuzzParseSTSPolicy(f *testing.F) {
	f.Add("version: STSv1\r\nmode: enforce\r\nmx: mail.a.test\r\nmx: *.b.test\r\nmax_age: 604800\r\n", "x.b.test")
	f.Add("max_age:86400 \nmx:a.test\nmode:testing\nversion:STSv1\nnew-key: väl ue\n\n", "a.test")
	f.Add("version: STSv1\nmode: none\nmax_age: 0\nmx: *.\nmx: .", ".")
	f.Fuzz(func(t *testing.T, body, host string) {
		p, err := parseSTSPolicy(body)
		if err != nil {
			return
		}
		if p.mode == "" || p.age < 0 || p.age > maxSTSAge || len(p.mx) == 0 && p.mode != "none" {
			t.Errorf("%q is read as %+v", body, p)
		}
		if n, err := zone.ParseName(host); err == nil && p.allows(n) && len(p.mx) == 0 {
			t.Errorf("%q allows %s", body, n)
		}
	})
}
