// Package kms opens the store that keeps certificates' keys, by the URI in slipway.yaml:
//
//	file:keys/certificates?passphrase=env:KEYS_PASSPHRASE
//	pkcs11:module-path=/usr/lib/softhsm/libsofthsm2.so;token=slipway?pin-source=file:/run/secrets/pin
//	awskms:region=eu-central-1
//	cloudkms:projects/finmicro/locations/europe-west3/keyRings/slipway?protection=hsm
//	azurekms:vault=finmicro?hsm=true
//	vault:https://vault.finmicro.example:8200/transit?token=file:/run/secrets/vault-token
//
// A URI names secrets by where they are kept, never by value. The package owns no store
// itself; it is apart from package key because of what the stores link in. Read this
// file for what opens, and uri.go for what a URI may say.
package kms

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"google.golang.org/api/option"

	"slipway/key"
	"slipway/key/awskms"
	"slipway/key/azurekms"
	"slipway/key/cloudkms"
	"slipway/key/pkcs11"
	"slipway/key/vault"
	"slipway/secret"
)

// Options are what a URI does not say.
type Options struct {
	// Dir is what a relative path of "file:" is relative to: the server's data directory.
	Dir string
	// Secret fetches what a URI refers to. Without it env: and file: are understood.
	Secret secret.Source
}

// store is what every one of them is.
type store interface {
	key.Manager
	io.Closer
}

// Open opens the store that uri names. Its errors do not repeat the URI's parts that
// may be secrets by mistake.
func Open(ctx context.Context, uri string, o Options) (key.Manager, io.Closer, error) {
	if o.Secret == nil {
		o.Secret = secret.Resolve
	}
	u, err := parseURI(uri)
	if err != nil {
		return nil, nil, fmt.Errorf("key store: %w", err)
	}
	open, ok := stores[u.scheme]
	if !ok {
		return nil, nil, fmt.Errorf("key store: %.20q is not a kind of store, use file, pkcs11, awskms, cloudkms, azurekms or vault", u.scheme)
	}
	s, err := open(ctx, u, o)
	if err == nil {
		if err = u.rest(); err != nil {
			s.Close()
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("key store %s: %w", u.scheme, err)
	}
	return s, s, nil
}

var stores = map[string]func(context.Context, *storeURI, Options) (store, error){
	"file": openFiles, "pkcs11": openPKCS11, "awskms": openAWS, "cloudkms": openCloud, "azurekms": openAzure, "vault": openVault,
}

type files struct{ *key.Files }

func (files) Close() error { return nil }

func openFiles(ctx context.Context, u *storeURI, o Options) (store, error) {
	dir := u.path
	if dir == "" {
		return nil, errors.New("no directory is given, for example file:keys/certificates")
	}
	if !filepath.IsAbs(dir) {
		if !filepath.IsLocal(dir) {
			return nil, fmt.Errorf("the directory %.100q leads out of the server's own", dir)
		}
		dir = filepath.Join(o.Dir, dir)
	}
	passphrase, err := fetch(ctx, o, "passphrase", u.take("passphrase"))
	if err != nil {
		return nil, err
	}
	f, err := key.OpenFiles(dir, []byte(passphrase.Reveal()))
	return files{f}, err
}

func openPKCS11(ctx context.Context, u *storeURI, o Options) (store, error) {
	if u.take("pin-value") != "" {
		return nil, errors.New("pin-value would put the PIN into the settings, where everybody reads it. Write pin-source= and where the PIN is kept, and change the PIN")
	}
	source := u.take("pin-source")
	if strings.HasPrefix(source, "/") { // as RFC 7512 section 2.4 has it
		source = secret.File + ":" + source
	}
	pin, err := fetch(ctx, o, "pin-source", source)
	if err != nil {
		return nil, err
	}
	sessions := 0
	if text := u.take("max-sessions"); text != "" {
		if sessions, err = strconv.Atoi(text); err != nil {
			return nil, fmt.Errorf("max-sessions: %.20q is not a number", text)
		}
	}
	module := u.take("module-path")
	if module == "" {
		return nil, errors.New("no module is given: name the library of the HSM's vendor, for example module-path=/usr/lib/softhsm/libsofthsm2.so")
	}
	if module, err = trustModule(module); err != nil {
		return nil, err
	}
	return opened(pkcs11.Open(pkcs11.Options{Module: module, Token: u.take("token"), Serial: u.take("serial"), PIN: pin, MaxSessions: sessions}))
}

func openAWS(ctx context.Context, u *storeURI, _ Options) (store, error) {
	return opened(awskms.Open(ctx, awskms.Options{Region: u.take("region"), Profile: u.take("profile"), Endpoint: u.take("endpoint")}))
}

func openCloud(ctx context.Context, u *storeURI, o Options) (store, error) {
	options := cloudkms.Options{KeyRing: u.path}
	switch level := u.take("protection"); level {
	case "hsm":
		options.HSM = true
	case "", "software":
	default:
		return nil, fmt.Errorf("protection: %.20q is neither hsm nor software", level)
	}
	account, err := fetch(ctx, o, "credentials", u.take("credentials"))
	if err != nil {
		return nil, err
	}
	if !account.Empty() {
		options.Client = []option.ClientOption{option.WithAuthCredentialsJSON(option.ServiceAccount, []byte(account.Reveal()))}
	}
	return opened(cloudkms.Open(ctx, options))
}

var vaultName = regexp.MustCompile(`^[A-Za-z0-9-]{3,24}$`)

func openAzure(_ context.Context, u *storeURI, _ Options) (store, error) {
	name, domain := u.take("vault"), u.take("domain")
	if !vaultName.MatchString(name) {
		return nil, fmt.Errorf("%.40q is not a vault's name, for example vault=finmicro", name)
	}
	if domain == "" {
		domain = "vault.azure.net"
	}
	hsm, err := u.takeBool("hsm")
	if err != nil {
		return nil, err
	}
	return opened(azurekms.Open(azurekms.Options{Vault: "https://" + name + "." + domain, HSM: hsm}))
}

func openVault(ctx context.Context, u *storeURI, o Options) (store, error) {
	i := strings.LastIndexByte(u.path, '/')
	scheme, host, found := strings.Cut(u.path[:max(i, 0)], "://")
	if !found {
		return nil, errors.New("the server and the transit engine's mount are missing, for example vault:https://vault.finmicro.example:8200/transit")
	}
	// A mount may have slashes: everything after the host is its.
	host, mount, _ := strings.Cut(host+u.path[i:], "/")
	options := vault.Options{Address: scheme + "://" + host, Mount: mount, Namespace: u.take("namespace")}
	ref := u.take("token")
	if ref == "" {
		return nil, errors.New("no token is set: say where it is kept, for example ?token=file:/run/secrets/vault-token")
	}
	if _, err := secret.Parse(ref); err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	options.Token = func(ctx context.Context) (secret.Value, error) { return fetch(ctx, o, "token", ref) }
	if path := u.take("ca"); path != "" {
		client, err := trusting(path)
		if err != nil {
			return nil, err
		}
		options.Client = client
	}
	return opened(vault.Open(ctx, options))
}

// trusting is an HTTP client that trusts one file's roots and no others.
func trusting(path string) (*http.Client, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca: %s has no certificate in PEM", path)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	return &http.Client{Transport: transport}, nil
}

// opened keeps a nil *T from becoming a store that is not nil.
func opened[T store](s T, err error) (store, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

// fetch returns an empty Value for an empty reference.
func fetch(ctx context.Context, o Options, what, text string) (secret.Value, error) {
	if text == "" {
		return secret.Value{}, nil
	}
	ref, err := secret.Parse(text)
	if err != nil {
		return secret.Value{}, fmt.Errorf("%s: %w", what, err)
	}
	v, err := o.Secret(ctx, ref)
	if err != nil {
		return secret.Value{}, fmt.Errorf("%s: %w", what, err)
	}
	return v, nil
}
