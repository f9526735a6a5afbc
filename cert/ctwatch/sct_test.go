package ctwatch

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"strings"
	"testing"

	ct "github.com/google/certificate-transparency-go"
)

// A certificate with promises of both kinds of log; each is checked, and its keeping proved.
func TestSCTsAndProofs(t *testing.T) {
	a := newAuthority(t)
	jsonLog, tileLog, stranger := newJSONLog(t, a), newTileLog(t, a), newJSONLog(t, a)
	serial := a.serial()
	names := []string{"pay.finmicro.example"}
	pre := a.precertificate(serial, names...)
	other := a.certificate(a.serial(), nil, "www.other.example")
	for range 3 {
		jsonLog.add(other)
		tileLog.add(other)
	}
	scts := []*ct.SignedCertificateTimestamp{
		jsonLog.signer.sct(jsonLog.add(pre)),
		tileLog.signer.sct(tileLog.add(pre)),
		stranger.signer.sct(stranger.add(pre)),
		jsonLog.signer.sct(jsonLog.leafOf(a.precertificate(a.serial(), names...), 1, nil)), // for another certificate
	}
	tileLog.added()
	jsonLog.add(other)
	chain := [][]byte{a.withSCTs(serial, scts, names...), a.cert.Raw}
	logs := []Log{jsonLog.log(), tileLog.log()}
	got, err := SCTs(chain, logs)
	if err != nil || len(got) != 4 {
		t.Fatal(got, err)
	}
	for i, want := range []string{"", "", "not in the list of logs", "did not sign this promise"} {
		if got[i].Problem != want && (want == "" || !strings.Contains(got[i].Problem, want)) {
			t.Errorf("%d: problem %q, want %q", i, got[i].Problem, want)
		}
	}
	if got[0].Index != nil || got[1].Index == nil || got[0].Log != "json log" || got[1].Log != "tile log" {
		t.Errorf("%+v", got)
	}

	for i, l := range logs {
		proof, err := Prove(t.Context(), l, got[i], nil)
		if err != nil {
			t.Fatalf("%s: %v", l.Name, err)
		}
		src, err := json.Marshal(proof)
		if err != nil {
			t.Fatal(err)
		}
		var kept Inclusion
		if err := json.Unmarshal(src, &kept); err != nil {
			t.Fatal(err)
		}
		if err := kept.Verify(l); err != nil {
			t.Errorf("%s: %v", l.Name, err)
		}
		moved := kept
		moved.Index++
		another := kept
		another.Leaf = hex.EncodeToString(make([]byte, 32))
		forged := kept
		forged.Head.Signed = strings.Replace(kept.Head.Signed, string('0'+byte(kept.Head.Size)), string('0'+byte(kept.Head.Size+1)), 1)
		for name, bad := range map[string]Inclusion{"moved": moved, "another": another, "forged": forged} {
			if err := bad.Verify(l); err == nil {
				t.Errorf("%s: %s: taken", l.Name, name)
			}
		}
		if err := kept.Verify(logs[1-i]); err == nil {
			t.Errorf("%s: the other log vouches for it", l.Name)
		}
	}
	// A promise that is not kept yet.
	late := got[0]
	late.Leaf = hex.EncodeToString(make([]byte, 32))
	if _, err := Prove(t.Context(), logs[0], late, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("err is %v", err)
	}
	late = got[1]
	far := uint64(1000)
	late.Index = &far
	if _, err := Prove(t.Context(), logs[1], late, nil); !errors.Is(err, ErrNotYet) {
		t.Errorf("err is %v", err)
	}

	// What the list says of a log counts.
	logs[0].State, logs[1].End = "rejected", epoch
	if got, err := SCTs(chain, logs); err != nil || !strings.Contains(got[0].Problem, "rejected") || !strings.Contains(got[1].Problem, "2026-11-01") {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := SCTs([][]byte{chain[0], newAuthority(t).cert.Raw}, logs); err == nil {
		t.Error("another issuer is taken")
	}
	if got, err := SCTs([][]byte{other, a.cert.Raw}, logs); err != nil || got == nil || len(got) != 0 {
		t.Errorf("a certificate without promises: %v %v", got, err)
	}
}
