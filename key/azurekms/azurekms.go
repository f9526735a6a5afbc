// Package azurekms keeps certificates' keys in Azure Key Vault or a managed HSM. Destroying
// a key makes it unusable at once. It is purged as well if the vault lets us; where
// purging is forbidden, an administrator of the vault can recover it during the
// vault's retention time, and its name stays taken for as long. Key Vault does not
// tell whether a key was imported, so only refs that Create returned should be used.
package azurekms

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"

	"slipway/key"
)

const (
	signTimeout = 15 * time.Second // crypto.Signer takes no context
	purgeWait   = 30 * time.Second // a key is purged only once its deletion is through
	maxVersions = 1000             // looked at of one key
)

// Options say which vault it is.
type Options struct {
	Vault      string                 // https://NAME.vault.azure.net
	HSM        bool                   // keys are made in an HSM
	Credential azcore.TokenCredential // default: where Azure's tools look for one
	Client     *azkeys.ClientOptions  // optional
}

// Manager is a key.Manager over one vault.
type Manager struct {
	client *azkeys.Client
	hsm    bool
	poll   time.Duration

	// Held over a whole Create or Destroy: Key Vault has no "make unless it is there", so
	// two makers of one name in this process wait for each other. The server is one
	// process.
	mu sync.Mutex
}

// Open prepares the client. It does not ask the vault anything yet.
func Open(o Options) (*Manager, error) {
	u, err := url.Parse(o.Vault)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("%.200q is not a key vault, which looks like https://NAME.vault.azure.net", o.Vault)
	}
	credential := o.Credential
	if credential == nil {
		if credential, err = azidentity.NewDefaultAzureCredential(nil); err != nil {
			return nil, fmt.Errorf("key vault %s: %w", u.Host, err)
		}
	}
	client, err := azkeys.NewClient("https://"+u.Host, credential, o.Client)
	if err != nil {
		return nil, fmt.Errorf("key vault %s: %w", u.Host, err)
	}
	return &Manager{client: client, hsm: o.HSM, poll: time.Second}, nil
}

// Close has nothing to do.
func (m *Manager) Close() error { return nil }

// Create is key.Manager's. A key of ours is the first version of a key in the vault.
func (m *Manager) Create(ctx context.Context, name string, kind key.Kind) (string, crypto.Signer, error) {
	if err := key.ValidateName(name); err != nil {
		return "", nil, err
	}
	parameters, err := m.parameters(kind)
	if err != nil {
		return "", nil, fmt.Errorf("key %s: %w", name, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	version, err := m.first(ctx, name)
	if err != nil {
		return "", nil, fmt.Errorf("key %s: look for it: %w", name, err)
	}
	var found azkeys.KeyBundle
	if version == "" {
		made, err := m.client.CreateKey(ctx, name, parameters, nil)
		if answered(err, http.StatusConflict) {
			return "", nil, fmt.Errorf("key %s: a destroyed key of this name lies in the vault still. Use another name: %w", name, fs.ErrExist)
		} else if err != nil {
			return "", nil, fmt.Errorf("key %s: make it: %w", name, err)
		}
		found = made.KeyBundle
	} else {
		got, err := m.client.GetKey(ctx, name, version, nil)
		if err != nil {
			return "", nil, fmt.Errorf("key %s: %w", name, err)
		}
		found = got.KeyBundle
	}
	if found.Key == nil || found.Key.KID == nil {
		return "", nil, fmt.Errorf("key %s: the vault did not show it", name)
	}
	ref := formatRef(name, found.Key.KID.Version())
	signer, err := m.use(ref, name, found)
	if err != nil {
		return "", nil, err
	}
	return ref, signer, key.SameKind(name, signer.Public(), kind)
}

func (m *Manager) parameters(kind key.Kind) (azkeys.CreateKeyParameters, error) {
	p := azkeys.CreateKeyParameters{
		KeyOps:        []*azkeys.KeyOperation{to.Ptr(azkeys.KeyOperationSign), to.Ptr(azkeys.KeyOperationVerify)},
		KeyAttributes: &azkeys.KeyAttributes{Enabled: to.Ptr(true), Exportable: to.Ptr(false)},
		Tags:          map[string]*string{"made-by": to.Ptr("slipway")},
	}
	elliptic, rsa := azkeys.KeyTypeEC, azkeys.KeyTypeRSA
	if m.hsm {
		elliptic, rsa = azkeys.KeyTypeECHSM, azkeys.KeyTypeRSAHSM
	}
	switch kind {
	case key.ECDSAP256:
		p.Kty, p.Curve = &elliptic, to.Ptr(azkeys.CurveNameP256)
	case key.ECDSAP384:
		p.Kty, p.Curve = &elliptic, to.Ptr(azkeys.CurveNameP384)
	case key.RSA2048:
		p.Kty, p.KeySize = &rsa, to.Ptr[int32](2048)
	case key.RSA3072:
		p.Kty, p.KeySize = &rsa, to.Ptr[int32](3072)
	case key.RSA4096:
		p.Kty, p.KeySize = &rsa, to.Ptr[int32](4096)
	default:
		return p, fmt.Errorf("keys of kind %.40q are not made in Key Vault: %w", kind, errors.ErrUnsupported)
	}
	return p, nil
}

// first is the oldest version: should somebody rotate the key in the vault, its first
// version stays the one. It is empty when there is none.
func (m *Manager) first(ctx context.Context, name string) (string, error) {
	oldest, version, seen := time.Time{}, "", 0
	for pages := m.client.NewListKeyPropertiesVersionsPager(name, nil); pages.More() && seen < maxVersions; {
		page, err := pages.NextPage(ctx)
		if answered(err, http.StatusNotFound) {
			return "", nil
		} else if err != nil {
			return "", err
		}
		for _, v := range page.Value {
			seen++
			if v == nil || v.KID == nil || v.Attributes == nil || v.Attributes.Created == nil {
				continue
			}
			if version == "" || v.Attributes.Created.Before(oldest) {
				oldest, version = *v.Attributes.Created, v.KID.Version()
			}
		}
	}
	return version, nil
}

// Signer is key.Manager's.
func (m *Manager) Signer(ctx context.Context, ref string) (crypto.Signer, error) {
	name, version, err := parseRef(ref)
	if err != nil {
		return nil, err
	}
	got, err := m.client.GetKey(ctx, name, version, nil)
	if answered(err, http.StatusNotFound) {
		return nil, fmt.Errorf("key %s: the vault has no such key: %w", ref, fs.ErrNotExist)
	} else if err != nil {
		return nil, fmt.Errorf("key %s: %w", ref, err)
	}
	return m.use(ref, name, got.KeyBundle)
}

// Destroy is key.Manager's. Key Vault deletes a key with all its versions.
func (m *Manager) Destroy(ctx context.Context, ref string) error {
	name, version, err := parseRef(ref)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.client.GetKey(ctx, name, version, nil); answered(err, http.StatusNotFound) {
		return nil
	} else if err != nil {
		return fmt.Errorf("key %s: %w", ref, err)
	}
	if _, err := m.client.DeleteKey(ctx, name, nil); err != nil && !answered(err, http.StatusNotFound) {
		return fmt.Errorf("key %s: destroy: %w", ref, err)
	}
	m.purge(ctx, name)
	return nil
}

// purge goes further than it must: the key is unusable already.
func (m *Manager) purge(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(ctx, purgeWait)
	defer cancel()
	for {
		_, err := m.client.PurgeDeletedKey(ctx, name, nil)
		if !answered(err, http.StatusConflict) && !answered(err, http.StatusNotFound) {
			return // purged, or forbidden
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(m.poll):
		}
	}
}

func answered(err error, code int) bool {
	var response *azcore.ResponseError
	return errors.As(err, &response) && response.StatusCode == code
}

func (m *Manager) use(ref, name string, found azkeys.KeyBundle) (crypto.Signer, error) {
	pub, err := publicKey(found.Key)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", ref, err)
	}
	if a := found.Attributes; a == nil || a.Enabled == nil || !*a.Enabled {
		return nil, fmt.Errorf("key %s: it is disabled in the vault. An administrator of the vault can enable it", ref)
	} else if a.Exportable != nil && *a.Exportable {
		return nil, fmt.Errorf("key %s: the vault would give it out, so it may not be secret. Make another one under a new name", ref)
	}
	return key.Guard(ref, &signer{m.client, name, found.Key.KID.Version(), pub}), nil
}

// publicKey reads a JSON Web Key (RFC 7518 section 6) as the vault shows it.
func publicKey(k *azkeys.JSONWebKey) (crypto.PublicKey, error) {
	if k == nil || k.Kty == nil || k.KID == nil {
		return nil, errors.New("the vault did not show its public half")
	}
	switch *k.Kty {
	case azkeys.KeyTypeEC, azkeys.KeyTypeECHSM:
		if k.Crv == nil {
			return nil, errors.New("its curve is not known")
		}
		curve := elliptic.P256()
		switch *k.Crv {
		case azkeys.CurveNameP256:
		case azkeys.CurveNameP384:
			curve = elliptic.P384()
		default:
			return nil, fmt.Errorf("its curve %s: %w", *k.Crv, errors.ErrUnsupported)
		}
		return ecdsa.ParseUncompressedPublicKey(curve, append(append([]byte{4}, k.X...), k.Y...))
	case azkeys.KeyTypeRSA, azkeys.KeyTypeRSAHSM:
		e := new(big.Int).SetBytes(k.E)
		if len(k.N) == 0 || len(k.N) > 1024 || !e.IsInt64() || e.Int64() < 3 || e.Int64() > 1<<31-1 {
			return nil, errors.New("its modulus or exponent is not that of an RSA key")
		}
		return &rsa.PublicKey{N: new(big.Int).SetBytes(k.N), E: int(e.Int64())}, nil
	}
	return nil, fmt.Errorf("a key of the type %s signs nothing: %w", *k.Kty, errors.ErrUnsupported)
}

// signer is behind key.Guard, which has looked at what it is asked for.
type signer struct {
	client        *azkeys.Client
	name, version string
	pub           crypto.PublicKey
}

func (s *signer) Public() crypto.PublicKey { return s.pub }

// In the order PKCS #1 v1.5, PSS, ECDSA.
var algorithms = map[crypto.Hash][3]azkeys.SignatureAlgorithm{
	crypto.SHA256: {azkeys.SignatureAlgorithmRS256, azkeys.SignatureAlgorithmPS256, azkeys.SignatureAlgorithmES256},
	crypto.SHA384: {azkeys.SignatureAlgorithmRS384, azkeys.SignatureAlgorithmPS384, azkeys.SignatureAlgorithmES384},
	crypto.SHA512: {azkeys.SignatureAlgorithmRS512, azkeys.SignatureAlgorithmPS512, azkeys.SignatureAlgorithmES512},
}

func (s *signer) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), signTimeout)
	defer cancel()
	algorithm := algorithms[opts.HashFunc()][0]
	if _, pss := opts.(*rsa.PSSOptions); pss {
		algorithm = algorithms[opts.HashFunc()][1]
	}
	_, isECDSA := s.pub.(*ecdsa.PublicKey)
	if isECDSA {
		algorithm = algorithms[opts.HashFunc()][2]
	}
	answer, err := s.client.Sign(ctx, s.name, s.version, azkeys.SignParameters{Algorithm: &algorithm, Value: digest}, nil)
	if err != nil || !isECDSA {
		return answer.Result, err
	}
	// R and S side by side (RFC 7518 section 3.4); TLS has them in ASN.1 (RFC 3279 section 2.2.3).
	half := len(answer.Result) / 2
	if half == 0 || len(answer.Result)%2 != 0 {
		return nil, fmt.Errorf("the vault answered with a signature of %d bytes", len(answer.Result))
	}
	return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(answer.Result[:half]), new(big.Int).SetBytes(answer.Result[half:])})
}

func formatRef(name, version string) string {
	return "azurekms:name=" + name + ";version=" + version
}

var validVersion = regexp.MustCompile(`^[0-9a-f]{32}$`)

func parseRef(ref string) (name, version string, err error) {
	rest, ok := strings.CutPrefix(ref, "azurekms:name=")
	name, version, found := strings.Cut(rest, ";version=")
	if !ok || !found || !validVersion.MatchString(version) {
		return "", "", fmt.Errorf("%.200q does not name a key in a key vault, which looks like azurekms:name=NAME;version=VERSION", ref)
	}
	return name, version, key.ValidateName(name)
}
