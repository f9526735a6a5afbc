package inbound

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// parser reads one delivery. received is when it came, for logs that do not say it all.
// What a delivery tells of other matters is no error: it gives no report.
type parser func(raw []byte, received time.Time) ([]Report, error)

var parsers = map[string]parser{
	"report":     parseReports,
	"cloudtrail": parseCloudTrail,
	"gcp":        parseGCP,
	"azure":      parseAzure,
	"bind":       parseBIND,
	"powerdns":   parsePowerDNS,
	"github":     parseGitHub,
	"gitlab":     parseGitLab,
	"jira":       parseJira,
	"kubernetes": parseKubernetes,
}

// Types are the types that a source can have.
func Types() []string { return slices.Sorted(maps.Keys(parsers)) }

// Parse reads one delivery of a source of the given type, and bounds what it says.
func Parse(typ string, raw []byte, received time.Time) ([]Report, error) {
	parse, ok := parsers[typ]
	if !ok {
		return nil, fmt.Errorf("there is no type %q of reports", typ)
	}
	if len(raw) > maxBody {
		return nil, fmt.Errorf("%w: it has more than %d bytes", errReport, maxBody)
	}
	reports, err := parse(raw, received)
	if err != nil {
		return nil, err
	}
	if len(reports) > maxReports {
		return nil, fmt.Errorf("%w: %d reports in one delivery, and at most %d are allowed", errReport, len(reports), maxReports)
	}
	for i := range reports {
		if err := reports[i].tidy(); err != nil {
			return nil, fmt.Errorf("report %d: %w", i+1, err)
		}
	}
	return reports, nil
}

// parseReports reads reports that are written as Slipway has them: for registrars and
// everything else whose own form is not known here, by way of a small translation there.
func parseReports(raw []byte, _ time.Time) ([]Report, error) {
	var many []Report
	if err := decode(raw, &many); err == nil {
		return many, nil
	}
	var one Report
	if err := decode(raw, &one); err != nil {
		return nil, err
	}
	return []Report{one}, nil
}
