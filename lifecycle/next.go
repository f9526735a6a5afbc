package lifecycle

import (
	"time"

	"slipway/approval"
)

// DeniedFor is how long a denied change waits for a revision before it expires.
const DeniedFor = 30 * 24 * time.Hour

// Do is what has to happen next to a change.
type Do string

const (
	DoCheck   Do = "check"
	DoApprove Do = "approve" // by rule
	DoExpire  Do = "expire"
	DoWait    Do = "wait" // for a person, or until Step.Until
	DoMerge   Do = "merge"
	DoApply   Do = "apply"
	DoCertify Do = "certify"
	DoVerify  Do = "verify" // and go live
	DoNothing Do = "nothing"
)

// Step is the next thing to do.
type Step struct {
	Do    Do
	Until time.Time // for DoWait: look again then; zero: only a person moves it
}

// Next says what comes next, from the state alone. It is the whole way of a
// change; whatever drives it (a workflow, a test, a repair by hand) asks here.
func (s State) Next(now time.Time) Step {
	phase := s.Phase
	if phase == Failed {
		phase = s.Resume
	}
	switch phase {
	case Submitted:
		return Step{Do: DoCheck}
	case Denied:
		if !s.Deadline.IsZero() && !now.Before(s.Deadline) {
			return Step{Do: DoExpire}
		}
		return Step{Do: DoWait, Until: s.Deadline}
	case Waiting:
		if len(s.Subject.Requirements) == 0 {
			return Step{Do: DoApprove}
		}
		if approval.Tally(s.Subject, s.Votes, now).Expired {
			return Step{Do: DoExpire}
		}
		return Step{Do: DoWait, Until: s.Deadline}
	case Scheduled:
		if now.Before(s.NotBefore) {
			return Step{Do: DoWait, Until: s.NotBefore}
		}
		return Step{Do: DoMerge}
	case Approved:
		return Step{Do: DoMerge}
	case Merged:
		return Step{Do: DoApply}
	case Held:
		return Step{Do: DoWait}
	case Applied:
		if len(s.Certify) > 0 {
			return Step{Do: DoCertify}
		}
		return Step{Do: DoVerify}
	}
	return Step{Do: DoNothing}
}
