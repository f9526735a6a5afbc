package forward

import (
	"encoding/json"
	"strings"

	"slipway/audit"
)

// ecsVersion is the release of the Elastic Common Schema that the fields are those of.
const ecsVersion = "8.11.0"

// ecs writes an event in the Elastic Common Schema. What it has no field for is below
// "slipway", which is no field set of its own.
func ecs(origin string, r audit.Receipt) ([]byte, error) {
	e := &r.Event
	raw, err := audit.Canonical(e)
	if err != nil {
		return nil, err
	}
	k := kinds[e.Action]
	category, typ := ecsCategory(e.Action, k)
	event := map[string]any{
		"id": e.EventID, "action": string(e.Action), "kind": "event", "category": category, "type": typ, "outcome": "success",
		"module": "slipway", "dataset": "slipway.audit", "provider": origin, "sequence": r.Index, "original": string(raw),
		"severity": int(k.severity),
	}
	if k.finding && !k.ended {
		event["kind"] = "alert"
	}
	if k.failed {
		event["outcome"] = "failure"
	}
	people := append([]string{e.Actor.ID}, e.ApprovalChain...)
	out := map[string]any{
		"@timestamp": e.Timestamp.Format("2006-01-02T15:04:05.000Z"),
		"ecs":        map[string]any{"version": ecsVersion},
		"message":    sentence(e),
		"event":      event,
		"user":       map[string]any{"name": e.Actor.ID, "roles": []string{e.Actor.Role}},
		"related":    map[string]any{"user": people},
		"slipway":    ocsfUnmapped(e),
	}
	if e.Resource.Record != "" {
		out["related"].(map[string]any)["hosts"] = []string{strings.TrimSuffix(e.Resource.Record, ".")}
	}
	return json.Marshal(out)
}

// ecsCategory gives event.category and event.type, whose values ECS fixes.
func ecsCategory(a audit.Action, k kind) (category, typ []string) {
	switch {
	case a == audit.SignIn:
		return []string{"authentication"}, []string{"start"}
	case ocsfAccount[a] != 0:
		typ := "change"
		switch a {
		case audit.CreateAccount, audit.IssueToken, audit.IssueLink:
			typ = "creation"
		case audit.RevokeToken:
			typ = "deletion"
		}
		return []string{"iam"}, []string{"user", typ}
	case k.finding && k.severity == alarm:
		return []string{"intrusion_detection"}, []string{"info"}
	case a == audit.RefusePush || a == audit.RefuseVote:
		return []string{"configuration"}, []string{"denied"}
	}
	return []string{"configuration"}, []string{map[int]string{1: "creation", 3: "change", 4: "deletion", 99: "info"}[ocsfActivity(a)]}
}
