package main

import (
	"context"
	"fmt"
	"os"

	"slipway/secret"
	"slipway/secret/cloud"
	"slipway/secret/vault"
)

// The server's own environment says where secrets may be fetched from. slipway.yaml only names secrets in these places:
// whoever can change it must not be able to send the server's identity to a place of theirs.
const (
	vaultAddress = "SLIPWAY_VAULT_ADDR"
	vaultToken   = "SLIPWAY_VAULT_TOKEN"
	awsRegion    = "SLIPWAY_AWS_SECRETS_REGION"
	awsPrefix    = "SLIPWAY_AWS_SECRETS_PREFIX"
	gcpProject   = "SLIPWAY_GCP_SECRETS_PROJECT"
	azureVault   = "SLIPWAY_AZURE_VAULT"
)

// openSecrets makes the places known that the environment names.
func (srv *server) openSecrets(ctx context.Context) error {
	srv.secrets = secret.NewResolver()
	for _, place := range []struct {
		variable, scheme string
		open             func(where string) (secret.Source, error)
	}{
		{vaultAddress, secret.Vault, func(where string) (secret.Source, error) {
			return vault.New(vault.Options{Address: where, Token: secret.New(os.Getenv(vaultToken))})
		}},
		{awsRegion, secret.AWS, func(where string) (secret.Source, error) {
			return cloud.AWS(ctx, cloud.AWSOptions{Region: where, Prefix: os.Getenv(awsPrefix)})
		}},
		{gcpProject, secret.GCP, func(where string) (secret.Source, error) {
			return cloud.GCP(ctx, cloud.GCPOptions{Project: where})
		}},
		{azureVault, secret.Azure, func(where string) (secret.Source, error) {
			return cloud.Azure(cloud.AzureOptions{Vault: where})
		}},
	} {
		where := os.Getenv(place.variable)
		if where == "" {
			continue
		}
		source, err := place.open(where)
		if err != nil {
			return fmt.Errorf("%s: %w", place.variable, err)
		}
		if err := srv.secrets.Register(place.scheme, source); err != nil {
			return fmt.Errorf("%s: %w", place.variable, err)
		}
	}
	return nil
}
