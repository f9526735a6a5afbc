// Package flow drives changes through their life by durable workflows
// (Temporal). The log says what happened; the workflow says what comes next, and
// can be rebuilt from the log. Every door (portal, API, push) calls Service.
package flow

import (
	"context"
	"io"
	"time"

	"golang.org/x/crypto/ssh"

	"slipway/approval"
	"slipway/audit"
	"slipway/check"
	"slipway/drift"
	"slipway/identity"
	"slipway/lifecycle"
	"slipway/provider"
	"slipway/repo"
	"slipway/zone"
)

// CONTRACT: replace by the real code.

type Options struct {
	DataDir   string
	Temporal  string // address of a cluster; "" for the embedded server
	Namespace string
	Repo      *repo.Repo
	Log       *audit.Log
	Engine    *check.Engine
	Identity  *identity.Service
	Signer    ssh.Signer
	Provider  func(ctx context.Context, t *repo.Tree, z zone.Name) (provider.Provider, error)
	Verify    func(ctx context.Context, sets []zone.RRSet, gone []zone.Key) error // resolves at the real servers
	Now       func() time.Time
}

type Service struct{}

func Start(ctx context.Context, o Options) (*Service, error) { panic("contract") } // engine, worker, resumption of every open change
func (s *Service) Stop(ctx context.Context) error            { panic("contract") }

// Submission is a request in any of the four ways.
type Submission struct {
	By        identity.Person
	Via       string            // cli | portal | push | api
	Files     map[string][]byte // on top of main; or
	Head      string            // a pushed commit
	Title     string
	Ticket    string
	NotBefore time.Time
	Revises   string // ID of an open change of the same requester; "" for a new one
	RequestID string // chosen by the client; a repeated one returns the first change
}

// Error is what a person sees: code, message, next step.
type Error struct {
	Code    string // invalid | not-found | forbidden | conflict | refused | unavailable
	Message string
	Help    string
	Detail  error // for the operator's log
}

func (e *Error) Error() string { return e.Message }
func (e *Error) Unwrap() error { return e.Detail }

func (s *Service) Preview(ctx context.Context, by identity.Person, files map[string][]byte) (*check.Verdict, error) {
	panic("contract")
}
func (s *Service) Submit(ctx context.Context, sub Submission, progress io.Writer) (lifecycle.State, *check.Verdict, error) {
	panic("contract")
} // returns when the verdict is recorded
func (s *Service) Vote(ctx context.Context, by identity.Person, id string, d approval.Decision, reason, changeDigest, policyDigest, via string) (lifecycle.State, error) {
	panic("contract")
}
func (s *Service) Cancel(ctx context.Context, by identity.Person, id, reason, via string) (lifecycle.State, error) {
	panic("contract")
}
func (s *Service) Schedule(ctx context.Context, by identity.Person, id string, notBefore time.Time, via string) (lifecycle.State, error) {
	panic("contract")
}
func (s *Service) Retry(ctx context.Context, by identity.Person, id string) (lifecycle.State, error) {
	panic("contract")
} // a failed step
func (s *Service) Change(ctx context.Context, id string) (lifecycle.State, []audit.Receipt, *check.Verdict, error) {
	panic("contract")
}
func (s *Service) Changes(ctx context.Context, q audit.ChangeQuery) ([]lifecycle.State, error) {
	panic("contract")
}
func (s *Service) Inbox(ctx context.Context, by identity.Person) ([]lifecycle.State, error) {
	panic("contract")
}                                                                // waiting changes that by may vote on
func (s *Service) Apps(ctx context.Context) ([]*repo.App, error) { panic("contract") }
func (s *Service) App(ctx context.Context, name string) (*repo.App, []lifecycle.State, []audit.Receipt, error) {
	panic("contract")
}
func (s *Service) Drift(ctx context.Context, zones []zone.Name) ([]drift.Report, error) {
	panic("contract")
}                                                                        // now; findings become events
func (s *Service) LastDrift(ctx context.Context) ([]drift.Report, error) { panic("contract") }
