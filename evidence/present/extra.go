package present

import (
	"context"
	"errors"
	"fmt"

	"slipway/evidence"
	"slipway/evidence/controls"
	"slipway/repo"
	"slipway/zone"
)

// Extra makes the files for an export (evidence.Options), by the mapping on main of the zones repository; nil
// is the built-in one. A controls.yaml that cannot be read must not keep an auditor from the evidence: the
// built-in mapping takes its place, and the files say so.
func Extra(r *repo.Repo) func(context.Context, *evidence.Data) (map[string][]byte, error) {
	return func(ctx context.Context, d *evidence.Data) (map[string][]byte, error) {
		m, err := mappingOf(ctx, r)
		fault, broken := errors.AsType[*zone.Error](err)
		if !broken {
			if err != nil {
				return nil, err
			}
			return Files(d, m)
		}
		if m, err = controls.Default(); err != nil {
			return nil, err
		}
		return Files(d, m, fmt.Sprintf("The organisation's own mapping could not be read, so this is by the one that is built in. %s, line %d: %s.", fault.Place.Path, fault.Place.Line, fault.What))
	}
}

func mappingOf(ctx context.Context, r *repo.Repo) (*controls.Mapping, error) {
	if r == nil {
		return controls.Default()
	}
	main, err := r.Tree(ctx, repo.Main)
	if err != nil {
		return nil, err
	}
	return controls.In(ctx, main)
}
