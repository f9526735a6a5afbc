package forward

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"slipway/audit"
	"slipway/internal/part"
	"slipway/secret"
)

// Options are what destinations need from the server.
type Options struct {
	Origin  string           // of the log, as its checkpoints name it
	Dir     string           // where it is kept how far each destination has been served
	Secrets *secret.Resolver // default one that knows env: and file:
	Log     *slog.Logger     // default slog.Default()
}

// format makes the bytes of one event.
type format func(origin string, r audit.Receipt) ([]byte, error)

var formats = map[string]format{"ocsf": ocsf, "ecs": ecs, "cef": cef, "event": plain}

// plain is the signed event itself, in the form of RFC 8785, as it is in the log.
func plain(_ string, r audit.Receipt) ([]byte, error) { return audit.Canonical(&r.Event) }

// ways makes the sink of each type. The function that is returned makes it, once all
// settings were found good.
var ways = map[string]func(context.Context, *part.Reader, Options) func() (sink, error){
	"syslog": openSyslog, "hec": openHEC, "webhook": openWebhook, "otlp": openOTLP, "file": openFile,
}

// Types are the types that a destination can have.
func Types() []string { return slices.Sorted(maps.Keys(ways)) }

// maxBatch is how many events are handed over together at most.
const maxBatch = 500

// Open prepares a destination of `record: forward:` in slipway.yaml. Nothing is
// connected yet: the other side need not be there.
func Open(ctx context.Context, name, typ string, params map[string]string, o Options) (*Destination, error) {
	what := "record forward " + name
	way, ok := ways[typ]
	if !ok {
		return nil, fmt.Errorf("%s: the type %q is none of: %s", what, typ, strings.Join(Types(), ", "))
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	in := part.Read(what, params, o.Secrets)
	finish := way(ctx, in, o)
	d := &Destination{
		name: name, backoff: firstBackoff, position: filepath.Join(o.Dir, name+".json"), Log: o.Log,
		fromNow: in.OneOf("from", "start", "now") == "now",
		batch:   in.Number("batch", 100, 1, maxBatch),
	}
	for _, action := range in.Words("only") {
		if _, known := audit.Actions()[audit.Action(action)]; !known {
			in.Fail("only", "there is no action %q; docs/events.md lists them", action)
		}
		if d.only == nil {
			d.only = map[audit.Action]bool{}
		}
		d.only[audit.Action(action)] = true
	}
	if err := in.Done(); err != nil {
		return nil, err
	}
	var err error
	if d.sink, err = finish(); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return d, nil
}

// formatOf reads the setting format; the first name is the usual one.
func formatOf(in *part.Reader, usual string) format {
	names := append([]string{usual}, slices.DeleteFunc(slices.Sorted(maps.Keys(formats)), func(s string) bool { return s == usual })...)
	return formats[in.OneOf("format", names...)]
}

// tlsOf reads whom to trust, and what to show for oneself.
func tlsOf(ctx context.Context, in *part.Reader) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: in.Text("server-name", "")}
	if path := in.Text("ca", ""); path != "" {
		pem, err := readFile(path)
		if err != nil {
			in.Fail("ca", "%w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if err == nil && !c.RootCAs.AppendCertsFromPEM(pem) {
			in.Fail("ca", "%s holds no certificate in PEM form", path)
		}
	}
	certificate, private := in.Text("certificate", ""), in.Secret(ctx, "private-key", false)
	switch {
	case (certificate == "") != (private.Reveal() == ""):
		in.Fail("certificate", "a client certificate needs both certificate and private-key")
	case certificate != "":
		pem, err := readFile(certificate)
		if err != nil {
			in.Fail("certificate", "%w", err)
			break
		}
		pair, err := tls.X509KeyPair(pem, []byte(private.Reveal()))
		if err != nil {
			in.Fail("certificate", "the certificate and its key cannot be used together")
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c
}

const maxPEM = 1 << 20

// readFile reads a small file of settings.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxPEM {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("not a regular file of at most 1 MB")}
	}
	return os.ReadFile(path)
}
