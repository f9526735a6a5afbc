package witness

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"

	"slipway/key"
)

const origin = "slipway.finmicro.example/log"

// testSigner is a key that is the same in every run.
func testSigner(t testing.TB, name string) *key.Signer {
	t.Helper()
	seed := sha256.Sum256([]byte(name))
	k, err := key.NewSigner(name, "test:"+name, ed25519.NewKeyFromSeed(seed[:]))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func testWitness(t testing.TB, name string) (*signer, Witness) {
	t.Helper()
	s, err := newSigner(name+".example/w1", testSigner(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return s, Witness{Name: name, Key: s.vkey}
}

// testLog signs checkpoints.
type testLog struct {
	signer note.Signer
	vkey   string
}

func newTestLog(t testing.TB, name string) testLog {
	t.Helper()
	k := testSigner(t, name)
	vkey, err := note.NewEd25519VerifierKey(name, k.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	seed := sha256.Sum256([]byte(name))
	id := strings.Split(vkey, "+")[1]
	s, err := note.NewSigner("PRIVATE+KEY+" + name + "+" + id + "+" + base64.StdEncoding.EncodeToString(append([]byte{1}, seed[:]...)))
	if err != nil {
		t.Fatal(err)
	}
	return testLog{s, vkey}
}

func (l testLog) checkpoint(t testing.TB, size uint64, root []byte) []byte {
	t.Helper()
	return l.sign(t, fmt.Sprintf("%s\n%d\n%s\n", l.signer.Name(), size, base64.StdEncoding.EncodeToString(root)))
}

func (l testLog) sign(t testing.TB, body string) []byte {
	t.Helper()
	raw, err := note.Sign(&note.Note{Text: body}, l.signer)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func cosigned(t testing.TB, raw []byte, at time.Time, by ...*signer) []byte {
	t.Helper()
	body, _, err := split(raw)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range by {
		line, err := s.cosign(body, at)
		if err != nil {
			t.Fatal(err)
		}
		if raw, err = join(raw, line); err != nil {
			t.Fatal(err)
		}
	}
	return raw
}

var noon = time.Date(2026, 6, 30, 12, 0, 0, 0, time.UTC)

func TestPolicyVerify(t *testing.T) {
	log := newTestLog(t, origin)
	signers, lines := map[string]*signer{}, ""
	for _, name := range []string{"legal", "audit", "board", "outside"} {
		s, w := testWitness(t, name)
		signers[name] = s
		lines += "witness " + name + " " + w.Key + "\n"
	}
	raw := log.checkpoint(t, 7, rfc6962.DefaultHasher.HashLeaf([]byte("x")))
	for _, tt := range []struct {
		name, rule, by, missing string
		met                     bool
	}{
		{"nobody is asked for", "quorum none", "", "legal audit board outside", true},
		{"one, and it did", "quorum legal", "legal", "audit board outside", true},
		{"one, and another did", "quorum legal", "audit", "legal board outside", false},
		{"any", "group g any legal audit\nquorum g", "audit", "legal board outside", true},
		{"any of others", "group g any legal audit\nquorum g", "board", "legal audit outside", false},
		{"two of three", "group g 2 legal audit board\nquorum g", "legal board", "audit outside", true},
		{"two of three, one did", "group g 2 legal audit board\nquorum g", "legal", "audit board outside", false},
		{"all", "group g all legal audit\nquorum g", "legal audit", "board outside", true},
		{"groups of groups", "group in 1 legal audit\ngroup out any board outside\ngroup both all in out\nquorum both", "audit outside", "legal board", true},
		{"groups of groups, one side", "group in 1 legal audit\ngroup out any board outside\ngroup both all in out\nquorum both", "legal audit", "board outside", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := ParsePolicy([]byte("# who\n" + lines + tt.rule + "\n"))
			if err != nil {
				t.Fatal(err)
			}
			again, err := ParsePolicy([]byte(p.String()))
			if err != nil || again.String() != p.String() {
				t.Errorf("not the same when read again: %v\n%s", err, again)
			}
			var by []*signer
			for name := range strings.FieldsSeq(tt.by) {
				by = append(by, signers[name])
			}
			who, missing, err := p.Verify(cosigned(t, raw, noon, by...))
			if (err == nil) != tt.met || err != nil && !errors.Is(err, ErrQuorum) {
				t.Errorf("err = %v", err)
			}
			if len(who) != len(by) || strings.Join(missing, " ") != tt.missing {
				t.Errorf("who %v, missing %v", who, missing)
			}
		})
	}
}

func TestCosignatures(t *testing.T) {
	log := newTestLog(t, origin)
	legal, w := testWitness(t, "legal")
	other, v := testWitness(t, "audit")
	p, err := NewPolicy(0, w, v)
	if err != nil {
		t.Fatal(err)
	}
	root := rfc6962.DefaultHasher.HashLeaf([]byte("x"))
	raw := cosigned(t, log.checkpoint(t, 7, root), noon, legal, other)
	found, err := p.Cosignatures(raw)
	if err != nil || len(found) != 2 || found[0] != (Cosignature{"legal", noon}) {
		t.Errorf("%v, %v", found, err)
	}

	// A cosignature of another checkpoint, or one altered, counts for nothing and hides nobody's.
	body, lines, _ := split(raw)
	elsewhere := cosigned(t, log.checkpoint(t, 8, root), noon, legal)
	_, foreign, _ := split(elsewhere)
	mixed := body + "\n" + lines[0] + foreign[1] + lines[2]
	who, missing, err := p.Verify([]byte(mixed))
	if fmt.Sprint(who, missing) != "[audit] [legal]" || !errors.Is(err, ErrQuorum) {
		t.Errorf("%v %v %v", who, missing, err)
	}

	// A policy that names logs takes theirs only.
	stranger := newTestLog(t, "other.example/log")
	for _, key := range []string{log.vkey, stranger.vkey} {
		q, err := ParsePolicy([]byte("log " + key + " https://log.example\n" + p.String()))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := q.Verify(raw); (err == nil) != (key == log.vkey) {
			t.Errorf("%s: %v", key, err)
		}
	}
	if _, _, err := p.Verify([]byte("not a note")); err == nil || errors.Is(err, ErrQuorum) {
		t.Errorf("not a note: %v", err)
	}
}

func TestPolicyRefusals(t *testing.T) {
	_, legal := testWitness(t, "legal")
	log := newTestLog(t, origin)
	w := "witness legal " + legal.Key + "\n"
	renamed := "other.example" + legal.Key[strings.Index(legal.Key, "+"):]
	id := strings.Split(legal.Key, "+")[1]
	for name, tt := range map[string]struct{ text, says string }{
		"no quorum":         {w, "no quorum line"},
		"two quorums":       {w + "quorum legal\nquorum none", "more than one quorum"},
		"unknown quorum":    {w + "quorum board", `"board" is neither`},
		"unknown member":    {w + "group g any board\nquorum g", `"board" is neither`},
		"later member":      {"group g any legal\n" + w + "quorum g", "line 1"},
		"none as a name":    {"witness none " + legal.Key + "\nquorum none", `"none" is taken`},
		"name twice":        {w + "group legal any legal\nquorum legal", "given twice"},
		"key twice":         {w + "witness board " + legal.Key + "\nquorum legal", "has the key of legal"},
		"too few":           {w + "group g 0 legal\nquorum g", "can never be"},
		"too many":          {w + "group g 2 legal\nquorum g", "can never be"},
		"not a number":      {w + "group g 01 legal\nquorum g", "any, all or a number"},
		"member twice":      {w + "group g 2 legal legal\nquorum g", "count twice"},
		"member of two":     {w + "group g any legal\ngroup h any legal\nquorum h", "count twice"},
		"a log's key":       {"witness legal " + log.vkey + "\nquorum legal", "not a witness's verifier key"},
		"key under a name":  {"witness legal " + renamed + "\nquorum legal", "altered"},
		"key with other ID": {"witness legal " + strings.Replace(legal.Key, id, "00000000", 1) + "\nquorum legal", "altered"},
		"address":           {"witness legal " + legal.Key + " ftp://x\nquorum legal", "not an address"},
		"password":          {"witness legal " + legal.Key + " https://a:b@x\nquorum legal", "not an address"},
		"unknown word":      {"wittness legal x\nquorum none", "none of"},
		"control character": {w + "quorum legal\r\n", "control character"},
		"log's key broken":  {"log x\nquorum none", "verifier key"},
		"long":              {strings.Repeat("#\n", MaxPolicy), "at most"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ParsePolicy([]byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v", err)
			}
		})
	}
	if _, err := NewPolicy(2, legal); err == nil {
		t.Error("two of one")
	}
	if p, err := NewPolicy(0); err != nil || p.String() != "quorum none\n" {
		t.Errorf("%v %v", p, err)
	}
}

func FuzzParsePolicy(f *testing.F) {
	_, legal := testWitness(f, "legal")
	f.Add([]byte("# x\nlog " + newTestLog(f, origin).vkey + "\nwitness legal " + legal.Key + " https://w.example\ngroup g any legal\nquorum g\n"))
	f.Add([]byte("quorum none"))
	f.Add([]byte("group a 1 b\n\tquorum\t a \n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := ParsePolicy(raw)
		if err != nil {
			return
		}
		again, err := ParsePolicy([]byte(p.String()))
		if err != nil || again.String() != p.String() {
			t.Fatalf("%v\n%s", err, p)
		}
	})
}

func FuzzVerify(f *testing.F) {
	log := newTestLog(f, origin)
	s, w := testWitness(f, "legal")
	p, err := NewPolicy(1, w)
	if err != nil {
		f.Fatal(err)
	}
	good := cosigned(f, log.checkpoint(f, 7, rfc6962.DefaultHasher.EmptyRoot()), noon, s)
	want, _, _ := split(good)
	f.Add(good)
	f.Add([]byte("\n\n— legal.example/w1 AAAA\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, _, err := p.Verify(raw); err != nil {
			return
		}
		if body, _, err := split(raw); err != nil || body != want {
			t.Fatalf("taken as cosigned: %q, %v", raw, err)
		}
	})
}
