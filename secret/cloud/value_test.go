package cloud

import (
	"strings"
	"testing"
)

// FuzzValue takes one field out of whatever a secret holds. No error repeats the secret.
func FuzzValue(f *testing.F) {
	f.Add(`{"username":"slipway","password":"correct-horse"}`, "password")
	f.Add(`correct-horse`, "")
	f.Add(`{"password":{"nested":"correct-horse"}}`, "password")
	f.Fuzz(func(t *testing.T, text, field string) {
		v, err := value(text, field)
		if err == nil && field == "" && v.Reveal() != text {
			t.Errorf("another secret than what is there")
		}
		if err != nil && len(text) > 8 && !strings.Contains(field, text) && strings.Contains(err.Error(), text) {
			t.Errorf("the secret is in the error %v", err)
		}
	})
}
