package witness

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// request is the body of add-checkpoint (C2SP tlog-witness): the size that the witness
// saw last, a consistency proof from there, and the checkpoint.
type request struct {
	old        uint64
	proof      [][]byte
	checkpoint []byte
}

const (
	maxProof   = 63 // hashes (C2SP tlog-witness)
	maxRequest = maxProof*45 + 64 + MaxCheckpoint

	sizeType = "text/x.tlog.size" // of an answer that gives the size which the witness saw last
)

func (r request) marshal() []byte {
	b := fmt.Appendf(nil, "old %d\n", r.old)
	for _, h := range r.proof {
		b = base64.StdEncoding.AppendEncode(b, h)
		b = append(b, '\n')
	}
	b = append(b, '\n')
	return append(b, r.checkpoint...)
}

func parseRequest(raw []byte) (request, error) {
	var r request
	line, rest, _ := bytes.Cut(raw, []byte("\n"))
	number, ok := strings.CutPrefix(string(line), "old ")
	if !ok {
		return r, errors.New("the first line is not `old` and a size")
	}
	var err error
	if r.old, err = parseSize(number); err != nil {
		return r, fmt.Errorf("the old size: %w", err)
	}
	for {
		line, after, found := bytes.Cut(rest, []byte("\n"))
		if !found {
			return r, errors.New("no empty line follows the proof")
		}
		rest = after
		if len(line) == 0 {
			break
		}
		if len(r.proof) == maxProof {
			return r, fmt.Errorf("the proof has more than %d hashes", maxProof)
		}
		hash, err := decode(string(line))
		if err != nil || len(hash) != 32 {
			return r, fmt.Errorf("line %d of the proof is not a hash in base64", len(r.proof)+1)
		}
		r.proof = append(r.proof, hash)
	}
	r.checkpoint = rest
	return r, nil
}

// parseSize reads a decimal without leading zeroes.
func parseSize(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err == nil && strconv.FormatUint(n, 10) != s {
		err = errors.New("it has leading zeroes or a sign")
	}
	return n, err
}
