package stepca

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"time"

	"slipway/internal/durable"
	"slipway/key"
)

// How long the authority's own certificates are good. The root has to be brought to
// every device by hand, so it lasts. The intermediate is signed again, with the same
// key, when the server starts in its last year.
const (
	rootYears        = 20
	issuerYears      = 5
	renewIssuer      = 365 * 24 * time.Hour
	clockDifference  = time.Hour // by which clocks of devices may be slow
	maxStateFile     = 64 << 10
	rootKeyName      = "ca-root"
	issuerKeyName    = "ca-intermediate"
	stateFile        = "ca.json"
	rootFile         = "root.pem"
	intermediateFile = "intermediate.pem"
)

// Ports that no system hands out by itself for outgoing connections (RFC 6335 section 6
// has these begin at 49152, Linux at 32768), so that one is free again after a restart.
const (
	firstPort = 20000
	lastPort  = 32000
)

// state is ca.json: where the authority's keys are, and which address is its.
// Root and intermediate lie beside it in PEM.
type state struct {
	Version int    `json:"version"`
	Root    string `json:"root_key"`
	Issuer  string `json:"intermediate_key"`
	Address string `json:"address,omitempty"`
}

// readState reads ca.json, or makes the keys that it names. A kill in between does
// no harm: a key of a name is made once.
func readState(ctx context.Context, o Options) (*state, error) {
	raw, err := durable.Read(filepath.Join(o.Dir, stateFile), maxStateFile)
	if err == nil {
		s, err := parseState(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(o.Dir, stateFile), err)
		}
		return s, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(o.Dir, rootFile)); err == nil {
		return nil, fmt.Errorf("%s is there but %s is not, so it is not known where the keys are. Restore it from a backup", filepath.Join(o.Dir, rootFile), stateFile)
	}
	s := &state{Version: 1}
	if s.Root, _, err = o.Keys.Create(ctx, rootKeyName, key.ECDSAP256); err != nil {
		return nil, err
	}
	if s.Issuer, _, err = o.Keys.Create(ctx, issuerKeyName, key.ECDSAP256); err != nil {
		return nil, err
	}
	return s, s.write(o.Dir)
}

func parseState(raw []byte) (*state, error) {
	var s state
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, err
	}
	switch {
	case s.Version != 1:
		return nil, fmt.Errorf("version %d is not known to this version of Slipway", s.Version)
	case s.Root == "" || s.Issuer == "":
		return nil, errors.New("it does not say where the keys are")
	}
	return &s, nil
}

func (s *state) write(dir string) error {
	raw, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return durable.Write(filepath.Join(dir, stateFile), append(raw, '\n'), 0o600)
}

// pair is what the authority signs with.
type pair struct {
	root, issuer *x509.Certificate
	signer       crypto.Signer
}

// certificates reads root and intermediate, and makes what is not there or is due.
// The root's key is opened only then, so it can lie elsewhere otherwise.
func (s *state) certificates(ctx context.Context, o Options, now time.Time) (*pair, error) {
	signer, err := o.Keys.Signer(ctx, s.Issuer)
	if err != nil {
		return nil, fmt.Errorf("intermediate: %w", err)
	}
	root, err := readCertificate(filepath.Join(o.Dir, rootFile))
	if errors.Is(err, fs.ErrNotExist) {
		root, err = s.makeRoot(ctx, o, now)
	}
	if err != nil {
		return nil, fmt.Errorf("root: %w", err)
	}
	issuer, err := readCertificate(filepath.Join(o.Dir, intermediateFile))
	if errors.Is(err, fs.ErrNotExist) || err == nil && issuer.NotAfter.Sub(now) < renewIssuer {
		issuer, err = s.makeIssuer(ctx, o, root, signer.Public(), now)
	}
	if err == nil {
		err = issuer.CheckSignatureFrom(root)
	}
	if err == nil && !samePublic(issuer.PublicKey, signer.Public()) {
		err = fmt.Errorf("%s is for another key than %s", intermediateFile, s.Issuer)
	}
	if err != nil {
		return nil, fmt.Errorf("intermediate: %w", err)
	}
	return &pair{root: root, issuer: issuer, signer: signer}, nil
}

func (s *state) makeRoot(ctx context.Context, o Options, now time.Time) (*x509.Certificate, error) {
	signer, err := o.Keys.Signer(ctx, s.Root)
	if err != nil {
		return nil, err
	}
	template, err := s.template(o.Name, "Root CA", now, rootYears)
	if err != nil {
		return nil, err
	}
	template.MaxPathLen = 1
	return sign(template, template, signer.Public(), signer, filepath.Join(o.Dir, rootFile))
}

func (s *state) makeIssuer(ctx context.Context, o Options, root *x509.Certificate, public crypto.PublicKey, now time.Time) (*x509.Certificate, error) {
	signer, err := o.Keys.Signer(ctx, s.Root)
	if err != nil {
		return nil, fmt.Errorf("the root's key is needed to sign it: %w", err)
	}
	name := o.Name
	if len(root.Subject.Organization) > 0 {
		name = root.Subject.Organization[0]
	}
	template, err := s.template(name, "Intermediate CA", now, issuerYears)
	if err != nil {
		return nil, err
	}
	if template.NotAfter.After(root.NotAfter) {
		template.NotAfter = root.NotAfter
	}
	template.MaxPathLenZero = true
	// TLS alone: nobody signs code or mail with what comes from here.
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	return sign(template, root, public, signer, filepath.Join(o.Dir, intermediateFile))
}

func (s *state) template(organisation, role string, now time.Time, years int) (*x509.Certificate, error) {
	if organisation == "" {
		organisation = "Slipway"
	}
	// RFC 5280 section 4.1.2.2: positive, at most 20 octets.
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		SerialNumber:          serial.Add(serial, big.NewInt(1)),
		Subject:               pkix.Name{Organization: []string{bounded(organisation)}, CommonName: bounded(organisation + " " + role)},
		NotBefore:             now.Add(-clockDifference),
		NotAfter:              now.AddDate(years, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}, nil
}

// bounded keeps a name within 64 characters (RFC 5280 appendix A.1, ub-common-name).
func bounded(name string) string {
	if r := []rune(name); len(r) > 64 {
		return string(r[:64])
	}
	return name
}

func sign(template, parent *x509.Certificate, public crypto.PublicKey, signer crypto.Signer, path string) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		return nil, err
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return made, durable.Write(path, toPEM(made), 0o644)
}

// listen takes the authority's address: the one that is set, the one on record, or a
// free one, which is then on record.
func (s *state) listen(ctx context.Context, o Options) (net.Listener, error) {
	var config net.ListenConfig
	if o.Listen != "" || s.Address != "" {
		address := o.Listen
		if address == "" {
			address = s.Address
		}
		l, err := config.Listen(ctx, "tcp", address)
		if err != nil && o.Listen == "" {
			return nil, fmt.Errorf("%w. This address is in the records of certificates that are under way, so another one is not taken by itself: end the program that has it, or take \"address\" out of %s to have a new one chosen",
				err, filepath.Join(o.Dir, stateFile))
		}
		return l, err
	}
	var err error
	for range 100 {
		var l net.Listener
		l, err = config.Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", firstPort+mathrand.IntN(lastPort-firstPort)))
		if err != nil {
			continue
		}
		s.Address = l.Addr().String()
		if err := s.write(o.Dir); err != nil {
			l.Close()
			return nil, err
		}
		return l, nil
	}
	return nil, fmt.Errorf("no free port: %w", err)
}

func samePublic(a, b crypto.PublicKey) bool {
	equal, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && equal.Equal(b)
}

func readCertificate(path string) (*x509.Certificate, error) {
	raw, err := durable.Read(path, maxStateFile)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(raw)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("%s holds no certificate. Restore it from a backup", path)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}
