package route53_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"

	"slipway/provider"
	"slipway/provider/providertest"
	"slipway/provider/route53"
	"slipway/provider/service/servicetest"
	"slipway/secret"
	"slipway/zone"
)

const z = servicetest.Z

const attempts = 4

func settings(t *testing.T, f *servicetest.Front) route53.Settings {
	return route53.Settings{
		AccessKeyID: "AKIDEXAMPLE", SecretKey: "env:ROUTE53_SECRET_KEY",
		Secrets: func(context.Context, secret.Ref) (secret.Value, error) { return secret.New(servicetest.Secret), nil },
		Aliases: route53.ManageAliases, CreateZones: true,
		Endpoint: f.URL, Journal: t.TempDir(), Backoff: time.Millisecond, Attempts: attempts,
		Sleep: func(context.Context, time.Duration) error { return nil },
	}
}

func open(t *testing.T, s route53.Settings) *route53.Provider {
	t.Helper()
	p, err := route53.New(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestProvider(t *testing.T) {
	providertest.Suite{
		Backend: func(t *testing.T) func() provider.Provider {
			s := settings(t, newFront(t))
			return func() provider.Provider { return open(t, s) }
		},
		Prepare: func(*testing.T, zone.Name) bool { return true }, // it makes its zones
		Lacks:   []string{"DNAME", "LOC", "OPENPGPKEY", "URI", "TYPE65280"},
	}.Run(t)
}

func TestService(t *testing.T) {
	servicetest.Run(t, func(t *testing.T) servicetest.Backend {
		f := newFront(t)
		journal := t.TempDir()
		return servicetest.Backend{
			Front: f, Changes: changing, Attempts: attempts,
			Open: func(t *testing.T, again bool) provider.Provider {
				s := settings(t, f)
				if again {
					s.Journal = journal
				}
				return open(t, s)
			},
			Throttle: func(w http.ResponseWriter) { fail(w, http.StatusBadRequest, "Throttling", "Rate exceeded") },
			Deny:     func(w http.ResponseWriter) { fail(w, http.StatusForbidden, "AccessDenied", "no") },
		}
	})
}

func TestAliases(t *testing.T) {
	f := newFront(t)
	s := settings(t, f)
	p := open(t, s)
	alias := zone.RRSet{Name: z, Type: route53.AliasType, TTL: 942942942, Values: []string{
		`{"evaluate-target-health":false,"hosted-zone-id":"Z2FDTNDATAQYW2","name":"d111111abcdef8.cloudfront.net.","type":"A"}`,
		`{"evaluate-target-health":false,"hosted-zone-id":"Z2FDTNDATAQYW2","name":"d111111abcdef8.cloudfront.net.","type":"AAAA"}`,
	}}
	servicetest.Apply(t, p, "first", alias, servicetest.A("menu", "192.0.2.1"))
	if again := servicetest.Plan(t, p, "second", alias, servicetest.A("menu", "192.0.2.1")); len(again.Edits) != 0 {
		t.Errorf("aliases do not come back as they were: %+v", again.Edits)
	}
	// Left alone by a provider that is not told to manage them.
	s.Aliases, s.Journal = "", t.TempDir()
	keeper := open(t, s)
	servicetest.Apply(t, keeper, "third", servicetest.A("menu", "192.0.2.2"))
	kept, err := keeper.Unmanaged(t.Context(), z)
	if err != nil || len(kept) != 2 || kept[0].Name != z || !strings.Contains(kept[0].Why, "cloudfront") {
		t.Errorf("unmanaged: %+v, %v", kept, err)
	}
	if _, err := keeper.Apply(t.Context(), servicetest.Plan(t, keeper, "over", servicetest.A("menu", "192.0.2.2"), zone.RRSet{Name: z, Type: "A", TTL: 300, Values: []string{"192.0.2.3"}})); err == nil || !strings.Contains(err.Error(), "does not manage") {
		t.Errorf("an alias was replaced: %v", err)
	}
	if _, err := keeper.Apply(t.Context(), servicetest.Plan(t, keeper, "alias", alias)); err == nil || !strings.Contains(err.Error(), "aliases: manage") {
		t.Errorf("an alias was set by a provider that keeps them: %v", err)
	}
	if left := servicetest.Plan(t, p, "see", alias, servicetest.A("menu", "192.0.2.2")); len(left.Edits) != 0 {
		t.Errorf("what the keeper did to aliases: %+v", left.Edits)
	}
}

func TestPrivate(t *testing.T) {
	f := newFront(t)
	s := settings(t, f)
	servicetest.Apply(t, open(t, s), "public", servicetest.A("menu", "192.0.2.1"))
	s.Private, s.CreateZones = true, false
	p := open(t, s)
	if live, err := p.Read(t.Context(), z); err != nil || live.Exists {
		t.Errorf("the public zone was taken for the private one: %+v, %v", live, err)
	}
	if _, err := p.Apply(t.Context(), servicetest.Plan(t, p, "x", servicetest.A("menu", "192.0.2.1"))); err == nil || !strings.Contains(err.Error(), "no such hosted zone") {
		t.Errorf("a private zone out of nothing: %v", err)
	}
}

// A role is taken on before anything is read, and with a wrong one nothing is.
func TestRole(t *testing.T) {
	f := newFront(t)
	s := settings(t, f)
	s.Role, s.ExternalID = "arn:aws:iam::123456789012:role/slipway-dns", "finmicro"
	assumed := 0
	f.Break(func(w http.ResponseWriter, r *http.Request, body []byte) bool {
		if strings.Contains(string(body), "Action=AssumeRole") {
			assumed++
			if !strings.Contains(string(body), "ExternalId=finmicro") || !strings.Contains(string(body), "RoleSessionName=slipway") {
				t.Errorf("asked for a role with %s", body)
			}
		}
		return false
	})
	servicetest.Apply(t, open(t, s), "first", servicetest.A("menu", "192.0.2.1"))
	if assumed != 1 {
		t.Errorf("the role was taken on %d times", assumed)
	}
	f.Break(func(w http.ResponseWriter, r *http.Request, body []byte) bool {
		if strings.Contains(string(body), "Action=AssumeRole") {
			fail(w, http.StatusForbidden, "AccessDenied", "not authorized to perform sts:AssumeRole")
			return true
		}
		t.Errorf("%s %s without the role", r.Method, r.URL)
		return false
	})
	if _, err := open(t, s).Read(t.Context(), z); err == nil || strings.Contains(err.Error(), servicetest.Secret) {
		t.Errorf("%v", err)
	}
	for _, role := range []string{"slipway-dns", "arn:aws:iam::1:role/x", "arn:aws:iam::123456789012:user/x"} {
		if _, err := route53.New(t.Context(), route53.Settings{Role: role}); err == nil {
			t.Errorf("the role %s was taken", role)
		}
	}
}

// A hosted zone's tags, as somebody set them by another tool.
func TestTags(t *testing.T) {
	s := settings(t, newFront(t))
	p := open(t, s)
	servicetest.Apply(t, p, "first", servicetest.A("menu", "192.0.2.1"))
	if names, err := p.Zones(t.Context()); err != nil || len(names) != 1 || names[0] != z {
		t.Fatalf("%v, %v", names, err)
	}
	api := sdk.New(sdk.Options{Region: "us-east-1", BaseEndpoint: aws.String(s.Endpoint), Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", servicetest.Secret, "")})
	zones, err := api.ListHostedZones(t.Context(), &sdk.ListHostedZonesInput{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.ChangeTagsForResource(t.Context(), &sdk.ChangeTagsForResourceInput{
		ResourceType: types.TagResourceTypeHostedzone, ResourceId: aws.String(strings.TrimPrefix(aws.ToString(zones.HostedZones[0].Id), "/hostedzone/")),
		AddTags: []types.Tag{{Key: aws.String("Owner"), Value: aws.String("web-team")}},
	}); err != nil {
		t.Fatal(err)
	}
	if tags, err := p.Tags(t.Context(), z); err != nil || tags["Owner"] != "web-team" {
		t.Errorf("%v, %v", tags, err)
	}
}
