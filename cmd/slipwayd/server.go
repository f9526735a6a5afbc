package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"slipway/audit"
	"slipway/check"
	"slipway/evidence"
	"slipway/evidence/present"
	"slipway/flow"
	"slipway/identity"
	"slipway/inbound"
	"slipway/key"
	"slipway/nameserver"
	"slipway/portal"
	"slipway/provider"
	"slipway/provider/catalog"
	"slipway/provider/zonefile"
	"slipway/repo"
	"slipway/secret"
	"slipway/starter"
	"slipway/zone"
)

// server is every part, wired. The fields are in the order in which they start;
// close stops them backwards.
type server struct {
	settings settings
	log      *slog.Logger

	keys        *key.Store
	eventStores map[string]key.Manager // opened for event keys, by URI
	rotating    bool                   // the event key is about to be another one
	commits     ssh.Signer
	record      *audit.Log
	retired     []string // keys that an interrupted rotation had left and the start destroyed
	zones       *repo.Repo
	files       *zonefile.Provider
	providers   *catalog.Catalog
	names       *nameserver.Server
	secrets     *secret.Resolver
	authorities *authorities
	gateway     net.Addr // nil: none in this process
	people      *identity.Service
	door        *identity.Door
	changes     *flow.Service
	moved       bell // rings when main has moved
	reports     *inbound.Service
	web         *http.Server
	listener    net.Listener

	closers []func(context.Context) error
}

// start brings all parts up, or none.
func start(ctx context.Context, s settings) (_ *server, err error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	logger, err := s.logger()
	if err != nil {
		return nil, err
	}
	slog.SetDefault(logger)
	srv := &server{settings: s, log: logger}
	defer func() {
		if err != nil {
			srv.close(context.WithoutCancel(ctx))
		}
	}()
	if err := os.MkdirAll(s.data, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	for _, step := range []struct {
		what string
		run  func(context.Context) error
	}{
		{"lock", srv.lock},
		{"portal address", srv.openListener},
		{"keys", srv.openKeys},
		{"secrets", srv.openSecrets},
		{"log", srv.openRecord},
		{"zones repository", srv.openZones},
		{"nameserver", srv.startNames},
		{"accounts", srv.openPeople},
		{"certificates", srv.startCertificates},
		{"gateway", srv.startGateway},
		{"workflows", srv.startChanges},
		{"readers of the record", srv.startForward},
		{"sources of reports", srv.startSources},
		{"mirrors of the record", srv.startMirrors},
		{"witnesses of the record", srv.startWitnesses},
		{"portal", srv.startWeb},
		{"maintenance", srv.keepTidy},
	} {
		began := time.Now()
		if err := step.run(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", step.what, err)
		}
		logger.Debug("started", "part", step.what, "took", time.Since(began))
	}
	return srv, nil
}

func (srv *server) onClose(f func(context.Context) error) { srv.closers = append(srv.closers, f) }

// close stops the parts in reverse order and waits at most 20 seconds for them.
func (srv *server) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var errs []error
	for _, f := range slices.Backward(srv.closers) {
		errs = append(errs, f(ctx))
	}
	srv.closers = nil
	return errors.Join(errs...)
}

// openListener comes early, so that a taken port is said before anything is made.
func (srv *server) openListener(context.Context) error {
	l, err := net.Listen("tcp", srv.settings.listen)
	if err != nil {
		return fmt.Errorf("%w (choose another with --listen)", err)
	}
	srv.listener = l
	srv.onClose(func(context.Context) error {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	if srv.settings.baseURL == "" {
		srv.settings.baseURL = "http://" + l.Addr().String()
	}
	return nil
}

func (srv *server) openKeys(ctx context.Context) error {
	keys, err := key.OpenStore(srv.settings.path("keys"), []byte(os.Getenv("SLIPWAY_KEY_PASSPHRASE")))
	if err != nil {
		return err
	}
	srv.keys = keys
	signer, err := keys.Signer(ctx, "commits", true)
	if err != nil {
		return err
	}
	srv.commits, err = signer.SSH()
	return err
}

// auditOptions names the log's place and keys.
func (srv *server) auditOptions(ctx context.Context) (audit.Options, error) {
	events, err := srv.eventKey(ctx)
	if err != nil {
		return audit.Options{}, err
	}
	checkpoints, err := srv.keys.Signer(ctx, "log", true)
	if err != nil {
		return audit.Options{}, err
	}
	index, err := srv.index(ctx)
	if err != nil {
		return audit.Options{}, err
	}
	return audit.Options{
		Dir:    srv.settings.path("audit"),
		Index:  index,
		Origin: "slipway." + srv.settings.organisation.Domain + "/log",
		Events: events,
		Log:    checkpoints,
		Now:    time.Now,
	}, nil
}

func (srv *server) openRecord(ctx context.Context) error {
	o, err := srv.auditOptions(ctx)
	if err != nil {
		return err
	}
	srv.record, err = audit.Open(ctx, o)
	if err != nil {
		return err
	}
	srv.onClose(srv.record.Close)
	if err := srv.publishKeys(); err != nil {
		return err
	}
	return srv.finishRetiring(ctx, o.Events.Name())
}

// publishKeys puts the public keys beside the log, so that a copy of the directory
// can be verified. Whoever doubts the server takes the keys from elsewhere.
func (srv *server) publishKeys() error {
	path := srv.settings.path("audit", "keys.json")
	var b bytes.Buffer
	if err := srv.record.PublicKeys().Write(&b); err != nil {
		return err
	}
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, b.Bytes()) {
		return nil
	}
	fresh := path + ".new"
	if err := os.WriteFile(fresh, b.Bytes(), 0o644); err != nil {
		return err
	}
	return os.Rename(fresh, path)
}

// openZones opens the zones repository, or makes it at the first start.
func (srv *server) openZones(ctx context.Context) error {
	dir := srv.settings.path("zones.git")
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := srv.createZones(ctx, dir); err != nil {
			return err
		}
	}
	zones, err := repo.Open(ctx, dir)
	if err != nil {
		return err
	}
	srv.zones = zones
	srv.onClose(func(context.Context) error { return zones.Close() })
	return nil
}

func (srv *server) createZones(ctx context.Context, dir string) error {
	if srv.settings.repository != "" {
		return repo.Import(ctx, dir, srv.settings.repository)
	}
	kit, err := starter.Kit(srv.settings.organisation)
	if err != nil {
		return usageError{err}
	}
	by := repo.Person{Name: "Slipway", Email: "slipway@" + srv.settings.organisation.Domain}
	made, err := repo.Create(ctx, dir, kit, by, time.Now(), srv.commits)
	if err != nil {
		return err
	}
	return made.Close()
}

// main reads the zones repository's main branch as it is now.
func (srv *server) main(ctx context.Context) (*repo.Tree, *repo.Settings, error) {
	tree, err := srv.zones.Tree(ctx, repo.Main)
	if err != nil {
		return nil, nil, err
	}
	settings, err := tree.Settings(ctx)
	return tree, settings, err
}

// embedded is the directory of the zone files that the embedded nameserver serves.
func (srv *server) embedded() string { return srv.settings.path("zones") }

// servedZones lists the zones that the embedded nameserver answers for.
func (srv *server) servedZones(ctx context.Context) ([]nameserver.Zone, error) {
	_, settings, err := srv.main(ctx)
	if err != nil {
		return nil, err
	}
	var served []nameserver.Zone
	for name, z := range settings.Zones {
		if !slices.ContainsFunc(z.Providers, func(p string) bool { return settings.Providers[p].Type == zonefile.Type }) {
			continue
		}
		served = append(served, nameserver.Zone{Name: name, External: z.Visibility == "external", Signed: z.DNSSEC == "required"})
	}
	return served, nil
}

func (srv *server) startNames(ctx context.Context) error {
	files, err := zonefile.New(zonefile.Options{
		Dir:     srv.embedded(),
		Applied: func(z zone.Name) { srv.names.Reload(z) },
	})
	if err != nil {
		return err
	}
	srv.files = files
	srv.providers = catalog.New(catalog.Options{Files: files, Secrets: srv.secrets, Dir: srv.settings.path("providers")})
	names, err := nameserver.Start(ctx, nameserver.Options{
		Dir:      srv.embedded(),
		KeyDir:   srv.settings.path("dnssec"),
		Internal: srv.settings.dns,
		External: srv.settings.dnsExternal,
		Zones:    srv.servedZones,
		Log:      srv.log,
	})
	if err != nil {
		return fmt.Errorf("%w (choose other addresses with --dns and --dns-external)", err)
	}
	srv.names = names
	srv.onClose(func(context.Context) error { return names.Stop() })
	return nil
}

// provider returns what serves a zone as slipway.yaml in t names it.
func (srv *server) provider(ctx context.Context, t *repo.Tree, z zone.Name) (provider.Provider, error) {
	settings, err := t.Settings(ctx)
	if err != nil {
		return nil, err
	}
	all, err := srv.providers.Serving(ctx, settings, z)
	if err != nil {
		return nil, err
	}
	if settings.Zones[z].Partial {
		for i := range all {
			all[i].Provider = srv.shared(t, all[i].Provider)
		}
	}
	return srv.providers.Join(all)
}

// answering lists the servers of a zone, at each of its providers: the embedded one for the zones that
// it serves, and for others those that the provider names.
func (srv *server) answering(ctx context.Context, t *repo.Tree, z zone.Name) ([]string, error) {
	settings, err := t.Settings(ctx)
	if err != nil {
		return nil, err
	}
	all, err := srv.providers.Serving(ctx, settings, z)
	if err != nil {
		return nil, err
	}
	var servers []string
	for _, m := range all {
		if m.Provider == provider.Provider(srv.files) {
			servers = append(servers, srv.names.Internal())
			continue
		}
		its, err := catalog.Servers(ctx, m.Provider, z)
		if err == nil && len(its) == 0 {
			err = errors.New("no server answers for it")
		}
		if err != nil {
			return nil, fmt.Errorf("zone %s at provider %s: %w", z, m.Name, err)
		}
		servers = append(servers, its...)
	}
	slices.Sort(servers)
	return slices.Compact(servers), nil
}

// verify asks the servers of a zone.
func (srv *server) verify(ctx context.Context, t *repo.Tree, z zone.Name, sets []zone.RRSet, gone []zone.Key) error {
	servers, err := srv.answering(ctx, t, z)
	if err != nil {
		return err
	}
	for _, s := range servers {
		skipped, err := nameserver.Verify(ctx, s, sets, gone)
		for _, k := range skipped {
			srv.log.Warn("a record set cannot be asked for, and is live unverified", "server", s, "record", k.Name, "type", k.Type)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (srv *server) openPeople(ctx context.Context) (err error) {
	directory := func(ctx context.Context, id string) ([]string, bool, bool, error) {
		_, settings, err := srv.main(ctx)
		if err != nil {
			return nil, false, false, err
		}
		return settings.GroupsOf(id), settings.ThirdParty(id), slices.Contains(settings.Administrators, id), nil
	}
	srv.people, err = identity.New(ctx, srv.record, directory, time.Now)
	if err != nil {
		return err
	}
	if err := srv.people.KeepSessions(srv.settings.path("sessions.json")); err != nil {
		return err
	}
	proxies, err := parseProxies(srv.settings.proxies)
	if err != nil {
		return err
	}
	srv.door = identity.NewDoor(srv.people, strings.HasPrefix(srv.settings.baseURL, "https://"), clientAddress(proxies))
	return nil
}

func (srv *server) startChanges(ctx context.Context) (err error) {
	logs := &logWatch{srv: srv}
	srv.changes, err = flow.Start(ctx, flow.Options{
		DataDir:   srv.settings.path("workflows"),
		Temporal:  srv.settings.temporal,
		Namespace: srv.settings.namespace,
		Repo:      srv.zones,
		Log:       srv.record,
		Engine:    check.NewEngine(),
		Signer:    srv.commits,
		Provider:  srv.provider,
		Verify:    srv.verify,
		Certificates: &flow.Certificates{
			Keys:      srv.authorities.keys,
			Authority: srv.authorities.connect,
			Serve:     srv.serveApps,
			Watch:     logs.pass,
			Prove:     logs.proofs,
		},
		Parents:   srv.parent,
		MainMoved: srv.mainMoved,
		Logger:    srv.log,
	})
	if err != nil {
		return err
	}
	srv.onClose(srv.changes.Stop)
	return nil
}

func (srv *server) startWeb(ctx context.Context) error {
	git, err := srv.zones.Host(repo.HostOptions{
		Authenticate: srv.gitPerson,
		Receive:      srv.receivePush,
		Log:          srv.log,
	})
	if err != nil {
		return err
	}
	_, settings, err := srv.main(ctx)
	if err != nil {
		return err
	}
	signers := repo.AllowedSigners("slipway@"+string(settings.Domain), srv.commits.PublicKey())
	handler, err := portal.New(portal.Options{
		Service:  srv.changes,
		Identity: srv.people,
		Door:     srv.door,
		Record:   srv.record,
		Settings: func(ctx context.Context) (*repo.Settings, error) {
			_, settings, err := srv.main(ctx)
			return settings, err
		},
		Git:            git,
		AllowedSigners: signers,
		Evidence:       evidence.NewExporter(srv.record, srv.zones, signers, present.Extra(srv.zones)),
		BaseURL:        srv.settings.baseURL,
		DNS:            srv.names.Internal(),
		Controls:       srv.controls(),
		Root:           srv.authorities.root,
		CRL:            srv.authorities.crl,
		Logger:         srv.log,
		Now:            time.Now,
	})
	if err != nil {
		return err
	}
	srv.web = &http.Server{
		Handler:           srv.withSources(handler),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(srv.log.Handler(), slog.LevelWarn),
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	go func() {
		if err := srv.web.Serve(srv.listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
			srv.log.Error("portal stopped", "error", err)
		}
	}()
	srv.onClose(srv.web.Shutdown)
	return nil
}
