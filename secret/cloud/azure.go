package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"slipway/secret"
)

// AzureOptions are set by whoever starts the server.
type AzureOptions struct {
	Vault string // https://NAME.vault.azure.net, the only one that secrets are fetched from

	Audience   string                 // of tokens; default that of Azure's public cloud
	Credential azcore.TokenCredential // default the platform's identity
	Client     *http.Client           // default the SDK's own
}

const (
	publicAudience = "https://vault.azure.net/.default"
	vaultVersion   = "7.4" // of the REST API
)

// vaultPath is where a secret lies in a vault, with or without a version.
var vaultPath = regexp.MustCompile(`^/secrets/[A-Za-z0-9-]{1,127}(/[0-9a-f]{32})?$`)

// Azure returns the source of secrets of the scheme secret.Azure:
// azure-secret:https://VAULT/secrets/NAME of Azure Key Vault, with or without /VERSION,
// and with #FIELD for one field of a JSON object.
func Azure(o AzureOptions) (secret.Source, error) {
	vault, err := url.Parse(o.Vault)
	if err != nil || vault.Host == "" || vault.User != nil || vault.Path != "" || vault.Scheme != "https" && !loopback(vault) {
		return nil, errors.New("Azure Key Vault: the vault must be https://NAME.vault.azure.net")
	}
	if o.Audience == "" {
		o.Audience = publicAudience
	}
	if o.Credential == nil {
		if o.Credential, err = azidentity.NewDefaultAzureCredential(nil); err != nil {
			return nil, fmt.Errorf("Azure Key Vault: %w", err)
		}
	}
	options := policy.ClientOptions{}
	if o.Client != nil {
		options.Transport = o.Client
	}
	bearer := &policy.BearerTokenOptions{InsecureAllowCredentialWithHTTP: loopback(vault)}
	pipeline := runtime.NewPipeline("slipway", "1", runtime.PipelineOptions{
		PerRetry: []policy.Policy{runtime.NewBearerTokenPolicy(o.Credential, []string{o.Audience}, bearer)},
	}, &options)
	return func(ctx context.Context, ref secret.Ref) (secret.Value, error) {
		where, field, err := cut(ref, secret.Azure)
		if err != nil {
			return secret.Value{}, err
		}
		u, err := url.Parse(where)
		if err != nil || !vaultPath.MatchString(u.Path) || u.RawQuery != "" {
			return secret.Value{}, errors.New("write a secret of Azure Key Vault as azure-secret:https://NAME.vault.azure.net/secrets/SECRET")
		}
		if u.Scheme != vault.Scheme || u.Host != vault.Host || u.User != nil {
			return secret.Value{}, fmt.Errorf("this server reads secrets from %s only", o.Vault)
		}
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		return fetch(ctx, pipeline, vault.Scheme+"://"+vault.Host+u.Path, field)
	}, nil
}

func fetch(ctx context.Context, pipeline runtime.Pipeline, at, field string) (secret.Value, error) {
	req, err := runtime.NewRequest(ctx, http.MethodGet, at+"?api-version="+vaultVersion)
	if err != nil {
		return secret.Value{}, fmt.Errorf("Azure Key Vault: %w", err)
	}
	runtime.SkipBodyDownload(req)
	resp, err := pipeline.Do(req)
	if err != nil {
		return secret.Value{}, fmt.Errorf("Azure Key Vault: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK { // without the body
		return secret.Value{}, fmt.Errorf("Azure Key Vault answers %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	var bundle struct{ Value string }
	// Six characters of JSON at most for each byte, and room for what stands around it.
	if json.NewDecoder(io.LimitReader(resp.Body, 6*secret.MaxSize+8<<10)).Decode(&bundle) != nil {
		return secret.Value{}, errors.New("Azure Key Vault: the answer is not what its API describes")
	}
	return value(bundle.Value, field)
}

func loopback(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}
