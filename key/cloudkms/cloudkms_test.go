package cloudkms

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/kms/apiv1/kmspb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"slipway/key"
	"slipway/key/keytest"
)

const ring = "projects/finmicro/locations/europe-west3/keyRings/slipway"

// fake is what this package needs of Cloud KMS, written from its API reference and
// served over gRPC. Its keys lie in key.Files.
type fake struct {
	kmspb.UnimplementedKeyManagementServiceServer
	files *key.Files

	mu      sync.Mutex
	keys    map[string]*kmspb.CryptoKey
	list    []*kmspb.CryptoKeyVersion
	signers map[string]crypto.Signer
}

func fakeService(t testing.TB) (*fake, Options) {
	t.Helper()
	files, err := key.OpenFiles(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{files: files, keys: map[string]*kmspb.CryptoKey{}, signers: map[string]crypto.Signer{}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	kmspb.RegisterKeyManagementServiceServer(server, f)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	return f, Options{KeyRing: ring, Client: []option.ClientOption{
		option.WithEndpoint(listener.Addr().String()), option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())),
	}}
}

func (f *fake) CreateCryptoKey(ctx context.Context, in *kmspb.CreateCryptoKeyRequest) (*kmspb.CryptoKey, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := in.Parent + "/cryptoKeys/" + in.CryptoKeyId
	if f.keys[name] != nil {
		return nil, status.Error(codes.AlreadyExists, name)
	}
	if in.Parent != ring || len(in.CryptoKeyId) > 63 || in.CryptoKey.Purpose != kmspb.CryptoKey_ASYMMETRIC_SIGN || in.CryptoKey.DestroyScheduledDuration.AsDuration() < 24*time.Hour {
		return nil, status.Error(codes.InvalidArgument, name)
	}
	in.CryptoKey.Name = name
	f.keys[name] = in.CryptoKey
	return in.CryptoKey, f.version(ctx, name)
}

// version adds one that is being made until somebody looks.
func (f *fake) version(ctx context.Context, parent string) error {
	for kind, algorithm := range algorithms {
		if algorithm != f.keys[parent].VersionTemplate.Algorithm {
			continue
		}
		number := 1
		for _, v := range f.list {
			if strings.HasPrefix(v.Name, parent+"/") {
				number++
			}
		}
		_, signer, err := f.files.Create(ctx, fmt.Sprintf("v%d", len(f.list)), kind)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("%s/cryptoKeyVersions/%d", parent, number)
		f.signers[name] = signer
		f.list = append(f.list, &kmspb.CryptoKeyVersion{Name: name, Algorithm: algorithm, State: kmspb.CryptoKeyVersion_PENDING_GENERATION})
	}
	return nil
}

func (f *fake) CreateCryptoKeyVersion(ctx context.Context, in *kmspb.CreateCryptoKeyVersionRequest) (*kmspb.CryptoKeyVersion, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.keys[in.Parent] == nil {
		return nil, status.Error(codes.NotFound, in.Parent)
	}
	err := f.version(ctx, in.Parent)
	return f.list[len(f.list)-1], err
}

func (f *fake) ListCryptoKeyVersions(_ context.Context, in *kmspb.ListCryptoKeyVersionsRequest) (*kmspb.ListCryptoKeyVersionsResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := &kmspb.ListCryptoKeyVersionsResponse{}
	for i := len(f.list) - 1; i >= 0; i-- { // the order is not promised
		if strings.HasPrefix(f.list[i].Name, in.Parent+"/") {
			out.CryptoKeyVersions = append(out.CryptoKeyVersions, f.copy(f.list[i]))
		}
	}
	return out, nil
}

func (f *fake) copy(v *kmspb.CryptoKeyVersion) *kmspb.CryptoKeyVersion {
	return &kmspb.CryptoKeyVersion{Name: v.Name, State: v.State, Algorithm: v.Algorithm, ImportJob: v.ImportJob}
}

func (f *fake) find(name string) (*kmspb.CryptoKeyVersion, error) {
	for _, v := range f.list {
		if v.Name == name {
			return v, nil
		}
	}
	return nil, status.Error(codes.NotFound, name)
}

func (f *fake) GetCryptoKeyVersion(_ context.Context, in *kmspb.GetCryptoKeyVersionRequest) (*kmspb.CryptoKeyVersion, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	v, err := f.find(in.Name)
	if err != nil {
		return nil, err
	}
	seen := f.copy(v)
	if v.State == kmspb.CryptoKeyVersion_PENDING_GENERATION {
		v.State = kmspb.CryptoKeyVersion_ENABLED
	}
	return seen, nil
}

func (f *fake) DestroyCryptoKeyVersion(_ context.Context, in *kmspb.DestroyCryptoKeyVersionRequest) (*kmspb.CryptoKeyVersion, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	v, err := f.find(in.Name)
	if err != nil {
		return nil, err
	}
	if destroyed(v.State) {
		return nil, status.Error(codes.FailedPrecondition, "destroyed already")
	}
	v.State = kmspb.CryptoKeyVersion_DESTROY_SCHEDULED
	return f.copy(v), nil
}

func (f *fake) enabled(name string) (crypto.Signer, kmspb.CryptoKeyVersion_CryptoKeyVersionAlgorithm, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	v, err := f.find(name)
	if err != nil {
		return nil, 0, err
	}
	if v.State != kmspb.CryptoKeyVersion_ENABLED {
		return nil, 0, status.Error(codes.FailedPrecondition, v.State.String())
	}
	return f.signers[name], v.Algorithm, nil
}

func (f *fake) GetPublicKey(_ context.Context, in *kmspb.GetPublicKeyRequest) (*kmspb.PublicKey, error) {
	signer, algorithm, err := f.enabled(in.Name)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		return nil, err
	}
	return &kmspb.PublicKey{Name: in.Name, Algorithm: algorithm, Pem: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))}, nil
}

func (f *fake) AsymmetricSign(_ context.Context, in *kmspb.AsymmetricSignRequest) (*kmspb.AsymmetricSignResponse, error) {
	signer, algorithm, err := f.enabled(in.Name)
	if err != nil {
		return nil, err
	}
	digest, hash := in.Digest.GetSha256(), crypto.SHA256
	if algorithm == kmspb.CryptoKeyVersion_EC_SIGN_P384_SHA384 {
		digest, hash = in.Digest.GetSha384(), crypto.SHA384
	}
	if digest == nil {
		return nil, status.Error(codes.InvalidArgument, "the digest is not the algorithm's")
	}
	signature, err := signer.Sign(rand.Reader, digest, hash)
	return &kmspb.AsymmetricSignResponse{Signature: signature, Name: in.Name}, err
}

func open(t testing.TB, o Options) *Manager {
	t.Helper()
	m, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	m.poll = time.Millisecond
	t.Cleanup(func() { m.Close() })
	return m
}

func TestFake(t *testing.T) {
	_, o := fakeService(t)
	keytest.Run(t, keytest.Store{
		Open:  func(t testing.TB) key.Manager { return open(t, o) },
		Kinds: []key.Kind{key.ECDSAP256, key.ECDSAP384},
	})
}

func TestKeysThatAreNotInOrder(t *testing.T) {
	service, o := fakeService(t)
	m := open(t, o)
	ref, _, err := m.Create(t.Context(), "app", key.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*kmspb.CryptoKeyVersion){
		"enable it":    func(v *kmspb.CryptoKeyVersion) { v.State = kmspb.CryptoKeyVersion_DISABLED },
		"from outside": func(v *kmspb.CryptoKeyVersion) { v.ImportJob = ring + "/importJobs/1" },
	} {
		service.mu.Lock()
		v := service.list[0]
		before := service.copy(v)
		change(v)
		service.mu.Unlock()
		if _, err := m.Signer(t.Context(), ref); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
		service.mu.Lock()
		service.list[0] = before
		service.mu.Unlock()
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	for _, wrong := range []string{"", "projects/p", "projects/p/locations/l/keyRings/r/cryptoKeys/k", "projects/../locations/l/keyRings/r"} {
		if _, err := Open(t.Context(), Options{KeyRing: wrong}); err == nil || !strings.Contains(err.Error(), "keyRings/RING") {
			t.Errorf("%q: got %v", wrong, err)
		}
	}
}

func TestLongNamesStayApart(t *testing.T) {
	long := strings.Repeat("a", 99)
	if a, b := keyID(long+"a"), keyID(long+"b"); a == b || len(a) > maxID || !strings.HasPrefix(a, "aaa") {
		t.Errorf("%q and %q", a, b)
	}
}

func FuzzParseRef(f *testing.F) {
	m := &Manager{ring: ring}
	f.Add(scheme + ring + "/cryptoKeys/app/cryptoKeyVersions/1")
	f.Fuzz(func(t *testing.T, ref string) {
		if name, err := m.parseRef(ref); err == nil && scheme+name != ref {
			t.Errorf("%q is read as %q", ref, name)
		}
	})
}
