// Package secret owns credentials that Slipway uses and must never show: API keys, TSIG
// keys, tokens. Settings name them by reference (env:NAME, file:/path, vault:…), never
// by value, and a Value does not come out of logs, events, errors or JSON by accident:
// only Reveal hands it over. The package keeps no secret and writes none anywhere.
// Read this file first, then ref.go and resolver.go; vault, below it, is apart because
// its client is large.
package secret

import (
	"fmt"
	"log/slog"
)

// Mask is what stands for a value wherever one would be shown.
const Mask = "[secret]"

// Value is one credential. However it is formatted, logged or marshalled, it reads
// Mask. The zero Value is empty.
type Value struct {
	// A pointer, because fmt looks into unexported fields of other packages' structs
	// without calling methods: there it finds an address, not a credential.
	text *string
}

// New makes a Value. Callers drop their own copy.
func New(text string) Value { return Value{&text} }

// Reveal returns the credential itself. Its result goes to the one who asked for it
// (a request header, a key) and nowhere else.
func (v Value) Reveal() string {
	if v.text == nil {
		return ""
	}
	return *v.text
}

// Empty says whether there is no credential.
func (v Value) Empty() bool { return v.Reveal() == "" }

func (v Value) String() string               { return Mask }
func (v Value) GoString() string             { return Mask }
func (v Value) LogValue() slog.Value         { return slog.StringValue(Mask) }
func (v Value) MarshalJSON() ([]byte, error) { return []byte(`"` + Mask + `"`), nil }
func (v Value) MarshalText() ([]byte, error) { return []byte(Mask), nil }

// Format takes every verb of fmt, %x and %d too, which would else go round String.
func (v Value) Format(s fmt.State, _ rune) { fmt.Fprint(s, Mask) }
