package evidence

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"slipway/audit"
)

// Trust is whose word counts. It has to come to the verifier by another way than the bundle.
type Trust struct {
	Log    string                      // the log's C2SP signed-note verifier key
	Events map[string]crypto.PublicKey // keys that sign events from the start; none: those that the log's first event names
}

// ReadTrust reads keys to trust: what `slipway audit keys` prints (JSON), or the log's verifier
// key alone on a line of its own (comments begin with #), which is short enough for paper.
func ReadTrust(r io.Reader) (Trust, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxSmall+1))
	if err != nil {
		return Trust{}, err
	}
	if len(raw) > maxSmall {
		return Trust{}, errors.New("the file is larger than any keys file")
	}
	if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) {
		keys, err := audit.ReadKeys(bytes.NewReader(raw))
		return trustIn(keys), err
	}
	var t Trust
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if t.Log != "" {
			return Trust{}, errors.New("there is more than one key: name the one of the log that is to be trusted")
		}
		if _, err := note.NewVerifier(line); err != nil {
			return Trust{}, fmt.Errorf("%.100q is no verifier key of a log (name+hash+key): %w", line, err)
		}
		t.Log = line
	}
	if t.Log == "" {
		return Trust{}, errors.New("there is no key in it")
	}
	return t, nil
}

func trustIn(k audit.Keys) Trust { return Trust{Log: k.Log, Events: k.Events} }
