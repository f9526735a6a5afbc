package identity

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// ErrNoCredentials is a request that does not say who makes it.
var ErrNoCredentials = errors.New("you are not signed in")

// ThrottledError is a refusal because of too many failures from one address.
type ThrottledError struct{ Wait time.Duration }

func (e *ThrottledError) Error() string {
	return fmt.Sprintf("too many attempts with a wrong secret came from your network; try again in %d seconds", int(e.Wait.Seconds())+1)
}

// Door finds the person behind an HTTP request: by session cookie, by bearer
// token or by a token as the password of basic authentication (which is how Git
// sends one). Every way in shares one throttle.
type Door struct {
	service  *Service
	throttle *Throttle
	secure   bool
	address  func(*http.Request) string
}

// NewDoor returns a door of s. secure says that people reach the server by
// HTTPS. address returns the client's network address; nil takes the
// connection's, which behind a proxy is the proxy's own.
func NewDoor(s *Service, secure bool, address func(*http.Request) string) *Door {
	if address == nil {
		address = func(r *http.Request) string {
			host, _, err := net.SplitHostPort(r.RemoteAddr)
			if err != nil {
				return r.RemoteAddr
			}
			return host
		}
	}
	return &Door{service: s, throttle: NewThrottle(s.now), secure: secure, address: address}
}

// CookieName is what the session's cookie is called. With the __Host- prefix a
// browser refuses one that was set for a whole domain or without HTTPS
// (RFC 6265bis section 4.1.3.2), so that no neighbouring site can plant one.
func (d *Door) CookieName() string {
	if d.secure {
		return "__Host-slipway"
	}
	return "slipway"
}

// Enter redeems a one-time link and sets the session's cookie.
func (d *Door) Enter(w http.ResponseWriter, r *http.Request, link string) (Person, error) {
	var secret string
	p, err := d.guarded(r, func() (p Person, err error) {
		secret, p, err = d.service.RedeemLink(r.Context(), link)
		return p, err
	})
	if err == nil {
		d.setCookie(w, secret, int(SessionValid.Seconds()))
	}
	return p, err
}

// Leave ends the session and takes the cookie back.
func (d *Door) Leave(w http.ResponseWriter, r *http.Request) error {
	d.setCookie(w, "", -1)
	c, err := r.Cookie(d.CookieName())
	if err != nil {
		return nil
	}
	return d.service.SignOut(r.Context(), c.Value)
}

func (d *Door) setCookie(w http.ResponseWriter, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: d.CookieName(), Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: d.secure, SameSite: http.SameSiteLaxMode,
	})
}

// Session returns who is signed in. A wrong cookie is not counted as a guess:
// most are of sessions that have ended.
func (d *Door) Session(r *http.Request) (Person, error) {
	c, err := r.Cookie(d.CookieName())
	if err != nil || c.Value == "" {
		return Person{}, ErrNoCredentials
	}
	return d.service.Session(r.Context(), c.Value)
}

// Bearer returns whose personal token the Authorization header carries (RFC 6750 section 2.1).
func (d *Door) Bearer(r *http.Request) (Person, error) {
	scheme, secret, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return Person{}, ErrNoCredentials
	}
	return d.guarded(r, func() (Person, error) { return d.service.Token(r.Context(), strings.TrimSpace(secret)) })
}

// Basic returns whose personal token is the password; the user name is not looked at.
func (d *Door) Basic(r *http.Request) (Person, error) {
	_, secret, ok := r.BasicAuth()
	if !ok {
		return Person{}, ErrNoCredentials
	}
	return d.guarded(r, func() (Person, error) { return d.service.Token(r.Context(), secret) })
}

type personKey struct{}

// WithPerson hands who was let in on to a handler that is behind the door.
func WithPerson(ctx context.Context, p Person) context.Context {
	return context.WithValue(ctx, personKey{}, p)
}

// PersonOf is who was let in; ErrNoCredentials is nobody.
func PersonOf(ctx context.Context) (Person, error) {
	p, ok := ctx.Value(personKey{}).(Person)
	if !ok {
		return Person{}, ErrNoCredentials
	}
	return p, nil
}

// guarded refuses an address that has guessed too often, and counts a wrong secret.
func (d *Door) guarded(r *http.Request, try func() (Person, error)) (Person, error) {
	address := d.address(r)
	if wait := d.throttle.Wait(address); wait > 0 {
		return Person{}, &ThrottledError{wait}
	}
	p, err := try()
	if errors.Is(err, ErrNoToken) || errors.Is(err, ErrNoLink) {
		d.throttle.Failed(address)
	}
	return p, err
}
