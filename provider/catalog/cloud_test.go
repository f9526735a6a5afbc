package catalog_test

import (
	"strings"
	"testing"

	"slipway/provider/catalog"
)

func TestOpenCloud(t *testing.T) {
	const key = "MDEyMzQ1Njc4OWFiY2RlZg"
	t.Setenv("TEST_KEY", key)
	c := catalog.New(catalog.Options{Dir: t.TempDir()})
	const subscription = "subscription=0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
	for _, tt := range []struct {
		typ, params string
		want        string // in the error
	}{
		{"route53", "", ""},
		{"route53", "access-key-id=AKID secret-key=env:TEST_KEY visibility=private aliases=manage default-ttl=300 sync=60", ""},
		{"route53", "access-key-id=AKID", "go together"},
		{"route53", "access-key-id=AKID secret-key=env:TEST_ABSENT", "secret-key"},
		{"route53", "access-key-id=AKID secret-key=" + key, "where the secret is kept"},
		{"route53", "visibility=both", "public or private"},
		{"route53", "aliases=delete", "keep or manage"},
		{"route53", "create-zones=yes", "create-zones"},
		{"route53", "visibility=private create-zones=allowed", "VPC"},
		{"route53", "zone-ids=finmicro.example", "zone=ID"},
		{"route53", "endpoint=https://evil.example", "no such setting"},
		{"clouddns", "project=finmicro-dns credentials=env:TEST_KEY zone-ids=finmicro.example=prod", ""},
		{"clouddns", "credentials=env:TEST_KEY", "project: it must be set"},
		{"azuredns", subscription + " resource-group=dns tenant=t client-id=c client-secret=env:TEST_KEY", ""},
		{"azuredns", subscription + " resource-group=dns client-id=c", "go together"},
		{"cloudflare", "token=env:TEST_KEY batch=3500", ""},
		{"cloudflare", "", "token: it must be set"},
		{"cloudflare", "token=" + key, "where the secret is kept"},
		{"libdns", "service=hetzner token=env:TEST_KEY", ""},
		{"libdns", "service=ovh endpoint=ovh-eu application-key=env:TEST_KEY application-secret=env:TEST_KEY consumer-key=env:TEST_KEY", ""},
		{"libdns", "service=nosuch", "must be one of"},
		{"libdns", "service=hetzner token=env:TEST_KEY email=x", "no such setting"},
		{"libdns", "service=hetzner", "token must say where"},
	} {
		params := map[string]string{}
		for _, p := range strings.Fields(tt.params) {
			k, v, _ := strings.Cut(p, "=")
			params[k] = v
		}
		p, err := c.Open(t.Context(), "x", tt.typ, params)
		if tt.want == "" && (err != nil || p == nil) || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s %s: %v, want %q", tt.typ, tt.params, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), key) {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
}
