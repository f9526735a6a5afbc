package clouddns_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// server is Cloud DNS as its REST discovery document (dns/v1) and its reference describe
// it, as far as the provider uses it: paged lists, changes that are made as a whole, refused
// when a deletion does not name what is there, and pending at first.
type server struct {
	mu    sync.Mutex // held for a whole request
	zones map[string]*managedZone
}

type managedZone struct {
	Labels      map[string]string `json:"labels,omitempty"`
	Kind        string            `json:"kind"`
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	DNSName     string            `json:"dnsName"`
	Description string            `json:"description"`
	Visibility  string            `json:"visibility"`
	NameServers []string          `json:"nameServers"`
	sets        map[string]rrset  // by name and type
	changes     map[string]change // by ID
}

type rrset struct {
	Kind          string          `json:"kind"`
	Name          string          `json:"name"`
	Type          string          `json:"type"`
	TTL           *int64          `json:"ttl"`
	Rrdatas       []string        `json:"rrdatas"`
	RoutingPolicy json.RawMessage `json:"routingPolicy,omitempty"`
}

type change struct {
	Kind      string  `json:"kind"`
	Additions []rrset `json:"additions,omitempty"`
	Deletions []rrset `json:"deletions,omitempty"`
	ID        string  `json:"id"`
	StartTime string  `json:"startTime"`
	Status    string  `json:"status"`
}

const pageSize = 100

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path, ok := strings.CutPrefix(r.URL.Path, "/dns/v1/projects/finmicro-dns/managedZones")
	if !ok {
		refuse(w, http.StatusNotFound, "notFound", "The 'parameters.project' resource named '"+r.URL.Path+"' does not exist.")
		return
	}
	words := strings.Split(strings.TrimPrefix(path, "/"), "/")
	switch {
	case path == "" && r.Method == http.MethodGet:
		var found []any
		for _, name := range sorted(s.zones) {
			if z := s.zones[name]; r.URL.Query().Get("dnsName") == "" || z.DNSName == r.URL.Query().Get("dnsName") {
				found = append(found, z)
			}
		}
		page(w, r, "dns#managedZonesListResponse", "managedZones", found, 2)
		return
	case path == "" && r.Method == http.MethodPost:
		s.create(w, r)
		return
	}
	z := s.zones[words[0]]
	if z == nil {
		refuse(w, http.StatusNotFound, "notFound", "The 'parameters.managedZone' resource named '"+words[0]+"' does not exist.")
		return
	}
	switch {
	case len(words) == 1:
		answer(w, z)
	case words[1] == "rrsets" && r.Method == http.MethodGet:
		var found []any
		for _, key := range sorted(z.sets) {
			found = append(found, z.sets[key])
		}
		page(w, r, "dns#resourceRecordSetsListResponse", "rrsets", found, pageSize)
	case words[1] == "changes" && r.Method == http.MethodPost:
		z.change(w, r)
	case words[1] == "changes" && len(words) == 3:
		c, ok := z.changes[words[2]]
		if !ok {
			refuse(w, http.StatusNotFound, "notFound", "no such change")
			return
		}
		c.Status = "done"
		answer(w, c)
	default:
		refuse(w, http.StatusNotFound, "notFound", "no such method")
	}
}

func (s *server) create(w http.ResponseWriter, r *http.Request) {
	var z managedZone
	if err := json.NewDecoder(r.Body).Decode(&z); err != nil || z.Name == "" || z.DNSName == "" || z.Description == "" || len(z.Name) > 63 {
		refuse(w, http.StatusBadRequest, "invalid", "Invalid value for 'entity.managedZone'")
		return
	}
	if s.zones[z.Name] != nil {
		refuse(w, http.StatusConflict, "alreadyExists", "The resource 'entity.managedZone' named '"+z.Name+"' already exists")
		return
	}
	ttl := int64(21600)
	z.Labels = map[string]string{"owner": "web-team"}
	z.Kind, z.ID, z.changes = "dns#managedZone", strconv.Itoa(7_000_000_000+len(s.zones)), map[string]change{}
	z.NameServers = []string{"ns-cloud-a1.googledomains.com.", "ns-cloud-a2.googledomains.com."}
	z.sets = map[string]rrset{
		z.DNSName + " NS":  {Kind: "dns#resourceRecordSet", Name: z.DNSName, Type: "NS", TTL: &ttl, Rrdatas: z.NameServers},
		z.DNSName + " SOA": {Kind: "dns#resourceRecordSet", Name: z.DNSName, Type: "SOA", TTL: &ttl, Rrdatas: []string{"ns-cloud-a1.googledomains.com. cloud-dns-hostmaster.google.com. 1 21600 3600 259200 300"}},
	}
	s.zones[z.Name] = &z
	answer(w, &z)
}

func (z *managedZone) change(w http.ResponseWriter, r *http.Request) {
	var c change
	if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
		refuse(w, http.StatusBadRequest, "parseError", err.Error())
		return
	}
	size := 0
	for _, a := range append(slices.Clone(c.Additions), c.Deletions...) {
		for _, v := range a.Rrdatas {
			size += len(v)
		}
	}
	if len(c.Additions) > 1000 || len(c.Deletions) > 1000 || size > 100_000 {
		refuse(w, http.StatusForbidden, "quotaExceeded", fmt.Sprintf("Quota exceeded: %d additions, %d deletions, %d bytes", len(c.Additions), len(c.Deletions), size))
		return
	}
	next := map[string]rrset{}
	for k, v := range z.sets {
		next[k] = v
	}
	for i, d := range c.Deletions {
		key := d.Name + " " + d.Type
		old, there := next[key]
		if !there {
			refuse(w, http.StatusNotFound, "notFound", fmt.Sprintf("The 'entity.change.deletions[%d]' resource named '%s (%s)' does not exist.", i, d.Name, d.Type))
			return
		}
		if *old.TTL != *d.TTL || !slices.Equal(slices.Sorted(slices.Values(old.Rrdatas)), slices.Sorted(slices.Values(d.Rrdatas))) {
			refuse(w, http.StatusPreconditionFailed, "conditionNotMet", fmt.Sprintf("Precondition not met for 'entity.change.deletions[%d]'", i))
			return
		}
		delete(next, key)
	}
	for i, a := range c.Additions {
		key := a.Name + " " + a.Type
		if _, there := next[key]; there {
			refuse(w, http.StatusConflict, "alreadyExists", fmt.Sprintf("The resource 'entity.change.additions[%d]' named '%s (%s)' already exists", i, a.Name, a.Type))
			return
		}
		if a.TTL == nil || len(a.Rrdatas) == 0 {
			refuse(w, http.StatusBadRequest, "required", fmt.Sprintf("Required parameter is missing: 'entity.change.additions[%d].ttl'", i))
			return
		}
		a.Kind = "dns#resourceRecordSet"
		next[key] = a
	}
	for _, set := range next {
		if _, alias := next[set.Name+" CNAME"]; alias && set.Type != "CNAME" {
			refuse(w, http.StatusBadRequest, "cnameResourceRecordSetConflict", "The resource record set '"+set.Name+"' is invalid because the DNS name has a CNAME")
			return
		}
	}
	if _, ok := next[z.DNSName+" NS"]; !ok {
		refuse(w, http.StatusBadRequest, "containerNotEmpty", "The zone apex must have NS records")
		return
	}
	z.sets = next
	c.Kind, c.ID, c.StartTime, c.Status = "dns#change", strconv.Itoa(len(z.changes)+1), "2026-07-01T12:00:00.000Z", "pending"
	z.changes[c.ID] = c
	answer(w, c)
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func page(w http.ResponseWriter, r *http.Request, kind, field string, items []any, size int) {
	from, _ := strconv.Atoi(r.URL.Query().Get("pageToken"))
	from = min(from, len(items))
	out := map[string]any{"kind": kind, field: items[from:min(from+size, len(items))]}
	if from+size < len(items) {
		out["nextPageToken"] = strconv.Itoa(from + size)
	}
	answer(w, out)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, status int, reason, message string) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{
		"code": status, "message": message,
		"errors": []map[string]string{{"message": message, "domain": "global", "reason": reason}},
	}})
}
