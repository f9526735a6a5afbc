package flow

import (
	"context"
	"strings"
	"testing"
	"time"

	"slipway/check"
	"slipway/identity"
	"slipway/lifecycle"
	"slipway/nameserver"
)

func TestRollback(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := context.Background()
	undo := func(by identity.Person, id string) (lifecycle.State, error) {
		st, _, err := w.flow.Rollback(ctx, by, id, "", "cli")
		return st, err
	}
	first := w.submit(green("expenses", "192.0.2.10"))
	w.reaches(first.ID, lifecycle.Live)
	other := w.submit(green("beside", "192.0.2.11"))
	w.reaches(other.ID, lifecycle.Live)

	t.Run("a change is taken back, and what came after it stays", func(t *testing.T) {
		st, err := undo(ana, first.ID)
		w.must(err)
		if st.Undoes != first.ID || st.Title != "Undo: "+first.Title || st.Requester != ana.ID {
			t.Errorf("%+v", st)
		}
		w.reaches(st.ID, lifecycle.Live)
		w.liveOnce(st.ID)
		if got, err := nameserver.Resolve(ctx, w.names.Internal(), "expenses.apps.finmicro.example", "A", time.Second); err == nil && len(got) > 0 {
			t.Errorf("still resolves to %v", got)
		}
		w.resolves("beside.apps.finmicro.example", "192.0.2.11")

		_, err = undo(ana, first.ID) // once more
		w.refused(err, Refused)

		again, err := undo(ana, st.ID)
		w.must(err)
		w.reaches(again.ID, lifecycle.Live)
		w.resolves("expenses.apps.finmicro.example", "192.0.2.10")
	})

	t.Run("nobody gets around an approval", func(t *testing.T) {
		st := w.submit(yellow("shop", "203.0.113.10"))
		_, err := undo(ana, st.ID) // it is not on main yet
		w.refused(err, Conflict)
		_, err = w.approve(omar, st)
		w.must(err)
		w.reaches(st.ID, lifecycle.Live)

		back, err := undo(omar, st.ID)
		w.must(err)
		w.expect(back, lifecycle.Waiting, check.Yellow)
		same, err := undo(omar, st.ID)
		if err != nil || same.ID != back.ID {
			t.Errorf("%s and %s, %v", back.ID, same.ID, err)
		}
		_, err = undo(ana, st.ID)
		w.refused(err, Conflict)
		if _, err = w.approve(omar, back); err == nil {
			t.Error("omar approved his own change")
		}
		_, err = w.approve(ivy, back)
		w.must(err)
		w.reaches(back.ID, lifecycle.Live)
	})

	t.Run("what was built upon is named", func(t *testing.T) {
		st := w.submit(green("beside", "192.0.2.12"))
		w.reaches(st.ID, lifecycle.Live)
		_, err := undo(ana, other.ID)
		w.refused(err, Conflict)
		if !strings.Contains(err.Error(), "apps/beside.yaml") {
			t.Errorf("%v", err)
		}
	})

	t.Run("others are refused", func(t *testing.T) {
		_, err := undo(identity.Person{}, other.ID)
		w.refused(err, Forbidden)
		_, err = undo(identity.Person{ID: "tess@studio.example", Role: "designer", ThirdParty: true}, other.ID)
		w.refused(err, Forbidden)
		_, err = undo(ana, "c-nothing")
		w.refused(err, NotFound)
		st := w.submit(yellow("noise", "203.0.113.9"))
		_, err = w.flow.Cancel(ctx, ana, st.ID, "", "api")
		w.must(err)
		_, err = undo(ana, st.ID)
		w.refused(err, Conflict)
	})
}
