package inbound

import (
	"cmp"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"slipway/zone"
)

// parseGitHub reads webhooks of GitHub: the end of a workflow run, and reviews of pull
// requests. What other events tell is left out.
func parseGitHub(raw []byte, _ time.Time) ([]Report, error) {
	type user struct {
		Login string `json:"login"`
	}
	var h struct {
		Action string `json:"action"`
		Run    *struct {
			ID         int64  `json:"id"`
			Attempt    int    `json:"run_attempt"`
			Name       string `json:"name"`
			SHA        string `json:"head_sha"`
			Conclusion string `json:"conclusion"`
			URL        string `json:"html_url"`
			Updated    string `json:"updated_at"`
			Actor      user   `json:"actor"`
		} `json:"workflow_run"`
		Review *struct {
			ID        int64  `json:"id"`
			State     string `json:"state"`
			SHA       string `json:"commit_id"`
			URL       string `json:"html_url"`
			Submitted string `json:"submitted_at"`
			User      user   `json:"user"`
		} `json:"review"`
	}
	if err := decode(raw, &h); err != nil {
		return nil, err
	}
	switch {
	case h.Run != nil && h.Action == "completed":
		r := h.Run
		return []Report{{Kind: CIResult, ID: "run/" + strconv.FormatInt(r.ID, 10) + "/" + strconv.Itoa(r.Attempt), By: r.Actor.Login, At: stamp(r.Updated), Commit: r.SHA,
			Outcome: r.Conclusion, Text: r.Name + " " + r.URL}}, nil
	case h.Review != nil && h.Action == "submitted":
		r := h.Review
		return []Report{{Kind: Decision, ID: "review/" + strconv.FormatInt(r.ID, 10), By: r.User.Login, At: stamp(r.Submitted), Commit: r.SHA, Outcome: r.State, Text: r.URL}}, nil
	}
	return nil, nil
}

// parseGitLab reads webhooks of GitLab: the end of a pipeline.
func parseGitLab(raw []byte, received time.Time) ([]Report, error) {
	var h struct {
		Kind       string `json:"object_kind"`
		Attributes struct {
			ID       int64  `json:"id"`
			SHA      string `json:"sha"`
			Status   string `json:"status"`
			Finished string `json:"finished_at"`
			URL      string `json:"url"`
		} `json:"object_attributes"`
		User struct {
			Name  string `json:"username"`
			Email string `json:"email"`
		} `json:"user"`
	}
	if err := decode(raw, &h); err != nil {
		return nil, err
	}
	a := h.Attributes
	if h.Kind != "pipeline" || a.Finished == "" {
		return nil, nil
	}
	at := stamp(a.Finished)
	if at.IsZero() {
		var err error
		if at, err = time.Parse("2006-01-02 15:04:05 MST", a.Finished); err != nil {
			at = received
		}
	}
	return []Report{{Kind: CIResult, ID: "pipeline/" + strconv.FormatInt(a.ID, 10) + "/" + a.Status, By: cmp.Or(h.User.Email, h.User.Name), At: at, Commit: a.SHA, Outcome: a.Status, Text: a.URL}}, nil
}

// parseJira reads webhooks of Jira: an issue that came into another status. It is kept as
// what somebody decided there; it approves nothing here.
func parseJira(raw []byte, _ time.Time) ([]Report, error) {
	var h struct {
		Timestamp int64 `json:"timestamp"` // milliseconds
		User      struct {
			Email   string `json:"emailAddress"`
			Display string `json:"displayName"`
			Name    string `json:"name"`
		} `json:"user"`
		Issue struct {
			Key string `json:"key"`
		} `json:"issue"`
		Changelog struct {
			ID    string `json:"id"`
			Items []struct {
				Field string `json:"field"`
				From  string `json:"fromString"`
				To    string `json:"toString"`
			} `json:"items"`
		} `json:"changelog"`
	}
	if err := decode(raw, &h); err != nil {
		return nil, err
	}
	for _, item := range h.Changelog.Items {
		if item.Field == "status" {
			return []Report{{Kind: Decision, ID: h.Issue.Key + "/" + h.Changelog.ID, By: cmp.Or(h.User.Email, h.User.Name, h.User.Display), At: time.UnixMilli(h.Timestamp),
				Ticket: h.Issue.Key, Outcome: strings.ToLower(item.To), Text: h.Issue.Key + ": " + item.From + " → " + item.To}}, nil
		}
	}
	return nil, nil
}

// Objects of Kubernetes that make a name reachable.
var clusterObjects = map[string]bool{"ingresses": true, "services": true, "httproutes": true, "gateways": true, "dnsendpoints": true, "certificates": true}

// parseKubernetes reads the audit log that an API server sends to a webhook (EventList of
// audit.k8s.io/v1): writes of the objects that make a name reachable, once they are done.
func parseKubernetes(raw []byte, _ time.Time) ([]Report, error) {
	type event struct {
		AuditID string `json:"auditID"`
		Stage   string `json:"stage"`
		Verb    string `json:"verb"`
		User    struct {
			Name string `json:"username"`
		} `json:"user"`
		Impersonated *struct {
			Name string `json:"username"`
		} `json:"impersonatedUser"`
		Object struct {
			Resource    string `json:"resource"`
			Namespace   string `json:"namespace"`
			Name        string `json:"name"`
			Subresource string `json:"subresource"`
		} `json:"objectRef"`
		Response struct {
			Code int `json:"code"`
		} `json:"responseStatus"`
		Time    string          `json:"stageTimestamp"`
		Request json.RawMessage `json:"requestObject"`
	}
	var list struct {
		Items []event `json:"items"`
	}
	if err := decode(raw, &list); err != nil {
		return nil, err
	}
	var out []Report
	for _, e := range list.Items {
		written := e.Verb == "create" || e.Verb == "update" || e.Verb == "patch" || e.Verb == "delete"
		if e.Stage != "ResponseComplete" || !written || !clusterObjects[e.Object.Resource] || e.Object.Subresource != "" {
			continue
		}
		by := e.User.Name
		if e.Impersonated != nil {
			by = e.Impersonated.Name + " (by " + by + ")"
		}
		outcome := "success"
		if e.Response.Code >= 300 {
			outcome = "failure: " + strconv.Itoa(e.Response.Code)
		}
		out = append(out, Report{Kind: Cluster, ID: e.AuditID, By: by, At: stamp(e.Time), Outcome: outcome, Hosts: hosts(e.Request),
			Text: e.Verb + " " + e.Object.Resource + " " + e.Object.Namespace + "/" + e.Object.Name})
	}
	return out, nil
}

// hosts are the names that an object claims, where the audit policy has the object at all.
func hosts(object json.RawMessage) []zone.Name {
	var o struct {
		Metadata struct {
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
		Spec struct {
			Rules []struct {
				Host string `json:"host"`
			} `json:"rules"` // Ingress; an HTTPRoute's have none
			Hostnames []string `json:"hostnames"` // HTTPRoute
			DNSNames  []string `json:"dnsNames"`  // cert-manager
			Listeners []struct {
				Hostname string `json:"hostname"`
			} `json:"listeners"` // Gateway
			Endpoints []struct {
				Name string `json:"dnsName"`
			} `json:"endpoints"` // external-dns
		} `json:"spec"`
	}
	if len(object) == 0 || json.Unmarshal(object, &o) != nil {
		return nil // an object of another shape names no hosts that could be read
	}
	var list []string
	for _, r := range o.Spec.Rules {
		list = append(list, r.Host)
	}
	list = append(append(list, o.Spec.Hostnames...), o.Spec.DNSNames...)
	for _, l := range o.Spec.Listeners {
		list = append(list, l.Hostname)
	}
	for _, e := range o.Spec.Endpoints {
		list = append(list, e.Name)
	}
	list = append(list, strings.FieldsFunc(o.Metadata.Annotations["external-dns.alpha.kubernetes.io/hostname"], func(r rune) bool { return r == ',' || r == ' ' })...)
	return names(list)
}
