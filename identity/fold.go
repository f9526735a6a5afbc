package identity

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"slipway/audit"
)

// Details of the events of this package. The names are part of the log's
// published form: more may be added, none renamed.
type (
	// accountDetails: create-account; the account is the resource's name.
	accountDetails struct {
		Role string `json:"role"`
	}
	// linkDetails: issue-link; the account is the resource's name.
	linkDetails struct {
		Digest  string    `json:"digest"` // of the link's token
		Expires time.Time `json:"expires"`
		Role    string    `json:"role,omitempty"`    // when it is to change
		Vouched []string  `json:"vouched,omitempty"` // whom it rests on: the issuer, and whom the issuer's session rested on
	}
	// signInDetails: sign-in; the account is the actor.
	signInDetails struct {
		Link    string   `json:"link"`              // digest of the link's token
		Nonce   string   `json:"nonce"`             // tells apart two that redeem at once
		Vouched []string `json:"vouched,omitempty"` // those of the link
	}
	// tokenDetails: issue-token; the owner is the actor, the label the resource's name.
	tokenDetails struct {
		ID      string    `json:"id"`
		Digest  string    `json:"digest"`
		Expires time.Time `json:"expires"`
		Vouched []string  `json:"vouched,omitempty"` // those of the session that it was made in
	}
	// stopDetails: disable-account and enable-account; the account is the resource's name.
	stopDetails struct {
		Reason string `json:"reason,omitempty"`
	}
	// revokeDetails: revoke-token.
	revokeDetails struct {
		ID    string `json:"id"`
		Owner string `json:"owner"`
	}
)

// replayPage is how many events are read from the index at a time.
const replayPage = 1000

// replay reads this package's events from the index and folds them in the log's order.
func (s *Service) replay(ctx context.Context) error {
	var all []audit.Receipt
	for _, action := range []audit.Action{audit.CreateAccount, audit.IssueLink, audit.SignIn, audit.IssueToken, audit.RevokeToken, audit.DisableAccount, audit.EnableAccount} {
		q := audit.Query{Action: action, Limit: replayPage}
		for {
			page, err := s.log.Index().Events(ctx, q)
			if err != nil {
				return fmt.Errorf("read %s events: %w", action, err)
			}
			all = append(all, page...)
			if len(page) < replayPage {
				break
			}
			q.After, q.HasAfter = page[len(page)-1].Index, true
		}
	}
	slices.SortFunc(all, func(a, b audit.Receipt) int { return cmp.Compare(a.Index, b.Index) })
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range all {
		if err := s.fold(r); err != nil {
			return err
		}
	}
	return nil
}

// fold brings the state up to one event. It may see an event twice. s.mu is held.
func (s *Service) fold(r audit.Receipt) error {
	e := r.Event
	switch e.Action {
	case audit.CreateAccount:
		d, err := details[accountDetails](r)
		if err != nil {
			return err
		}
		if s.accounts[e.Resource.Name] == nil {
			s.accounts[e.Resource.Name] = &account{id: e.Resource.Name, role: cmp.Or(d.Role, DefaultRole), created: e.Timestamp}
		}
	case audit.IssueLink:
		d, err := details[linkDetails](r)
		if err != nil {
			return err
		}
		if a := s.accounts[e.Resource.Name]; a != nil && d.Role != "" {
			a.role = d.Role
		}
		if s.links[d.Digest] == nil && !s.stoppedAfter(e.Resource.Name, r.Index) {
			s.links[d.Digest] = &link{account: e.Resource.Name, expires: d.Expires, vouched: distinct(append([]string{e.Actor.ID}, d.Vouched...))}
		}
	case audit.SignIn:
		d, err := details[signInDetails](r)
		if err != nil {
			return err
		}
		l := s.links[d.Link]
		if l != nil {
			l.used = true
		}
		if a := s.accounts[e.Actor.ID]; a != nil && l != nil {
			a.vouched = distinct(append(a.vouched, l.vouched...))
		}
	case audit.IssueToken:
		d, err := details[tokenDetails](r)
		if err != nil {
			return err
		}
		if s.tokens[d.Digest] == nil && !s.stoppedAfter(e.Actor.ID, r.Index) {
			t := &token{owner: e.Actor.ID, info: TokenInfo{ID: d.ID, Label: e.Resource.Name, Issued: e.Timestamp, Expires: d.Expires}, vouched: d.Vouched}
			if a := s.accounts[e.Actor.ID]; len(t.vouched) == 0 && a != nil {
				t.vouched = a.vouched // the session is not known: any that there was
			}
			s.tokens[d.Digest] = t
		}
	case audit.DisableAccount, audit.EnableAccount:
		s.foldStop(r)
	case audit.RevokeToken:
		d, err := details[revokeDetails](r)
		if err != nil {
			return err
		}
		for digest, t := range s.tokens {
			if t.info.ID == d.ID && t.owner == d.Owner {
				delete(s.tokens, digest)
			}
		}
	}
	return nil
}

func details[T any](r audit.Receipt) (T, error) {
	var d T
	if err := json.Unmarshal(r.Event.Details, &d); err != nil {
		return d, fmt.Errorf("event %s at %d of the log: details of %s: %w", r.Event.EventID, r.Index, r.Event.Action, err)
	}
	return d, nil
}
