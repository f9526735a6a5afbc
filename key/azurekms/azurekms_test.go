package azurekms

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"

	"slipway/key"
	"slipway/key/keytest"
)

// fake is what this package needs of Key Vault, written from its REST reference: keys
// with versions, the bin that deleted keys go to, and the signatures' forms. Its keys
// lie in key.Files.
type fake struct {
	t         testing.TB
	files     *key.Files
	host      string
	protected bool // nothing is purged

	mu      sync.Mutex
	made    int
	keys    map[string][]*version
	deleted map[string]int // and how often it will say that the deletion is not through
}

type version struct {
	id         string
	signer     crypto.Signer
	attributes map[string]any
}

func fakeService(t testing.TB) (*fake, Options) {
	t.Helper()
	files, err := key.OpenFiles(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{t: t, files: files, keys: map[string][]*version{}, deleted: map[string]int{}}
	server := httptest.NewTLSServer(f)
	t.Cleanup(server.Close)
	f.host = server.URL
	return f, Options{Vault: server.URL, Credential: f, Client: &azkeys.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: server.Client()},
		// The vault is not at its usual domain here.
		DisableChallengeResourceVerification: true,
	}}
}

const bearer = "a-test's-token"

func (f *fake) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: bearer, ExpiresOn: time.Now().Add(time.Hour)}, nil
}

type body struct {
	Kty   string `json:"kty"`
	Crv   string `json:"crv"`
	Size  int    `json:"key_size"`
	Alg   string `json:"alg"`
	Value string `json:"value"`
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+bearer {
		w.Header().Set("WWW-Authenticate", `Bearer authorization="https://login.microsoftonline.com/tenant", resource="https://vault.azure.net"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	var in body
	if r.Method == http.MethodPost {
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			f.t.Error(err)
		}
	}
	f.mu.Lock()
	code, out := f.do(r, strings.Split(strings.Trim(r.URL.Path, "/"), "/"), in)
	f.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if out != nil {
		json.NewEncoder(w).Encode(out)
	}
}

// do answers POST /keys/N/create, GET /keys/N/versions, GET /keys/N/V, POST /keys/N/V/sign,
// DELETE /keys/N and DELETE /deletedkeys/N.
func (f *fake) do(r *http.Request, path []string, in body) (int, any) {
	if len(path) < 2 {
		return http.StatusNotFound, nil
	}
	name := path[1]
	last := path[len(path)-1]
	switch versions := f.keys[name]; {
	case path[0] == "deletedkeys" && r.Method == http.MethodDelete:
		left, there := f.deleted[name]
		switch {
		case !there:
			return http.StatusNotFound, nil
		case f.protected:
			return http.StatusForbidden, nil
		case left > 0:
			f.deleted[name]--
			return http.StatusConflict, nil
		}
		delete(f.deleted, name)
		return http.StatusNoContent, nil
	case last == "create":
		if _, there := f.deleted[name]; there {
			return http.StatusConflict, nil
		}
		v, err := f.make(r.Context(), in)
		if err != nil {
			return http.StatusBadRequest, nil
		}
		f.keys[name] = append(versions, v)
		return http.StatusOK, f.bundle(name, v)
	case len(versions) == 0:
		return http.StatusNotFound, nil
	case last == "versions":
		list := []any{}
		for _, v := range versions {
			list = append(list, map[string]any{"kid": f.id(name, v), "attributes": v.attributes})
		}
		return http.StatusOK, map[string]any{"value": list}
	case r.Method == http.MethodDelete:
		f.deleted[name] = 2
		delete(f.keys, name)
		return http.StatusOK, f.bundle(name, versions[0])
	default:
		for _, v := range versions {
			if v.id == path[2] {
				if last == "sign" {
					return sign(v, in)
				}
				return http.StatusOK, f.bundle(name, v)
			}
		}
		return http.StatusNotFound, nil
	}
}

func (f *fake) make(ctx context.Context, in body) (*version, error) {
	kind := key.Kind("rsa-" + strconv.Itoa(in.Size))
	if in.Kty == "EC" {
		kind = map[string]key.Kind{"P-256": key.ECDSAP256, "P-384": key.ECDSAP384}[in.Crv]
	}
	f.made++
	_, signer, err := f.files.Create(ctx, "v"+strconv.Itoa(f.made), kind)
	return &version{fmt.Sprintf("%032x", f.made), signer, map[string]any{"enabled": true, "exportable": false, "created": 1700000000 + f.made}}, err
}

func (f *fake) id(name string, v *version) string { return f.host + "/keys/" + name + "/" + v.id }

func (f *fake) bundle(name string, v *version) any {
	jwk := map[string]any{"kid": f.id(name, v), "key_ops": []string{"sign", "verify"}}
	text := base64.RawURLEncoding.EncodeToString
	switch pub := v.signer.Public().(type) {
	case *ecdsa.PublicKey:
		raw, err := pub.Bytes()
		if err != nil {
			f.t.Error(err)
		}
		half := len(raw) / 2
		jwk["kty"], jwk["crv"], jwk["x"], jwk["y"] = "EC", pub.Curve.Params().Name, text(raw[1:1+half]), text(raw[1+half:])
	case *rsa.PublicKey:
		jwk["kty"], jwk["n"], jwk["e"] = "RSA", text(pub.N.Bytes()), text(big.NewInt(int64(pub.E)).Bytes())
	}
	return map[string]any{"key": jwk, "attributes": v.attributes}
}

func sign(v *version, in body) (int, any) {
	digest, err := base64.RawURLEncoding.DecodeString(in.Value)
	if err != nil || len(in.Alg) != 5 {
		return http.StatusBadRequest, nil
	}
	hash := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[in.Alg[2:]]
	var opts crypto.SignerOpts = hash
	pub, isECDSA := v.signer.Public().(*ecdsa.PublicKey)
	switch in.Alg[:2] {
	case "PS":
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
	case "ES":
		if !isECDSA || strings.TrimPrefix(pub.Curve.Params().Name, "P-") != in.Alg[2:] {
			return http.StatusBadRequest, nil
		}
	}
	signature, err := v.signer.Sign(rand.Reader, digest, opts)
	if err == nil && isECDSA {
		var pair struct{ R, S *big.Int }
		_, err = asn1.Unmarshal(signature, &pair)
		size := pub.Curve.Params().BitSize / 8
		if err == nil {
			signature = append(pair.R.FillBytes(make([]byte, size)), pair.S.FillBytes(make([]byte, size))...)
		}
	}
	if err != nil {
		return http.StatusBadRequest, nil
	}
	return http.StatusOK, map[string]any{"value": base64.RawURLEncoding.EncodeToString(signature)}
}

func open(t testing.TB, o Options) *Manager {
	t.Helper()
	m, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	m.poll = time.Millisecond
	return m
}

func TestFake(t *testing.T) {
	_, o := fakeService(t)
	keytest.Run(t, keytest.Store{
		Open:  func(t testing.TB) key.Manager { return open(t, o) },
		Kinds: []key.Kind{key.ECDSAP256, key.ECDSAP384, key.RSA2048, key.RSA3072, key.RSA4096},
	})
}

// Where purging is forbidden, a destroyed key's name stays taken.
func TestAVaultThatPurgesNothing(t *testing.T) {
	service, o := fakeService(t)
	service.protected = true
	m := open(t, o)
	ref, _, err := m.Create(t.Context(), "app", key.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Destroy(t.Context(), ref); err != nil {
		t.Error(err)
	}
	if _, err := m.Signer(t.Context(), ref); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Signer: got %v", err)
	}
	if _, _, err := m.Create(t.Context(), "app", key.ECDSAP256); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), "another name") {
		t.Errorf("Create: got %v", err)
	}
}

func TestAVersionStays(t *testing.T) {
	service, o := fakeService(t)
	m := open(t, o)
	ref, _, err := m.Create(t.Context(), "app", key.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	// Somebody rotates it in the vault.
	parameters, err := m.parameters(key.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.client.CreateKey(t.Context(), "app", parameters, nil); err != nil || len(service.keys["app"]) != 2 {
		t.Fatalf("%v, %d versions", err, len(service.keys["app"]))
	}
	if again, _, err := m.Create(t.Context(), "app", key.ECDSAP256); err != nil || again != ref {
		t.Errorf("got %q (%v), not %q", again, err, ref)
	}
}

func TestKeysThatAreNotInOrder(t *testing.T) {
	service, o := fakeService(t)
	m := open(t, o)
	ref, _, err := m.Create(t.Context(), "app", key.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	for want, attributes := range map[string]map[string]any{
		"can enable it": {"enabled": false}, "give it out": {"enabled": true, "exportable": true},
	} {
		service.keys["app"][0].attributes = attributes
		if _, err := m.Signer(t.Context(), ref); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	for _, wrong := range []string{"", "finmicro", "http://finmicro.vault.azure.net", "https://finmicro.vault.azure.net/keys/app"} {
		if _, err := Open(Options{Vault: wrong}); err == nil || !strings.Contains(err.Error(), "https://NAME.vault.azure.net") {
			t.Errorf("%q: got %v", wrong, err)
		}
	}
}

func TestOddKeys(t *testing.T) {
	id, ec, rsaType, oct := azkeys.ID("https://v/keys/n/v"), azkeys.KeyTypeEC, azkeys.KeyTypeRSA, azkeys.KeyTypeOct
	p256, koblitz := azkeys.CurveNameP256, azkeys.CurveNameP256K
	for name, k := range map[string]*azkeys.JSONWebKey{
		"none": nil, "empty": {}, "no curve": {KID: &id, Kty: &ec}, "another curve": {KID: &id, Kty: &ec, Crv: &koblitz},
		"off the curve": {KID: &id, Kty: &ec, Crv: &p256, X: make([]byte, 32), Y: make([]byte, 32)},
		"short point":   {KID: &id, Kty: &ec, Crv: &p256, X: []byte{1}},
		"no modulus":    {KID: &id, Kty: &rsaType, E: []byte{1, 0, 1}},
		"odd exponent":  {KID: &id, Kty: &rsaType, N: []byte{1}, E: make([]byte, 100)},
		"symmetric":     {KID: &id, Kty: &oct},
	} {
		if pub, err := publicKey(k); err == nil {
			t.Errorf("%s: read as %v", name, pub)
		}
	}
}

func FuzzParseRef(f *testing.F) {
	f.Add(formatRef("app", strings.Repeat("0", 32)))
	f.Fuzz(func(t *testing.T, ref string) {
		if name, v, err := parseRef(ref); err == nil && formatRef(name, v) != ref {
			t.Errorf("%q is read as %q", ref, formatRef(name, v))
		}
	})
}
