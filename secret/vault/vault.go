// Package vault fetches secrets from HashiCorp Vault or OpenBao. It only reads, with the
// token that the server was started with, and only from the one address that the server
// was started with: a reference in slipway.yaml chooses a secret, never who is shown
// the token.
package vault

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/openbao/openbao/api/v2"

	"slipway/secret"
)

// Options are set by whoever starts the server.
type Options struct {
	Address   string       // https://host:port; plain http is for loopback only
	Token     secret.Value // read access to the secrets that are referred to
	Namespace string       // optional
	Client    *http.Client // default: the API's own, with the system's certificates
}

// timeout bounds one request.
const timeout = 20 * time.Second

// New returns the source of secrets of the scheme secret.Vault.
func New(o Options) (secret.Source, error) {
	u, err := url.Parse(o.Address)
	if err != nil || u.Host == "" || u.User != nil || (u.Path != "" && u.Path != "/") {
		return nil, errors.New("vault: the address must be https://host:port")
	}
	if u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())) {
		return nil, errors.New("vault: the address must begin with https://, since a token is sent there")
	}
	if o.Token.Empty() {
		return nil, errors.New("vault: no token is set")
	}
	address := u.Scheme + "://" + u.Host
	config := api.DefaultConfig()
	if config.Error != nil {
		return nil, fmt.Errorf("vault: %w", config.Error)
	}
	config.Address, config.Timeout = address, timeout
	if o.Client != nil {
		config.HttpClient = o.Client
	}
	client, err := api.NewClient(config)
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	// What the environment says for other programs is not ours.
	if err := client.SetAddress(address); err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	client.SetToken(o.Token.Reveal())
	if o.Namespace != "" {
		client.SetNamespace(o.Namespace)
	}
	return func(ctx context.Context, ref secret.Ref) (secret.Value, error) {
		return read(ctx, client, address, ref)
	}, nil
}

func read(ctx context.Context, client *api.Client, address string, ref secret.Ref) (secret.Value, error) {
	at, err := ref.Locate()
	if err != nil {
		return secret.Value{}, err
	}
	if at.Address != address {
		return secret.Value{}, fmt.Errorf("this server reads secrets from %s only", address)
	}
	got, err := client.Logical().ReadWithContext(ctx, at.Path)
	var refused *api.ResponseError
	switch {
	case errors.As(err, &refused): // without the body, which is not ours to show
		return secret.Value{}, fmt.Errorf("the vault answers %d %s", refused.StatusCode, http.StatusText(refused.StatusCode))
	case err != nil:
		return secret.Value{}, err
	case got == nil || got.Data == nil:
		return secret.Value{}, errors.New("the vault has no secret there")
	}
	data := got.Data
	// Version 2 of the key-value engine wraps the fields once more, beside its metadata.
	if inner, ok := data["data"].(map[string]any); ok {
		if _, v2 := data["metadata"]; v2 {
			data = inner
		}
	}
	text, ok := data[at.Field].(string)
	if !ok {
		return secret.Value{}, fmt.Errorf("the secret has no text field %q", at.Field)
	}
	return secret.New(text), nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
