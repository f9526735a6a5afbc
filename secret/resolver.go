package secret

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
)

// MaxSize bounds a credential, in bytes: room for a service account's key file.
const MaxSize = 64 << 10

// Source fetches the credential that a reference names. It is given references of its
// own scheme only, as Parse accepted them, and its errors contain no credential.
type Source func(ctx context.Context, ref Ref) (Value, error)

// Resolver fetches credentials. It caches none: one that is replaced where it is kept
// is used from the next time on. Register first, then resolve from any goroutine.
type Resolver struct {
	sources map[string]Source
}

// NewResolver knows env: and file:. Everything else is registered by whoever starts
// the server.
func NewResolver() *Resolver {
	return &Resolver{sources: map[string]Source{Env: fromEnv, File: fromFile}}
}

// Register adds a scheme. One that Parse does not know, or that is there already, is an
// error.
func (r *Resolver) Register(scheme string, s Source) error {
	if !slices.Contains(schemes, scheme) {
		return fmt.Errorf("secrets of the scheme %q: the schemes are %s", scheme, strings.Join(schemes, ", "))
	}
	if _, twice := r.sources[scheme]; twice {
		return fmt.Errorf("secrets of the scheme %q have a source already", scheme)
	}
	r.sources[scheme] = s
	return nil
}

// Resolve fetches a credential. An empty one is an error: sent to a server it would
// only be refused there, with a message that names no reason.
func (r *Resolver) Resolve(ctx context.Context, ref Ref) (Value, error) {
	if _, err := Parse(string(ref)); err != nil {
		return Value{}, err // without ref, which may be the credential
	}
	source, ok := r.sources[ref.Scheme()]
	if !ok {
		return Value{}, fmt.Errorf("secret %s: this server fetches secrets only from: %s", ref, strings.Join(slices.Sorted(maps.Keys(r.sources)), ", "))
	}
	if err := ctx.Err(); err != nil {
		return Value{}, fmt.Errorf("secret %s: %w", ref, err)
	}
	v, err := source(ctx, ref)
	switch {
	case err != nil:
		return Value{}, fmt.Errorf("secret %s: %w", ref, err)
	case v.Empty():
		return Value{}, fmt.Errorf("secret %s: it is empty", ref)
	case len(v.Reveal()) > MaxSize:
		return Value{}, fmt.Errorf("secret %s: it has more than %d bytes", ref, MaxSize)
	}
	return v, nil
}

// Resolve fetches a credential from the environment or a file.
func Resolve(ctx context.Context, ref Ref) (Value, error) { return NewResolver().Resolve(ctx, ref) }

func fromEnv(_ context.Context, ref Ref) (Value, error) {
	text, ok := os.LookupEnv(ref.Rest())
	if !ok {
		return Value{}, errors.New("the server's environment has no such variable: set it where the server is started")
	}
	return New(text), nil
}

// looseBits are those of a file's mode that let others than its owner and its group
// read it, or others than its owner change it. Reading by the group is how containers
// are given secrets.
const looseBits = 0o027

func fromFile(_ context.Context, ref Ref) (Value, error) {
	// Without blocking, so that a named pipe nobody writes to cannot hold the server.
	f, err := os.OpenFile(ref.Rest(), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return Value{}, errors.Unwrap(err) // the path is in ref
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Value{}, errors.Unwrap(err)
	}
	if !info.Mode().IsRegular() {
		return Value{}, errors.New("it is not a file")
	}
	if loose := info.Mode().Perm() & looseBits; loose != 0 {
		return Value{}, fmt.Errorf("its mode is %#o, so that others can read or change it: make it 0600 (or 0640 for its group)", info.Mode().Perm())
	}
	raw, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return Value{}, errors.Unwrap(err)
	}
	text := strings.TrimSuffix(string(raw), "\n")
	return New(strings.TrimSuffix(text, "\r")), nil
}
