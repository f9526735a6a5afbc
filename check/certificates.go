package check

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"slipway/cert/assess"
	"slipway/repo"
	"slipway/zone"
	"slipway/zone/caa"
)

// certificatesWanted gathers what is true of the certificates that the change's apps ask for, and
// what is wrong with them whatever policies say: found out now, not when the authority refuses
// after the change was approved.
func certificatesWanted(ctx context.Context, in Input, settings *repo.Settings) ([]assess.Facts, []Finding, error) {
	var wanted []assess.Facts
	var found []Finding
	for _, e := range in.Change.Apps {
		a := e.After
		if a == nil || !a.Certificate || len(a.CertificateNames()) == 0 {
			continue
		}
		facts, err := assess.Wanted(a, settings)
		nobodys := slices.ContainsFunc(facts.Names, func(n assess.Name) bool { return n.Zone == "" })
		switch {
		case err == nil:
			if err := facts.CAA(ctx, settings, nil, caaRecords(in.Head, settings)); err != nil {
				return nil, nil, err
			}
			found = append(found, facts.Findings(in.AsOf)...)
		case !nobodys && len(settings.Certificates.Rules) > 0: // names of nobody's zone are lint's
			found = append(found, Finding{
				Rule: "certificate-without-authority", Severity: Deny,
				Message:  fmt.Sprintf("The app %s asks for a certificate, and nothing says which authority issues it: %v.", a.Name, err),
				Help:     "Add a rule for these names under certificates in slipway.yaml, or take certificate: true out.",
				Path:     facts.Path,
				Line:     facts.Line,
				Controls: []string{"SOC2:CC6.7", "ISO27001:A.8.24"},
			})
		}
		wanted = append(wanted, facts)
	}
	return wanted, found, nil
}

// decidingCertificates is what the judgement of certificates rests on, for the policy digest: not where
// an authority is reached, nor where keys are kept.
type decidingCertificates struct {
	Rules       string
	Authorities map[string]decidingAuthority
	Choice      []repo.CertificateRule
	KeyKind     string
}

type decidingAuthority struct {
	Public   bool
	CAA      string
	Lifetime time.Duration
}

func certificatesDeciding(s *repo.Settings) decidingCertificates {
	out := decidingCertificates{Rules: assess.Version, Authorities: map[string]decidingAuthority{}, Choice: s.Certificates.Rules, KeyKind: s.Certificates.KeyKind}
	for name, a := range s.Certificates.Authorities {
		out.Authorities[name] = decidingAuthority{Public: a.Public, CAA: a.CAA, Lifetime: a.Lifetime}
	}
	return out
}

const maxAliases = 8

// caaRecords looks CAA records up in the zones as they would become. What is outside of them, nobody
// here can know.
func caaRecords(head *repo.Tree, settings *repo.Settings) caa.Lookup {
	return func(ctx context.Context, name zone.Name) ([]string, error) {
		for range maxAliases {
			z, ours := settings.ZoneOf(name)
			if !ours {
				return nil, nil
			}
			file, err := head.ZoneFile(ctx, z)
			if errors.Is(err, repo.ErrNotFound) {
				return nil, nil
			}
			if err != nil {
				return nil, err
			}
			sets, err := file.At(name)
			if err != nil {
				return nil, err
			}
			var alias []string
			for _, r := range sets {
				switch r.Type {
				case "CAA":
					return r.Values, nil
				case "CNAME":
					alias = r.Values
				}
			}
			if len(alias) != 1 {
				return nil, nil
			}
			if name, err = zone.ParseName(alias[0]); err != nil {
				return nil, nil // malformed-value says so
			}
		}
		return nil, nil
	}
}
