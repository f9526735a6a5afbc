package ctwatch

import (
	"net/http"
	"testing"

	"github.com/google/certificate-transparency-go/client"
	"github.com/google/certificate-transparency-go/jsonclient"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
)

// The log that tests are run against is one to the client that other programs use.
func TestTheLogIsALog(t *testing.T) {
	a := newAuthority(t)
	l := newJSONLog(t, a)
	for range 11 {
		l.add(a.certificate(a.serial(), nil, "www.other.example"))
	}
	l.add(a.precertificate(a.serial(), "pay.finmicro.example"))
	c, err := client.New(l.url, http.DefaultClient, jsonclient.Options{PublicKeyDER: l.spki()})
	if err != nil {
		t.Fatal(err)
	}
	sth, err := c.GetSTH(t.Context()) // checks the signature
	if err != nil || sth.TreeSize != 12 {
		t.Fatal(sth, err)
	}
	entries, err := c.GetEntries(t.Context(), 0, 11)
	if err != nil || len(entries) != 12 || entries[11].Precert == nil || entries[11].Precert.TBSCertificate.DNSNames[0] != "pay.finmicro.example" {
		t.Fatal(len(entries), err)
	}
	hashes, err := c.GetSTHConsistency(t.Context(), 5, 12)
	if err != nil {
		t.Fatal(err)
	}
	if err := proof.VerifyConsistency(rfc6962.DefaultHasher, 5, 12, hashes, l.tree.root(5), sth.SHA256RootHash[:]); err != nil {
		t.Error(err)
	}
	leaf := rfc6962.DefaultHasher.HashLeaf(l.entries[11].LeafInput)
	included, err := c.GetProofByHash(t.Context(), leaf, 12)
	if err != nil || included.LeafIndex != 11 {
		t.Fatal(included, err)
	}
	if err := proof.VerifyInclusion(rfc6962.DefaultHasher, 11, 12, leaf, included.AuditPath, sth.SHA256RootHash[:]); err != nil {
		t.Error(err)
	}
}
