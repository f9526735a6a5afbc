package rfc2136

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"slipway/secret"
)

var signedAt = time.Unix(1_800_000_000, 0)

func testKey(t testing.TB, algorithm, text string) *key {
	t.Helper()
	k, err := newKey("slipway.test", algorithm, secret.New(text))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

const keyText = "MDEyMzQ1Njc4OWFiY2RlZg=="

// transferOf signs messages as a server does, by package dns: the first over the MAC of
// the request, each further one over that before it.
func transferOf(t testing.TB, k *key, texts ...string) (requestMAC []byte, wires [][]byte) {
	t.Helper()
	q := new(dns.Msg)
	q.SetAxfr("example.")
	_, requestMAC, err := k.sign(q, signedAt)
	if err != nil {
		t.Fatal(err)
	}
	prior := hex.EncodeToString(requestMAC)
	for i, text := range texts {
		m := new(dns.Msg)
		m.SetReply(q)
		m.Extra, m.Answer = nil, nil
		for line := range strings.Lines(text) {
			rr, err := dns.NewRR(line)
			if err != nil {
				t.Fatal(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		m.Compress = true
		m.SetTsig(k.name, k.algorithm, fudge, signedAt.Unix())
		wire, mac, err := dns.TsigGenerateWithProvider(m, k, prior, i > 0)
		if err != nil {
			t.Fatal(err)
		}
		wires, prior = append(wires, wire), mac
	}
	return requestMAC, wires
}

const soaText = "example. 3600 IN SOA ns.example. hostmaster.example. 7 3600 600 86400 60"

func verify(k *key, requestMAC []byte, wires [][]byte, now time.Time) error {
	v := &verifier{key: k, now: func() time.Time { return now }, prior: requestMAC, first: true}
	for _, wire := range wires {
		m, err := parse(wire)
		if err != nil {
			return err
		}
		if err := v.check(m); err != nil {
			return err
		}
	}
	if !v.done() {
		return errUnsigned
	}
	return nil
}

func TestSignatures(t *testing.T) {
	for _, algorithm := range []string{"", "hmac-sha256", "HMAC-SHA384.", "hmac-sha512"} {
		k := testKey(t, algorithm, keyText)
		mac, wires := transferOf(t, k, soaText+"\nwww.example. 300 IN A 192.0.2.1", "mail.example. 300 IN TXT \"x\"", soaText)
		if err := verify(k, mac, wires, signedAt); err != nil {
			t.Errorf("%s: %v", algorithm, err)
		}
		if err := verify(k, mac, wires, signedAt.Add(time.Hour)); err == nil || !strings.Contains(err.Error(), "clock") {
			t.Errorf("%s, an hour later: %v", algorithm, err)
		}
		if err := verify(testKey(t, algorithm, "ZmVkY2JhOTg3NjU0MzIxMA=="), mac, wires, signedAt); err == nil {
			t.Errorf("%s: another secret verifies", algorithm)
		}
		if err := verify(k, mac, [][]byte{wires[0], wires[2]}, signedAt); err == nil {
			t.Errorf("%s: a message was taken out, and nobody noticed", algorithm)
		}
		if err := verify(k, mac[1:], wires, signedAt); err == nil {
			t.Errorf("%s: the answer to another question verifies", algorithm)
		}
		// Any bit of any message.
		for i := range wires {
			for at := 2; at < len(wires[i]); at++ { // the ID is signed as the original ID
				changed := bytes.Clone(wires[i])
				changed[at] ^= 0x10
				all := append(append(append([][]byte{}, wires[:i]...), changed), wires[i+1:]...)
				if err := verify(k, mac, all, signedAt); err == nil && !caseOnly(wires[i][at], changed[at]) {
					t.Fatalf("%s: message %d changed at %d, and it verifies", algorithm, i, at)
				}
			}
		}
	}
}

// caseOnly: names of keys are compared without case, here as everywhere in DNS.
func caseOnly(a, b byte) bool { return bytes.EqualFold([]byte{a}, []byte{b}) }

func TestUnsigned(t *testing.T) {
	k := testKey(t, "", keyText)
	mac, wires := transferOf(t, k, soaText, soaText)
	plain := new(dns.Msg)
	plain.SetQuestion("example.", dns.TypeAXFR)
	plain.Response = true
	unsigned, err := plain.Pack()
	if err != nil {
		t.Fatal(err)
	}
	if err := verify(k, mac, [][]byte{unsigned}, signedAt); !errors.Is(err, errUnsigned) {
		t.Errorf("the first message: %v", err)
	}
	if err := verify(k, mac, [][]byte{wires[0], unsigned}, signedAt); !errors.Is(err, errUnsigned) {
		t.Errorf("the last message: %v", err)
	}
	if err := verify(k, mac, [][]byte{wires[0], unsigned, wires[1]}, signedAt); err == nil {
		t.Error("a message that the server did not send was slipped in")
	}
}

func TestKeyIsNotShown(t *testing.T) {
	k := testKey(t, "", keyText)
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		fmt.Fprintf(&out, verb, k)
	}
	if strings.Contains(out.String(), "0123456789abcdef") || strings.Contains(out.String(), keyText) {
		t.Errorf("the key is shown: %s", out.String())
	}
}

// Whatever bytes a server sends, parse says what they are or refuses them, and agrees
// with package dns about the records of every message that it can read.
func FuzzParse(f *testing.F) {
	k := testKey(f, "", keyText)
	_, wires := transferOf(f, k, soaText+"\nwww.example. 300 IN A 192.0.2.1", soaText)
	for _, wire := range wires {
		f.Add(wire)
	}
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xc0}, 40))
	f.Fuzz(func(t *testing.T, wire []byte) {
		m, err := parse(wire)
		if err != nil {
			return
		}
		v := &verifier{key: k, now: func() time.Time { return signedAt }, first: true}
		if v.check(m) == nil {
			t.Fatal("it verifies, although nobody has signed it")
		}
		var msg dns.Msg
		if msg.Unpack(wire) == nil && len(msg.Answer) > 0 && len(msg.Answer) == m.answers {
			if msg.Answer[0].Header().Rrtype != m.first || msg.Answer[len(msg.Answer)-1].Header().Rrtype != m.last {
				t.Errorf("types %d to %d, package dns has %v", m.first, m.last, msg.Answer)
			}
		}
	})
}
