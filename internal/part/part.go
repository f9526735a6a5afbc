// Package part reads the settings of something outside, as slipway.yaml has them: texts
// by name, credentials as references. It refuses what nobody asks for, so that a
// misspelt setting is not one that does nothing. It opens nothing itself.
package part

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"slipway/secret"
)

// Reader reads one part's settings. The first fault is kept; Done returns it.
type Reader struct {
	what    string // for messages: "record forward siem"
	params  map[string]string
	secrets *secret.Resolver
	used    map[string]bool
	err     error
}

// Read begins with the settings of what. A nil resolver knows env: and file:.
func Read(what string, params map[string]string, secrets *secret.Resolver) *Reader {
	if secrets == nil {
		secrets = secret.NewResolver()
	}
	return &Reader{what: what, params: params, secrets: secrets, used: map[string]bool{}}
}

// Fail keeps a fault with a setting.
func (r *Reader) Fail(key, format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%s: %s: %w", r.what, key, fmt.Errorf(format, args...))
	}
}

// Done is the first fault: one that was kept, or a setting that nobody read.
func (r *Reader) Done() error {
	for _, key := range slices.Sorted(maps.Keys(r.params)) {
		if !r.used[key] {
			r.Fail(key, "there is no such setting; those of this type are: %s", strings.Join(slices.Sorted(maps.Keys(r.used)), ", "))
		}
	}
	return r.err
}

// Text is a setting, or the text that stands for it when it is left out.
func (r *Reader) Text(key, otherwise string) string {
	r.used[key] = true
	if v := r.params[key]; v != "" {
		return v
	}
	return otherwise
}

// Must is a setting that has to be there.
func (r *Reader) Must(key string) string {
	v := r.Text(key, "")
	if v == "" {
		r.Fail(key, "it must be set")
	}
	return v
}

// OneOf is one of a few words; the first stands for a setting that is left out.
func (r *Reader) OneOf(key string, words ...string) string {
	v := r.Text(key, words[0])
	if !slices.Contains(words, v) {
		r.Fail(key, "%q is none of: %s", v, strings.Join(words, ", "))
	}
	return v
}

// Words are divided by commas or spaces.
func (r *Reader) Words(key string) []string {
	return strings.FieldsFunc(r.Text(key, ""), func(c rune) bool { return c == ',' || c == ' ' })
}

// Number is a whole number between two others.
func (r *Reader) Number(key string, otherwise, low, high int) int {
	v := r.Text(key, "")
	if v == "" {
		return otherwise
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < low || n > high {
		r.Fail(key, "%q is not a number from %d to %d", v, low, high)
	}
	return n
}

// Duration is a length of time: 90s, 36h, or days as in 7d.
func (r *Reader) Duration(key string, otherwise, low, high time.Duration) time.Duration {
	v := r.Text(key, "")
	if v == "" {
		return otherwise
	}
	d, err := time.ParseDuration(v)
	if days, ok := strings.CutSuffix(v, "d"); ok {
		var n int
		n, err = strconv.Atoi(days)
		d = time.Duration(min(n, 100_000)) * 24 * time.Hour
	}
	if err != nil || d < low || d > high {
		r.Fail(key, "%q is not a length of time from %s to %s; write for example 36h or 7d", v, low, high)
	}
	return d
}

// URL is an https address. One of this very machine may be http.
func (r *Reader) URL(key string) *url.URL {
	v := r.Must(key)
	u, err := url.Parse(v)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		r.Fail(key, "this is not an address such as https://siem.example.org/path, without user and password")
		return &url.URL{}
	}
	if u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())) {
		r.Fail(key, "use https: what is sent could be read and changed on its way")
	}
	return u
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Secret fetches the credential that a setting refers to. Where it may be left out, the
// value is then empty.
func (r *Reader) Secret(ctx context.Context, key string, must bool) secret.Value {
	v := r.Text(key, "")
	if v == "" {
		if must {
			r.Fail(key, "it must be set, to where the credential is kept: env:NAME, file:/path or another reference")
		}
		return secret.Value{}
	}
	if r.err != nil {
		return secret.Value{}
	}
	ref, err := secret.Parse(v)
	if err != nil {
		r.Fail(key, "%w", err)
		return secret.Value{}
	}
	got, err := r.secrets.Resolve(ctx, ref)
	if err != nil {
		r.Fail(key, "%w", err)
	}
	return got
}
