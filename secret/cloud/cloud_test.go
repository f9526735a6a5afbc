package cloud_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"slipway/internal/mototest"
	"slipway/secret"
	"slipway/secret/cloud"
)

func TestMain(m *testing.M) {
	code := m.Run()
	mototest.Stop()
	os.Exit(code)
}

// hidden is what must appear in no error.
const hidden = "correct-horse-battery-staple"

const object = `{"username":"slipway","password":"` + hidden + `","port":53}`

// check resolves references through a Resolver, as a server does: to hidden where want is
// "", or to an error that says want and not the secret.
func check(t *testing.T, scheme string, source secret.Source, refs map[string]string) {
	t.Helper()
	r := secret.NewResolver()
	if err := r.Register(scheme, source); err != nil {
		t.Fatal(err)
	}
	for text, want := range refs {
		ref, err := secret.Parse(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		v, err := r.Resolve(t.Context(), ref)
		switch {
		case want == "" && (err != nil || v.Reveal() != hidden):
			t.Errorf("%s: %q, %v", text, v.Reveal(), err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want an error that says %q", text, err, want)
		case err != nil && strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), hidden):
			t.Errorf("%s: the secret is in the error: %v", text, err)
		}
	}
}

func TestAWS(t *testing.T) {
	url := mototest.Start(t)
	mototest.Reset(t, url)
	keys := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "x"}, nil
	})
	api := secretsmanager.New(secretsmanager.Options{Region: "eu-west-2", BaseEndpoint: &url, Credentials: keys})
	put := func(name string, text *string, data []byte) string {
		t.Helper()
		out, err := api.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: text, SecretBinary: data})
		if err != nil {
			t.Fatal(err)
		}
		return *out.ARN
	}
	arn := put("slipway/plain", aws.String(hidden), nil)
	put("slipway/object", aws.String(object), nil)
	put("slipway/binary", nil, []byte(hidden))
	put("slipway/large", aws.String(strings.Repeat(hidden, 2300)), nil)
	put("other/plain", aws.String(hidden), nil)
	source, err := cloud.AWS(t.Context(), cloud.AWSOptions{Region: "eu-west-2", Prefix: "slipway/", Endpoint: url, Credentials: keys})
	if err != nil {
		t.Fatal(err)
	}
	check(t, secret.AWS, source, map[string]string{
		"aws-secret:slipway/plain":                                    "",
		"aws-secret:" + arn:                                           "",
		"aws-secret:slipway/binary":                                   "",
		"aws-secret:slipway/object#password":                          "",
		"aws-secret:slipway/object#missing":                           "no text field",
		"aws-secret:slipway/object#port":                              "no text field",
		"aws-secret:slipway/plain#password":                           "not a JSON object",
		"aws-secret:slipway/nosuch":                                   "ResourceNotFoundException",
		"aws-secret:other/plain":                                      "begin with slipway/",
		"aws-secret:" + strings.Replace(arn, "slipway/", "other/", 1): "begin with slipway/",
	})
}

func TestGCP(t *testing.T) {
	at := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		name, ok := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/v1/"), ":access")
		text := map[string]string{"plain": hidden, "object": object, "damaged": hidden}[strings.Split(name, "/")[3]]
		if !ok || text == "" {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, `{"error":{"code":403,"message":"Permission 'secretmanager.versions.access' denied for %s","status":"PERMISSION_DENIED"}}`, hidden)
			return
		}
		sum := crc32.Checksum([]byte(text), crc32.MakeTable(crc32.Castagnoli))
		if strings.Contains(name, "damaged") {
			sum++
		}
		json.NewEncoder(w).Encode(map[string]any{"name": name, "payload": map[string]string{
			"data": base64.StdEncoding.EncodeToString([]byte(text)), "dataCrc32c": fmt.Sprint(sum),
		}})
	}))
	defer at.Close()
	source, err := cloud.GCP(t.Context(), cloud.GCPOptions{Project: "finmicro-prod", Endpoint: at.URL, Client: at.Client()})
	if err != nil {
		t.Fatal(err)
	}
	const in = "gcp-secret:projects/finmicro-prod/secrets/"
	check(t, secret.GCP, source, map[string]string{
		in + "plain/versions/latest":                        "",
		in + "plain/versions/3":                             "",
		in + "object/versions/1#password":                   "",
		in + "object/versions/1#x":                          "no text field",
		in + "damaged/versions/1":                           "checksum",
		in + "nosuch/versions/1":                            "403 Forbidden",
		in + "plain":                                        "versions/V",
		in + "../../x/versions/1":                           "versions/V",
		"gcp-secret:projects/evil/secrets/plain/versions/1": "finmicro-prod only",
	})
	if _, err := cloud.GCP(t.Context(), cloud.GCPOptions{}); err == nil {
		t.Error("no project, and no error")
	}
}

// token is a credential that needs no directory.
type token struct{}

func (token) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "token for " + o.Scopes[0], ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func TestAzure(t *testing.T) {
	at := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		text := map[string]string{"plain": hidden, "object": object}[strings.Split(r.URL.Path, "/")[2]]
		switch {
		case r.Header.Get("Authorization") != "Bearer token for https://vault.azure.net/.default" || r.URL.Query().Get("api-version") == "":
			w.WriteHeader(http.StatusUnauthorized)
		case text == "":
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprintf(w, `{"error":{"code":"SecretNotFound","message":"A secret with name %s was not found"}}`, hidden)
		default:
			json.NewEncoder(w).Encode(map[string]any{"value": text, "id": "https://vault.example" + r.URL.Path, "attributes": map[string]any{"enabled": true}})
		}
	}))
	defer at.Close()
	source, err := cloud.Azure(cloud.AzureOptions{Vault: at.URL, Credential: token{}})
	if err != nil {
		t.Fatal(err)
	}
	in := "azure-secret:" + at.URL + "/secrets/"
	check(t, secret.Azure, source, map[string]string{
		in + "plain": "",
		in + "plain/0123456789abcdef0123456789abcdef": "",
		in + "object#password":                        "",
		in + "object#x":                               "no text field",
		in + "nosuch":                                 "404 Not Found",
		in + "plain/../x":                             "write a secret",
		"azure-secret:https://evil.vault.azure.net/secrets/plain": "only",
	})
	for _, bad := range []string{"", "http://vault.example", "https://u:p@vault.example", "vault.azure.net"} {
		if _, err := cloud.Azure(cloud.AzureOptions{Vault: bad, Credential: token{}}); err == nil {
			t.Errorf("the vault %q was taken", bad)
		}
	}
}
