package ctwatch

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	ct "github.com/google/certificate-transparency-go"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/client"
	"golang.org/x/time/rate"
)

// Inclusion is the proof that a log shows a certificate, as it promised in an SCT. It is
// checked without the log: evidence for years.
type Inclusion struct {
	Log    string   `json:"log"`
	LogID  string   `json:"log_id"`
	Leaf   string   `json:"leaf"` // SCT.Leaf
	Index  uint64   `json:"index"`
	Head   Head     `json:"head"`
	Hashes [][]byte `json:"hashes"` // RFC 6962 section 2.1.1
}

// Prove asks the log of a promise that holds for the proof that it was kept. A log has a
// day or so for that; before, the error wraps fs.ErrNotExist or ErrNotYet. client may be nil.
func Prove(ctx context.Context, l Log, s SCT, httpClient *http.Client) (Inclusion, error) {
	o, err := l.open()
	if err != nil {
		return Inclusion{}, err
	}
	in := Inclusion{Log: l.Name, LogID: hex.EncodeToString(o.id[:]), Leaf: s.Leaf}
	leaf, err := hex.DecodeString(s.Leaf)
	if err != nil || len(leaf) != sha256.Size || s.LogID != in.LogID {
		return Inclusion{}, fmt.Errorf("log %s: the promise is not one of this log that was checked", l.Name)
	}
	if httpClient == nil {
		httpClient = &http.Client{Timeout: defaultTimeout}
	}
	fetch := &fetcher{client: httpClient, base: o.URL, limit: rate.NewLimiter(DefaultRate, DefaultRate), now: time.Now, sleep: sleep, jitter: rand.Float64}
	fail := func(err error) (Inclusion, error) {
		return Inclusion{}, fmt.Errorf("log %s: proof of inclusion: %w", l.Name, err)
	}
	if l.Type == StaticCT {
		if s.Index == nil {
			return fail(errors.New("the promise does not say where the certificate stands"))
		}
		in.Index = *s.Index
		tiles := &tileAPI{log: o, fetch: fetch}
		if in.Head, err = tiles.head(ctx); err != nil {
			return fail(err)
		}
		if in.Index >= in.Head.Size {
			return fail(ErrNotYet)
		}
		pb, err := client.NewProofBuilder(ctx, in.Head.Size, tiles.hashTile)
		if err != nil {
			return fail(err)
		}
		if in.Hashes, err = pb.InclusionProof(ctx, in.Index); err != nil {
			return fail(err)
		}
	} else {
		api := &jsonAPI{log: o, fetch: fetch}
		if in.Head, err = api.head(ctx); err != nil {
			return fail(err)
		}
		if in.Head.Size == 0 {
			return fail(ErrNotYet)
		}
		query := url.Values{"hash": {base64.StdEncoding.EncodeToString(leaf)}, "tree_size": {fmt.Sprint(in.Head.Size)}}
		src, err := fetch.get(ctx, ct.GetProofByHashPath+"?"+query.Encode(), maxJSON)
		if err != nil {
			return fail(err)
		}
		var r ct.GetProofByHashResponse
		if err := json.Unmarshal(src, &r); err != nil {
			return fail(err)
		}
		if r.LeafIndex < 0 || len(r.AuditPath) > maxProof {
			return fail(errors.New("the answer cannot be one"))
		}
		in.Index, in.Hashes = uint64(r.LeafIndex), r.AuditPath
	}
	if err := in.Verify(l); err != nil {
		return Inclusion{}, err
	}
	return in, nil
}

// ErrNotYet is of a log that has not yet put the certificate into a tree that it signed.
var ErrNotYet = errors.New("the log does not show the certificate yet")

// Verify checks the proof and the log's signature under it. It asks nobody.
func (in Inclusion) Verify(l Log) error {
	o, err := l.open()
	if err != nil {
		return err
	}
	parse := o.parseSTH
	if l.Type == StaticCT {
		parse = o.parseCheckpoint
	}
	head, err := parse([]byte(in.Head.Signed))
	if err != nil {
		return fmt.Errorf("log %s: proof of inclusion: %w", l.Name, err)
	}
	leaf, err := hex.DecodeString(in.Leaf)
	if err != nil || len(in.Hashes) > maxProof || in.LogID != hex.EncodeToString(o.id[:]) {
		return fmt.Errorf("log %s: proof of inclusion: %w", l.Name, errProof)
	}
	if err := proof.VerifyInclusion(rfc6962.DefaultHasher, in.Index, head.Size, leaf, in.Hashes, head.Root); err != nil {
		return fmt.Errorf("log %s: proof of inclusion: %w: %w", l.Name, errProof, err)
	}
	return nil
}
