// Package identity owns people: accounts, one-time sign-in links, sessions and
// personal tokens. Secrets are kept only as digests. All of it but sessions is
// events in the log, so that it survives the loss of the index.
package identity

import (
	"context"
	"time"

	"slipway/audit"
)

// Person is someone who has signed in, or a token's owner.
type Person struct {
	ID         string   `json:"id"` // e-mail address, lower case
	Role       string   `json:"role"`
	Groups     []string `json:"groups"`
	ThirdParty bool     `json:"third_party"`
	Admin      bool     `json:"admin"`
	Via        string   `json:"-"` // session | token
}

// CONTRACT: replace by the real code.

// Directory says what groups a person has, from slipway.yaml on main.
type Directory func(ctx context.Context, id string) (groups []string, thirdParty, admin bool, err error)

type Service struct{}

func New(ctx context.Context, log *audit.Log, dir Directory, now func() time.Time) (*Service, error) {
	panic("contract")
}

// IssueLink makes a one-time link token for a person (an account is made if there is none). by is an administrator or "slipway".
func (s *Service) IssueLink(ctx context.Context, by, id, role string, valid time.Duration) (token string, err error) {
	panic("contract")
}
func (s *Service) RedeemLink(ctx context.Context, token string) (session string, p Person, err error) {
	panic("contract")
}
func (s *Service) Session(ctx context.Context, session string) (Person, error) { panic("contract") }
func (s *Service) SignOut(ctx context.Context, session string) error           { panic("contract") }
func (s *Service) IssueToken(ctx context.Context, p Person, label string, valid time.Duration) (token string, err error) {
	panic("contract")
}                                                                             // "slip_…"
func (s *Service) Token(ctx context.Context, token string) (Person, error)    { panic("contract") }
func (s *Service) Tokens(ctx context.Context, p Person) ([]TokenInfo, error)  { panic("contract") }
func (s *Service) RevokeToken(ctx context.Context, p Person, id string) error { panic("contract") }
func (s *Service) Accounts(ctx context.Context) ([]Person, error)             { panic("contract") }

type TokenInfo struct {
	ID      string    `json:"id"`
	Label   string    `json:"label"`
	Issued  time.Time `json:"issued"`
	Expires time.Time `json:"expires"`
}
