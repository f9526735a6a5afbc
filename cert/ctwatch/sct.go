package ctwatch

import (
	"encoding/hex"
	"fmt"
	"time"

	ct "github.com/google/certificate-transparency-go"
	"github.com/google/certificate-transparency-go/ctutil"
	ctx509 "github.com/google/certificate-transparency-go/x509"
	"github.com/google/certificate-transparency-go/x509util"
)

// maxSCTs of one certificate; browsers want two or three.
const maxSCTs = 32

// SCT is a log's promise to show a certificate (RFC 6962 section 3.2), as it stands in
// the certificate.
type SCT struct {
	Log       string    `json:"log"`    // "" for a log that is not in the list
	LogID     string    `json:"log_id"` // hexadecimal
	Operator  string    `json:"operator,omitempty"`
	State     string    `json:"state,omitempty"` // of the log, by the list
	Timestamp time.Time `json:"timestamp"`

	// Index is where a static log says that the certificate stands, null for others.
	Index *uint64 `json:"index"`

	// Leaf is the hash of the log's entry, hexadecimal: what a proof of inclusion is about.
	// "" when the promise cannot be checked.
	Leaf string `json:"leaf,omitempty"`

	// Problem says why the promise does not count, "" for one that was checked and holds.
	Problem string `json:"problem,omitempty"`
}

// SCTs reads the promises embedded in the certificate that chain (DER, issuer second) begins
// with, and checks each against the log that it names. The error is of a chain that cannot be read;
// what is wrong with a promise stands with it.
func SCTs(chain [][]byte, logs []Log) ([]SCT, error) {
	if len(chain) < 2 {
		return nil, fmt.Errorf("signed certificate timestamps: the certificate and its issuer's are needed")
	}
	pair := make([]*ctx509.Certificate, 2)
	for i := range pair {
		c, err := ctx509.ParseCertificate(chain[i])
		if ctx509.IsFatal(err) || c == nil {
			return nil, fmt.Errorf("signed certificate timestamps: certificate %d of the chain: %w", i, err)
		}
		pair[i] = c
	}
	if err := pair[0].CheckSignatureFrom(pair[1]); err != nil {
		return nil, fmt.Errorf("signed certificate timestamps: the second certificate did not issue the first: %w", err)
	}
	known := map[string]*opened{}
	for _, l := range logs {
		o, err := l.open()
		if err != nil {
			return nil, err
		}
		known[hex.EncodeToString(o.id[:])] = o
	}
	list := pair[0].SCTList.SCTList
	if len(list) > maxSCTs {
		return nil, fmt.Errorf("signed certificate timestamps: %d are more than any certificate needs", len(list))
	}
	out := make([]SCT, 0, len(list))
	for i := range list {
		raw, err := x509util.ExtractSCT(&list[i])
		if err != nil {
			out = append(out, SCT{Problem: short("it cannot be read: " + err.Error())})
			continue
		}
		out = append(out, check(pair, raw, known))
	}
	return out, nil
}

func check(pair []*ctx509.Certificate, raw *ct.SignedCertificateTimestamp, known map[string]*opened) SCT {
	s := SCT{LogID: hex.EncodeToString(raw.LogID.KeyID[:]), Timestamp: milliseconds(raw.Timestamp)}
	if index, ok := leafIndex(raw.Extensions); ok {
		s.Index = &index
	}
	log, ok := known[s.LogID]
	if !ok {
		s.Problem = "the log is not in the list of logs, so nobody can say whether it made this promise"
		return s
	}
	s.Log, s.Operator, s.State = log.Name, log.Operator, log.State
	if err := ctutil.VerifySCTWithVerifier(log.key, pair, raw, true); err != nil {
		s.Problem = "the log did not sign this promise for this certificate"
		return s
	}
	leaf, err := leafOf(pair, raw)
	if err != nil {
		s.Problem = short(err.Error())
		return s
	}
	s.Leaf = hex.EncodeToString(leaf)
	switch {
	case log.State == "rejected" || log.State == "pending":
		s.Problem = "browsers do not take promises of this log; its state is " + log.State
	case !log.Start.IsZero() && pair[0].NotAfter.Before(log.Start), !log.End.IsZero() && !pair[0].NotAfter.Before(log.End):
		s.Problem = fmt.Sprintf("the log takes only certificates that end between %s and %s", log.Start.Format(time.DateOnly), log.End.Format(time.DateOnly))
	}
	return s
}

// leafOf is the hash of the entry that the promise is about, extensions included.
func leafOf(pair []*ctx509.Certificate, raw *ct.SignedCertificateTimestamp) ([]byte, error) {
	leaf, err := ct.MerkleTreeLeafForEmbeddedSCT(pair, raw.Timestamp)
	if err != nil {
		return nil, err
	}
	leaf.TimestampedEntry.Extensions = raw.Extensions
	hash, err := ct.LeafHashForLeaf(leaf)
	return hash[:], err
}
