package cloudflare_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// server is Cloudflare's API v4 as its OpenAPI description has it, as far as the provider
// uses it: paged lists, and the batch endpoint, which makes deletes, patches and posts
// as a whole or not at all.
type server struct {
	mu      sync.Mutex // held for a whole request
	token   string
	zones   map[string]string                    // name by ID
	records map[string]map[string]map[string]any // by zone ID; by ID
	next    int
}

func (s *server) zone(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, n := range s.zones {
		if n == name {
			return id
		}
	}
	s.next++
	id := fmt.Sprintf("%032x", 0x23105f4ecef8ad9c+s.next)
	s.zones[id], s.records[id] = name, map[string]map[string]any{}
	return id
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer "+s.token {
		refuse(w, http.StatusForbidden, 10000, "Authentication error")
		return
	}
	words := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if words[0] != "zones" || len(words) > 1 && s.zones[words[1]] == "" {
		refuse(w, http.StatusNotFound, 7003, "Could not route to "+r.URL.Path+", perhaps your object identifier is invalid?")
		return
	}
	switch {
	case len(words) == 1:
		found := []map[string]any{}
		for id, name := range s.zones {
			if only := r.URL.Query().Get("name"); only == "" || name == only {
				found = append(found, map[string]any{"id": id, "name": name, "status": "active", "type": "full"})
			}
		}
		page(w, r, found)
	case len(words) == 2:
		answer(w, map[string]any{"id": words[1], "name": s.zones[words[1]], "status": "active"}, nil)
	case len(words) == 3 && r.Method == http.MethodGet:
		found := []map[string]any{}
		for _, rec := range s.records[words[1]] {
			found = append(found, rec)
		}
		slices.SortFunc(found, func(a, b map[string]any) int { return strings.Compare(a["id"].(string), b["id"].(string)) })
		page(w, r, found)
	case len(words) == 4 && words[3] == "batch":
		s.batch(w, r, words[1])
	default:
		refuse(w, http.StatusMethodNotAllowed, 10000, "no such method")
	}
}

func (s *server) batch(w http.ResponseWriter, r *http.Request, zone string) {
	var in struct {
		Deletes, Patches, Posts []map[string]any
	}
	d := json.NewDecoder(r.Body)
	d.UseNumber()
	if err := d.Decode(&in); err != nil {
		refuse(w, http.StatusBadRequest, 9207, "Request body is invalid.")
		return
	}
	if n := len(in.Deletes) + len(in.Patches) + len(in.Posts); n > 200 {
		refuse(w, http.StatusBadRequest, 9301, fmt.Sprintf("Batch of %d changes exceeds the limit of 200.", n))
		return
	}
	next := map[string]map[string]any{}
	for id, rec := range s.records[zone] {
		next[id] = rec
	}
	for _, del := range in.Deletes {
		id, _ := del["id"].(string)
		if next[id] == nil {
			refuse(w, http.StatusNotFound, 81044, "Record does not exist.")
			return
		}
		delete(next, id)
	}
	for _, p := range in.Patches {
		id, _ := p["id"].(string)
		if next[id] == nil {
			refuse(w, http.StatusNotFound, 81044, "Record does not exist.")
			return
		}
		rec := map[string]any{}
		for k, v := range next[id] {
			rec[k] = v
		}
		for k, v := range p {
			rec[k] = v
		}
		next[id] = rec
	}
	for _, rec := range in.Posts {
		if code, what := s.wrong(rec, next, zone); what != "" {
			refuse(w, http.StatusBadRequest, code, what)
			return
		}
		s.next++
		id := fmt.Sprintf("%032x", s.next)
		rec["id"], rec["created_on"], rec["comment"], rec["tags"] = id, "2026-07-01T12:00:00.000000Z", nil, []string{}
		if rec["proxied"] == nil {
			rec["proxied"] = false
		}
		next[id] = rec
	}
	s.records[zone] = next
	answer(w, map[string]any{"deletes": in.Deletes, "patches": in.Patches, "puts": []any{}, "posts": in.Posts}, nil)
}

// wrong says why Cloudflare would refuse a new record.
func (s *server) wrong(rec map[string]any, all map[string]map[string]any, zone string) (int, string) {
	name, _ := rec["name"].(string)
	typ, _ := rec["type"].(string)
	ttl, _ := strconv.Atoi(fmt.Sprint(rec["ttl"]))
	content, _ := rec["content"].(string)
	if !strings.HasSuffix(name, s.zones[zone]) || ttl != 1 && (ttl < 30 || ttl > 86400) {
		return 9021, "Invalid TTL or name."
	}
	data, _ := rec["data"].(map[string]any)
	switch typ {
	case "CAA", "DS", "HTTPS", "LOC", "NAPTR", "SRV", "SSHFP", "SVCB", "TLSA", "URI":
		if len(data) == 0 {
			return 9101, "data is a required data field."
		}
	case "TXT":
		if !strings.HasPrefix(content, `"`) {
			return 9106, "TXT content must be in quotes."
		}
	default:
		if content == "" {
			return 9005, "Content is required."
		}
	}
	if (typ == "MX" || typ == "URI") && rec["priority"] == nil {
		return 9100, "priority is a required data field."
	}
	for _, other := range all {
		if other["name"] != name {
			continue
		}
		if other["type"] == typ && other["content"] == rec["content"] && fmt.Sprint(other["data"], other["priority"]) == fmt.Sprint(rec["data"], rec["priority"]) {
			return 81058, "An identical record already exists."
		}
		if cname := other["type"] == "CNAME"; cname || typ == "CNAME" && (other["type"] == "A" || other["type"] == "AAAA") {
			return 81053, "An A, AAAA, or CNAME record with that host already exists."
		}
	}
	return 0, ""
}

func page(w http.ResponseWriter, r *http.Request, items []map[string]any) {
	number, _ := strconv.Atoi(r.URL.Query().Get("page"))
	size, _ := strconv.Atoi(r.URL.Query().Get("per_page"))
	number, size = max(number, 1), min(max(size, 5), 5000)
	from := min((number-1)*size, len(items))
	answer(w, items[from:min(from+size, len(items))], map[string]int{
		"page": number, "per_page": size, "count": min(size, len(items)-from), "total_count": len(items), "total_pages": (len(items) + size - 1) / size,
	})
}

func answer(w http.ResponseWriter, result, info any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("CF-Ray", "8f1a2b3c4d5e6f70-FRA")
	out := map[string]any{"success": true, "errors": []any{}, "messages": []any{}, "result": result}
	if info != nil {
		out["result_info"] = info
	}
	json.NewEncoder(w).Encode(out)
}

func refuse(w http.ResponseWriter, status, code int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"success": false, "errors": []any{map[string]any{"code": code, "message": message}}, "messages": []any{}, "result": nil})
}
