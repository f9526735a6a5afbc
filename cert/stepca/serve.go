package stepca

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/smallstep/certificates/acme"
	acmeapi "github.com/smallstep/certificates/acme/api"
	"github.com/smallstep/certificates/api"
	apilog "github.com/smallstep/certificates/api/log"
	"github.com/smallstep/certificates/authority"
	"github.com/smallstep/certificates/authority/provisioner"
	"github.com/smallstep/certificates/db"
)

const (
	acmePrefix      = "acme"
	provisionerName = "internal"
	crlPath         = "/crl"
	finalizeSuffix  = "/finalize"
	renewalPath     = "renewal-info"

	maxBody   = 128 << 10 // a CSR with a hundred names is a tenth of it
	maxHeader = 16 << 10
)

// acmeProvisioner is what certificates look like and how names are proved: dns-01
// alone, because Slipway writes the zones and nobody's web server has a say. An app
// shows its certificate as a client, too, where another app asks who calls it.
func acmeProvisioner(o Options) *provisioner.ACME {
	yes := true
	crl := ""
	if o.CRLURL != "" {
		crl = fmt.Sprintf(`, "crlDistributionPoints": %q`, o.CRLURL)
	}
	return &provisioner.ACME{
		Type:       "ACME",
		Name:       provisionerName,
		Challenges: []provisioner.ACMEChallenge{provisioner.DNS_01},
		Claims: &provisioner.Claims{
			MinTLSDur:                  &provisioner.Duration{Duration: 5 * time.Minute},
			MaxTLSDur:                  &provisioner.Duration{Duration: o.Lifetime},
			DefaultTLSDur:              &provisioner.Duration{Duration: o.Lifetime},
			DisableSmallstepExtensions: &yes,
		},
		Options: &provisioner.Options{X509: &provisioner.X509Options{Template: `{
	"subject": {{ toJson .Subject }},
	"sans": {{ toJson .SANs }},
	"keyUsage": [{{ if typeIs "*rsa.PublicKey" .Insecure.CR.PublicKey }}"keyEncipherment", {{ end }}"digitalSignature"],
	"extKeyUsage": ["serverAuth", "clientAuth"]` + crl + `
}`}},
	}
}

// newServer serves ACME and the list of revocations; step-ca's other interfaces, which
// take tokens and passwords, are not there.
func (ca *CA) newServer(o Options) *http.Server {
	router := chi.NewRouter()
	router.Get(crlPath, api.CRL)
	router.Route("/"+acmePrefix, func(r chi.Router) { acmeapi.Route(r) })

	base := authority.NewContext(context.Background(), ca.authority)
	base = db.NewContext(base, ca.ledger)
	base = acme.NewDatabaseContext(base, &orders{DB: ca.ledger.acme, ca: ca, nonces: newNonces()})
	base = acme.NewLinkerContext(base, acme.NewLinker(ca.address, acmePrefix))
	base = apilog.WithErrorLogger(base, func(_ http.ResponseWriter, r *http.Request, err error) {
		o.Logger.Debug("certificate authority: refused", "path", r.URL.Path, "error", err)
	})

	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		r.Host = ca.address // links are made from it, and a client may name any
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		r = r.WithContext(acme.NewClientContext(r.Context(), &resolver{r.Context(), o.Resolve}))
		asks := r.Method == http.MethodGet || r.Method == http.MethodHead
		if id, ok := strings.CutPrefix(r.URL.Path, ca.path()+renewalPath+"/"); ok && asks {
			ca.serveRenewalInfo(w, r, id)
		} else if r.URL.Path == ca.path()+"directory" && asks {
			ca.serveDirectory(w, r)
		} else if id, ok := finalized(r.URL.Path); ok {
			if err := ca.ledger.finalizing(r.Context(), id, func() { router.ServeHTTP(w, r) }); err != nil {
				o.Logger.Error("certificate authority: database", "error", err)
				http.Error(w, "the authority's database cannot be read", http.StatusInternalServerError)
			}
		} else {
			router.ServeHTTP(w, r)
		}
		o.Logger.Debug("certificate authority: request", "method", r.Method, "path", r.URL.Path, "duration", time.Since(begun))
	})
	own := &ownCertificate{make: ca.authority.GetTLSCertificate}
	return &http.Server{
		Handler:           handler,
		BaseContext:       func(net.Listener) context.Context { return base },
		TLSConfig:         &tls.Config{GetCertificate: own.get},
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
	}
}

// path is what the path of every resource of ACME begins with, and base its URL.
func (ca *CA) path() string { return "/" + acmePrefix + "/" + provisionerName + "/" }
func (ca *CA) base() string { return "https://" + ca.address + ca.path() }

// finalized is the ID of the order that a path finalizes.
func finalized(path string) (string, bool) {
	rest, ok := strings.CutSuffix(path, finalizeSuffix)
	if !ok {
		return "", false
	}
	id, ok := strings.CutPrefix(rest, "/"+acmePrefix+"/"+provisionerName+"/order/")
	return id, ok && id != "" && !strings.Contains(id, "/")
}

// resolver asks for challenge records the way that the server was told to. Any other
// way of proving a name is switched off, and leads nowhere here.
type resolver struct {
	ctx     context.Context
	resolve func(ctx context.Context, name string) ([]string, error)
}

var errOtherProof = errors.New("names are proved by dns-01 alone")

func (r *resolver) LookupTxt(name string) ([]string, error) {
	ctx, cancel := context.WithTimeout(r.ctx, lookupTimeout)
	defer cancel()
	return r.resolve(ctx, name)
}

func (r *resolver) Get(string) (*http.Response, error) { return nil, errOtherProof }

func (r *resolver) TLSDial(string, string, *tls.Config) (*tls.Conn, error) {
	return nil, errOtherProof
}

// ownCertificate is for the authority's own listener. Its key is in memory alone and
// never the same twice, so there is nothing to keep.
type ownCertificate struct {
	make func() (*tls.Certificate, error)

	mu  sync.Mutex // held over making it
	now *tls.Certificate
}

func (o *ownCertificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.now != nil && time.Until(o.now.Leaf.NotAfter) > o.now.Leaf.NotAfter.Sub(o.now.Leaf.NotBefore)/2 {
		return o.now, nil
	}
	made, err := o.make()
	if err != nil {
		return nil, err
	}
	o.now = made
	return made, nil
}
