package flow

import "context"

func (s *Service) reportDrift(ctx context.Context) error { return nil }

func (a *acts) ReportDrift(ctx context.Context) error {
	return a.chore(ctx, "the month's drift could not be reported", a.s.reportDrift)
}
