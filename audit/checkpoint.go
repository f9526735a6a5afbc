package audit

import (
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/transparency-dev/formats/log"
	"golang.org/x/mod/sumdb/note"
)

// openCheckpoint reads a checkpoint (C2SP tlog-checkpoint) that must be signed by the
// log's key. It accepts one spelling of it: base64 that decodes to the same signature
// but has other spare bits is refused, so that no byte can change unnoticed.
func openCheckpoint(raw []byte, origin string, verifier note.Verifier) (*log.Checkpoint, error) {
	cp, extension, signed, err := log.ParseCheckpoint(raw, origin, verifier)
	if err != nil {
		return nil, err
	}
	if len(extension) > 0 {
		return nil, errors.New("it has lines that this log does not write")
	}
	for _, signature := range append(signed.Sigs, signed.UnverifiedSigs...) {
		if _, err := base64.StdEncoding.Strict().DecodeString(signature.Base64); err != nil {
			return nil, fmt.Errorf("signature by %s: %w", signature.Name, err)
		}
	}
	if len(cp.Hash) != 32 {
		return nil, errors.New("its root hash is not one of SHA-256")
	}
	return cp, nil
}

// publishedSize is how many entries the published checkpoint says it covers.
func publishedSize(logPath string) (uint64, error) {
	raw, err := readBounded(filepath.Join(logPath, checkpointFile), maxState)
	if err != nil {
		return 0, err
	}
	var cp log.Checkpoint
	if _, err := cp.Unmarshal(raw); err != nil {
		return 0, fmt.Errorf("%s: %w", checkpointFile, err)
	}
	return cp.Size, nil
}
