package assess

import (
	"context"

	"slipway/repo"
	"slipway/zone/caa"
)

// method is how names are proved to authorities here (RFC 8555 section 8.4).
const method = "dns-01"

// CAA notes for each authority whether the CAA records of the names let it issue. account
// gives the URI of our account there, and false when that is not known: then conditions on the
// account count as met. The error is of a lookup.
func (f *Facts) CAA(ctx context.Context, s *repo.Settings, account func(authority string) (string, bool), lookup caa.Lookup) error {
	for i := range f.Authorities {
		a := &f.Authorities[i]
		known := s.Certificates.Authorities[a.Name].CAA
		if known == "" {
			continue
		}
		q := caa.Request{Authority: []string{known}, Account: caa.AnyAccount, Method: method}
		if account != nil {
			if uri, ok := account(a.Name); ok {
				q.Account = uri
			}
		}
		for _, n := range f.Names {
			q.Name = n.Name
			d, err := caa.Permits(ctx, q, lookup)
			if err != nil {
				return err
			}
			if !d.Permitted {
				a.Forbidden = d.Reason
				break
			}
		}
	}
	return nil
}
