package kms

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

const maxURI = 4096

// storeURI is a store's URI taken apart. It is either a path or, as in RFC 7512,
// attributes with semicolons between them, and after a question mark more of these
// with ampersands between them. What nobody takes is an error in the end, so that a
// misspelt setting is not one that is silently off.
type storeURI struct {
	scheme, path string
	attributes   map[string]string
}

// parseURI's errors do not repeat values, which may be secrets that do not belong there.
func parseURI(text string) (*storeURI, error) {
	if len(text) > maxURI {
		return nil, fmt.Errorf("a URI of %d bytes is too long", len(text))
	}
	scheme, rest, found := strings.Cut(text, ":")
	if !found || scheme == "" || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return nil, errors.New("a store is named by a URI, for example file:keys/certificates")
	}
	u := &storeURI{scheme: scheme, attributes: map[string]string{}}
	before, query, _ := strings.Cut(rest, "?")
	if first, _, _ := strings.Cut(before, ";"); strings.Contains(first, "=") {
		if err := u.add(before, ";"); err != nil {
			return nil, err
		}
	} else {
		path, err := url.PathUnescape(before)
		if err != nil {
			return nil, errors.New("a percent sign in the URI's path is not followed by two hex digits")
		}
		u.path = path
	}
	return u, u.add(query, "&")
}

func (u *storeURI) add(list, separator string) error {
	if list == "" {
		return nil
	}
	for part := range strings.SplitSeq(list, separator) {
		name, encoded, found := strings.Cut(part, "=")
		value, err := url.PathUnescape(encoded)
		if err != nil || !found || name == "" {
			return fmt.Errorf("the URI's part that begins with %.20q is not a name, an equals sign and a value", name)
		}
		if _, twice := u.attributes[name]; twice {
			return fmt.Errorf("the URI says %.20q twice", name)
		}
		u.attributes[name] = value
	}
	return nil
}

func (u *storeURI) take(name string) string {
	value := u.attributes[name]
	delete(u.attributes, name)
	return value
}

func (u *storeURI) takeBool(name string) (bool, error) {
	switch value := u.take(name); value {
	case "true":
		return true, nil
	case "", "false":
		return false, nil
	default:
		return false, fmt.Errorf("%s: %.20q is neither true nor false", name, value)
	}
}

// rest is an error about what nobody has taken.
func (u *storeURI) rest() error {
	if len(u.attributes) == 0 {
		return nil
	}
	return fmt.Errorf("it has no setting %q", slices.Sorted(maps.Keys(u.attributes))[0])
}
