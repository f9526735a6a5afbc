package forward

import (
	"encoding/json"
	"strings"

	"slipway/audit"
)

// ocsfVersion is the release of the Open Cybersecurity Schema Framework whose classes are
// used (schema.ocsf.io).
const ocsfVersion = "1.2.0"

// Classes of OCSF 1.2.0. The first digit is the category: 2 findings, 3 identity and access.
const (
	ocsfComplianceFinding = 2003
	ocsfDetectionFinding  = 2004
	ocsfAccountChange     = 3001
	ocsfAuthentication    = 3002
	ocsfEntityManagement  = 3004
)

// ocsfSeverity is severity_id: 1 informational, 2 low, 3 medium, 4 high.
var ocsfSeverity = map[severity]int{informational: 1, notice: 2, warning: 3, alarm: 4}

// ocsfAccount is activity_id of Account Change.
var ocsfAccount = map[audit.Action]int{audit.CreateAccount: 1, audit.EnableAccount: 2, audit.DisableAccount: 5, audit.IssueLink: 99, audit.IssueToken: 99, audit.RevokeToken: 99}

// ocsf puts an event into the class of OCSF that fits it: what was found is a Detection
// Finding, a verdict a Compliance Finding, accounts and sign-ins their own classes, and
// everything else that was done is Entity Management. The signed event goes along whole
// as raw_data, so that the reader can check it.
func ocsf(origin string, r audit.Receipt) ([]byte, error) {
	e := &r.Event
	raw, err := audit.Canonical(e)
	if err != nil {
		return nil, err
	}
	k := kinds[e.Action]
	user := map[string]any{"name": e.Actor.ID, "uid": e.Actor.ID, "type": "User", "type_id": 1}
	if e.Actor.Role == "system" {
		user["type"], user["type_id"] = "System", 3
	}
	out := map[string]any{
		"time":        e.Timestamp.UnixMilli(),
		"severity_id": ocsfSeverity[k.severity],
		"status_id":   1,
		"message":     sentence(e),
		"raw_data":    string(raw),
		"metadata": map[string]any{
			"version":       ocsfVersion,
			"product":       map[string]any{"name": "Slipway", "vendor_name": "Slipway"},
			"uid":           e.EventID,
			"event_code":    string(e.Action),
			"sequence":      r.Index,
			"log_name":      origin,
			"log_provider":  "Slipway",
			"original_time": e.Timestamp.Format("2006-01-02T15:04:05.000Z"),
		},
		"unmapped": ocsfUnmapped(e),
	}
	class, activity := ocsfEntityManagement, ocsfActivity(e.Action)
	switch {
	case e.Action == audit.CheckChange:
		class, activity = ocsfComplianceFinding, 1
		out["finding_info"] = map[string]any{"uid": e.EventID, "title": sentence(e)}
		out["compliance"] = ocsfCompliance(e)
	case k.finding:
		class, activity = ocsfDetectionFinding, 1
		if k.ended {
			activity, out["status_id"] = 3, 4
		}
		out["finding_info"] = map[string]any{"uid": e.EventID, "title": sentence(e), "types": []string{string(e.Action)}}
		out["evidences"] = []any{map[string]any{"actor": map[string]any{"user": user}, "data": ocsfUnmapped(e)}}
		out["resources"] = []any{map[string]any{"name": object(e), "type": objectType(e)}}
	case e.Action == audit.SignIn:
		class, activity = ocsfAuthentication, 1
		out["user"], out["is_remote"] = user, true
	case ocsfAccount[e.Action] != 0:
		class, activity = ocsfAccountChange, ocsfAccount[e.Action]
		account := e.Resource.Name
		if e.Action == audit.IssueToken || e.Action == audit.RevokeToken {
			account = e.Actor.ID
		}
		out["actor"] = map[string]any{"user": user}
		out["user"] = map[string]any{"name": account, "uid": account, "type": "User", "type_id": 1}
	default:
		out["actor"] = map[string]any{"user": user}
		out["entity"] = map[string]any{"name": object(e), "type": objectType(e), "uid": object(e)}
	}
	if k.failed {
		out["status_id"] = 2
	}
	if activity == 99 {
		out["activity_name"] = strings.ReplaceAll(string(e.Action), "-", " ")
	}
	out["class_uid"], out["category_uid"] = class, class/1000
	out["activity_id"], out["type_uid"] = activity, class*100+activity
	return json.Marshal(out)
}

// ocsfActivity is activity_id of Entity Management: 1 create, 3 update, 4 delete, 99 other.
func ocsfActivity(a audit.Action) int {
	verb, _, _ := strings.Cut(string(a), "-")
	switch verb {
	case "create", "issue", "submit", "start", "order", "write":
		return 1
	case "update", "revise", "apply", "merge", "rotate":
		return 3
	case "delete", "remove", "erase", "destroy", "revoke":
		return 4
	}
	return 99
}

// ocsfCompliance is the verdict on a change under the organisation's own policy.
func ocsfCompliance(e *audit.Event) map[string]any {
	var d struct {
		Policy string `json:"policy_digest"`
		Tier   string `json:"tier"`
		Denied bool   `json:"denied"`
	}
	// Details that cannot be read leave the verdict unknown; the event itself goes along.
	known := json.Unmarshal(e.Details, &d) == nil
	status := map[string]any{"standards": []string{"Slipway policy " + d.Policy}, "status_id": 1, "status": "Pass"}
	switch {
	case !known:
		status["status_id"], status["status"] = 0, "Unknown"
	case d.Denied:
		status["status_id"], status["status"] = 3, "Fail"
	case d.Tier != "green":
		status["status_id"], status["status"] = 2, "Warning"
	}
	return status
}

// ocsfUnmapped is what the schema has no place for.
func ocsfUnmapped(e *audit.Event) map[string]any {
	out := map[string]any{"role": e.Actor.Role}
	for name, value := range map[string]string{
		"change": e.Change, "git_commit": e.GitCommit, "zone": e.Resource.Zone, "record": e.Resource.Record, "type": e.Resource.Type, "app": e.Resource.App, "name": e.Resource.Name,
	} {
		if value != "" {
			out[name] = value
		}
	}
	if len(e.ApprovalChain) > 0 {
		out["approval_chain"] = e.ApprovalChain
	}
	if len(e.ArtifactRefs) > 0 {
		out["artifact_refs"] = e.ArtifactRefs
	}
	return out
}
