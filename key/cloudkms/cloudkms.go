// Package cloudkms keeps certificates' keys in Google Cloud Key Management Service, as
// software keys or in its HSMs. Keys are ECDSA only: Cloud KMS binds an RSA key to one
// padding, and a TLS server needs both. What was imported from outside is not used.
// Destroying a key makes it unusable at once; Google erases it a day later, and until
// then an administrator of the project can call it back.
package cloudkms

import (
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
	"time"

	kms "cloud.google.com/go/kms/apiv1"
	"cloud.google.com/go/kms/apiv1/kmspb"
	"go.step.sm/crypto/kms/cloudkms"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"slipway/key"
)

const (
	scheme      = "cloudkms:"
	maxID       = 63             // characters of a Cloud KMS key's own name
	maxVersions = 100            // looked at of one key
	erasedAfter = 24 * time.Hour // the least that Cloud KMS allows
)

var algorithms = map[key.Kind]kmspb.CryptoKeyVersion_CryptoKeyVersionAlgorithm{
	key.ECDSAP256: kmspb.CryptoKeyVersion_EC_SIGN_P256_SHA256,
	key.ECDSAP384: kmspb.CryptoKeyVersion_EC_SIGN_P384_SHA384,
}

// Options say which key ring it is. Credentials come from where Google's tools look for
// them (the machine's service account, workload identity), unless Client has others.
type Options struct {
	KeyRing string // projects/P/locations/L/keyRings/R, which must be there
	HSM     bool   // keys are made in an HSM
	Client  []option.ClientOption
}

// Manager is a key.Manager over one key ring.
type Manager struct {
	client *kms.KeyManagementClient
	ring   string
	level  kmspb.ProtectionLevel
	poll   time.Duration // between looks at a key that is being made
}

var validRing = regexp.MustCompile(`^projects/[a-z][a-z0-9.:-]{0,99}/locations/[a-z0-9-]{1,63}/keyRings/[A-Za-z0-9_-]{1,63}$`)

// Open prepares the client. It does not ask the service anything yet.
func Open(ctx context.Context, o Options) (*Manager, error) {
	if !validRing.MatchString(o.KeyRing) {
		return nil, fmt.Errorf("%.200q is not a key ring of Cloud KMS, which looks like projects/PROJECT/locations/LOCATION/keyRings/RING", o.KeyRing)
	}
	client, err := kms.NewKeyManagementClient(ctx, o.Client...)
	if err != nil {
		return nil, fmt.Errorf("key ring %s: %w", o.KeyRing, err)
	}
	m := &Manager{client: client, ring: o.KeyRing, level: kmspb.ProtectionLevel_SOFTWARE, poll: 250 * time.Millisecond}
	if o.HSM {
		m.level = kmspb.ProtectionLevel_HSM
	}
	return m, nil
}

// Close closes the connection. No signer of this Manager works afterwards.
func (m *Manager) Close() error { return m.client.Close() }

// Create is key.Manager's. A name is a Cloud KMS key, and a key of ours its first version
// that is not destroyed.
func (m *Manager) Create(ctx context.Context, name string, kind key.Kind) (string, crypto.Signer, error) {
	if err := key.ValidateName(name); err != nil {
		return "", nil, err
	}
	algorithm, ok := algorithms[kind]
	if !ok {
		return "", nil, fmt.Errorf("key %s: keys of kind %.40q are not made in Cloud KMS, only %s and %s: %w", name, kind, key.ECDSAP256, key.ECDSAP384, errors.ErrUnsupported)
	}
	parent := m.ring + "/cryptoKeys/" + keyID(name)
	_, err := m.client.CreateCryptoKey(ctx, &kmspb.CreateCryptoKeyRequest{
		Parent: m.ring, CryptoKeyId: keyID(name),
		CryptoKey: &kmspb.CryptoKey{
			Purpose:                  kmspb.CryptoKey_ASYMMETRIC_SIGN,
			VersionTemplate:          &kmspb.CryptoKeyVersionTemplate{Algorithm: algorithm, ProtectionLevel: m.level},
			DestroyScheduledDuration: durationpb.New(erasedAfter),
			Labels:                   map[string]string{"made-by": "slipway"},
		},
	})
	if err != nil && status.Code(err) != codes.AlreadyExists {
		return "", nil, fmt.Errorf("key %s: make it in %s: %w", name, m.ring, err)
	}
	version, err := m.first(ctx, parent)
	if errors.Is(err, fs.ErrNotExist) {
		// All versions are destroyed. Another one has another number, and so another ref.
		if _, err = m.client.CreateCryptoKeyVersion(ctx, &kmspb.CreateCryptoKeyVersionRequest{Parent: parent}); err == nil {
			version, err = m.first(ctx, parent)
		}
	}
	if err != nil {
		return "", nil, fmt.Errorf("key %s: %w", name, err)
	}
	ref := scheme + version
	signer, err := m.use(ctx, ref, version)
	if err != nil {
		return "", nil, err
	}
	return ref, signer, key.SameKind(name, signer.Public(), kind)
}

// keyID is the name itself, or, for a long one, its beginning and a digest of it.
func keyID(name string) string {
	if len(name) <= maxID {
		return name
	}
	return fmt.Sprintf("%s-%x", name[:maxID-33], sha256.Sum256([]byte(name)))[:maxID]
}

// first is the version with the lowest number that is not destroyed.
func (m *Manager) first(ctx context.Context, parent string) (string, error) {
	found, lowest := "", 0
	versions := m.client.ListCryptoKeyVersions(ctx, &kmspb.ListCryptoKeyVersionsRequest{Parent: parent})
	for range maxVersions {
		version, err := versions.Next()
		if errors.Is(err, iterator.Done) {
			break
		}
		if err != nil {
			return "", fmt.Errorf("look for it: %w", err)
		}
		number, err := strconv.Atoi(version.Name[strings.LastIndexByte(version.Name, '/')+1:])
		if err == nil && !destroyed(version.State) && (found == "" || number < lowest) {
			found, lowest = version.Name, number
		}
	}
	if found == "" {
		return "", fs.ErrNotExist
	}
	return found, nil
}

func destroyed(s kmspb.CryptoKeyVersion_CryptoKeyVersionState) bool {
	return s == kmspb.CryptoKeyVersion_DESTROYED || s == kmspb.CryptoKeyVersion_DESTROY_SCHEDULED
}

// Signer is key.Manager's.
func (m *Manager) Signer(ctx context.Context, ref string) (crypto.Signer, error) {
	version, err := m.parseRef(ref)
	if err != nil {
		return nil, err
	}
	return m.use(ctx, ref, version)
}

// Destroy is key.Manager's.
func (m *Manager) Destroy(ctx context.Context, ref string) error {
	version, err := m.parseRef(ref)
	if err != nil {
		return err
	}
	if _, err := m.ready(ctx, version); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	_, err = m.client.DestroyCryptoKeyVersion(ctx, &kmspb.DestroyCryptoKeyVersionRequest{Name: version})
	if err != nil {
		return fmt.Errorf("key %s: destroy: %w", ref, err)
	}
	return nil
}

// ready waits until a version that is being made is there.
func (m *Manager) ready(ctx context.Context, name string) (*kmspb.CryptoKeyVersion, error) {
	for {
		version, err := m.client.GetCryptoKeyVersion(ctx, &kmspb.GetCryptoKeyVersionRequest{Name: name})
		switch {
		case status.Code(err) == codes.NotFound:
			return nil, fmt.Errorf("no such key is in Cloud KMS: %w", fs.ErrNotExist)
		case err != nil:
			return nil, err
		case destroyed(version.State):
			return nil, fmt.Errorf("the key was destroyed: %w", fs.ErrNotExist)
		case version.State != kmspb.CryptoKeyVersion_PENDING_GENERATION:
			return version, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(m.poll):
		}
	}
}

func (m *Manager) use(ctx context.Context, ref, name string) (crypto.Signer, error) {
	version, err := m.ready(ctx, name)
	switch {
	case err != nil:
		return nil, fmt.Errorf("key %s: %w", ref, err)
	case version.State != kmspb.CryptoKeyVersion_ENABLED:
		return nil, fmt.Errorf("key %s: its state in Cloud KMS is %s. An administrator of the project can enable it", ref, version.State)
	case version.ImportJob != "":
		return nil, fmt.Errorf("key %s: it was brought into Cloud KMS from outside, so it may not be secret. Make another one under a new name", ref)
	}
	signer, err := cloudkms.NewSigner(m.client, name)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", ref, err)
	}
	return key.Guard(ref, signer), nil
}

var validVersion = regexp.MustCompile(`^[A-Za-z0-9_-]{1,63}/cryptoKeyVersions/[1-9][0-9]{0,9}$`)

func (m *Manager) parseRef(ref string) (string, error) {
	prefix := scheme + m.ring + "/cryptoKeys/"
	below, ok := strings.CutPrefix(ref, prefix)
	if !ok || !validVersion.MatchString(below) {
		return "", fmt.Errorf("%.300q does not name a key in this key ring, which looks like %sKEY/cryptoKeyVersions/1", ref, prefix)
	}
	return strings.TrimPrefix(ref, scheme), nil
}
