package witness

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/transparency-dev/merkle/rfc6962"
	merkletest "github.com/transparency-dev/merkle/testonly"
	"golang.org/x/mod/sumdb/note"

	"slipway/key"
)

// history is a log in memory, of entries that a name and their number make.
type history struct {
	testLog
	tree *merkletest.Tree
}

func newHistory(t testing.TB, entries ...string) *history {
	t.Helper()
	h := &history{newTestLog(t, origin), merkletest.New(rfc6962.DefaultHasher)}
	for _, e := range entries {
		h.tree.AppendData([]byte(e))
	}
	return h
}

// grown is a history of n entries; those from fork on are another's.
func grown(t testing.TB, n, fork int) *history {
	t.Helper()
	var entries []string
	for i := range n {
		name := "entry"
		if i >= fork {
			name = "forged"
		}
		entries = append(entries, fmt.Sprint(name, i))
	}
	return newHistory(t, entries...)
}

func (h *history) at(t testing.TB, size uint64) []byte {
	t.Helper()
	return h.checkpoint(t, size, h.tree.HashAt(size))
}

func (h *history) proof(t testing.TB, from, to uint64) [][]byte {
	t.Helper()
	if from == 0 {
		return nil
	}
	p, err := h.tree.ConsistencyProof(from, to)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (h *history) request(t testing.TB, from, to uint64) []byte {
	t.Helper()
	return request{from, h.proof(t, from, to), h.at(t, to)}.marshal()
}

var passphrase = []byte("p")

func newServer(t testing.TB, dir string, o ServerOptions) (*Server, *httptest.Server) {
	t.Helper()
	if _, err := Init(t.Context(), dir, "legal.example/w1", passphrase); err != nil {
		t.Fatal(err)
	}
	o.Dir, o.Passphrase = dir, passphrase
	if o.Logs == nil {
		o.Logs = []string{newTestLog(t, origin).vkey}
	}
	if o.Now == nil {
		o.Now = func() time.Time { return noon }
	}
	o.Logger = slog.New(slog.DiscardHandler)
	s, err := NewServer(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s.Handler())
	t.Cleanup(func() { web.Close(); s.Close() })
	return s, web
}

func post(t testing.TB, url string, body []byte) (int, string, http.Header) {
	t.Helper()
	resp, err := http.Post(url+"/add-checkpoint", "", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(raw), resp.Header
}

// Every answer of C2SP tlog-witness, in the order of a log's life.
func TestAddCheckpoint(t *testing.T) {
	dir := t.TempDir()
	s, web := newServer(t, dir, ServerOptions{})
	honest, forged := grown(t, 300, 300), grown(t, 300, 100)
	stranger := newTestLog(t, "other.example/log")
	thief := testLog{signer: stranger.signer}
	root := honest.tree.HashAt(120)
	size := func(n int) string { return fmt.Sprintf("%d\n", n) }
	broken := honest.proof(t, 120, 200)
	for _, step := range []struct {
		name   string
		body   []byte
		status int
		says   string // the whole text when it ends in a newline
	}{
		{"not a request", []byte("hello"), 400, "first line"},
		{"leading zero", bytes.Replace(honest.request(t, 0, 7), []byte("old 0"), []byte("old 00"), 1), 400, "old size"},
		{"not a note", request{0, nil, []byte("x\n")}.marshal(), 400, "signed note"},
		{"unknown log", request{0, nil, stranger.checkpoint(t, 7, root)}.marshal(), 404, "does not know"},
		{"another's key", request{0, nil, thief.sign(t, fmt.Sprintf("%s\n7\n%s\n", origin, strings.Repeat("A", 43)+"="))}.marshal(), 403, "No key"},
		{"not a checkpoint", request{0, nil, honest.sign(t, origin+"\nseven\n\n")}.marshal(), 400, ""},
		{"size with zeroes", request{0, nil, honest.sign(t, strings.Replace(bodyOf(t, honest.at(t, 7)), "\n7\n", "\n07\n", 1))}.marshal(), 400, "form of a checkpoint"},
		{"proof from nothing", request{0, [][]byte{root}, honest.at(t, 100)}.marshal(), 422, "empty"},
		{"first", honest.request(t, 0, 100), 200, ""},
		{"first again", honest.request(t, 0, 100), 409, size(100)},
		{"same again", honest.request(t, 100, 100), 200, ""},
		{"old is larger", request{101, nil, honest.at(t, 100)}.marshal(), 400, "larger"},
		{"wrong old size", honest.request(t, 50, 120), 409, size(100)},
		{"next", honest.request(t, 100, 120), 200, ""},
		{"same size, other root", request{120, nil, forged.at(t, 120)}.marshal(), 409, "two histories"},
		{"same with a proof", request{120, [][]byte{root}, honest.at(t, 120)}.marshal(), 422, "empty"},
		{"forked", forged.request(t, 120, 200), 422, "proof"},
		{"no proof", request{120, nil, honest.at(t, 200)}.marshal(), 422, "proof"},
		{"half a proof", request{120, broken[1:], honest.at(t, 200)}.marshal(), 422, "proof"},
		{"back", request{100, nil, honest.at(t, 110)}.marshal(), 409, size(120)},
		{"with an extension", request{120, honest.proof(t, 120, 150), honest.sign(t, bodyOf(t, honest.at(t, 150))+"extension\n")}.marshal(), 200, ""},
		{"on", honest.request(t, 150, 300), 200, ""},
	} {
		t.Run(step.name, func(t *testing.T) {
			status, text, header := post(t, web.URL, step.body)
			if status != step.status || !strings.Contains(text, step.says) || strings.HasSuffix(step.says, "\n") && text != step.says {
				t.Fatalf("%d %q", status, text)
			}
			if isSize := header.Get("Content-Type") == sizeType; isSize != strings.HasSuffix(step.says, "\n") {
				t.Errorf("content type %q", header.Get("Content-Type"))
			}
			if status != 200 {
				return
			}
			r, _ := parseRequest(step.body)
			v, err := NewVerifier(s.VerifierKey())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := note.Open(append(r.checkpoint, text...), note.VerifierList(v)); err != nil {
				t.Errorf("the cosignature: %v", err)
			}
		})
	}

	name, logs, err := Status(dir)
	if err != nil || name != "legal.example/w1" || len(logs) != 1 {
		t.Fatalf("%s %+v %v", name, logs, err)
	}
	l := logs[0]
	if l.Origin != origin || l.Size != 300 || !bytes.Equal(l.Root, honest.tree.Hash()) || !l.Cosigned.Equal(noon) {
		t.Errorf("%+v", l)
	}
	// What the log's own key had signed and was refused is kept, each checkpoint once.
	if len(l.Refused) != 5 {
		t.Errorf("%d refusals", len(l.Refused))
	}
	if r := l.Refused[len(l.Refused)-1]; !strings.Contains(r.Refused, bodyOf(t, honest.at(t, 200))) && !strings.Contains(r.Refused, bodyOf(t, forged.at(t, 200))) {
		t.Errorf("%+v", r)
	}
}

func bodyOf(t testing.TB, raw []byte) string {
	t.Helper()
	body, _, err := split(raw)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// What a witness has signed it knows after a restart, and everybody can read it.
func TestWitnessRemembers(t *testing.T) {
	dir := t.TempDir()
	honest, forged := grown(t, 20, 20), grown(t, 20, 5)
	s, web := newServer(t, dir, ServerOptions{})
	if status, text, _ := post(t, web.URL, honest.request(t, 0, 10)); status != 200 {
		t.Fatal(status, text)
	}
	resp, err := http.Get(web.URL + CheckpointPath(origin))
	if err != nil {
		t.Fatal(err)
	}
	served, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || bodyOf(t, served) != bodyOf(t, honest.at(t, 10)) {
		t.Errorf("%q, %v", served, err)
	}
	p, err := NewPolicy(1, Witness{Name: "legal", Key: s.VerifierKey()})
	if err != nil {
		t.Fatal(err)
	}
	if who, _, err := p.Verify(served); err != nil || len(who) != 1 {
		t.Errorf("%v %v", who, err)
	}
	// One process at a time.
	if _, err := NewServer(t.Context(), ServerOptions{Dir: dir, Passphrase: passphrase, Logs: s.o.Logs}); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("%v", err)
	}
	vkey := s.VerifierKey()
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if status, text, _ := post(t, web.URL, honest.request(t, 10, 11)); status != 500 {
		t.Error("signed by a witness that is closed", status, text)
	}
	web.Close()

	s, web = newServer(t, dir, ServerOptions{})
	if s.VerifierKey() != vkey {
		t.Error("another key after a restart")
	}
	if status, text, _ := post(t, web.URL, forged.request(t, 0, 12)); status != 409 || text != "10\n" {
		t.Error(status, text)
	}
	if status, text, _ := post(t, web.URL, forged.request(t, 10, 12)); status != 422 {
		t.Error(status, text)
	}
	if status, text, _ := post(t, web.URL, honest.request(t, 10, 20)); status != 200 {
		t.Error(status, text)
	}
	s.Close()

	// It starts with nothing that it cannot be sure of.
	path := filepath.Join(dir, logsDir, logID(origin), checkpointFile)
	if err := os.WriteFile(path, []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewServer(t.Context(), ServerOptions{Dir: dir, Passphrase: passphrase, Logs: s.o.Logs}); err == nil || !strings.Contains(err.Error(), "retire this witness") {
		t.Errorf("%v", err)
	}
}

// A disk that takes nothing gets nothing signed.
func TestNothingIsSignedThatIsNotKept(t *testing.T) {
	if os.Getuid() == 0 {
		t.Log("as root: the folder is replaced by a file instead of being made read-only")
	}
	dir := t.TempDir()
	honest := grown(t, 20, 20)
	_, web := newServer(t, dir, ServerOptions{})
	folder := filepath.Join(dir, logsDir, logID(origin))
	if err := os.Rename(folder, folder+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(folder, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if status, text, _ := post(t, web.URL, honest.request(t, 0, 10)); status != 500 || strings.Contains(text, "—") {
		t.Error(status, text)
	}
	if err := os.Remove(folder); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(folder+".away", folder); err != nil {
		t.Fatal(err)
	}
	if status, text, _ := post(t, web.URL, honest.request(t, 0, 10)); status != 200 {
		t.Error(status, text)
	}
}

// Many at once, of two histories: only one of them is ever signed.
func TestForksAtOnce(t *testing.T) {
	histories := []*history{grown(t, 200, 200), grown(t, 200, 3)}
	_, web := newServer(t, t.TempDir(), ServerOptions{Rate: Rate{1e6, 1 << 20}})
	var mu sync.Mutex
	signed := map[int]int{}
	var all sync.WaitGroup
	for i := range 2 {
		for range 4 {
			all.Go(func() {
				h := histories[i]
				seen := uint64(0)
				for range 20 {
					status, text, _ := post(t, web.URL, h.request(t, seen, min(max(seen, 9)+3, 200)))
					switch status {
					case 200:
						mu.Lock()
						signed[i]++
						mu.Unlock()
					case 409:
						if n, err := parseSize(strings.TrimSpace(text)); err == nil {
							seen = n
						}
					}
				}
			})
		}
	}
	all.Wait()
	if signed[0] > 0 == (signed[1] > 0) {
		t.Errorf("signed of each history: %v", signed)
	}
}

func TestLimits(t *testing.T) {
	clock := noon
	_, web := newServer(t, t.TempDir(), ServerOptions{Rate: Rate{1, 3}, Now: func() time.Time { return clock }})
	if status, _, _ := post(t, web.URL, make([]byte, maxRequest+1)); status != http.StatusRequestEntityTooLarge {
		t.Error(status)
	}
	post(t, web.URL, nil)
	post(t, web.URL, nil)
	if status, _, header := post(t, web.URL, nil); status != http.StatusTooManyRequests || header.Get("Retry-After") != "1" {
		t.Error(status, header)
	}
	clock = clock.Add(time.Second)
	if status, _, _ := post(t, web.URL, nil); status != http.StatusBadRequest {
		t.Error(status)
	}
	for path, want := range map[string]int{"/": 200, "/checkpoint/" + logID(origin): 404, "/checkpoint/x": 404, "/checkpoint/../name": 404, "/name": 404, "/add-checkpoint": 405} {
		resp, err := http.Get(web.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
	r := newRates(Rate{1, 1}, func() time.Time { return clock })
	for i := range 2 * maxAddresses {
		if _, ok := r.take(fmt.Sprintf("host%d:1", i)); !ok {
			t.Fatal("a first request was refused")
		}
	}
	if len(r.by) > maxAddresses {
		t.Errorf("%d addresses remembered", len(r.by))
	}
}

func TestInit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "w")
	if _, err := Init(t.Context(), dir, "", passphrase); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no name: %v", err)
	}
	if _, err := NewServer(t.Context(), ServerOptions{Dir: dir}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no witness: %v", err)
	}
	for _, name := range []string{"with space", "with+plus", strings.Repeat("x", maxName)} {
		if vkey, err := Init(t.Context(), dir, name, passphrase); err == nil {
			t.Errorf("%q: %s", name, vkey)
		}
	}
	vkey, err := Init(t.Context(), dir, "legal.example/w1", passphrase)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "legal.example/w1"} {
		if again, err := Init(t.Context(), dir, name, passphrase); err != nil || again != vkey {
			t.Errorf("%q: %s, %v", name, again, err)
		}
	}
	if _, err := Init(t.Context(), dir, "board.example/w1", passphrase); err == nil {
		t.Error("a witness was given another name")
	}
	if _, err := Init(t.Context(), dir, "", []byte("wrong")); err == nil {
		t.Error("the key was opened with another passphrase")
	}
	for _, logs := range [][]string{nil, {"x"}, {vkey}} {
		if _, err := NewServer(t.Context(), ServerOptions{Dir: dir, Passphrase: passphrase, Logs: logs}); err == nil {
			t.Errorf("logs %q", logs)
		}
	}
	if _, err := VerifierKey("w", mustECDSA(t)); err == nil {
		t.Error("a witness with an ECDSA key")
	}
}

func mustECDSA(t *testing.T) *key.Signer {
	t.Helper()
	files, err := key.OpenFiles(t.TempDir(), passphrase)
	if err != nil {
		t.Fatal(err)
	}
	_, private, err := files.Create(t.Context(), "x", key.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	k, err := key.NewSigner("x", "test:x", private)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func FuzzParseRequest(f *testing.F) {
	h := grown(f, 20, 20)
	f.Add(h.request(f, 0, 7))
	f.Add(h.request(f, 7, 20))
	f.Add([]byte("old 1\n\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := parseRequest(raw)
		if err == nil && !bytes.Equal(r.marshal(), raw) {
			t.Fatalf("another spelling was taken: %q", raw)
		}
	})
}

func BenchmarkAddCheckpoint(b *testing.B) {
	h := grown(b, 1, 1)
	s, _ := newServer(b, b.TempDir(), ServerOptions{Rate: Rate{1e9, 1 << 30}})
	seen := uint64(0)
	for i := 0; b.Loop(); i++ {
		body := h.request(b, seen, h.tree.Size())
		if _, err := s.add(b.Context(), body); err != nil {
			b.Fatal(err)
		}
		seen = h.tree.Size()
		h.tree.AppendData(fmt.Append(nil, i))
	}
}
