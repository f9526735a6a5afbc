package observe

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"slipway/zone"
)

// What a Page's Status can be beside the HTTP status codes.
const (
	BadCertificate = "BAD-CERTIFICATE" // the server's certificate is not one for the name, or not trusted
	TooLong        = "TOO-LONG"        // more than MaxPage bytes
	OK             = "200"
)

// MaxPage is how long a page may be (RFC 8461 section 3.3 says to accept at least 64,000 bytes of a policy).
const MaxPage = 64 << 10

// Page is what a web server said when a document was fetched over HTTPS. Redirects are not followed. Its
// fields stand in the order of the canonical form.
type Page struct {
	Body   []byte `json:"body"` // base64 in JSON: exactly the octets that came
	Status string `json:"status"`
	Type   string `json:"type"` // the Content-Type as sent
	URL    string `json:"url"`
}

// Definite reports whether the page says what senders get; the other says that asking failed.
func (p Page) Definite() bool { return p.Status != Unreachable }

// checkURL holds a URL to the one form in which pages are asked for: https, a host name and a path, no more.
func checkURL(s string) error {
	u, err := url.Parse(s)
	if err != nil {
		return fmt.Errorf("%q is no URL", s)
	}
	host, err := zone.ParseName(u.Host)
	if err != nil || strings.Trim(string(host), "abcdefghijklmnopqrstuvwxyz0123456789-._") != "" || (&url.URL{Scheme: "https", Host: string(host), Path: u.Path}).String() != s || u.Path == "" {
		return fmt.Errorf("%q is not of the form https://name/path", s)
	}
	return nil
}

// normalise checks a page that was read.
func (p *Page) normalise() error {
	if err := checkURL(p.URL); err != nil {
		return err
	}
	switch p.Status {
	case Unreachable, BadCertificate, TooLong:
	default:
		if n, err := strconv.Atoi(p.Status); err != nil || n < 200 || n > 599 || len(p.Status) != 3 {
			return fmt.Errorf("%q is no status", p.Status)
		}
	}
	if len(p.Body) > MaxPage {
		return fmt.Errorf("it is longer than %d bytes", MaxPage)
	}
	if p.Type != mediaType(p.Type) {
		return errors.New("its type cannot be read")
	}
	if p.Body == nil {
		p.Body = []byte{}
	}
	return nil
}

// mediaType keeps of a Content-Type what can be kept: short printable ASCII.
func mediaType(s string) string {
	if len(s) > 200 || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
		return ""
	}
	return s
}
