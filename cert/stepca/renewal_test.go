package stepca

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"golang.org/x/crypto/acme"
)

func TestRenewalInfo(t *testing.T) {
	s := newSite(t)
	ca := s.start(t)
	c := client(t, ca.Directory(), ca.Root(), newKey(t))
	leaf := s.issue(t, c, newKey(t), "a.example")[0]

	var d directory
	get(t, c.HTTPClient, ca.Directory(), http.StatusOK, &d)
	discovered, err := c.Discover(t.Context())
	if err != nil || d.NewOrder != discovered.OrderURL || d.RenewalInfo == "" {
		t.Fatalf("%+v, %+v, %v", d, discovered, err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	// The serial with the leading zero that DER has where the first bit is set.
	serial := append([]byte{0}, leaf.SerialNumber.Bytes()...)
	url := d.RenewalInfo + "/" + encode(leaf.AuthorityKeyId) + "." + encode(serial)
	var w window
	header := get(t, c.HTTPClient, url, http.StatusOK, &w)
	if header.Get("Retry-After") != "21600" || w.Suggested.Start.Sub(leaf.NotBefore) != leaf.NotAfter.Sub(leaf.NotBefore)/3*2 || !w.Suggested.End.Before(leaf.NotAfter) {
		t.Errorf("%v, ask again in %s", w, header.Get("Retry-After"))
	}
	for _, id := range []string{"", "x", ".", encode(leaf.AuthorityKeyId) + ".AQ", "AAAA." + encode(serial), encode(leaf.AuthorityKeyId) + ".!"} {
		get(t, c.HTTPClient, d.RenewalInfo+"/"+id, http.StatusNotFound, nil)
	}
	if err := c.RevokeCert(t.Context(), nil, leaf.Raw, acme.CRLReasonKeyCompromise); err != nil {
		t.Fatal(err)
	}
	get(t, c.HTTPClient, url, http.StatusOK, &w)
	if !w.Suggested.Start.Before(w.Suggested.End) || w.Suggested.End.After(time.Now()) {
		t.Errorf("a revoked certificate may wait until %v", w)
	}
}

func get(t *testing.T, c *http.Client, url string, status int, into any) http.Header {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != status {
		t.Fatalf("%s: %s", url, resp.Status)
	}
	if into != nil {
		if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
			t.Fatal(err)
		}
	}
	return resp.Header
}
