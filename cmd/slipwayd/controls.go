package main

import (
	"context"

	"slipway/check"
	"slipway/evidence/controls"
)

// controls reads which controls main maps evidence to, and the checks in force there. It keeps the
// policies that it compiles, since the page that shows them is looked at again and again.
func (srv *server) controls() func(context.Context) (*controls.Mapping, []controls.Check, error) {
	engine := check.NewEngine()
	return func(ctx context.Context) (*controls.Mapping, []controls.Check, error) {
		main, _, err := srv.main(ctx)
		if err != nil {
			return nil, nil, err
		}
		mapping, err := controls.In(ctx, main)
		if err != nil {
			return nil, nil, err
		}
		checks, err := controls.InForce(ctx, engine, main)
		return mapping, checks, err
	}
}
