// Package cloud fetches secrets from the secret managers of Amazon, Google and Azure. It
// only reads, with the identity that the platform gives the server (an instance's role, a
// workload identity), and only where the server was set up to: a reference in
// slipway.yaml chooses a secret, never who is shown the server's identity. Read this file
// first; each of the others is one service.
package cloud

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"slipway/secret"
)

// timeout bounds one request, with its retries.
const timeout = 30 * time.Second

// value is the secret itself, or one field of it where it is a JSON object. Its errors
// say nothing of the secret's content.
func value(text, field string) (secret.Value, error) {
	if len(text) > secret.MaxSize {
		return secret.Value{}, fmt.Errorf("the secret has more than %d bytes: it is no credential", secret.MaxSize)
	}
	if field == "" {
		return secret.New(text), nil
	}
	var object map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &object) != nil {
		return secret.Value{}, fmt.Errorf("the secret is not a JSON object, so it has no field %q: leave # and what follows away", field)
	}
	var v string
	if json.Unmarshal(object[field], &v) != nil {
		return secret.Value{}, fmt.Errorf("the secret has no text field %q", field)
	}
	return secret.New(v), nil
}

// cut takes the field off a reference.
func cut(ref secret.Ref, scheme string) (where, field string, err error) {
	if ref.Scheme() != scheme {
		return "", "", fmt.Errorf("a reference of the scheme %s was expected", scheme)
	}
	where, field, _ = strings.Cut(ref.Rest(), "#")
	if where == "" {
		return "", "", errors.New("the reference does not say which secret")
	}
	return where, field, nil
}
