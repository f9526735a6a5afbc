package audit

import (
	"bytes"
	"crypto/elliptic"
	"encoding/base64"
	"math/big"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"slipway/key"
)

// elsewhere are options with an event key of a key.Manager, as an HSM or a cloud has it.
func elsewhere(t testing.TB, kind key.Kind) Options {
	t.Helper()
	o := options(t)
	files, err := key.OpenFiles(t.TempDir(), []byte("p"))
	if err != nil {
		t.Fatal(err)
	}
	ref, private, err := files.Create(t.Context(), "events", kind)
	if err != nil {
		t.Fatal(err)
	}
	if o.Events, err = key.NewSigner("events", ref, private); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestES256(t *testing.T) {
	o := elsewhere(t, key.ECDSAP256)
	l := openLog(t, o)
	fill(t, l, 300)
	closeLog(t, l)
	if report := wantSound(t, o.Dir, l.PublicKeys()); report.Events != 301 {
		t.Errorf("%d events", report.Events)
	}
	var out bytes.Buffer
	if err := l.PublicKeys().Write(&out); err != nil {
		t.Fatal(err)
	}
	keys, err := ReadKeys(&out)
	if err != nil || !reflect.DeepEqual(keys, l.PublicKeys()) {
		t.Errorf("%+v came back as %+v (%v)", l.PublicKeys(), keys, err)
	}
	for e, err := range entries(t.Context(), filepath.Join(o.Dir, logDir), 0, 20) {
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := parseEntry(e.raw)
		if err != nil {
			t.Fatal(err)
		}
		// Another implementation reads it as RFC 7518 says.
		jws, err := jose.ParseDetached(parsed.event.Signature, parsed.payload, []jose.SignatureAlgorithm{jose.ES256})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := jws.Verify(o.Events.Public()); err != nil {
			t.Error(err)
		}
	}
}

// What an attacker without the key could make of a signature.
func TestOtherSpellingsOfASignature(t *testing.T) {
	payload := []byte(`{"action":"go-live"}`)
	o := elsewhere(t, key.ECDSAP256)
	signer, err := newEventSigner(o.Events)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := signer.detached(payload)
	if err != nil {
		t.Fatal(err)
	}
	if err := verifySignature(signature, payload, o.Events.ID(), o.Events.Public()); err != nil {
		t.Fatal(err)
	}
	header, encoded, _ := strings.Cut(signature, "..")
	raw, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	negative := bytes.Clone(raw)
	s := new(big.Int).SetBytes(raw[32:])
	s.Sub(elliptic.P256().Params().N, s).FillBytes(negative[32:])
	withHeader := func(h string) string { return base64.RawURLEncoding.EncodeToString([]byte(h)) + ".." + encoded }
	for name, other := range map[string]string{
		"the negative S":    header + ".." + base64.RawURLEncoding.EncodeToString(negative),
		"no algorithm":      withHeader(`{"alg":"none","kid":"` + o.Events.ID() + `"}`),
		"another algorithm": withHeader(`{"alg":"EdDSA","kid":"` + o.Events.ID() + `"}`),
		"a MAC":             withHeader(`{"alg":"HS256","kid":"` + o.Events.ID() + `"}`),
		"another order":     withHeader(`{"kid":"` + o.Events.ID() + `","alg":"ES256"}`),
		"nothing":           header + "..",
		"cut":               signature[:len(signature)-2],
	} {
		if err := verifySignature(other, payload, o.Events.ID(), o.Events.Public()); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestAKeyUnderAnothersName(t *testing.T) {
	a, b := elsewhere(t, key.ECDSAP256), options(t)
	keys, err := publicKeys(a)
	if err != nil {
		t.Fatal(err)
	}
	keys.Events[a.Events.ID()] = b.Events.Public()
	if _, err := Verify(t.Context(), a.Dir, keys, nil); err == nil || !strings.Contains(err.Error(), "thumbprint") {
		t.Errorf("got %v", err)
	}
}
