package evidence

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"slipway/audit"
)

// A seal is a C2SP tlog-proof of the export-evidence event that names the manifest, with the
// event itself as its extra data: who took the bundle out, when, and that not a byte of it is
// another since.
const sealHeader = "c2sp.org/tlog-proof@v1"

const maxSeal = 256 << 10 // bytes: an event in base64, its path and a checkpoint with its cosignatures

// SealDetails goes with export-evidence.
type SealDetails struct {
	Subject
	Bundle string `json:"bundle"` // digest of the bundle's manifest
	Events int    `json:"events"`
}

// Sealer records an export in the log that it is from, and proves that it did.
func Sealer(log *audit.Log, by audit.Actor) func(context.Context, string, *Data) ([]byte, error) {
	return func(ctx context.Context, manifest string, d *Data) ([]byte, error) {
		details, err := json.Marshal(SealDetails{Subject: d.Subject, Bundle: manifest, Events: len(d.Events)})
		if err != nil {
			return nil, err
		}
		// The change is no part of the event's own change, or taking evidence of a change out
		// would become a step of it.
		receipt, err := log.Append(ctx, audit.Event{Actor: by, Action: audit.ExportEvidence, Details: details,
			Resource: audit.Resource{App: d.Subject.App, Zone: d.Subject.Zone, Name: d.Subject.Change}})
		if err != nil {
			return nil, err
		}
		r, err := log.Snapshot(ctx)
		if err != nil {
			return nil, err
		}
		defer r.Close()
		raw, err := r.Entry(ctx, receipt.Index)
		if err != nil {
			return nil, err
		}
		path, err := r.Proof(ctx, receipt.Index)
		if err != nil {
			return nil, err
		}
		var b bytes.Buffer
		fmt.Fprintf(&b, "%s\nextra %s\nindex %d\n", sealHeader, base64.StdEncoding.EncodeToString(raw), receipt.Index)
		for _, hash := range path {
			fmt.Fprintln(&b, base64.StdEncoding.EncodeToString(hash))
		}
		fmt.Fprintf(&b, "\n%s", r.Checkpoint())
		return b.Bytes(), nil
	}
}

// sealOf reads what an export-evidence event says.
func sealOf(e *audit.Event) (d SealDetails) {
	_ = json.Unmarshal(e.Details, &d) // an event of another form seals nothing
	return d
}

// sealed is a seal in parts.
type sealed struct {
	event      []byte
	index      uint64
	path       [][]byte
	checkpoint []byte
}

func parseSeal(raw []byte) (*sealed, error) {
	head, checkpoint, ok := bytes.Cut(raw, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	if !ok || len(lines) < 3 || lines[0] != sealHeader {
		return nil, errors.New("it is not a tlog-proof with an event")
	}
	s := &sealed{checkpoint: checkpoint}
	extra, ok := strings.CutPrefix(lines[1], "extra ")
	var err error
	if s.event, err = base64.StdEncoding.Strict().DecodeString(extra); !ok || err != nil {
		return nil, errors.New("its event cannot be read")
	}
	index, ok := strings.CutPrefix(lines[2], "index ")
	if s.index, err = strconv.ParseUint(index, 10, 63); !ok || err != nil || strconv.FormatUint(s.index, 10) != index {
		return nil, errors.New("its index cannot be read")
	}
	s.path, err = hashes(lines[3:])
	return s, err
}

// hashes reads an audit path.
func hashes(lines []string) ([][]byte, error) {
	if len(lines) > 63 {
		return nil, errors.New("a proof has more hashes than any log is high")
	}
	path := make([][]byte, 0, len(lines))
	for _, line := range lines {
		hash, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(hash) != 32 {
			return nil, errors.New("a hash of a proof cannot be read")
		}
		path = append(path, hash)
	}
	return path, nil
}
