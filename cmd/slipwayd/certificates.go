package main

import (
	"context"
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"slipway/cert"
	"slipway/cert/stepca"
	"slipway/flow"
	"slipway/key"
	"slipway/key/kms"
	"slipway/nameserver"
	"slipway/repo"
	"slipway/secret"
	"slipway/zone"
)

// authorities are the certificate authorities that slipway.yaml names, each connected when it is first needed.
type authorities struct {
	srv  *server
	keys *keyring

	mu        sync.Mutex // held while one is connected
	own       *stepca.CA // the embedded one, once it has started
	connected map[string]connected
}

type connected struct {
	settings  repo.CertificateAuthority
	authority *cert.Authority
}

// startCertificates opens the key store and starts the embedded authority, if slipway.yaml has one.
func (srv *server) startCertificates(ctx context.Context) error {
	keys, err := srv.openKeyring()
	if err != nil {
		return err
	}
	srv.onClose(func(context.Context) error { return keys.close() })
	srv.authorities = &authorities{srv: srv, keys: keys, connected: map[string]connected{}}
	srv.onClose(func(context.Context) error { return srv.authorities.close() })
	_, settings, err := srv.main(ctx)
	if err != nil {
		return err
	}
	for _, a := range settings.Certificates.Authorities {
		if a.Type == "embedded" {
			_, err := srv.authorities.embedded(ctx, settings, a)
			return err
		}
	}
	return nil
}

func (as *authorities) close() error {
	as.mu.Lock()
	defer as.mu.Unlock()
	if as.own == nil {
		return nil
	}
	return as.own.Close()
}

// root is the embedded authority's root certificate in PEM, nil when there is none.
func (as *authorities) root() []byte {
	as.mu.Lock()
	defer as.mu.Unlock()
	if as.own == nil {
		return nil
	}
	return as.own.Root()
}

// crl is the embedded authority's list of revoked certificates (RFC 5280 section 5), in DER.
func (as *authorities) crl() ([]byte, error) {
	as.mu.Lock()
	defer as.mu.Unlock()
	if as.own == nil {
		return nil, nil
	}
	return as.own.CRL()
}

// embedded starts the server's own authority, once, and keeps it to the organisation's zones.
func (as *authorities) embedded(ctx context.Context, settings *repo.Settings, a repo.CertificateAuthority) (*stepca.CA, error) {
	as.mu.Lock()
	defer as.mu.Unlock()
	names := make([]zone.Name, 0, len(settings.Zones))
	for z := range settings.Zones {
		names = append(names, z)
	}
	if as.own != nil {
		as.own.SetNames(names)
		return as.own, nil
	}
	own, err := stepca.Start(ctx, stepca.Options{
		Dir: as.srv.settings.path("ca"), Keys: as.keys, Name: settings.Organisation, Names: names, Lifetime: a.Lifetime,
		Resolve: as.srv.proofs, CRLURL: as.srv.settings.baseURL + "/ca/crl", Logger: as.srv.log,
	})
	if err != nil {
		return nil, err
	}
	as.own = own
	return own, nil
}

// proofs answers the embedded authority with the TXT records of a name, from the server that serves it.
func (srv *server) proofs(ctx context.Context, name string) ([]string, error) {
	n, err := zone.ParseName(strings.TrimSuffix(name, "."))
	if err != nil {
		return nil, err
	}
	// An approved CNAME may have the proof somewhere else (RFC 8555 section 8.4 follows them like any resolver).
	for range maxAliases {
		server, err := srv.authoritative(ctx, n)
		if err != nil {
			return nil, err
		}
		answer, err := nameserver.Resolve(ctx, server, n, "TXT", lookupFor)
		if err != nil {
			return nil, err
		}
		if len(answer) > 0 {
			for i, text := range answer {
				if plain, err := strconv.Unquote(text); err == nil {
					answer[i] = plain
				}
			}
			return answer, nil
		}
		alias, err := nameserver.Resolve(ctx, server, n, "CNAME", lookupFor)
		if err != nil || len(alias) == 0 {
			return nil, err
		}
		if n, err = zone.ParseName(strings.TrimSuffix(alias[0], ".")); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("the CNAME records from %s lead nowhere in %d steps", name, maxAliases)
}

// authoritative is a server that answers for a name: ours, or one that the provider of its zone names.
func (srv *server) authoritative(ctx context.Context, n zone.Name) (string, error) {
	tree, settings, err := srv.main(ctx)
	if err != nil {
		return "", err
	}
	z, ok := settings.ZoneOf(n)
	if !ok {
		return "", fmt.Errorf("%s is in none of the zones of slipway.yaml", n)
	}
	servers, err := srv.answering(ctx, tree, z)
	if err != nil {
		return "", err
	}
	return servers[0], nil
}

// Bounds on one lookup of a proof.
const (
	maxAliases = 8
	lookupFor  = 5 * time.Second
)

// connect is flow's way to an authority. One whose settings have changed is connected anew.
func (as *authorities) connect(ctx context.Context, t *repo.Tree, name string) (flow.Authority, error) {
	settings, err := t.Settings(ctx)
	if err != nil {
		return nil, err
	}
	a, ok := settings.Certificates.Authorities[name]
	if !ok {
		return nil, fmt.Errorf("authority %q is not in slipway.yaml", name)
	}
	c := cert.Config{Name: name, Directory: a.Directory, EABKeyID: a.EABKeyID}
	if a.Type == "embedded" {
		own, err := as.embedded(ctx, settings, a)
		if err != nil {
			return nil, err
		}
		c.Directory, c.RootsPEM = own.Directory(), own.Root()
	}
	as.mu.Lock()
	defer as.mu.Unlock()
	if have, ok := as.connected[name]; ok && reflect.DeepEqual(have.settings, a) {
		return have.authority, nil
	}
	for _, address := range a.Contact {
		c.Contact = append(c.Contact, "mailto:"+address)
	}
	if a.Roots != "" {
		if c.RootsPEM, err = t.ReadFile(ctx, a.Roots); err != nil {
			return nil, fmt.Errorf("authority %s: roots: %w", name, err)
		}
	}
	if a.EABSecret != "" {
		if c.EABHMAC, err = as.srv.eab(ctx, a.EABSecret); err != nil {
			return nil, fmt.Errorf("authority %s: external account binding: %w", name, err)
		}
	}
	if _, c.AccountKey, err = as.keys.Create(ctx, "acme-account-"+name, key.ECDSAP256); err != nil {
		return nil, fmt.Errorf("authority %s: account key: %w", name, err)
	}
	authority, err := cert.Connect(ctx, c)
	if err != nil {
		return nil, err
	}
	as.connected[name] = connected{a, authority}
	return authority, nil
}

// eab reads the key of an external account binding, base64url as authorities hand it out (RFC 8555 section 7.3.4).
func (srv *server) eab(ctx context.Context, reference string) ([]byte, error) {
	ref, err := secret.Parse(reference)
	if err != nil {
		return nil, err
	}
	v, err := srv.secrets.Resolve(ctx, ref)
	if err != nil {
		return nil, err
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(v.Reveal()), "="))
	if err != nil {
		return nil, fmt.Errorf("what %s holds is not base64url", reference)
	}
	return raw, nil
}

// keyring is every key store that certificates have had, as one: new keys are made in the store that slipway.yaml
// names, and a key that was made elsewhere before is found by the scheme of its reference.
type keyring struct {
	srv   *server
	files *key.Files

	mu   sync.Mutex // held while a store is opened
	open map[string]key.Manager
	done []func() error
}

func (srv *server) openKeyring() (*keyring, error) {
	files, err := key.OpenFiles(srv.settings.path("keys", "certificates"), []byte(os.Getenv("SLIPWAY_KEY_PASSPHRASE")))
	if err != nil {
		return nil, err
	}
	return &keyring{srv: srv, files: files, open: map[string]key.Manager{}}, nil
}

func (k *keyring) close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	var first error
	for _, f := range k.done {
		if err := f(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// store opens a store by its URI, once.
func (k *keyring) store(ctx context.Context, uri string) (key.Manager, error) {
	if uri == repo.DefaultKeyStore {
		return k.files, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if m, ok := k.open[uri]; ok {
		return m, nil
	}
	m, closer, err := k.srv.openKeyStore(ctx, uri)
	if err != nil {
		return nil, err
	}
	k.open[uri] = m
	k.done = append(k.done, closer)
	return m, nil
}

// stores are those that slipway.yaml names: the one for new keys first.
func (k *keyring) stores(ctx context.Context) ([]string, error) {
	_, settings, err := k.srv.main(ctx)
	if err != nil {
		return nil, err
	}
	return append([]string{settings.Certificates.KeyStore}, settings.Certificates.FormerKeyStores...), nil
}

func (k *keyring) Create(ctx context.Context, name string, kind key.Kind) (string, crypto.Signer, error) {
	stores, err := k.stores(ctx)
	if err != nil {
		return "", nil, err
	}
	m, err := k.store(ctx, stores[0])
	if err != nil {
		return "", nil, err
	}
	return m.Create(ctx, name, kind)
}

// holders are the stores that may have a key: those of its kind, the one for new keys first. Files of the usual
// place are always among them.
func (k *keyring) holders(ctx context.Context, ref string) ([]key.Manager, error) {
	scheme, _, _ := strings.Cut(ref, ":")
	uris, err := k.stores(ctx)
	if err != nil {
		return nil, err
	}
	var found []key.Manager
	for _, uri := range append(uris, repo.DefaultKeyStore) {
		if s, _, _ := strings.Cut(uri, ":"); s != scheme {
			continue
		}
		m, err := k.store(ctx, uri)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(found, m) {
			found = append(found, m)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("key %s: slipway.yaml names no key store of this kind any more; add it below certificates, keys, former", ref)
	}
	return found, nil
}

func (k *keyring) Signer(ctx context.Context, ref string) (signer crypto.Signer, err error) {
	stores, err := k.holders(ctx, ref)
	if err != nil {
		return nil, err
	}
	for _, m := range stores {
		if signer, err = m.Signer(ctx, ref); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return signer, err
}

func (k *keyring) Destroy(ctx context.Context, ref string) error {
	stores, err := k.holders(ctx, ref)
	if err != nil {
		return err
	}
	var errs []error
	for _, m := range stores {
		errs = append(errs, m.Destroy(ctx, ref)) // a store that does not have it says so by no error
	}
	return errors.Join(errs...)
}

// openKeyStore opens a key store that is no directory of ours.
func (srv *server) openKeyStore(ctx context.Context, uri string) (key.Manager, func() error, error) {
	m, closer, err := kms.Open(ctx, uri, kms.Options{Dir: srv.settings.data, Secret: srv.secrets.Resolve})
	if err != nil {
		return nil, nil, err
	}
	return m, closer.Close, nil
}
