package witness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"

	"slipway/filelock"
	"slipway/internal/durable"
	"slipway/key"
)

// KeyName is what a witness's key is called in its key store.
const KeyName = "witness"

const (
	maxName = 256 // bytes of a witness's name
	maxLogs = 1000
)

// ServerOptions are what a witness is made of.
type ServerOptions struct {
	Dir        string   // what it remembers and its key lie below
	Passphrase []byte   // seals the key
	Logs       []string // verifier keys of the logs that it witnesses; several of one origin are several keys of one log

	Now    func() time.Time // default time.Now
	Logger *slog.Logger     // default slog.Default()
	Rate   Rate             // default DefaultRate
}

// Server is a witness. It is safe for concurrent use.
type Server struct {
	o      ServerOptions
	signer *signer
	logs   map[string]*memory // by origin; not changed
	rates  *rates
	unlock func() error

	gate   sync.RWMutex // read-held while something is signed; held to close
	closed bool         // under gate
}

// Init gives the witness in dir its name and its key, or finds that it has them, and
// returns its verifier key. A name is given once: with another one its signatures would
// be those of another witness.
func Init(ctx context.Context, dir, name string, passphrase []byte) (vkey string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	have, err := readName(dir)
	switch {
	case err == nil && name != "" && name != have:
		return "", fmt.Errorf("the witness in %s is called %s already. A witness keeps its name; make another one in another directory", dir, have)
	case errors.Is(err, fs.ErrNotExist) && name == "":
		return "", fmt.Errorf("there is no witness in %s yet: give it a name, for example witness.legal.example.com: %w", dir, fs.ErrNotExist)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return "", err
	}
	if have == "" {
		have = name
	}
	s, err := openSigner(ctx, dir, have, passphrase, true)
	if err != nil {
		return "", err
	}
	// The key first: what has a name has a key.
	if err := durable.Create(filepath.Join(dir, nameFile), []byte(have+"\n"), 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	if again, err := readName(dir); err != nil || again != have {
		return "", errors.Join(fmt.Errorf("another process gave the witness in %s another name meanwhile", dir), err)
	}
	return s.vkey, nil
}

func readName(dir string) (string, error) {
	raw, err := durable.Read(filepath.Join(dir, nameFile), maxName)
	return strings.TrimSuffix(string(raw), "\n"), err
}

func openSigner(ctx context.Context, dir, name string, passphrase []byte, create bool) (*signer, error) {
	if len(name) >= maxName {
		return nil, fmt.Errorf("a witness's name has at most %d bytes", maxName-1)
	}
	store, err := key.OpenStore(filepath.Join(dir, keysDir), passphrase)
	if err != nil {
		return nil, err
	}
	k, err := store.Signer(ctx, KeyName, create)
	if err != nil {
		return nil, err
	}
	return newSigner(name, k)
}

// NewServer opens the witness that Init made. One process signs for it at a time.
func NewServer(ctx context.Context, o ServerOptions) (_ *Server, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Rate == (Rate{}) {
		o.Rate = DefaultRate
	}
	name, err := readName(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("there is no witness in %s: %w", o.Dir, err)
	}
	s := &Server{o: o, logs: map[string]*memory{}, rates: newRates(o.Rate, o.Now)}
	locking, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	s.unlock, err = filelock.Take(locking, filepath.Join(o.Dir, lockFile))
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("another process runs the witness in %s, and one at a time may sign", o.Dir)
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.unlock()
		}
	}()
	if s.signer, err = openSigner(ctx, o.Dir, name, o.Passphrase, false); err != nil {
		return nil, err
	}
	return s, s.openLogs()
}

func (s *Server) openLogs() error {
	verifiers := map[string][]note.Verifier{}
	for _, l := range s.o.Logs {
		v, err := note.NewVerifier(l)
		if err != nil {
			return fmt.Errorf("log %.200q is not a verifier key (NAME+ID+KEY, the value of \"log\" in what `slipway audit keys` prints): %w", l, err)
		}
		verifiers[v.Name()] = append(verifiers[v.Name()], v)
	}
	if len(verifiers) == 0 || len(verifiers) > maxLogs {
		return fmt.Errorf("a witness has between 1 and %d logs, and not %d", maxLogs, len(verifiers))
	}
	for origin, vs := range verifiers {
		m, err := openMemory(s.o.Dir, origin, vs)
		if err != nil {
			return err
		}
		s.logs[origin] = m
	}
	return nil
}

// VerifierKey is what others check this witness's cosignatures with.
func (s *Server) VerifierKey() string { return s.signer.vkey }

// Close waits for what is being signed and lets go of the directory. Nothing is signed
// from then on: another process may do so.
func (s *Server) Close() error {
	s.gate.Lock()
	defer s.gate.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.unlock()
}

var errClosed = errors.New("the witness is closed")

// Handler serves add-checkpoint of C2SP tlog-witness, and for reading the newest signed
// checkpoint of each log and the witness's verifier key.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add-checkpoint", s.serveAdd)
	mux.HandleFunc("GET /checkpoint/{id}", s.serveCheckpoint)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		plainText(w)
		fmt.Fprintf(w, "A witness of transparency logs (C2SP tlog-witness).\n%s\n", s.signer.vkey)
	})
	return mux
}

func plainText(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
}

func (s *Server) serveCheckpoint(w http.ResponseWriter, r *http.Request) {
	for origin, m := range s.logs {
		if logID(origin) != r.PathValue("id") {
			continue
		}
		m.mu.Lock()
		raw := m.raw
		m.mu.Unlock()
		if raw == nil {
			break
		}
		plainText(w)
		w.Header().Set("Cache-Control", "no-cache")
		w.Write(raw)
		return
	}
	http.NotFound(w, r)
}

// answer is what add-checkpoint says, other than a cosignature.
type answer struct {
	status int
	text   string
	size   bool // text is a size
}

func (a *answer) Error() string { return fmt.Sprintf("%d: %s", a.status, a.text) }

func refused(status int, format string, args ...any) error {
	return &answer{status: status, text: fmt.Sprintf(format, args...) + "\n"}
}

func (s *Server) serveAdd(w http.ResponseWriter, r *http.Request) {
	if wait, ok := s.rates.take(r.RemoteAddr); !ok {
		w.Header().Set("Retry-After", fmt.Sprint(wait))
		http.Error(w, "Too many requests from this address.", http.StatusTooManyRequests)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			http.Error(w, fmt.Sprintf("A request has at most %d bytes.", maxRequest), http.StatusRequestEntityTooLarge)
		} // and otherwise nobody is there to be answered
		return
	}
	line, err := s.add(r.Context(), body)
	var a *answer
	switch {
	case err == nil:
		plainText(w)
		io.WriteString(w, line)
	case errors.As(err, &a):
		plainText(w)
		if a.size {
			w.Header()["Content-Type"] = []string{sizeType}
		}
		w.WriteHeader(a.status)
		io.WriteString(w, a.text)
	default:
		s.o.Logger.Error("a checkpoint could not be signed", "error", err)
		http.Error(w, "The witness cannot sign at the moment.", http.StatusInternalServerError)
	}
}

// add goes through the checks of C2SP tlog-witness in their order, and signs.
func (s *Server) add(ctx context.Context, body []byte) (line string, err error) {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.closed {
		return "", errClosed
	}
	r, err := parseRequest(body)
	if err != nil {
		return "", refused(http.StatusBadRequest, "%s", err)
	}
	text, _, err := split(r.checkpoint)
	if err != nil {
		return "", refused(http.StatusBadRequest, "%s", err)
	}
	origin, _, _ := strings.Cut(text, "\n")
	m := s.logs[origin]
	if m == nil {
		return "", refused(http.StatusNotFound, "This witness does not know the log %.200q.", origin)
	}
	signed, err := openAll(r.checkpoint, m.verifiers)
	if err != nil {
		return "", refused(http.StatusForbidden, "No key that this witness trusts for the log signed the checkpoint.")
	}
	h, err := parseHead(signed.Text)
	if err != nil {
		return "", refused(http.StatusBadRequest, "%s", err)
	}
	if r.old > h.size {
		return "", refused(http.StatusBadRequest, "The old size is larger than the checkpoint's.")
	}

	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.follows(r, h); err != nil {
		var a *answer
		if errors.As(err, &a) && (!a.size || h.size < m.seen.size) {
			s.o.Logger.Warn("a checkpoint with the log's own signature was refused", "log", origin, "size", h.size, "seen", m.seen.size, "why", strings.TrimSpace(a.text))
			if !a.size {
				// As evidence; that it cannot be kept is no reason to sign.
				if err := m.refuse(s.o.Now(), strings.TrimSpace(a.text), h, body); err != nil {
					s.o.Logger.Error("a refused request could not be kept", "log", origin, "error", err)
				}
			}
		}
		return "", err
	}
	// A caller that has gone gets nothing signed; the next one asks again.
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if line, err = s.signer.cosign(signed.Text, s.o.Now()); err != nil {
		return "", err
	}
	if err := m.keep(h, note2raw(signed, line)); err != nil {
		return "", fmt.Errorf("log %s: %w", origin, err)
	}
	return line, nil
}

// follows says whether a checkpoint goes on from what was seen. The caller holds m.mu.
func (m *memory) follows(r request, h head) error {
	switch {
	case r.old != m.seen.size:
		return &answer{status: http.StatusConflict, text: fmt.Sprintf("%d\n", m.seen.size), size: true}
	case h.size == 0 && !bytes.Equal(h.root, rfc6962.DefaultHasher.EmptyRoot()):
		return refused(http.StatusUnprocessableEntity, "The root of an empty log is another.")
	case r.old == 0 && len(r.proof) > 0, r.old == h.size && len(r.proof) > 0:
		return refused(http.StatusUnprocessableEntity, "Here a proof has to be empty.")
	case r.old == 0:
		return nil
	case r.old == h.size && !bytes.Equal(h.root, m.seen.root):
		return refused(http.StatusConflict, "This witness has signed another root hash for the size %d: the log shows two histories.", h.size)
	case r.old == h.size:
		return nil
	}
	if err := proof.VerifyConsistency(rfc6962.DefaultHasher, r.old, h.size, r.proof, m.seen.root, h.root); err != nil {
		return refused(http.StatusUnprocessableEntity, "The proof does not show that the checkpoint goes on from the one of size %d.", r.old)
	}
	return nil
}

// openAll opens a note that at least one of the verifiers signed, with every signature
// that is one of theirs.
func openAll(raw []byte, verifiers []note.Verifier) (*note.Note, error) {
	var all *note.Note
	for _, v := range verifiers {
		n, err := note.Open(raw, note.VerifierList(v))
		switch {
		case err != nil:
		case all == nil:
			all = n
		case !slices.ContainsFunc(all.Sigs, func(s note.Signature) bool { return s.Hash == n.Sigs[0].Hash }):
			all.Sigs = append(all.Sigs, n.Sigs...)
		}
	}
	if all == nil {
		return nil, errors.New("none of the keys signed it")
	}
	return all, nil
}

// note2raw is a note with its verified signatures and one more line.
func note2raw(n *note.Note, line string) []byte {
	var b strings.Builder
	b.WriteString(n.Text + "\n")
	for _, s := range n.Sigs {
		fmt.Fprintf(&b, "— %s %s\n", s.Name, s.Base64)
	}
	b.WriteString(line)
	return []byte(b.String())
}

// CheckpointPath is where a witness of this package serves the newest checkpoint that it
// signed for a log.
func CheckpointPath(origin string) string { return "/checkpoint/" + logID(origin) }
