package ctwatch

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	ct "github.com/google/certificate-transparency-go"
	cttls "github.com/google/certificate-transparency-go/tls"
	ctx509 "github.com/google/certificate-transparency-go/x509"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/ctonly"
	"github.com/transparency-dev/tessera/storage/posix"
)

var epoch = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// authority issues certificates and precertificates as a public CA does.
type authority struct {
	t    testing.TB
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	leaf *ecdsa.PrivateKey
	next int64
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t, key: newKey(t), leaf: newKey(t), next: 1000}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Careless CA", Organization: []string{"Careless"}, ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}, Value: "careless"}}},
		NotBefore: epoch.AddDate(-1, 0, 0), NotAfter: epoch.AddDate(5, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (a *authority) serial() int64 { a.next++; return a.next }

// certificate issues for names; extra is added as the last extension.
func (a *authority) certificate(serial int64, extra *pkix.Extension, names ...string) []byte {
	a.t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: epoch.AddDate(0, 0, -1), NotAfter: epoch.AddDate(0, 3, 0), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if extra != nil {
		template.ExtraExtensions = []pkix.Extension{*extra}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &a.leaf.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return der
}

var poison = &pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 3}, Critical: true, Value: asn1.NullBytes}

func (a *authority) precertificate(serial int64, names ...string) []byte {
	return a.certificate(serial, poison, names...)
}

// withSCTs issues the certificate of a precertificate, with logs' promises in it.
func (a *authority) withSCTs(serial int64, scts []*ct.SignedCertificateTimestamp, names ...string) []byte {
	a.t.Helper()
	var list ctx509.SignedCertificateTimestampList
	for _, s := range scts {
		raw, err := cttls.Marshal(*s)
		if err != nil {
			a.t.Fatal(err)
		}
		list.SCTList = append(list.SCTList, ctx509.SerializedSCT{Val: raw})
	}
	raw, err := cttls.Marshal(list)
	if err != nil {
		a.t.Fatal(err)
	}
	value, err := asn1.Marshal(raw)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.certificate(serial, &pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}, Value: value}, names...)
}

// leafOf is the structure that a log makes of a submission.
func (a *authority) leafOf(der []byte, timestamp uint64, extensions []byte) *ct.MerkleTreeLeaf {
	a.t.Helper()
	kind := ct.X509LogEntryType
	if c, err := ctx509.ParseCertificate(der); ctx509.IsFatal(err) {
		a.t.Fatal(err)
	} else if c.IsPrecertificate() {
		kind = ct.PrecertLogEntryType
	}
	leaf, err := ct.MerkleTreeLeafFromRawChain([]ct.ASN1Cert{{Data: der}, {Data: a.cert.Raw}}, kind, timestamp)
	if err != nil {
		a.t.Fatal(err)
	}
	leaf.TimestampedEntry.Extensions = extensions
	return leaf
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	b, err := cttls.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// signer is a log's key.
type signer struct {
	t      testing.TB
	key    *ecdsa.PrivateKey
	origin string
	now    func() time.Time
}

func (s *signer) spki() []byte {
	der, err := x509.MarshalPKIXPublicKey(&s.key.PublicKey)
	if err != nil {
		s.t.Fatal(err)
	}
	return der
}

func (s *signer) sign(data []byte) cttls.DigitallySigned {
	sig, err := cttls.CreateSignature(crypto.PrivateKey(*s.key), cttls.SHA256, data)
	if err != nil {
		s.t.Fatal(err)
	}
	return sig
}

func (s *signer) tree(size uint64, root []byte, timestamp uint64) []byte {
	sth := ct.SignedTreeHead{Timestamp: timestamp, TreeSize: size}
	copy(sth.SHA256RootHash[:], root)
	input, err := ct.SerializeSTHSignatureInput(sth)
	if err != nil {
		s.t.Fatal(err)
	}
	return marshal(s.t, s.sign(input))
}

// sct is the promise for a precertificate.
func (s *signer) sct(leaf *ct.MerkleTreeLeaf) *ct.SignedCertificateTimestamp {
	e := leaf.TimestampedEntry
	out := &ct.SignedCertificateTimestamp{Timestamp: e.Timestamp, Extensions: e.Extensions, LogID: ct.LogID{KeyID: sha256.Sum256(s.spki())}}
	input, err := ct.SerializeSCTSignatureInput(*out, ct.LogEntry{Leaf: *leaf})
	if err != nil {
		s.t.Fatal(err)
	}
	out.Signature = ct.DigitallySigned(s.sign(input))
	return out
}

// Name, KeyHash and Sign make it the signer of checkpoints (static-ct-api, Checkpoints).
func (s *signer) Name() string { return s.origin }

func (s *signer) KeyHash() uint32 {
	id := sha256.Sum256(s.spki())
	sum := sha256.Sum256(append([]byte(s.origin+"\n\x05"), id[:]...))
	return binary.BigEndian.Uint32(sum[:])
}

func (s *signer) Sign(msg []byte) ([]byte, error) {
	lines := strings.Split(string(msg), "\n")
	size, err := strconv.ParseUint(lines[1], 10, 64)
	if err != nil {
		return nil, err
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil {
		return nil, err
	}
	timestamp := uint64(s.now().UnixMilli())
	return append(binary.BigEndian.AppendUint64(nil, timestamp), s.tree(size, root, timestamp)...), nil
}

// jsonLog is a log with the API of RFC 6962 section 4, as far as it is read.
type jsonLog struct {
	*authority
	*signer
	url string

	mu      sync.Mutex
	entries []ct.LeafEntry
	tree    *merkle
	size    uint64 // of the tree that is served; 0 for all of it
	at      time.Time
	most    int // entries in one answer
	fault   func(w http.ResponseWriter, r *http.Request) bool
	asked   map[string]int
}

func newJSONLog(t testing.TB, a *authority) *jsonLog {
	l := &jsonLog{authority: a, signer: &signer{t: t, key: newKey(t)}, tree: &merkle{}, at: epoch, most: 1000, asked: map[string]int{}}
	srv := httptest.NewServer(l)
	t.Cleanup(srv.Close)
	l.url = srv.URL
	return l
}

func (l *jsonLog) log() Log {
	return Log{Name: "json log", Type: RFC6962, URL: l.url, Key: base64.StdEncoding.EncodeToString(l.spki())}
}

// add puts a (pre)certificate in and returns its leaf.
func (l *jsonLog) add(der []byte) *ct.MerkleTreeLeaf {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at = l.at.Add(time.Second)
	leaf := l.leafOf(der, uint64(l.at.UnixMilli()), nil)
	extra := marshal(l.authority.t, ct.CertificateChain{Entries: []ct.ASN1Cert{{Data: l.cert.Raw}}})
	if leaf.TimestampedEntry.EntryType == ct.PrecertLogEntryType {
		extra = marshal(l.authority.t, ct.PrecertChainEntry{PreCertificate: ct.ASN1Cert{Data: der}, CertificateChain: []ct.ASN1Cert{{Data: l.cert.Raw}}})
	}
	l.append(marshal(l.authority.t, *leaf), extra)
	return leaf
}

func (l *jsonLog) append(leaf, extra []byte) {
	l.entries = append(l.entries, ct.LeafEntry{LeafInput: leaf, ExtraData: extra})
	l.tree.add(rfc6962.DefaultHasher.HashLeaf(leaf))
}

func (l *jsonLog) with(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

func (l *jsonLog) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked[r.URL.Path]++
	if l.fault != nil && l.fault(w, r) {
		return
	}
	number := func(key string) uint64 {
		n, err := strconv.ParseUint(r.URL.Query().Get(key), 10, 63)
		if err != nil {
			n = 1 << 62
		}
		return n
	}
	size := uint64(len(l.entries))
	if l.size > 0 {
		size = l.size
	}
	var answer any
	switch r.URL.Path {
	case ct.GetSTHPath:
		root, timestamp := l.tree.root(size), uint64(l.at.UnixMilli())
		answer = ct.GetSTHResponse{TreeSize: size, Timestamp: timestamp, SHA256RootHash: root, TreeHeadSignature: l.signer.tree(size, root, timestamp)}
	case ct.GetEntriesPath:
		start, end := number("start"), number("end")
		if start > end || start >= uint64(len(l.entries)) {
			http.Error(w, "out of range", http.StatusBadRequest)
			return
		}
		end = min(end+1, uint64(len(l.entries)), start+uint64(l.most))
		answer = ct.GetEntriesResponse{Entries: l.entries[start:end]}
	case ct.GetSTHConsistencyPath:
		hashes, err := l.tree.consistency(number("first"), number("second"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer = ct.GetSTHConsistencyResponse{Consistency: hashes}
	case ct.GetProofByHashPath:
		for i, e := range l.entries {
			if base64.StdEncoding.EncodeToString(rfc6962.DefaultHasher.HashLeaf(e.LeafInput)) == r.URL.Query().Get("hash") {
				hashes, err := l.tree.inclusion(uint64(i), number("tree_size"))
				if err != nil {
					http.Error(w, err.Error(), http.StatusBadRequest)
					return
				}
				answer = ct.GetProofByHashResponse{LeafIndex: int64(i), AuditPath: hashes}
			}
		}
	}
	if answer == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		l.authority.t.Error(err)
	}
}

// tileLog is a static-ct-api log: Tessera keeps it, a file server serves it.
type tileLog struct {
	*authority
	*signer
	url, dir string
	add      func(der []byte) *ct.MerkleTreeLeaf
	added    func() // waits until everything is in the served tree
	hasty    bool   // add does not wait to learn the index

	mu    sync.Mutex
	fault func(w http.ResponseWriter, r *http.Request) bool
	asked int
}

func newTileLog(t testing.TB, a *authority) *tileLog {
	t.Helper()
	l := &tileLog{authority: a, signer: &signer{t: t, key: newKey(t), now: time.Now}, dir: t.TempDir()}
	files := http.FileServer(http.Dir(l.dir))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		l.asked++
		fault := l.fault
		l.mu.Unlock()
		if fault == nil || !fault(w, r) {
			files.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(srv.Close)
	l.url = srv.URL
	l.origin = "submit.ct.example/2026h2"

	ctx, cancel := context.WithCancel(context.Background())
	driver, err := posix.New(ctx, posix.Config{Path: l.dir})
	if err != nil {
		t.Fatal(err)
	}
	options := tessera.NewAppendOptions().WithCTLayout().WithCheckpointSigner(l.signer).
		WithBatching(1024, 20*time.Millisecond).WithCheckpointInterval(100 * time.Millisecond).WithPushback(100_000)
	appender, shutdown, reader, err := tessera.NewAppender(ctx, driver, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop, done := context.WithTimeout(context.Background(), 20*time.Second)
		defer done()
		if err := shutdown(stop); err != nil {
			t.Error(err)
		}
		cancel()
	})
	put := tessera.NewCertificateTransparencyAppender(appender)
	await := tessera.NewPublicationAwaiter(ctx, reader.ReadCheckpoint, 20*time.Millisecond)
	var futures []tessera.IndexFuture
	l.add = func(der []byte) *ct.MerkleTreeLeaf {
		timestamp := uint64(epoch.UnixMilli())
		leaf := a.leafOf(der, timestamp, nil)
		e := &ctonly.Entry{Timestamp: timestamp, Certificate: der, FingerprintsChain: [][32]byte{sha256.Sum256(a.cert.Raw)}}
		if p := leaf.TimestampedEntry.PrecertEntry; p != nil {
			e.IsPrecert, e.Certificate, e.Precertificate, e.IssuerKeyHash = true, p.TBSCertificate, der, p.IssuerKeyHash[:]
		}
		future := put(ctx, e)
		futures = append(futures, future)
		if e.IsPrecert && !l.hasty {
			index, err := future()
			if err != nil {
				t.Fatal(err)
			}
			leaf.TimestampedEntry.Extensions = leafIndexExtension(index.Index)
		}
		return leaf
	}
	l.added = func() {
		t.Helper()
		for _, f := range futures {
			if _, err := f(); err != nil {
				t.Fatal(err)
			}
		}
		if len(futures) > 0 {
			if _, _, err := await.Await(ctx, futures[len(futures)-1]); err != nil {
				t.Fatal(err)
			}
		}
		futures = nil
	}
	return l
}

func (l *tileLog) many(list [][]byte) {
	l.hasty = true
	for _, der := range list {
		l.add(der)
	}
	l.hasty = false
}

func (l *tileLog) log() Log {
	return Log{Name: "tile log", Type: StaticCT, URL: l.url, Origin: l.origin, Key: base64.StdEncoding.EncodeToString(l.spki())}
}

func (l *tileLog) with(fault func(w http.ResponseWriter, r *http.Request) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault = fault
}

func leafIndexExtension(index uint64) []byte {
	b := binary.BigEndian.AppendUint64(nil, index)
	return append([]byte{0, 0, 5}, b[3:]...)
}
