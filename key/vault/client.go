package vault

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
	"strings"
	"time"

	"github.com/openbao/openbao/api/v2"

	"slipway/secret"
)

// Options say which server it is, and who we are to it.
type Options struct {
	Address   string // https://host:port; plain http is for loopback only
	Mount     string // where the transit engine is mounted, usually "transit"
	Namespace string // optional
	// Token fetches the token, at the start and again when the server no longer takes it:
	// an agent beside the server renews the file that it lies in.
	Token  func(context.Context) (secret.Value, error)
	Client *http.Client // default: the API's own, with the system's certificates
}

const (
	timeout   = 20 * time.Second // of one request
	maxAnswer = 1 << 20          // bytes
)

var validMount = regexp.MustCompile(`^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$`)

type client struct {
	api   *api.Client
	mount string
	token func(context.Context) (secret.Value, error)
}

func connect(ctx context.Context, o Options) (*client, error) {
	u, err := url.Parse(o.Address)
	switch {
	case err != nil || u.Host == "" || u.User != nil || (u.Path != "" && u.Path != "/") || u.RawQuery != "":
		return nil, errors.New("the address must be https://host:port")
	case u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())):
		return nil, errors.New("the address must begin with https://, since a token is sent there")
	case !validMount.MatchString(o.Mount) || len(o.Mount) > 256:
		return nil, fmt.Errorf("%.100q is not where a transit engine can be mounted, which looks like transit", o.Mount)
	case o.Token == nil:
		return nil, errors.New("no token is set: say where it is kept, for example token=file:/run/secrets/vault-token")
	}
	config := api.NewConfig() // what the environment says for other programs is not ours
	config.DisableEnvironment = true
	config.Address, config.Timeout, config.DisableRedirects = u.Scheme+"://"+u.Host, timeout, true
	config.MinRetryWait, config.MaxRetryWait = 100*time.Millisecond, time.Second
	if o.Client != nil {
		config.HttpClient = o.Client
	}
	connection, err := api.NewClient(config)
	if err != nil {
		return nil, err
	}
	if o.Namespace != "" {
		connection.SetNamespace(o.Namespace)
	}
	c := &client{api: connection, mount: o.Mount, token: o.Token}
	return c, c.renew(ctx)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (c *client) renew(ctx context.Context) error {
	token, err := c.token(ctx)
	if err != nil {
		return fmt.Errorf("token: %w", err)
	}
	c.api.SetToken(token.Reveal())
	return nil
}

// read returns nil when nothing is there.
func (c *client) read(ctx context.Context, path string) (json.RawMessage, error) {
	return c.do(ctx, http.MethodGet, path, nil)
}

func (c *client) write(ctx context.Context, path string, body map[string]any) (json.RawMessage, error) {
	return c.do(ctx, http.MethodPost, path, body)
}

// delete finds nothing wrong with there being nothing.
func (c *client) delete(ctx context.Context, path string) error {
	_, err := c.do(ctx, http.MethodDelete, path, nil)
	return err
}

func (c *client) do(ctx context.Context, method, path string, body map[string]any) (json.RawMessage, error) {
	used := c.api.Token()
	data, status, err := c.once(ctx, method, path, body)
	if status != http.StatusForbidden {
		return data, err
	}
	// The token may have run out. There is a second try only if there is another one.
	if renewed := c.renew(ctx); renewed != nil {
		return nil, errors.Join(err, renewed)
	}
	if c.api.Token() == used {
		return nil, err
	}
	data, _, err = c.once(ctx, method, path, body)
	return data, err
}

func (c *client) once(ctx context.Context, method, path string, body map[string]any) (json.RawMessage, int, error) {
	request := c.api.NewRequest(method, "/v1/"+c.mount+"/"+path)
	if body != nil {
		if err := request.SetJSONBody(body); err != nil {
			return nil, 0, err
		}
	}
	response, err := c.api.RawRequestWithContext(ctx, request)
	if response != nil {
		defer response.Body.Close()
	}
	var refused *api.ResponseError
	switch {
	case errors.As(err, &refused) && refused.StatusCode == http.StatusNotFound && len(refused.Errors) == 0:
		return nil, http.StatusNotFound, nil
	case errors.As(err, &refused):
		return nil, refused.StatusCode, fmt.Errorf("the vault answers %d %s: %.500s", refused.StatusCode, http.StatusText(refused.StatusCode), strings.Join(refused.Errors, "; "))
	case err != nil:
		return nil, 0, err
	}
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, 0, err
	case len(raw) > maxAnswer:
		return nil, 0, errors.New("the vault's answer is longer than any that was expected")
	case len(raw) == 0:
		raw = []byte("{}")
	}
	var envelope struct {
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(raw, &envelope); err != nil {
		return nil, 0, fmt.Errorf("the vault's answer cannot be read: %w", err)
	}
	if envelope.Data == nil {
		envelope.Data = json.RawMessage("null") // something answered, only not with data
	}
	return envelope.Data, response.StatusCode, nil
}
