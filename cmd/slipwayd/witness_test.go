package main

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"slipway/audit"
	"slipway/audit/audittest"
	"slipway/audit/timestamp"
	"slipway/audit/timestamp/tsatest"
	"slipway/audit/witness"
	"slipway/key"
	"slipway/repo"
	"slipway/starter"
)

// A server has its record witnessed and timestamped, and when it is started again on an
// older copy of its disk the witness says so, and it says so on record, once.
func TestWitnessesOfTheRecord(t *testing.T) {
	tsa := tsatest.New(t, tsatest.Settings{})
	data := filepath.Join(audittest.TempDir(t), "data")

	// The log's key is there before the server, so that the witness can know it.
	logKey := makeLogKey(t, filepath.Join(data, "keys"))
	dir := t.TempDir()
	vkey, err := witness.Init(t.Context(), dir, "legal.example/w1", nil)
	if err != nil {
		t.Fatal(err)
	}
	w, err := witness.NewServer(t.Context(), witness.ServerOptions{Dir: dir, Logs: []string{logKey}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	web := httptest.NewServer(w.Handler())
	defer web.Close()

	zones := kitWith(t, func(text string) string {
		return text + fmt.Sprintf("\nrecord:\n  witnesses:\n    legal: {type: witness, url: %q, key: %q}\n  timestamps:\n    office: {type: rfc3161, url: %q, roots: tsa-root.pem, every: 1h}\n", web.URL, vkey, tsa.URL)
	})
	if err := os.WriteFile(filepath.Join(zones, "tsa-root.pem"), tsa.Root, 0o644); err != nil {
		t.Fatal(err)
	}
	runTool(t, "git", "-C", zones, "add", "-A")
	runTool(t, "git", "-C", zones, "-c", "user.name=Ana", "-c", "user.email=ana@finmicro.example", "commit", "-qm", "roots")
	s := settings{
		data: data, listen: "127.0.0.1:0", dns: "127.0.0.1:0", dnsExternal: "127.0.0.1:0", namespace: "slipway",
		logFormat: "text", logLevel: "error", repository: zones, organisation: starter.Sample(),
	}
	run := func(s settings, until func(srv *server) bool) {
		t.Helper()
		srv, err := start(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		defer srv.close(t.Context())
		for deadline := time.Now().Add(20 * time.Second); !until(srv); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("it did not happen")
			}
		}
	}
	found := func(srv *server, action audit.Action) []audit.Receipt {
		t.Helper()
		all, err := srv.record.Index().Events(t.Context(), audit.Query{Action: action})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	policy, err := witness.NewPolicy(1, witness.Witness{Name: "legal", Key: vkey})
	if err != nil {
		t.Fatal(err)
	}
	cosigned := func(srv *server) uint64 {
		raw, err := witness.Newest(audit.CosignedDir(srv.settings.path("audit")), policy)
		if err != nil {
			return 0
		}
		tree, err := audit.OpenCheckpoint(raw, logKey)
		if err != nil {
			t.Fatal(err)
		}
		return tree.Size
	}
	count := func(srv *server) uint64 {
		n := uint64(0)
		for _, err := range audit.Read(t.Context(), srv.settings.path("audit"), 0) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}

	// The timestamp's own event is witnessed too.
	run(s, func(srv *server) bool {
		return len(found(srv, audit.TimestampCheckpoint)) == 1 && cosigned(srv) == count(srv)
	})
	older := s
	older.data = filepath.Join(audittest.TempDir(t), "older")
	runTool(t, "cp", "-a", s.data, older.data)
	run(s, func(srv *server) bool {
		stamped := found(srv, audit.TimestampCheckpoint)
		verifyStamp(t, srv, stamped[0], tsa.Root)
		if len(stamped) > 1 {
			t.Fatal("stamped again before it was time, because of a restart")
		}
		if len(found(srv, audit.SignIn)) == 0 {
			if _, err := srv.record.Append(t.Context(), audit.Event{Actor: audit.Actor{ID: "ana@finmicro.example", Role: "product-manager"}, Action: audit.SignIn}); err != nil {
				t.Fatal(err)
			}
		}
		return cosigned(srv) == count(srv)
	})
	keys := audit.Keys{}
	run(older, func(srv *server) bool {
		keys = srv.record.PublicKeys()
		return len(found(srv, audit.WarnRecord)) == 1
	})
	var rounds atomic.Int32
	run(older, func(srv *server) bool {
		warned := found(srv, audit.WarnRecord)
		if len(warned) != 1 {
			t.Fatalf("%d warnings of one problem", len(warned))
		}
		var d audit.GuardDetails
		if err := json.Unmarshal(warned[0].Event.Details, &d); err != nil {
			t.Fatal(err)
		}
		_, digest, _ := strings.Cut(d.Problem, "What it has signed is the document ")
		if d.Name != "legal/history" || !strings.Contains(d.Problem, "older state") {
			t.Fatalf("%+v", d)
		}
		proof, err := srv.record.Documents().Get(t.Context(), digest)
		if err != nil {
			t.Fatal(err)
		}
		if tree, err := audit.OpenCheckpoint(proof, logKey); err != nil || tree.Size < 5 {
			t.Fatalf("%+v, %v", tree, err)
		}
		return rounds.Add(1) > 50
	})

	keys.Witnesses = &audit.Witnesses{Policy: policy}
	for where, want := range map[string]bool{s.path("audit"): true, older.path("audit"): false} {
		report, err := audit.Verify(t.Context(), where, keys, nil)
		if err != nil {
			t.Fatal(err)
		}
		if (len(report.Problems) == 0) != want {
			t.Errorf("%s: %+v", where, report.Problems)
		}
		for _, p := range report.Problems {
			if p.Check != audit.CheckWitnesses {
				t.Errorf("%+v", p)
			}
		}
	}
}

func runTool(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

func makeLogKey(t *testing.T, dir string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	store, err := key.OpenStore(dir, []byte(os.Getenv("SLIPWAY_KEY_PASSPHRASE")))
	if err != nil {
		t.Fatal(err)
	}
	k, err := store.Signer(t.Context(), "log", true)
	if err != nil {
		t.Fatal(err)
	}
	vkey, err := note.NewEd25519VerifierKey("slipway."+string(starter.Sample().Domain)+"/log", k.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return vkey
}

func verifyStamp(t *testing.T, srv *server, r audit.Receipt, root []byte) {
	t.Helper()
	var parts [2][]byte
	for i, name := range []string{"timestamp", "checkpoint"} {
		var err error
		if parts[i], err = srv.record.Documents().Get(t.Context(), r.Event.ArtifactRefs[name]); err != nil {
			t.Fatal(err)
		}
	}
	block, _ := pem.Decode(root)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(c)
	var d audit.TimestampDetails
	if err := json.Unmarshal(r.Event.Details, &d); err != nil {
		t.Fatal(err)
	}
	at, signer, err := timestamp.Verify(parts[0], parts[1], roots)
	if err != nil || !at.Equal(d.Time) || signer.Subject.String() != d.Signer || r.Event.Resource.Name != "timestamps/office" {
		t.Errorf("%s by %v, %v; the event says %+v", at, signer, err, d)
	}
}

// The settings of a witness and of an authority are refused with what is wrong.
func TestWitnessSettings(t *testing.T) {
	vkey, err := witness.Init(t.Context(), t.TempDir(), "legal.example/w1", nil)
	if err != nil {
		t.Fatal(err)
	}
	good := map[string]string{"url": "https://w.example", "key": vkey}
	for name, tt := range map[string]struct {
		change func(p map[string]string)
		kind   string
		says   string
	}{
		"good":            {func(map[string]string) {}, "witness", ""},
		"no address":      {func(p map[string]string) { delete(p, "url") }, "witness", "add url"},
		"no key":          {func(p map[string]string) { delete(p, "key") }, "witness", "verifier key"},
		"unknown setting": {func(p map[string]string) { p["color"] = "red" }, "witness", `no setting "color"`},
		"unknown type":    {func(map[string]string) {}, "notary", `no type "notary"`},
		"bad address":     {func(p map[string]string) { p["url"] = "ftp://x" }, "witness", "not an address"},
	} {
		t.Run("witness/"+name, func(t *testing.T) {
			p := map[string]string{}
			for k, v := range good {
				p[k] = v
			}
			tt.change(p)
			all := together(repo.RecordSettings{Quorum: 1, Witnesses: map[string]repo.Part{"legal": {Type: tt.kind, Params: p}}})
			policy, err := apart(all[quorumPart])
			if tt.says == "" {
				if err != nil || policy.Witnesses()[0].Key != vkey {
					t.Errorf("%v", err)
				}
			} else if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v", err)
			}
		})
	}
	if all := together(repo.RecordSettings{}); len(all) != 0 {
		t.Errorf("%+v", all)
	}
	for name, tt := range map[string]struct {
		part repo.Part
		says string
	}{
		"good":            {repo.Part{Type: "rfc3161", Params: map[string]string{"url": "https://tsa.example", "roots": "r.pem", "every": "1h"}}, ""},
		"no address":      {repo.Part{Type: "rfc3161", Params: map[string]string{"roots": "r.pem"}}, "add url"},
		"no roots":        {repo.Part{Type: "rfc3161", Params: map[string]string{"url": "https://tsa.example"}}, "add url"},
		"bad address":     {repo.Part{Type: "rfc3161", Params: map[string]string{"url": "tsa", "roots": "r.pem"}}, "not an address"},
		"too often":       {repo.Part{Type: "rfc3161", Params: map[string]string{"url": "https://tsa.example", "roots": "r.pem", "every": "1s"}}, "length of time"},
		"unknown setting": {repo.Part{Type: "rfc3161", Params: map[string]string{"color": "red"}}, `no setting "color"`},
		"unknown type":    {repo.Part{Type: "rfc1305"}, `no type "rfc1305"`},
	} {
		t.Run("timestamp/"+name, func(t *testing.T) {
			_, err := (&server{}).timestamp(context.Background(), "office", tt.part, nil)
			if tt.says == "" && err != nil || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("%v", err)
			}
		})
	}
}
