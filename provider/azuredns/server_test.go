package azuredns_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// server is Azure DNS as its published API (Microsoft.Network dnsZones, 2018-05-01)
// describes it, as far as the provider uses it: paged lists, one record set a request,
// entity tags with If-Match and If-None-Match.
type server struct {
	mu    sync.Mutex                      // held for a whole request
	zones map[string]map[string]recordSet // by zone; by relative name and type
	tags  int
}

type recordSet struct {
	ID         string         `json:"id"`
	Name       string         `json:"name"`
	Type       string         `json:"type"`
	Etag       string         `json:"etag"`
	Properties map[string]any `json:"properties"`
}

const (
	base     = "/subscriptions/0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0/resourceGroups/dns-prod/providers/Microsoft.Network/dnsZones/"
	pageSize = 100
)

var goodName = regexp.MustCompile(`^(@|(\*|[a-z0-9_-]+)(\.[a-z0-9_-]+)*)$`)

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("X-Ms-Correlation-Request-Id", fmt.Sprintf("11111111-2222-3333-4444-%012d", s.tags))
	rest, ok := strings.CutPrefix(r.URL.Path+"/", base)
	rest = strings.TrimSuffix(rest, "/")
	if !ok || r.Header.Get("Authorization") == "" {
		refuse(w, http.StatusUnauthorized, "AuthenticationFailed", "Authentication failed.")
		return
	}
	words := strings.SplitN(rest, "/", 3)
	z, there := s.zones[words[0]]
	switch {
	case rest == "":
		found := []map[string]string{}
		for name := range s.zones {
			found = append(found, map[string]string{"name": name, "type": "Microsoft.Network/dnszones", "location": "global"})
		}
		answer(w, http.StatusOK, map[string]any{"value": found})
	case len(words) == 1 && r.Method == http.MethodPut:
		if there && r.Header.Get("If-None-Match") == "*" {
			refuse(w, http.StatusPreconditionFailed, "PreconditionFailed", "The Zone exists already.")
			return
		}
		z = map[string]recordSet{}
		s.zones[words[0]] = z
		s.put(z, words[0], "@", "NS", map[string]any{"TTL": 172800, "NSRecords": []map[string]string{{"nsdname": "ns1-01.azure-dns.com."}, {"nsdname": "ns2-01.azure-dns.net."}}})
		s.put(z, words[0], "@", "SOA", map[string]any{"TTL": 3600, "SOARecord": map[string]any{"host": "ns1-01.azure-dns.com.", "email": "azuredns-hostmaster.microsoft.com", "serialNumber": 1}})
		answer(w, http.StatusCreated, map[string]any{"name": words[0], "type": "Microsoft.Network/dnszones", "location": "global", "etag": "00000002-0000-0000-76c2-f7ad90b5d701"})
	case !there:
		refuse(w, http.StatusNotFound, "ResourceNotFound", "The Resource 'Microsoft.Network/dnszones/"+words[0]+"' under resource group 'dns-prod' was not found.")
	case len(words) == 1:
		answer(w, http.StatusOK, map[string]any{"tags": map[string]string{"Owner": "web-team"}, "name": words[0], "type": "Microsoft.Network/dnszones", "location": "global"})
	case words[1] == "all":
		s.list(w, r, z)
	case len(words) == 3:
		s.one(w, r, z, words[0], words[2], words[1])
	default:
		refuse(w, http.StatusNotFound, "NotFound", "no such method")
	}
}

func (s *server) put(z map[string]recordSet, zone, name, typ string, p map[string]any) recordSet {
	s.tags++
	p["fqdn"], p["provisioningState"] = name+"."+zone+".", "Succeeded"
	set := recordSet{ID: base + zone + "/" + typ + "/" + name, Name: name, Type: "Microsoft.Network/dnszones/" + typ, Etag: fmt.Sprintf("etag-%d", s.tags), Properties: p}
	z[name+" "+typ] = set
	return set
}

func (s *server) list(w http.ResponseWriter, r *http.Request, z map[string]recordSet) {
	keys := make([]string, 0, len(z))
	for k := range z {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	from, _ := strconv.Atoi(r.URL.Query().Get("$skipToken"))
	from = min(from, len(keys))
	page := keys[from:min(from+pageSize, len(keys))]
	out := map[string]any{}
	sets := []recordSet{}
	for _, k := range page {
		sets = append(sets, z[k])
	}
	out["value"] = sets
	if from+pageSize < len(keys) {
		out["nextLink"] = fmt.Sprintf("https://%s%s?api-version=2018-05-01&$skipToken=%d", r.Host, r.URL.Path, from+pageSize)
	}
	answer(w, http.StatusOK, out)
}

func (s *server) one(w http.ResponseWriter, r *http.Request, z map[string]recordSet, zone, name, typ string) {
	old, there := z[name+" "+typ]
	if m := r.Header.Get("If-Match"); m != "" && m != "*" && (!there || old.Etag != m) || r.Header.Get("If-None-Match") == "*" && there {
		refuse(w, http.StatusPreconditionFailed, "PreconditionFailed", "The etag does not match.")
		return
	}
	switch r.Method {
	case http.MethodDelete:
		if name == "@" && (typ == "NS" || typ == "SOA") {
			refuse(w, http.StatusBadRequest, "BadRequest", "The record set cannot be deleted.")
			return
		}
		delete(z, name+" "+typ)
		w.WriteHeader(http.StatusOK)
	case http.MethodPut:
		var in struct{ Properties map[string]any }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || !goodName.MatchString(name) {
			refuse(w, http.StatusBadRequest, "BadRequest", "The record set is malformed.")
			return
		}
		if ttl, ok := in.Properties["TTL"].(float64); !ok || ttl < 1 {
			refuse(w, http.StatusBadRequest, "BadRequest", "The TTL must be 1 at least.")
			return
		}
		for key := range z {
			if n, other, _ := strings.Cut(key, " "); n == name && other != typ && (other == "CNAME" || typ == "CNAME") {
				refuse(w, http.StatusConflict, "Conflict", "A CNAME record set and another cannot have the same name.")
				return
			}
		}
		set := s.put(z, zone, name, typ, in.Properties)
		status := http.StatusCreated
		if there {
			status = http.StatusOK
		}
		answer(w, status, set)
	default:
		answer(w, http.StatusOK, old)
	}
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	answer(w, status, map[string]any{"error": map[string]string{"code": code, "message": message}})
}
