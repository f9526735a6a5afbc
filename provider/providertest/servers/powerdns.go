package servers

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the driver, under the name sqlite

	"slipway/secret"
	"slipway/zone"
)

// PowerDNS is a running pdns_server with its HTTP API.
type PowerDNS struct {
	Server
	URL    string // of the API
	APIKey secret.Value
}

// Where Debian puts the tables that the SQLite backend needs.
const powerDNSTables = "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql"

// StartPowerDNS starts pdns_server with the SQLite backend and empty zones.
func StartPowerDNS(t testing.TB, zones ...zone.Name) *PowerDNS {
	t.Helper()
	binary := find(t, "pdns_server", "pdns-server")
	tables, err := os.ReadFile(powerDNSTables)
	if err != nil {
		t.Skipf("the SQLite backend of PowerDNS is not installed: it is in Debian's package pdns-backend-sqlite3 (%v)", err)
	}
	dns, api := port(t), port(t)
	s := &PowerDNS{
		Server: Server{t: t, Address: fmt.Sprintf("127.0.0.1:%d", dns), TSIG: newTSIG(), Dir: directory(t)},
		URL:    fmt.Sprintf("http://127.0.0.1:%d", api),
		APIKey: secret.New("an-api-key-for-tests-on-loopback"),
	}
	file := filepath.Join(s.Dir, "pdns.db")
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("PRAGMA journal_mode=WAL;" + string(tables)); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("INSERT INTO tsigkeys (name, algorithm, secret) VALUES (?, ?, ?)", string(s.TSIG.Name), s.TSIG.Algorithm, s.TSIG.Secret.Reveal()); err != nil {
		t.Fatal(err)
	}
	s.write("pdns.conf", fmt.Sprintf(`launch=gsqlite3
gsqlite3-database=%s
gsqlite3-dnssec=yes
gsqlite3-pragma-synchronous=0
local-address=127.0.0.1
local-port=%d
socket-dir=%s
api=yes
api-key=%s
webserver=yes
webserver-address=127.0.0.1
webserver-port=%d
webserver-allow-from=127.0.0.1
webserver-max-bodysize=16
default-soa-content=ns.invalid hostmaster.@ 0 3600 600 1209600 60
expand-alias=no
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
zone-cache-refresh-interval=0
receiver-threads=1
security-poll-suffix=
daemon=no
guardian=no
`, file, dns, s.Dir, s.APIKey.Reveal(), api))
	s.start("Creating backend connection for TCP", binary, "--config-dir="+s.Dir)
	s.await()
	for _, z := range zones {
		s.Reset(z)
	}
	return s
}

// await returns once the API answers: it says nowhere that it is ready.
func (s *PowerDNS) await() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), startFor)
	defer cancel()
	for {
		if code, _, _ := s.call(ctx, "GET", "", ""); code == http.StatusOK {
			return
		}
		select {
		case <-ctx.Done():
			s.t.Fatalf("the API of PowerDNS does not answer:\n%s", s.Log())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Reset gives the server an empty zone, in place of the one that it may have.
func (s *PowerDNS) Reset(z zone.Name) bool {
	s.t.Helper()
	s.Remove(z)
	code, _, err := s.call(s.t.Context(), "POST", "/zones", fmt.Sprintf(`{"name":%q,"kind":"Native","nameservers":["ns.invalid."]}`, z.FQDN()))
	return err == nil && code == http.StatusCreated
}

// Remove takes a zone away.
func (s *PowerDNS) Remove(z zone.Name) {
	s.t.Helper()
	s.call(s.t.Context(), "DELETE", "/zones/"+z.FQDN(), "")
}

// Call asks the API, below /api/v1/servers/localhost.
func (s *PowerDNS) Call(method, path, body string) {
	s.t.Helper()
	code, answer, err := s.call(s.t.Context(), method, path, body)
	if err != nil || code/100 != 2 {
		s.t.Fatalf("PowerDNS: %s %s: %d, %v\n%s", method, path, code, err, answer)
	}
}

// Get returns what the API has at path.
func (s *PowerDNS) Get(path string) string {
	s.t.Helper()
	code, answer, err := s.call(s.t.Context(), "GET", path, "")
	if err != nil || code/100 != 2 {
		s.t.Fatalf("PowerDNS: GET %s: %d, %v\n%s", path, code, err, answer)
	}
	return answer
}

func (s *PowerDNS) call(ctx context.Context, method, path, body string) (int, string, error) {
	r, err := http.NewRequestWithContext(ctx, method, s.URL+"/api/v1/servers/localhost"+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("X-API-Key", s.APIKey.Reveal())
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxOutput))
	return answer.StatusCode, string(text), err
}
