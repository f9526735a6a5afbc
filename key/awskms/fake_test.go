package awskms

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/uuid"

	"slipway/key"
)

// fake is what this package needs of AWS KMS, written from its API reference: the JSON
// protocol 1.1, key states, and the signing algorithms with their salt as long as the
// digest. Its keys lie in key.Files.
type fake struct {
	files *key.Files

	mu      sync.Mutex
	keys    map[string]*fakeKey
	aliases map[string]string
}

type fakeKey struct {
	KeyId, KeySpec, KeyUsage, KeyState, Origin string

	signer crypto.Signer
}

func fakeService(t testing.TB) (*fake, Options) {
	t.Helper()
	files, err := key.OpenFiles(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{files: files, keys: map[string]*fakeKey{}, aliases: map[string]string{}}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return f, Options{Region: "eu-central-1", Endpoint: server.URL, Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")}
}

type input struct {
	KeyId, TargetKeyId, AliasName, KeySpec, KeyUsage, Origin, SigningAlgorithm, MessageType string
	Message                                                                                 []byte
	PendingWindowInDays                                                                     int
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in input
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	operation := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "TrentService.")
	f.mu.Lock()
	out, exception := f.do(r, operation, in)
	f.mu.Unlock()
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if exception != "" {
		w.WriteHeader(http.StatusBadRequest)
		out = map[string]any{"__type": exception, "message": "as the API reference has it"}
	}
	json.NewEncoder(w).Encode(out)
}

func (f *fake) do(r *http.Request, operation string, in input) (out map[string]any, exception string) {
	id := in.KeyId
	if target, ok := f.aliases[id]; ok {
		id = target
	}
	if in.TargetKeyId != "" {
		id = in.TargetKeyId
	}
	k := f.keys[id]
	_, named := f.aliases[in.AliasName]
	switch operation {
	case "CreateKey":
		k = &fakeKey{uuid.NewString(), in.KeySpec, in.KeyUsage, "Enabled", "AWS_KMS", nil}
		if in.Origin == "EXTERNAL" {
			k.Origin = in.Origin
		}
		for kind, spec := range specs {
			if string(spec) == in.KeySpec {
				_, signer, err := f.files.Create(r.Context(), k.KeyId, kind)
				if err != nil {
					return nil, "KMSInternalException"
				}
				k.signer = signer
			}
		}
		if k.signer == nil {
			return nil, "UnsupportedOperationException"
		}
		f.keys[k.KeyId] = k
		return map[string]any{"KeyMetadata": k}, ""
	case "DeleteAlias":
		if !named {
			return nil, "NotFoundException"
		}
		delete(f.aliases, in.AliasName)
		return nil, ""
	case "CreateAlias":
		if named {
			return nil, "AlreadyExistsException"
		}
	case "UpdateAlias":
		if !named {
			return nil, "NotFoundException"
		}
	}
	if k == nil {
		return nil, "NotFoundException"
	}
	if k.KeyState == "PendingDeletion" && operation != "DescribeKey" && operation != "ListAliases" {
		return nil, "KMSInvalidStateException"
	}
	switch operation {
	case "DescribeKey":
		return map[string]any{"KeyMetadata": k}, ""
	case "CreateAlias", "UpdateAlias":
		f.aliases[in.AliasName] = k.KeyId
		return nil, ""
	case "ListAliases":
		list := []map[string]string{}
		for alias, target := range f.aliases {
			if target == k.KeyId {
				list = append(list, map[string]string{"AliasName": alias, "TargetKeyId": target})
			}
		}
		return map[string]any{"Aliases": list, "Truncated": false}, ""
	case "DisableKey":
		k.KeyState = "Disabled"
		return nil, ""
	case "ScheduleKeyDeletion":
		if in.PendingWindowInDays < 7 || in.PendingWindowInDays > 30 {
			return nil, "ValidationException"
		}
		k.KeyState = "PendingDeletion"
		return map[string]any{"KeyId": k.KeyId, "KeyState": k.KeyState}, ""
	}
	if k.KeyState != "Enabled" {
		return nil, "DisabledException"
	}
	switch operation {
	case "GetPublicKey":
		der, err := x509.MarshalPKIXPublicKey(k.signer.Public())
		if err != nil {
			return nil, "KMSInternalException"
		}
		return map[string]any{"KeyId": k.KeyId, "PublicKey": der, "KeySpec": k.KeySpec, "KeyUsage": k.KeyUsage}, ""
	case "Sign":
		opts, ok := algorithms[in.SigningAlgorithm]
		family := map[string]string{"ECC_NIST_P256": "ECDSA_SHA_256", "ECC_NIST_P384": "ECDSA_SHA_384"}[k.KeySpec]
		if family == "" {
			family = "RSASSA_"
		}
		if !ok || !strings.HasPrefix(in.SigningAlgorithm, family) || in.MessageType != "DIGEST" {
			return nil, "InvalidKeyUsageException"
		}
		signature, err := k.signer.Sign(rand.Reader, in.Message, opts)
		if err != nil {
			return nil, "ValidationException"
		}
		return map[string]any{"KeyId": k.KeyId, "Signature": signature, "SigningAlgorithm": in.SigningAlgorithm}, ""
	}
	return nil, "UnsupportedOperationException"
}

var algorithms = map[string]crypto.SignerOpts{
	"ECDSA_SHA_256": crypto.SHA256, "ECDSA_SHA_384": crypto.SHA384,
	"RSASSA_PKCS1_V1_5_SHA_256": crypto.SHA256, "RSASSA_PKCS1_V1_5_SHA_384": crypto.SHA384, "RSASSA_PKCS1_V1_5_SHA_512": crypto.SHA512,
	"RSASSA_PSS_SHA_256": pss(crypto.SHA256), "RSASSA_PSS_SHA_384": pss(crypto.SHA384), "RSASSA_PSS_SHA_512": pss(crypto.SHA512),
}

func pss(h crypto.Hash) *rsa.PSSOptions {
	return &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: h}
}
