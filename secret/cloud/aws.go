package cloud

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"slipway/secret"
)

// AWSOptions are set by whoever starts the server.
type AWSOptions struct {
	Region string // where the secrets are; default the platform's (AWS_REGION)
	Prefix string // only secrets whose name begins with it are fetched, such as slipway/; "" allows all that the identity may read

	Endpoint    string                  // default Amazon's
	Credentials aws.CredentialsProvider // default the platform's
	Client      *http.Client            // default the SDK's own
}

// AWS returns the source of secrets of the scheme secret.AWS: aws-secret:NAME or
// aws-secret:ARN of AWS Secrets Manager, with #FIELD for one field of a JSON object.
func AWS(ctx context.Context, o AWSOptions) (secret.Source, error) {
	options := []func(*config.LoadOptions) error{}
	if o.Region != "" {
		options = append(options, config.WithRegion(o.Region))
	}
	if o.Credentials != nil {
		options = append(options, config.WithCredentialsProvider(o.Credentials))
	}
	if o.Client != nil {
		options = append(options, config.WithHTTPClient(o.Client))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("AWS Secrets Manager: %w", err)
	}
	if cfg.Region == "" {
		return nil, errors.New("AWS Secrets Manager: no region is set")
	}
	api := secretsmanager.NewFromConfig(cfg, func(so *secretsmanager.Options) {
		if o.Endpoint != "" {
			so.BaseEndpoint = aws.String(o.Endpoint)
		}
	})
	return func(ctx context.Context, ref secret.Ref) (secret.Value, error) {
		where, field, err := cut(ref, secret.AWS)
		if err != nil {
			return secret.Value{}, err
		}
		if !strings.HasPrefix(awsName(where), o.Prefix) {
			return secret.Value{}, fmt.Errorf("this server reads only secrets whose names begin with %s", o.Prefix)
		}
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		got, err := api.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &where})
		var refused smithy.APIError
		switch {
		case errors.As(err, &refused):
			return secret.Value{}, fmt.Errorf("AWS Secrets Manager answers %s: %s", refused.ErrorCode(), refused.ErrorMessage())
		case err != nil:
			return secret.Value{}, fmt.Errorf("AWS Secrets Manager: %w", err)
		case got.SecretString != nil:
			return value(*got.SecretString, field)
		}
		return value(string(got.SecretBinary), field)
	}, nil
}

// awsName is the name in a name or an ARN (arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME).
func awsName(where string) string {
	if parts := strings.SplitN(where, ":", 7); len(parts) == 7 && parts[0] == "arn" {
		return parts[6]
	}
	return where
}
