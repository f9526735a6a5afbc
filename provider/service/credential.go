package service

import (
	"context"
	"sync"
	"time"

	"slipway/secret"
)

// Credential is one that is fetched from where it is kept when it is needed, and again
// after a while, so that one that was replaced is used without a restart.
type Credential struct {
	Ref   secret.Ref
	Fetch func(ctx context.Context, ref secret.Ref) (secret.Value, error)
	Keep  time.Duration
	Now   func() time.Time

	// mu guards the rest, while a credential is fetched too.
	mu      sync.Mutex
	value   secret.Value
	fetched time.Time
}

// Get returns the credential.
func (c *Credential) Get(ctx context.Context) (secret.Value, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.value.Empty() && c.Now().Before(c.fetched.Add(c.Keep)) {
		return c.value, nil
	}
	v, err := c.Fetch(ctx, c.Ref)
	if err != nil {
		return secret.Value{}, err
	}
	c.value, c.fetched = v, c.Now()
	return v, nil
}
