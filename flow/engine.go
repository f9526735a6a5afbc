package flow

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/headers"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/metrics"
	sqliteplugin "go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/common/rpc/encryption"
	"go.temporal.io/server/schema/sqlite"
	"go.temporal.io/server/temporal"
	_ "modernc.org/sqlite" // to look at the file before the engine does
)

// loopback is the only address that the embedded engine listens on.
const loopback = "127.0.0.1"

// identityName is what histories call this server, instead of the process and host that the client would name.
const identityName = "slipway"

// engine is the workflow engine: Temporal in this process, or a connection to a cluster.
type engine struct {
	client client.Client
	server temporal.Server // nil for a cluster

	address  string     // of the embedded server's front end
	security *engineTLS // that lets into it
}

// dialCluster connects to a Temporal cluster. Whoever may write to the namespace can
// hold changes up there, and nothing more: no decision is taken from what the engine
// says, every step reads the log again. One Slipway server uses one namespace.
func dialCluster(ctx context.Context, address, namespace string, security *tls.Config, logger *slog.Logger) (*engine, error) {
	c, err := client.DialContext(ctx, client.Options{
		HostPort:          address,
		Namespace:         namespace,
		Identity:          identityName,
		Logger:            engineLog(logger),
		ConnectionOptions: client.ConnectionOptions{TLS: security},
	})
	if err != nil {
		return nil, fmt.Errorf("workflow engine at %s: %w", address, err)
	}
	return &engine{client: c}, nil
}

// embed starts Temporal in this process, with its state in one SQLite file below dir.
// A file that cannot be used is moved aside and a new one begun: the log is the truth,
// and every open change gets a new workflow from it.
func embed(ctx context.Context, dir, namespace string, logger *slog.Logger) (*engine, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("workflow engine: %w", err)
	}
	// The server's version is in the name: another version's file is never opened, so
	// that no upgrade depends on a migration of what can be rebuilt.
	path := filepath.Join(dir, "temporal-"+headers.ServerVersion+".db")
	if err := inspect(ctx, path); err != nil {
		logger.Warn("the workflow engine's file cannot be used and is begun anew from the log", "file", path, "error", err)
		if err := moveAside(path); err != nil {
			return nil, fmt.Errorf("workflow engine: %w", err)
		}
	}
	e, err := embedFile(ctx, path, namespace, logger)
	if err == nil {
		return e, nil
	}
	logger.Warn("the workflow engine did not start on its file, which is begun anew from the log", "file", path, "error", err)
	if err := moveAside(path); err != nil {
		return nil, fmt.Errorf("workflow engine: %w", err)
	}
	return embedFile(ctx, path, namespace, logger)
}

// inspect says whether an existing file is a sound SQLite database.
func inspect(ctx context.Context, path string) error {
	if _, err := os.Stat(path); os.IsNotExist(err) {
		return nil
	}
	db, err := sql.Open("sqlite", "file:"+path+"?mode=rw&_pragma=busy_timeout(5000)")
	if err != nil {
		return err
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return fmt.Errorf("damaged: %s", verdict)
	}
	var n int
	return db.QueryRowContext(ctx, "SELECT count(*) FROM namespaces").Scan(&n)
}

// moveAside keeps the latest unusable file for whoever wants to know why.
func moveAside(path string) error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Rename(path+suffix, path+".unusable"+suffix); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}

func embedFile(ctx context.Context, path, namespace string, logger *slog.Logger) (_ *engine, err error) {
	ports, err := freePorts(4)
	if err != nil {
		return nil, fmt.Errorf("workflow engine: %w", err)
	}
	security, err := newEngineTLS()
	if err != nil {
		return nil, fmt.Errorf("workflow engine: %w", err)
	}
	cfg, store := engineConfig(path, ports)
	if _, err := os.Stat(path); os.IsNotExist(err) {
		// The schema lands under another name first: killed half-way, it is not taken for whole.
		if err := createSchema(path); err != nil {
			return nil, fmt.Errorf("workflow engine: schema: %w", err)
		}
	}
	ns, err := sqlite.NewNamespaceConfig(cfg.ClusterMetadata.CurrentClusterName, namespace, false, nil)
	if err != nil {
		return nil, fmt.Errorf("workflow engine: namespace %s: %w", namespace, err)
	}
	if err := sqlite.CreateNamespaces(store, ns); err != nil {
		return nil, fmt.Errorf("workflow engine: namespace %s: %w", namespace, err)
	}

	hosts := make(map[primitives.ServiceName]static.Hosts)
	for i, name := range engineServices {
		hosts[name] = static.SingleLocalHost(net.JoinHostPort(loopback, strconv.Itoa(ports[i])))
	}
	server, err := temporal.NewServer(
		temporal.WithConfig(cfg),
		// No worker service: it runs scanners, batches and schedules, none of which are used here.
		temporal.ForServices([]string{string(primitives.FrontendService), string(primitives.HistoryService), string(primitives.MatchingService)}),
		temporal.WithStaticHosts(hosts), // one process has no ring to join
		temporal.WithLogger(serverLog{logger}),
		temporal.WithCustomMetricsHandler(metrics.NoopMetricsHandler),
		temporal.WithAuthorizer(authorization.NewNoopAuthorizer()), // TLS below lets only this process in
		temporal.WithTLSConfigFactory(security.provider()),
		temporal.WithDynamicConfigClient(engineTuning),
	)
	if err != nil {
		return nil, fmt.Errorf("workflow engine: %w", err)
	}
	if err := server.Start(); err != nil {
		return nil, fmt.Errorf("workflow engine: %w", err)
	}
	c, err := client.DialContext(ctx, client.Options{
		HostPort:          cfg.PublicClient.HostPort,
		Namespace:         namespace,
		Identity:          identityName,
		Logger:            engineLog(logger),
		ConnectionOptions: client.ConnectionOptions{TLS: security.client()},
	})
	if err != nil {
		_ = server.Stop()
		return nil, fmt.Errorf("workflow engine: %w", err)
	}
	return &engine{client: c, server: server, address: cfg.PublicClient.HostPort, security: security}, nil
}

// stop ends the engine in good order. Nothing is lost without it.
func (e *engine) stop() error {
	e.client.Close()
	if e.server == nil {
		return nil
	}
	return e.server.Stop()
}

// engineServices are the parts of Temporal that have an address, in the order of engineConfig's ports.
// The worker service has one although it is not run, because static membership asks for it.
var engineServices = [...]primitives.ServiceName{
	primitives.FrontendService, primitives.HistoryService, primitives.MatchingService, primitives.WorkerService,
}

// engineTuning makes one machine answer fast.
var engineTuning = dynamicconfig.StaticClient{
	// One process polls: more partitions would only forward tasks among themselves.
	dynamicconfig.MatchingNumTaskqueueReadPartitions.Key():  1,
	dynamicconfig.MatchingNumTaskqueueWritePartitions.Key(): 1,
	// Activities come back with the answer that scheduled them, without a trip through matching.
	dynamicconfig.EnableActivityEagerExecution.Key(): true,
	// A change whose workflow ended may get a new one at once.
	dynamicconfig.WorkflowIdReuseMinimalInterval.Key(): time.Duration(0),
	// Stopping does not wait for the long polls.
	dynamicconfig.EnableCancelWorkerPollsOnShutdown.Key(): true,
}

func engineConfig(path string, ports []int) (*config.Config, *config.SQL) {
	store := storeConfig(path)
	frontend := net.JoinHostPort(loopback, strconv.Itoa(ports[0]))
	services := make(map[string]config.Service)
	for i, name := range engineServices {
		services[string(name)] = config.Service{RPC: config.RPC{GRPCPort: ports[i], BindOnIP: loopback}}
	}
	return &config.Config{
		Global: config.Global{Membership: config.Membership{BroadcastAddress: loopback}}, // PProf.Port 0: no profiler listens
		Persistence: config.Persistence{
			DefaultStore:     sqliteplugin.PluginName,
			VisibilityStore:  sqliteplugin.PluginName,
			NumHistoryShards: 1, // SQLite has one writer
			DataStores:       map[string]config.DataStore{sqliteplugin.PluginName: {SQL: store}},
		},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10,
			MasterClusterName:        "slipway",
			CurrentClusterName:       "slipway",
			ClusterInformation: map[string]cluster.ClusterInformation{
				"slipway": {Enabled: true, InitialFailoverVersion: 1, RPCAddress: frontend},
			},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		Services:            services,
		Archival: config.Archival{
			History:    config.HistoryArchival{State: "disabled"},
			Visibility: config.VisibilityArchival{State: "disabled"},
		},
		NamespaceDefaults: config.NamespaceDefaults{Archival: config.ArchivalNamespaceDefaults{
			History:    config.HistoryArchivalNamespaceDefaults{State: "disabled"},
			Visibility: config.VisibilityArchivalNamespaceDefaults{State: "disabled"},
		}},
		PublicClient: config.PublicClient{HostPort: frontend},
	}, store
}

// storeConfig opens the file in write-ahead mode without a sync for each transaction
// (synchronous=NORMAL). A killed process loses nothing, since the kernel has the pages. A power cut
// may lose the engine's last moments, and then each change goes on from what the log
// holds, which is synced before anything counts as done.
func storeConfig(path string) *config.SQL {
	return &config.SQL{
		PluginName:   sqliteplugin.PluginName,
		DatabaseName: path,
		ConnectAttributes: map[string]string{
			"mode":         "rwc",
			"journal_mode": "wal",
			"synchronous":  "normal",
			"busy_timeout": "5000",
			// SQLite ignores this one. The engine keeps connections in a pool for the life of the
			// process, by their whole name; a name of its own gives each start a new connection.
			"setup": strconv.FormatInt(time.Now().UnixNano(), 36),
		},
	}
}

func createSchema(path string) error {
	fresh := path + ".new"
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		if err := os.Remove(fresh + suffix); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	store := storeConfig(fresh)
	store.ConnectAttributes["journal_mode"] = "delete" // one file to rename, nothing beside it
	store.ConnectAttributes["synchronous"] = "off"
	if err := sqlite.SetupSchema(store); err != nil {
		return err
	}
	return os.Rename(fresh, path)
}

// freePorts asks the kernel for ports. They are closed again before the engine opens
// them; should another process take one in between, the start fails with that port's name.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", net.JoinHostPort(loopback, "0"))
		if err != nil {
			return nil, err
		}
		defer l.Close() // only after all are chosen, so that they differ
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// engineTLS is one certificate, made at each start and never written down, that is
// both ends' identity: no other user of the machine can talk to the engine's ports.
type engineTLS struct {
	cert tls.Certificate
	pool *x509.CertPool
}

const engineName = "engine.slipway.internal"

func newEngineTLS() (*engineTLS, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: engineName},
		DNSNames:              []string{engineName},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().AddDate(50, 0, 0), // lives as long as the process
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &engineTLS{cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool: pool}, nil
}

func (t *engineTLS) server() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{t.cert},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: t.pool,
	}
}

func (t *engineTLS) client() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{t.cert},
		RootCAs: t.pool, ServerName: engineName,
	}
}

func (t *engineTLS) provider() encryption.TLSConfigProvider {
	return &encryption.FixedTLSConfigProvider{
		InternodeServerConfig: t.server(), InternodeClientConfig: t.client(),
		FrontendServerConfig: t.server(), FrontendClientConfig: t.client(),
	}
}

func engineLog(logger *slog.Logger) sdklog.Logger {
	return sdklog.NewStructuredLogger(slog.New(quiet{logger.Handler()}).With("component", "temporal-sdk"))
}

// namespaceOr gives the namespace's default.
func namespaceOr(ns string) string {
	if ns = strings.TrimSpace(ns); ns != "" {
		return ns
	}
	return "slipway"
}
