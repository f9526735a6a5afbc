// Package awskms keeps certificates' keys in AWS Key Management Service. A key is found
// by its alias, alias/slipway/NAME, and used by its key ID. What was imported from
// outside is not used. Destroying a key makes it unusable at once; AWS erases it seven
// days later, and until then an administrator of the account can call it back.
package awskms

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"go.step.sm/crypto/kms/awskms"

	"slipway/key"
)

const (
	scheme      = "awskms:key-id="
	aliasPrefix = "alias/slipway/"
	// What AWS allows at least. Longer serves somebody who wants keys back.
	deletionDays = 7
)

var specs = map[key.Kind]types.KeySpec{
	key.ECDSAP256: types.KeySpecEccNistP256,
	key.ECDSAP384: types.KeySpecEccNistP384,
	key.RSA2048:   types.KeySpecRsa2048,
	key.RSA3072:   types.KeySpecRsa3072,
	key.RSA4096:   types.KeySpecRsa4096,
}

// Options say whose key service it is. Credentials come from where AWS's tools look for
// them (the instance's or container's role, the environment, a profile).
type Options struct {
	Region      string
	Profile     string                  // optional
	Endpoint    string                  // optional: a VPC endpoint
	Credentials aws.CredentialsProvider // optional: instead of looking
}

// Manager is a key.Manager over one account's keys in one region.
type Manager struct {
	client *kms.Client

	// Held over a whole Create: two makers of one name in this process do not make a key
	// too many. Between processes the alias decides.
	mu sync.Mutex
}

// Open prepares the client. It does not ask the service anything yet.
func Open(ctx context.Context, o Options) (*Manager, error) {
	if o.Region == "" {
		return nil, errors.New("AWS KMS: no region is given, for example region=eu-central-1")
	}
	options := []func(*config.LoadOptions) error{config.WithRegion(o.Region)}
	if o.Profile != "" {
		options = append(options, config.WithSharedConfigProfile(o.Profile))
	}
	if o.Credentials != nil {
		options = append(options, config.WithCredentialsProvider(o.Credentials))
	}
	loaded, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("AWS KMS: %w", err)
	}
	return &Manager{client: kms.NewFromConfig(loaded, func(k *kms.Options) {
		if o.Endpoint != "" {
			k.BaseEndpoint = aws.String(o.Endpoint)
		}
	})}, nil
}

// Close has nothing to do.
func (m *Manager) Close() error { return nil }

// Create is key.Manager's. A key without its alias, left by a process that was killed
// between the two, is never used.
func (m *Manager) Create(ctx context.Context, name string, kind key.Kind) (string, crypto.Signer, error) {
	if err := key.ValidateName(name); err != nil {
		return "", nil, err
	}
	spec, ok := specs[kind]
	if !ok {
		return "", nil, fmt.Errorf("key %s: keys of kind %.40q are not made in AWS KMS: %w", name, kind, errors.ErrUnsupported)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	alias := aws.String(aliasPrefix + name)
	found, err := m.describe(ctx, *alias)
	if errors.Is(err, fs.ErrNotExist) {
		if found, err = m.make(ctx, name, alias, spec, found); err != nil {
			return "", nil, fmt.Errorf("key %s: %w", name, err)
		}
	} else if err != nil {
		return "", nil, fmt.Errorf("key %s: look for it: %w", name, err)
	}
	ref := scheme + *found.KeyId
	signer, err := m.use(ref, found)
	if err != nil {
		return "", nil, err
	}
	if err := key.SameKind(name, signer.Public(), kind); err != nil {
		return "", nil, err
	}
	return ref, signer, nil
}

// make makes a key and gives it the alias, which AWS gives once: whoever is second
// takes the first one's key. An alias that still leads to a destroyed key is moved.
func (m *Manager) make(ctx context.Context, name string, alias *string, spec types.KeySpec, destroyed *types.KeyMetadata) (*types.KeyMetadata, error) {
	made, err := m.client.CreateKey(ctx, &kms.CreateKeyInput{
		KeySpec: spec, KeyUsage: types.KeyUsageTypeSignVerify, Description: aws.String("Slipway: " + name),
		Tags: []types.Tag{{TagKey: aws.String("slipway"), TagValue: aws.String(name)}},
	})
	if err != nil {
		return nil, fmt.Errorf("make it: %w", err)
	}
	id := made.KeyMetadata.KeyId
	if destroyed != nil {
		_, err = m.client.UpdateAlias(ctx, &kms.UpdateAliasInput{AliasName: alias, TargetKeyId: id})
	} else {
		_, err = m.client.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: alias, TargetKeyId: id})
	}
	var taken *types.AlreadyExistsException
	switch {
	case errors.As(err, &taken):
		if err := m.schedule(ctx, *id); err != nil {
			return nil, fmt.Errorf("destroy the one that was made second: %w", err)
		}
		first, err := m.describe(ctx, *alias)
		if err != nil {
			return nil, fmt.Errorf("use the one that was made first: %w", err)
		}
		return first, nil
	case err != nil:
		return nil, fmt.Errorf("name it: %w", err)
	}
	return made.KeyMetadata, nil
}

// Signer is key.Manager's.
func (m *Manager) Signer(ctx context.Context, ref string) (crypto.Signer, error) {
	id, err := parseRef(ref)
	if err != nil {
		return nil, err
	}
	found, err := m.describe(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", ref, err)
	}
	return m.use(ref, found)
}

// Destroy is key.Manager's.
func (m *Manager) Destroy(ctx context.Context, ref string) error {
	id, err := parseRef(ref)
	if err != nil {
		return err
	}
	if err := m.schedule(ctx, id); err != nil {
		return fmt.Errorf("key %s: destroy: %w", ref, err)
	}
	aliases := kms.NewListAliasesPaginator(m.client, &kms.ListAliasesInput{KeyId: aws.String(id)})
	for aliases.HasMorePages() {
		page, err := aliases.NextPage(ctx)
		if err != nil {
			return ignore[*types.NotFoundException](err)
		}
		for _, alias := range page.Aliases {
			if strings.HasPrefix(aws.ToString(alias.AliasName), aliasPrefix) {
				_, err := m.client.DeleteAlias(ctx, &kms.DeleteAliasInput{AliasName: alias.AliasName})
				if err := ignore[*types.NotFoundException](err); err != nil {
					return fmt.Errorf("key %s: free its name: %w", ref, err)
				}
			}
		}
	}
	return nil
}

// schedule has a key destroyed that is there and not destroyed yet.
func (m *Manager) schedule(ctx context.Context, id string) error {
	if _, err := m.describe(ctx, id); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	_, err := m.client.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: aws.String(id), PendingWindowInDays: aws.Int32(deletionDays)})
	return ignore[*types.NotFoundException](err)
}

func ignore[E error](err error) error {
	var expected E
	if errors.As(err, &expected) {
		return nil
	}
	return err
}

// describe returns fs.ErrNotExist for a key that is destroyed, with what AWS still
// knows of it, and for one that was never there, without.
func (m *Manager) describe(ctx context.Context, id string) (*types.KeyMetadata, error) {
	described, err := m.client.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: aws.String(id)})
	var missing *types.NotFoundException
	switch {
	case errors.As(err, &missing):
		return nil, fmt.Errorf("AWS KMS has no such key: %w", fs.ErrNotExist)
	case err != nil:
		return nil, err
	case described.KeyMetadata == nil || described.KeyMetadata.KeyId == nil:
		return nil, errors.New("AWS KMS answered without a description")
	}
	switch found := described.KeyMetadata; found.KeyState {
	case types.KeyStatePendingDeletion, types.KeyStatePendingReplicaDeletion:
		return found, fmt.Errorf("the key was destroyed: %w", fs.ErrNotExist)
	default:
		return found, nil
	}
}

func (m *Manager) use(ref string, found *types.KeyMetadata) (crypto.Signer, error) {
	switch {
	case found.KeyUsage != types.KeyUsageTypeSignVerify:
		return nil, fmt.Errorf("key %s: it is for %s, not for signing", ref, found.KeyUsage)
	case found.Origin == types.OriginTypeExternal:
		return nil, fmt.Errorf("key %s: it was brought into AWS KMS from outside, so it may not be secret. Make another one under a new name", ref)
	case found.KeyState != types.KeyStateEnabled:
		return nil, fmt.Errorf("key %s: its state in AWS KMS is %s. An administrator of the account can enable it", ref, found.KeyState)
	}
	signer, err := awskms.NewSigner(m.client, scheme+*found.KeyId)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", ref, err)
	}
	return key.Guard(ref, signer), nil
}

// A key ID is a UUID; that of a multi-region key begins with mrk- and has no hyphens.
var keyID = regexp.MustCompile(`^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32})$`)

func parseRef(ref string) (string, error) {
	id, ok := strings.CutPrefix(ref, scheme)
	if !ok || !keyID.MatchString(id) {
		return "", fmt.Errorf("%.200q does not name a key in AWS KMS, which looks like %sID", ref, scheme)
	}
	return id, nil
}
