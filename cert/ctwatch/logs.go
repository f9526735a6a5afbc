package ctwatch

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"

	ct "github.com/google/certificate-transparency-go"
	"github.com/google/certificate-transparency-go/loglist3"
	ctx509 "github.com/google/certificate-transparency-go/x509"
)

// Type is the API that a log speaks.
type Type string

const (
	RFC6962  Type = "rfc6962" // JSON over HTTP, RFC 6962 section 4
	StaticCT Type = "static"  // tiles and checkpoints, c2sp.org/static-ct-api
)

// Log says where a log is and which key it signs with. It is written in settings,
// or read from a browser's list with ParseLogList.
type Log struct {
	Name string `yaml:"name" json:"name"`
	Type Type   `yaml:"type" json:"type"`

	// URL is where the log is read: the part before /ct/v1/get-sth, or the
	// monitoring prefix, the part before /checkpoint.
	URL string `yaml:"url" json:"url"`

	// Origin is the first line of a static log's checkpoints: its submission prefix
	// without the scheme. "" for whatever the checkpoint says: the key alone makes it the log's.
	Origin string `yaml:"origin,omitempty" json:"origin,omitempty"`

	// Key is the log's public key, a SubjectPublicKeyInfo in base64.
	Key string `yaml:"key" json:"key"`

	// What a browser's list says of the log; empty in settings.
	Operator string    `yaml:"-" json:"operator,omitempty"`
	State    string    `yaml:"-" json:"state,omitempty"`      // pending, qualified, usable, readonly, retired, rejected
	Start    time.Time `yaml:"-" json:"start,omitempty"`      // takes certificates that end at this time
	End      time.Time `yaml:"-" json:"end,omitempty"`        // … and before this one
	Test     bool      `yaml:"-" json:"test_log,omitempty"`   // promises nothing
	Previous []string  `yaml:"-" json:"previously,omitempty"` // earlier operators
}

// Bounds on settings and lists.
const (
	MaxLogList = 8 << 20 // bytes; the largest published one has some 200 KiB
	MaxLogs    = 1000
	maxText    = 500 // bytes of a name or URL
	maxKey     = 2 << 10
)

// opened is a Log whose settings hold, with its key ready to check signatures.
type opened struct {
	Log
	id  [sha256.Size]byte // RFC 6962 section 3.2: the hash of the key
	key *ct.SignatureVerifier
}

// ID is the log's ID in hexadecimal: the SHA-256 of its key (RFC 6962 section 3.2).
func (l Log) ID() (string, error) {
	o, err := l.open()
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(o.id[:]), nil
}

// Validate reports what is wrong with the log's settings.
func (l Log) Validate() error {
	_, err := l.open()
	return err
}

func (l Log) open() (*opened, error) {
	bad := func(format string, args ...any) (*opened, error) {
		name := l.Name
		if name == "" || len(name) > maxText {
			name = "(without a usable name)"
		}
		return nil, fmt.Errorf("log %s: %s", name, fmt.Sprintf(format, args...))
	}
	switch {
	case l.Name == "" || len(l.Name) > maxText:
		return bad("give it a name of at most %d bytes", maxText)
	case l.Type != RFC6962 && l.Type != StaticCT:
		return bad("type is %q; it must be %s or %s", l.Type, RFC6962, StaticCT)
	case len(l.URL) > maxText || len(l.Origin) > maxText:
		return bad("url and origin have at most %d bytes", maxText)
	case len(l.Key) > maxKey:
		return bad("key is longer than any log's")
	}
	u, err := url.Parse(l.URL)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return bad("url must be like https://ct.example/2026h1, without a password, query or fragment")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return bad("url must begin with https://, so that nobody on the way sees or changes what is asked")
	}
	o := &opened{Log: l}
	o.URL = strings.TrimRight(l.URL, "/")
	der, err := base64.StdEncoding.DecodeString(l.Key)
	if err != nil {
		return bad("key is not base64: %v", err)
	}
	key, err := ctx509.ParsePKIXPublicKey(der)
	if err != nil {
		return bad("key is not a SubjectPublicKeyInfo: %v", err)
	}
	// RFC 6962 section 2.1.4: ECDSA on P-256, or RSA of at least 2048 bits.
	if o.key, err = ct.NewSignatureVerifier(key); err != nil {
		return bad("key cannot be a log's: %v", err)
	}
	o.id = sha256.Sum256(der)
	return o, nil
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// Watched reports whether new certificates for the web can turn up in the log: browsers
// take its timestamps, and it takes certificates that have not ended at now.
func (l Log) Watched(now time.Time) bool {
	switch l.State {
	case "", "usable", "qualified", "readonly":
		return !l.Test && (l.End.IsZero() || l.End.After(now))
	}
	return false
}

// ParseLogList reads a list of logs in the form that Google and Apple publish for their
// browsers (version 3). Every entry must hold: one that was passed over would be a log that
// nobody watches.
func ParseLogList(src []byte) ([]Log, error) {
	if len(src) > MaxLogList {
		return nil, fmt.Errorf("log list: larger than %d MiB", MaxLogList>>20)
	}
	var list loglist3.LogList
	if err := json.Unmarshal(src, &list); err != nil {
		return nil, fmt.Errorf("log list: %w", err)
	}
	if list.Operators == nil {
		return nil, fmt.Errorf("log list: it has no operators; is this a list of version 3?")
	}
	var out []Log
	seen := map[string]string{}
	add := func(l Log, id []byte, state *loglist3.LogStates, t *loglist3.TemporalInterval) error {
		if state != nil {
			if s := state.LogStatus(); s != loglist3.UndefinedLogStatus {
				l.State = strings.ToLower(strings.TrimSuffix(s.String(), "LogStatus"))
			}
		}
		if t != nil {
			l.Start, l.End = t.StartInclusive, t.EndExclusive
		}
		o, err := l.open()
		if err != nil {
			return fmt.Errorf("log list: %w", err)
		}
		if string(id) != string(o.id[:]) {
			return fmt.Errorf("log list: log %s: log_id is not the hash of its key", l.Name)
		}
		if first, ok := seen[string(id)]; ok {
			return fmt.Errorf("log list: %s and %s have the same key", first, l.Name)
		}
		seen[string(id)] = l.Name
		if out = append(out, l); len(out) > MaxLogs {
			return fmt.Errorf("log list: more than %d logs", MaxLogs)
		}
		return nil
	}
	for _, op := range list.Operators {
		if op == nil {
			continue
		}
		for _, l := range op.Logs {
			if l == nil {
				continue
			}
			entry := Log{Name: named(l.Description, l.URL), Type: RFC6962, URL: l.URL, Key: b64(l.Key), Operator: op.Name, Test: l.Type == "test", Previous: operators(l.PreviousOperators)}
			if err := add(entry, l.LogID, l.State, l.TemporalInterval); err != nil {
				return nil, err
			}
		}
		for _, l := range op.TiledLogs {
			if l == nil {
				continue
			}
			entry := Log{Name: named(l.Description, l.MonitoringURL), Type: StaticCT, URL: l.MonitoringURL, Origin: originOf(l.SubmissionURL), Key: b64(l.Key), Operator: op.Name, Test: l.Type == "test", Previous: operators(l.PreviousOperators)}
			if err := add(entry, l.LogID, l.State, l.TemporalInterval); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// originOf is the origin line that a static log with this submission prefix has: the prefix
// without scheme and trailing slash (static-ct-api, Checkpoints).
func originOf(submission string) string {
	_, rest, ok := strings.Cut(submission, "://")
	if !ok {
		rest = submission
	}
	return strings.TrimRight(rest, "/")
}

func named(description, address string) string {
	if description != "" {
		return description
	}
	return originOf(address)
}

func operators(list []*loglist3.PreviousOperator) []string {
	var out []string
	for _, p := range list {
		if p != nil {
			out = append(out, p.Name)
		}
	}
	return out
}

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
