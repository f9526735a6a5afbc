package secret

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Ref says where a credential is kept. It is safe to show and to commit. Only Parse
// makes one from text, because text that was meant to be a reference may be the
// credential itself.
type Ref string

// The schemes that a reference can have. Env and File are always understood; a server
// registers the others with its Resolver.
const (
	Env   = "env"          // env:NAME, a variable of the server's environment
	File  = "file"         // file:/path, the content of a file without its last line end
	Vault = "vault"        // vault:https://host/v1/secret/data/name#field, in Vault or OpenBao
	AWS   = "aws-secret"   // aws-secret:arn or name, #field of a JSON secret: AWS Secrets Manager
	GCP   = "gcp-secret"   // gcp-secret:projects/P/secrets/S/versions/V: Google Secret Manager
	Azure = "azure-secret" // azure-secret:https://vault.azure.net/secrets/name: Azure Key Vault
)

var schemes = []string{Env, File, Vault, AWS, GCP, Azure}

// maxRef bounds a reference, in bytes.
const maxRef = 2048

// ErrLiteral is what Parse returns for text that is no reference. It does not repeat the
// text, which is likely to be the credential.
var ErrLiteral = errors.New("this must say where the secret is kept, not be the secret: write env:NAME, file:/path or another reference. " +
	"If a real secret stood here, it is in Git's history now: replace it where it is used")

var (
	envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)
	plain   = regexp.MustCompile(`^[!-~]+$`) // printable ASCII without spaces
)

// ownPrefix is that of the variables that the server itself is set up with. No provider
// has business with them, and a change of slipway.yaml must not be able to send
// the server's passphrase to an address that the same change names.
const ownPrefix = "SLIPWAY_"

// Parse reads a reference. Its errors never contain the text.
func Parse(text string) (Ref, error) {
	scheme, rest, found := strings.Cut(text, ":")
	if !found || !slices.Contains(schemes, scheme) {
		return "", ErrLiteral
	}
	if rest == "" || len(text) > maxRef || (scheme != File && !plain.MatchString(rest)) {
		return "", fmt.Errorf("a reference to a secret that begins with %s: goes on with where it is, without spaces, in at most %d characters", scheme, maxRef)
	}
	var err error
	switch scheme {
	case Env:
		err = checkEnv(rest)
	case File:
		err = checkFile(rest)
	case Vault:
		_, err = locate(rest)
	case Azure:
		err = checkURL(rest)
	}
	if err != nil {
		return "", err
	}
	return Ref(text), nil
}

// Scheme is the part before the colon, Rest the part after it.
func (r Ref) Scheme() string { s, _, _ := strings.Cut(string(r), ":"); return s }
func (r Ref) Rest() string   { _, s, _ := strings.Cut(string(r), ":"); return s }

func checkEnv(name string) error {
	switch {
	case !envName.MatchString(name):
		return errors.New("env: is followed by the name of an environment variable, such as env:POWERDNS_API_KEY")
	case strings.HasPrefix(strings.ToUpper(name), ownPrefix):
		return fmt.Errorf("variables that begin with %s are the server's own, and no provider gets them: use another name", ownPrefix)
	}
	return nil
}

func checkFile(name string) error {
	if !path.IsAbs(name) || path.Clean(name) != name || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return errors.New("file: is followed by the whole path of a file, such as file:/run/secrets/powerdns")
	}
	return nil
}

func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || (u.Scheme != "https" && u.Scheme != "http") {
		return errors.New("the reference to a secret must go on with https://host/…, without a user or password in it")
	}
	return nil
}

// Location is a reference of the scheme Vault, taken apart.
type Location struct {
	Address string // https://host:port
	Path    string // below /v1/
	Field   string
}

// Locate takes a reference of the scheme Vault apart.
func (r Ref) Locate() (Location, error) {
	if r.Scheme() != Vault {
		return Location{}, fmt.Errorf("a reference of the scheme %s was expected", Vault)
	}
	return locate(r.Rest())
}

func locate(rest string) (Location, error) {
	if err := checkURL(rest); err != nil {
		return Location{}, err
	}
	u, err := url.Parse(rest)
	below, ok := "", false
	if err == nil {
		below, ok = strings.CutPrefix(u.Path, "/v1/")
	}
	if !ok || below == "" || path.Clean(below) != below || strings.HasPrefix(below, "../") || u.RawQuery != "" || u.Fragment == "" {
		return Location{}, errors.New("write a secret of Vault as vault:https://host/v1/secret/data/name#field")
	}
	return Location{Address: u.Scheme + "://" + u.Host, Path: below, Field: u.Fragment}, nil
}

// endings are what the keys of settings that hold a credential end in.
var endings = []string{"secret", "password", "passphrase", "token", "api-key", "apikey", "private-key", "access-key", "secret-key", "credentials", "credential"}

// NamesSecret says whether a key of settings, such as api-key or tsig-secret, is one
// whose value must be a reference.
func NamesSecret(key string) bool {
	key = strings.ToLower(strings.ReplaceAll(key, "_", "-"))
	return slices.ContainsFunc(endings, func(e string) bool {
		rest, ok := strings.CutSuffix(key, e)
		return ok && (rest == "" || strings.HasSuffix(rest, "-"))
	})
}
