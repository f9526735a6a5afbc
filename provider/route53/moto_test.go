package route53_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"slipway/internal/mototest"
	"slipway/provider/service/servicetest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	mototest.Stop()
	os.Exit(code)
}

// strict is moto, made to keep what Amazon documents for ChangeResourceRecordSets and moto
// does not: a batch is made as a whole or not at all, CREATE fails when the set is there,
// DELETE when it is not there just so.
type strict struct {
	moto string

	// mu is held for the whole of a change, so that batches are one after the other.
	mu sync.Mutex

	// zones are the sets of every hosted zone that was changed, guarded by mu: listing
	// them for each batch would be most of what the tests do.
	zones map[string]map[string]rrset
}

func newFront(t *testing.T) *servicetest.Front {
	url := mototest.Start(t)
	mototest.Reset(t, url)
	return servicetest.NewFront(t, &strict{moto: url, zones: map[string]map[string]rrset{}})
}

func changing(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.Contains(r.URL.Path, "/rrset")
}

type rrset struct {
	Name          string
	Type          string
	SetIdentifier string
	TTL           string
	Values        []string `xml:"ResourceRecords>ResourceRecord>Value"`
	Alias         string   `xml:"AliasTarget>DNSName"`
}

func (r rrset) key() string {
	return strings.TrimSuffix(r.Name, ".") + " " + r.Type + " " + r.SetIdentifier
}

func (f *strict) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if changing(r) {
		// Amazon finishes a change that it has got, whether or not the client still waits for the answer.
		r = r.WithContext(context.WithoutCancel(r.Context()))
		f.mu.Lock()
		defer f.mu.Unlock()
		sets, what := f.conflict(r, body)
		if what != "" {
			fail(w, http.StatusBadRequest, "InvalidChangeBatch", what)
			return
		}
		got := httptest.NewRecorder()
		f.forward(got, r, body)
		if got.Code == http.StatusBadRequest && strings.Contains(got.Body.String(), "already exists") {
			// moto refuses what was there once and was deleted since; an UPSERT it takes.
			body = bytes.ReplaceAll(body, []byte("<Action>CREATE</Action>"), []byte("<Action>UPSERT</Action>"))
			got = httptest.NewRecorder()
			f.forward(got, r, body)
		}
		if got.Code == http.StatusOK {
			f.zones[r.URL.Path] = sets
		}
		w.WriteHeader(got.Code)
		w.Write(got.Body.Bytes())
		return
	}
	f.forward(w, r, body)
}

func (f *strict) forward(w http.ResponseWriter, r *http.Request, body []byte) {
	out, err := http.NewRequestWithContext(r.Context(), r.Method, f.moto+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	out.Header = r.Header.Clone()
	got, err := http.DefaultClient.Do(out)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer got.Body.Close()
	for k, v := range got.Header {
		w.Header()[k] = v
	}
	w.WriteHeader(got.StatusCode)
	io.Copy(w, got.Body)
}

// conflict says why Amazon would refuse a batch, or what the zone has after it.
func (f *strict) conflict(r *http.Request, body []byte) (map[string]rrset, string) {
	var batch struct {
		Changes []struct {
			Action string
			Set    rrset `xml:"ResourceRecordSet"`
		} `xml:"ChangeBatch>Changes>Change"`
	}
	if err := xml.Unmarshal(body, &batch); err != nil {
		return nil, err.Error()
	}
	sets := maps.Clone(f.zones[r.URL.Path])
	if sets == nil {
		var err error
		if sets, err = f.list(r); err != nil {
			return nil, err.Error()
		}
	}
	records, characters := 0, 0
	for _, c := range batch.Changes {
		for _, v := range c.Set.Values {
			records, characters = records+1, characters+len(v)
		}
		old, there := sets[c.Set.key()]
		switch {
		case c.Action == "CREATE" && there:
			return nil, fmt.Sprintf("[Tried to create resource record set [name='%s', type='%s'] but it already exists]", c.Set.Name, c.Set.Type)
		case c.Action == "DELETE" && !there:
			return nil, fmt.Sprintf("[Tried to delete resource record set [name='%s', type='%s'] but it was not found]", c.Set.Name, c.Set.Type)
		case c.Action == "DELETE" && (!slices.Equal(old.Values, c.Set.Values) || old.TTL != c.Set.TTL || old.Alias != c.Set.Alias):
			return nil, fmt.Sprintf("[Tried to delete resource record set [name='%s', type='%s'] but the values provided do not match the current values]", c.Set.Name, c.Set.Type)
		case c.Action == "DELETE":
			delete(sets, c.Set.key())
		default:
			sets[c.Set.key()] = c.Set
		}
	}
	if records > 1000 || characters > 32000 {
		return nil, fmt.Sprintf("[Number of records limit of 1000 or of characters of 32000 exceeded: %d, %d]", records, characters)
	}
	return sets, ""
}

// list reads a hosted zone from moto.
func (f *strict) list(r *http.Request) (map[string]rrset, error) {
	sets := map[string]rrset{}
	for next := "?maxitems=300"; next != ""; {
		list, err := http.NewRequestWithContext(r.Context(), http.MethodGet, f.moto+strings.TrimSuffix(r.URL.Path, "/")+next, nil)
		if err != nil {
			return nil, err
		}
		list.Header = r.Header.Clone() // by which moto knows the service
		got, err := http.DefaultClient.Do(list)
		if err != nil {
			return nil, err
		}
		var page struct {
			Sets           []rrset `xml:"ResourceRecordSets>ResourceRecordSet"`
			IsTruncated    bool
			NextRecordName string
			NextRecordType string
		}
		err = xml.NewDecoder(got.Body).Decode(&page)
		got.Body.Close()
		if err != nil {
			return nil, err
		}
		for _, s := range page.Sets {
			sets[s.key()] = s
		}
		next = ""
		if page.IsTruncated {
			next = fmt.Sprintf("?maxitems=300&name=%s&type=%s", page.NextRecordName, page.NextRecordType)
		}
	}
	return sets, nil
}

// fail answers as Route 53 does (ErrorResponse of its REST API).
func fail(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0"?><ErrorResponse xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>b25f48e8-84fd-11e6-80d9-574e0c4664cb</RequestId></ErrorResponse>`, code, message)
}
