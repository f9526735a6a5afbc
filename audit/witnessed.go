package audit

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"slipway/audit/witness"
)

// Witnesses is what a log has to show beyond its own signature, which whoever has its key
// can give to two histories.
type Witnesses struct {
	// Policy says whose cosignatures are needed.
	Policy *witness.Policy
	// Until lets events that were recorded later be without cosignatures yet, as they are
	// in a log that is being written. Zero: none may be.
	Until time.Time
	// Checkpoints are of this log and come from elsewhere, for example from a witness: the
	// log must go on from each. They need no cosignatures, for their signature by the log's
	// own key is enough to hold it to them.
	Checkpoints [][]byte
}

// Witnessed is what Verify found out about the witnesses.
type Witnessed struct {
	Size    uint64                `json:"size"` // how many events are below the newest checkpoint that meets the policy
	By      []witness.Cosignature `json:"by"`
	Missing []string              `json:"missing,omitempty"` // witnesses of the policy that did not sign it
	Waiting uint64                `json:"waiting"`           // events after those
}

// CosignedDir is where the checkpoints that witnesses have signed are kept, below a log's
// directory.
func CosignedDir(dir string) string { return filepath.Join(dir, witness.Dir) }

// seen is a checkpoint that others have seen, so that the entries are measured by it too.
type seen struct {
	target
	file  string // for messages
	check Check
}

// readKept reads the checkpoints that witnesses have signed, when witnesses are asked for.
func (v *verifier) readKept() []witness.Kept {
	if v.witnesses == nil {
		return nil
	}
	var all []witness.Kept
	for kept, err := range witness.ReadKept(CosignedDir(v.dir)) {
		if err != nil {
			v.problem(CheckWitnesses, path.Join(witness.Dir, kept.Name), nil, "The checkpoint cannot be read: %v.", err)
			continue
		}
		all = append(all, kept)
	}
	return all
}

// cosigned goes through the checkpoints that witnesses have signed, says what is wrong with the
// cosignatures, and returns those that the log has to go on from.
func (v *verifier) cosigned(ctx context.Context, all []witness.Kept, origin string, logKey note.Verifier, size uint64) ([]seen, error) {
	if v.witnesses == nil {
		return nil, nil
	}
	var found []seen
	var newest *Witnessed // that meets the policy
	var lacking error     // of the first that does not
	take := func(file string, raw []byte) {
		cp, err := openCheckpoint(raw, origin, logKey)
		if err != nil {
			v.problem(CheckWitnesses, file, nil, "This is not a checkpoint of %s signed by its key: %v.", origin, err)
			return
		}
		if cp.Size > size {
			v.problem(CheckWitnesses, file, nil, "This checkpoint has %d events and the log's own signature, but the log has only %d: events were taken off its end, or it was put back to an older state.", cp.Size, size)
			return
		}
		found = append(found, seen{target{cp.Size, cp.Hash}, file, CheckWitnesses})
		_, missing, err := v.witnesses.Policy.Verify(raw)
		by, broken := v.witnesses.Policy.Cosignatures(raw)
		switch {
		case err != nil || broken != nil:
			lacking = cmp.Or(lacking, err, broken)
		case newest == nil || cp.Size > newest.Size:
			newest = &Witnessed{Size: cp.Size, By: by, Missing: missing, Waiting: size - cp.Size}
		}
	}
	for _, kept := range all {
		take(path.Join(witness.Dir, kept.Name), kept.Raw)
		if err := v.enough(ctx); err != nil {
			return nil, err
		}
	}
	// A copy of a log can have the signatures in the checkpoint itself.
	if by, err := v.witnesses.Policy.Cosignatures(v.published); err == nil && len(by) > 0 {
		take(path.Join(logDir, checkpointFile), v.published)
	}
	for i, raw := range v.witnesses.Checkpoints {
		take(fmt.Sprintf("checkpoint %d of those given", i+1), raw)
	}
	v.report.Witnessed = newest
	v.covered(ctx, newest, lacking)
	return found, nil
}

// covered says whether the cosigned checkpoint covers all that it has to.
func (v *verifier) covered(ctx context.Context, newest *Witnessed, lacking error) {
	policy := v.witnesses.Policy
	switch {
	case !policy.Asks() || newest != nil && newest.Waiting == 0:
		return
	case newest == nil && lacking == nil:
		var names []string
		for _, w := range policy.Witnesses() {
			names = append(names, w.Name)
		}
		v.problem(CheckWitnesses, witness.Dir, nil, "No witness has cosigned this log (missing: %s).", strings.Join(names, ", "))
		return
	case newest == nil:
		v.problem(CheckWitnesses, witness.Dir, nil, "The witnesses that the policy asks for have not cosigned this log: %v.", lacking)
		return
	}
	first := newest.Size
	recorded, err := v.recorded(ctx, first)
	if err != nil {
		return // what is wrong with that event is found when all are verified
	}
	if until := v.witnesses.Until; until.IsZero() || !recorded.After(until) {
		why := ""
		if lacking != nil {
			why = fmt.Sprintf(" Of a later checkpoint: %v.", lacking)
		}
		v.problem(CheckWitnesses, path.Join(witness.Dir, witness.File), &first, "The last %d events, from this one of %s on, are below no checkpoint that the witnesses have cosigned.%s",
			newest.Waiting, recorded.Format(time.RFC3339), why)
	}
}

// recorded is when an event was recorded, by its ID.
func (v *verifier) recorded(ctx context.Context, index uint64) (time.Time, error) {
	for r, err := range Read(ctx, v.dir, index) {
		if err != nil {
			return time.Time{}, err
		}
		_, at, err := parseEventID(r.Event.EventID)
		return at, err
	}
	return time.Time{}, fmt.Errorf("event %d is not there", index)
}
