// Package webhook signs deliveries as the Standard Webhooks specification has it:
// HMAC-SHA-256 over the message's ID, its time and its body, with dots between. Who
// sends and who receives use the same piece of code.
package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// The headers of a delivery.
const (
	ID        = "Webhook-Id"
	Timestamp = "Webhook-Timestamp" // Unix time in seconds
	Signature = "Webhook-Signature" // one or more, with spaces between
)

// Key is a secret in bytes: after whsec_ it is base64, as that specification writes it.
func Key(secret string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(secret, "whsec_")
	if !ok {
		return []byte(secret), nil
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, errors.New("after whsec_ there must be base64") // without the secret, which err may hold a part of
	}
	return key, nil
}

// Sign makes a signature of version 1.
func Sign(key []byte, id, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.", id, timestamp)
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// Signed says whether one of the signatures is that of the delivery. The time is for the
// caller to judge.
func Signed(key []byte, id, timestamp string, body []byte, signatures string) bool {
	want, found := []byte(Sign(key, id, timestamp, body)), false
	for _, given := range strings.Fields(signatures) {
		found = hmac.Equal([]byte(given), want) || found
	}
	return found
}
