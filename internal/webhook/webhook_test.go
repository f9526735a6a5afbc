package webhook

import "testing"

// The example of the specification's own test vectors.
func TestSign(t *testing.T) {
	key, err := Key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	const id, at, body = "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", `{"test": 2432232314}`
	const want = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	if got := Sign(key, id, at, []byte(body)); got != want {
		t.Errorf("%s", got)
	}
	for signatures, good := range map[string]bool{want: true, "v1,AAAA " + want: true, "v2,x": false, "": false, want[:len(want)-2] + "=": false, want[3:]: false} {
		if Signed(key, id, at, []byte(body), signatures) != good {
			t.Errorf("%q", signatures)
		}
	}
	if Signed(key, id, "1614265331", []byte(body), want) {
		t.Error("of another time")
	}
	if _, err := Key("whsec_!!"); err == nil {
		t.Error("a key that is not base64")
	}
	if key, err := Key("plain"); err != nil || string(key) != "plain" {
		t.Errorf("%q, %v", key, err)
	}
}
