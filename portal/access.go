package portal

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"slipway/flow"
	"slipway/identity"
	"slipway/lifecycle"
	"slipway/repo"
)

// request is an HTTP request whose sender is known. person.Via is empty when
// nobody has signed in, which only routes for anyone get to see.
type request struct {
	*http.Request
	person identity.Person
}

// guard finds out who asks, refuses who may not, and turns errors into answers.
func (s *server) guard(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, hr *http.Request) {
		r := &request{Request: hr}
		err := s.admit(rt, r)
		if err == nil {
			err = rt.handle(w, r)
		}
		if err != nil {
			s.fail(w, r, rt, err)
		}
	})
}

func (s *server) admit(rt route, r *request) (err error) {
	switch rt.face {
	case plain:
		return nil
	case api:
		// A request that carries a token is its token's, whatever cookie comes along.
		if r.Header.Get("Authorization") != "" {
			r.person, err = s.door.Bearer(r.Request)
		} else {
			r.person, err = s.door.Session(r.Request)
		}
	default:
		r.person, err = s.door.Session(r.Request)
	}
	if rt.who == anyone {
		if errors.Is(err, identity.ErrNoSession) || errors.Is(err, identity.ErrNoCredentials) {
			return nil
		}
		return err
	}
	if err != nil {
		return err
	}
	switch {
	case rt.who == insider && !isInsider(r.person):
		return &flow.Error{Code: flow.Forbidden, Message: "This is open to the organisation's own people only.", Help: "Ask the person who invited you if you need something from here."}
	case rt.who == admin && !r.person.Admin:
		return &flow.Error{Code: flow.Forbidden, Message: "Only administrators can do this.", Help: "Administrators are named in slipway.yaml; ask one of them."}
	}
	return nil
}

// isInsider reports whether p may see what is not their own. Groups are given
// by slipway.yaml, so a third party in one (an outside auditor, say) was let in on purpose.
func isInsider(p identity.Person) bool {
	return !p.ThirdParty || p.Admin || len(p.Groups) > 0
}

// seesRecord reports whether p may read events that are not about their own
// changes: auditors, administrators, and those who approve, who are members of some group.
func seesRecord(p identity.Person) bool { return p.Admin || len(p.Groups) > 0 }

func maySee(p identity.Person, st lifecycle.State) bool {
	return isInsider(p) || st.Requester == p.ID
}

func maySeeApp(p identity.Person, app *repo.App) bool {
	return isInsider(p) || strings.EqualFold(app.Owner, p.ID)
}

// onlyVisible takes away what p may not see.
func onlyVisible(p identity.Person, states []lifecycle.State) []lifecycle.State {
	return slices.DeleteFunc(slices.Clone(states), func(st lifecycle.State) bool { return !maySee(p, st) })
}

// notFound says the same of what is not there and of what p may not see.
func notFound(what string) error {
	return &flow.Error{Code: flow.NotFound, Message: what + " was not found.", Help: "Check the address, or look for it in the lists."}
}

// visible checks that the person may see a change, before anything is done with it.
func (s *server) visible(ctx context.Context, p identity.Person, id string) error {
	if isInsider(p) {
		return nil // what is not there is found out by what is asked next
	}
	st, _, _, err := s.Service.Change(ctx, id)
	if err != nil {
		return err
	}
	if !maySee(p, st) {
		return notFound("This request")
	}
	return nil
}

// mayAsk keeps a third party from learning, by asking for it, what it may not
// see: a verdict shows what is there now. Insiders see everything anyway.
func (s *server) mayAsk(ctx context.Context, p identity.Person, a asked) error {
	if isInsider(p) {
		return nil
	}
	if a.App == nil {
		return &flow.Error{Code: flow.Forbidden, Message: "A third party asks for apps, not for files.", Help: `Send {"app": {…}}, or use the form in the portal.`}
	}
	if a.Revises != "" {
		if err := s.visible(ctx, p, a.Revises); err != nil {
			return err
		}
	}
	switch app, _, _, err := s.Service.App(ctx, a.App.Name); {
	case err == nil && !maySeeApp(p, app):
		return &flow.Error{Code: flow.Conflict, Message: "There is an app with this name already.", Help: "Choose another name."}
	case err != nil && explain(err).Code != flow.NotFound:
		return err
	}
	return nil
}
