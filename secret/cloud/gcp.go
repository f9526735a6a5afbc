package cloud

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"regexp"

	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"
	"google.golang.org/api/secretmanager/v1"

	"slipway/secret"
)

// GCPOptions are set by whoever starts the server.
type GCPOptions struct {
	Project string // the only project that secrets are fetched from

	Endpoint string       // default Google's
	Client   *http.Client // authenticated already; default the platform's identity
}

var (
	project    = regexp.MustCompile(`^[a-z0-9:.-]{1,100}$`)
	gcpVersion = regexp.MustCompile(`^projects/([a-z0-9:.-]{1,100})/secrets/[A-Za-z0-9_-]{1,255}/versions/([0-9]{1,20}|latest)$`)
)

// GCP returns the source of secrets of the scheme secret.GCP:
// gcp-secret:projects/P/secrets/S/versions/V of Google Secret Manager, with #FIELD for
// one field of a JSON object.
func GCP(ctx context.Context, o GCPOptions) (secret.Source, error) {
	if !project.MatchString(o.Project) {
		return nil, errors.New("secret manager of Google: no project is set")
	}
	options := []option.ClientOption{option.WithScopes(secretmanager.CloudPlatformScope)}
	if o.Endpoint != "" {
		options = append(options, option.WithEndpoint(o.Endpoint))
	}
	if o.Client != nil {
		options = append(options, option.WithHTTPClient(o.Client))
	}
	api, err := secretmanager.NewService(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("secret manager of Google: %w", err)
	}
	return func(ctx context.Context, ref secret.Ref) (secret.Value, error) {
		where, field, err := cut(ref, secret.GCP)
		if err != nil {
			return secret.Value{}, err
		}
		m := gcpVersion.FindStringSubmatch(where)
		if m == nil {
			return secret.Value{}, errors.New("write a secret of Google Secret Manager as gcp-secret:projects/P/secrets/S/versions/V")
		}
		if m[1] != o.Project {
			return secret.Value{}, fmt.Errorf("this server reads secrets of the project %s only", o.Project)
		}
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		got, err := api.Projects.Secrets.Versions.Access(where).Context(ctx).Do()
		var refused *googleapi.Error
		switch {
		case errors.As(err, &refused): // without the body
			return secret.Value{}, fmt.Errorf("the secret manager of Google answers %d %s", refused.Code, http.StatusText(refused.Code))
		case err != nil:
			return secret.Value{}, fmt.Errorf("secret manager of Google: %w", err)
		case got.Payload == nil:
			return secret.Value{}, errors.New("the secret has no content")
		}
		data, err := base64.StdEncoding.DecodeString(got.Payload.Data)
		if err != nil {
			return secret.Value{}, errors.New("the secret came damaged: it is not base 64")
		}
		if want := got.Payload.DataCrc32c; want != 0 && int64(crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))) != want {
			return secret.Value{}, errors.New("the secret came damaged: its checksum is another one")
		}
		return value(string(data), field)
	}, nil
}
