package inbound

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"slipway/zone"
)

// cloudTrailRecord is one record of AWS CloudTrail, event version 1.
type cloudTrailRecord struct {
	EventID      string `json:"eventID"`
	EventTime    string `json:"eventTime"`
	EventSource  string `json:"eventSource"`
	EventName    string `json:"eventName"`
	ErrorCode    string `json:"errorCode"`
	ReadOnly     any    `json:"readOnly"`
	UserIdentity struct {
		ARN       string `json:"arn"`
		Principal string `json:"principalId"`
		InvokedBy string `json:"invokedBy"`
	} `json:"userIdentity"`
	Request struct {
		ChangeBatch struct {
			Changes []struct {
				Action string `json:"action"`
				Set    struct {
					Name    string `json:"name"`
					Type    string `json:"type"`
					Records []struct {
						Value string `json:"value"`
					} `json:"resourceRecords"`
				} `json:"resourceRecordSet"`
			} `json:"changes"`
		} `json:"changeBatch"`
		DomainName string `json:"domainName"`
		Name       string `json:"name"`
	} `json:"requestParameters"`
	Response struct {
		ChangeInfo struct {
			ID string `json:"id"`
		} `json:"changeInfo"`
	} `json:"responseElements"`
}

// Services of Amazon whose records are reports here. What else a trail holds is left out.
const (
	awsRoute53        = "route53.amazonaws.com"
	awsRoute53Domains = "route53domains.amazonaws.com"
)

// parseCloudTrail reads a trail's file ({"Records": […]}), one record, or the event that
// EventBridge makes of one.
func parseCloudTrail(raw []byte, _ time.Time) ([]Report, error) {
	var d struct {
		Records []cloudTrailRecord `json:"Records"`
		Detail  *cloudTrailRecord  `json:"detail"`
		cloudTrailRecord
	}
	if err := decode(raw, &d); err != nil {
		return nil, err
	}
	records := d.Records
	switch {
	case d.Detail != nil:
		records = append(records, *d.Detail)
	case d.EventID != "":
		records = append(records, d.cloudTrailRecord)
	}
	var out []Report
	for _, c := range records {
		r := Report{ID: c.EventID, At: stamp(c.EventTime), By: cmp.Or(c.UserIdentity.ARN, c.UserIdentity.InvokedBy, c.UserIdentity.Principal), Text: c.EventName, Outcome: "success"}
		if c.ErrorCode != "" {
			r.Outcome = "failure: " + c.ErrorCode
		}
		switch {
		case c.EventSource == awsRoute53 && c.EventName == "ChangeResourceRecordSets":
			r.Kind, r.ProviderChange = DNSChange, strings.TrimPrefix(c.Response.ChangeInfo.ID, "/change/")
			for _, change := range c.Request.ChangeBatch.Changes {
				e := Edit{Name: name(change.Set.Name), Type: strings.ToUpper(change.Set.Type), Delete: change.Action == "DELETE"}
				for _, v := range change.Set.Records {
					e.Values = append(e.Values, v.Value)
				}
				if e.Name != "" {
					r.Edits = append(r.Edits, e)
				}
			}
		case c.EventSource == awsRoute53 && (c.EventName == "CreateHostedZone" || c.EventName == "DeleteHostedZone" || strings.Contains(c.EventName, "DNSSEC") || strings.Contains(c.EventName, "KeySigningKey")):
			r.Kind, r.Zone = Domain, name(c.Request.Name)
		case c.EventSource == awsRoute53Domains && c.ReadOnly != true && c.ReadOnly != "true":
			r.Kind, r.Zone = Domain, name(c.Request.DomainName)
		default:
			continue
		}
		out = append(out, r)
	}
	return out, nil
}

// parseGCP reads audit log entries of Google Cloud (google.cloud.audit.AuditLog in a
// LogEntry), also as Pub/Sub pushes them.
func parseGCP(raw []byte, _ time.Time) ([]Report, error) {
	var push struct {
		Message struct {
			Data []byte `json:"data"`
		} `json:"message"`
	}
	if err := decode(raw, &push); err != nil {
		return nil, err
	}
	if len(push.Message.Data) > 0 {
		raw = push.Message.Data
	}
	type set struct {
		Name    string   `json:"name"`
		Type    string   `json:"type"`
		Records []string `json:"rrdatas"`
	}
	var e struct {
		InsertID  string `json:"insertId"`
		Timestamp string `json:"timestamp"`
		Payload   struct {
			Service string `json:"serviceName"`
			Method  string `json:"methodName"`
			Who     struct {
				Email string `json:"principalEmail"`
			} `json:"authenticationInfo"`
			Status struct {
				Code    int    `json:"code"`
				Message string `json:"message"`
			} `json:"status"`
			Request struct {
				Change struct {
					Additions []set `json:"additions"`
					Deletions []set `json:"deletions"`
				} `json:"change"`
			} `json:"request"`
			Response struct {
				Change struct {
					ID any `json:"id"`
				} `json:"change"`
			} `json:"response"`
		} `json:"protoPayload"`
	}
	if err := decode(raw, &e); err != nil {
		return nil, err
	}
	p := e.Payload
	if p.Service != "dns.googleapis.com" || p.Method != "dns.changes.create" {
		return nil, nil
	}
	r := Report{Kind: DNSChange, ID: e.InsertID, At: stamp(e.Timestamp), By: p.Who.Email, Text: p.Method, Outcome: "success"}
	if p.Status.Code != 0 {
		r.Outcome = "failure: " + p.Status.Message
	}
	switch id := p.Response.Change.ID.(type) {
	case string:
		r.ProviderChange = id
	case float64:
		r.ProviderChange = strconv.FormatInt(int64(id), 10)
	}
	added := map[string]bool{}
	for _, s := range p.Request.Change.Additions {
		added[strings.ToLower(s.Name)+" "+s.Type] = true
		r.Edits = append(r.Edits, Edit{Name: name(s.Name), Type: s.Type, Values: s.Records})
	}
	for _, s := range p.Request.Change.Deletions {
		if !added[strings.ToLower(s.Name)+" "+s.Type] { // an update is a deletion and an addition
			r.Edits = append(r.Edits, Edit{Name: name(s.Name), Type: s.Type, Delete: true})
		}
	}
	return []Report{r}, nil
}

// parseAzure reads records of the Azure activity log ({"records": […]}, or one).
func parseAzure(raw []byte, _ time.Time) ([]Report, error) {
	type record struct {
		Time          string `json:"time"`
		EventTime     string `json:"eventTimestamp"`
		ResourceID    string `json:"resourceId"`
		Operation     any    `json:"operationName"` // a text, or {"value": …}
		Result        string `json:"resultType"`
		CorrelationID string `json:"correlationId"`
		EventDataID   string `json:"eventDataId"`
		Caller        string `json:"caller"`
		Identity      struct {
			Claims map[string]any `json:"claims"`
		} `json:"identity"`
	}
	var d struct {
		Records []record `json:"records"`
		record
	}
	if err := decode(raw, &d); err != nil {
		return nil, err
	}
	records := d.Records
	if d.ResourceID != "" {
		records = append(records, d.record)
	}
	var out []Report
	for _, a := range records {
		operation, _ := a.Operation.(string)
		if m, ok := a.Operation.(map[string]any); ok {
			operation, _ = m["value"].(string)
		}
		operation = strings.ToLower(operation)
		// …/providers/Microsoft.Network/dnszones/ZONE/TYPE/NAME
		parts := strings.Split(a.ResourceID, "/")
		at := -1
		for i, p := range parts {
			if strings.EqualFold(p, "dnszones") {
				at = i
			}
		}
		written := strings.HasSuffix(operation, "/write")
		if !strings.HasPrefix(operation, "microsoft.network/dnszones") || !written && !strings.HasSuffix(operation, "/delete") || at < 0 || len(parts) < at+2 {
			continue
		}
		if strings.EqualFold(a.Result, "Start") || strings.EqualFold(a.Result, "Accept") {
			continue // its end is told too
		}
		by := a.Caller
		for _, claim := range []string{"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn", "name", "appid"} {
			if s, ok := a.Identity.Claims[claim].(string); ok && by == "" {
				by = s
			}
		}
		r := Report{Kind: DNSChange, ID: cmp.Or(a.EventDataID, a.CorrelationID+"/"+operation), At: stamp(cmp.Or(a.EventTime, a.Time)), By: by, Text: operation, Outcome: strings.ToLower(a.Result), Zone: name(parts[at+1])}
		if len(parts) > at+3 {
			owner := parts[at+1]
			if parts[at+3] != "@" {
				owner = parts[at+3] + "." + owner
			}
			r.Edits = []Edit{{Name: name(owner), Type: strings.ToUpper(parts[at+2]), Delete: !written}}
		}
		out = append(out, r)
	}
	return out, nil
}

// zonesOf are the zones, of those that are ours, that a report is about.
func (r *Report) zonesOf(ours func(zone.Name) (zone.Name, bool)) []zone.Name {
	var out []zone.Name
	seen := map[zone.Name]bool{}
	take := func(n zone.Name) {
		if z, ok := ours(n); n != "" && ok && !seen[z] {
			seen[z] = true
			out = append(out, z)
		}
	}
	take(r.Zone)
	for _, e := range r.edits() {
		take(e.Name)
	}
	for _, h := range r.hosts() {
		take(h)
	}
	return out
}
