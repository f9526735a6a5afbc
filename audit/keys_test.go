package audit

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

func TestKeysRoundTrip(t *testing.T) {
	t.Parallel()
	keys, err := publicKeys(options(t))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := keys.Write(&out); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), `"d"`) {
		t.Errorf("a private key was written: %s", out.String())
	}
	again, err := ReadKeys(&out)
	if err != nil || !reflect.DeepEqual(again, keys) {
		t.Errorf("%+v came back as %+v (%v)", keys, again, err)
	}
}

const exampleKeys = `{"origin":"example.com/log",
 "log":"example.com/log+1eb4cf07+AVb4x6SqJ0Xx3MIw7ab2HGy6l38F86Or/nX/f6CcSbHr",
 "events":{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}}`

func TestKeysThatAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"empty":          ``,
		"no event key":   strings.Replace(exampleKeys, `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`, "", 1),
		"another origin": strings.Replace(exampleKeys, `"origin":"example.com/log"`, `"origin":"other.example/log"`, 1),
		"a short key":    strings.Replace(exampleKeys, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "11qYAY", 1),
		"a private key":  strings.Replace(exampleKeys, `"x":`, `"d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":`, 1),
		"a secret":       strings.Replace(exampleKeys, `"kty":"OKP","crv":"Ed25519","x"`, `"kty":"oct","k"`, 1),
		"far too much":   strings.Repeat(" ", maxKeys+1),
	} {
		if keys, err := ReadKeys(strings.NewReader(text)); err == nil {
			t.Errorf("%s: read as %+v", name, keys)
		}
	}
}

func FuzzReadKeys(f *testing.F) {
	f.Add([]byte(exampleKeys))
	f.Fuzz(func(t *testing.T, raw []byte) {
		keys, err := ReadKeys(bytes.NewReader(raw))
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := keys.Write(&out); err != nil {
			t.Fatalf("read %q, but cannot write it: %v", raw, err)
		}
		if again, err := ReadKeys(&out); err != nil || !reflect.DeepEqual(again, keys) {
			t.Errorf("%+v came back as %+v (%v)", keys, again, err)
		}
	})
}
