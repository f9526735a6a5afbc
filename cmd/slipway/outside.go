package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slipway/audit"
	"slipway/audit/timestamp"
	"slipway/audit/witness"
	"slipway/internal/durable"
)

// outsideFlags are those with which a log is held to what others have signed.
type outsideFlags struct {
	policy      string
	lag         time.Duration
	checkpoints []string
	roots       string
}

func (w *outsideFlags) flags(c *cobra.Command) {
	p := c.Flags()
	p.StringVar(&w.policy, "witness-policy", "", "file that says whose cosignatures are needed (C2SP tlog-policy)")
	p.DurationVar(&w.lag, "witness-lag", 0, "let events be without cosignatures that are younger than this, as in a log that is being written")
	p.StringArrayVar(&w.checkpoints, "checkpoint", nil, "file with a checkpoint from elsewhere, such as a witness, that the log has to go on from; repeat for more")
	p.StringVar(&w.roots, "timestamp-roots", "", "file with the root certificates (PEM) whose timestamps of the log are to be verified")
}

// add makes the others part of what is trusted.
func (w *outsideFlags) add(keys *audit.Keys, now time.Time) error {
	if w.policy != "" {
		raw, err := durable.Read(w.policy, witness.MaxPolicy)
		if err != nil {
			return &usage{what: fmt.Sprintf("--witness-policy: %v", err)}
		}
		policy, err := witness.ParsePolicy(raw)
		if err != nil {
			return &usage{what: fmt.Sprintf("--witness-policy %s: %v", w.policy, err)}
		}
		keys.Witnesses = &audit.Witnesses{Policy: policy}
	}
	if keys.Witnesses == nil && (w.lag != 0 || len(w.checkpoints) > 0) {
		return &usage{what: "--witness-lag and --checkpoint need --witness-policy, or keys that name witnesses", help: "A file with the line `quorum none` asks for no witness."}
	}
	if w.lag < 0 {
		return &usage{what: "--witness-lag must not be negative"}
	}
	if w.lag > 0 {
		keys.Witnesses.Until = now.Add(-w.lag)
	}
	for _, file := range w.checkpoints {
		raw, err := durable.Read(file, witness.MaxCheckpoint)
		if err != nil {
			return &usage{what: fmt.Sprintf("--checkpoint: %v", err)}
		}
		keys.Witnesses.Checkpoints = append(keys.Witnesses.Checkpoints, raw)
	}
	if w.roots != "" {
		raw, err := durable.Read(w.roots, maxRoots)
		if err == nil {
			keys.Timestamps, err = timestamp.ReadRoots(raw)
		}
		if err != nil {
			return &usage{what: fmt.Sprintf("--timestamp-roots %s: %v", w.roots, err)}
		}
	}
	return nil
}

const maxRoots = 1 << 20 // bytes of a file with root certificates

// showOutside says what others have signed of a log.
func (t *tool) showOutside(r *audit.Report) {
	if s := r.Timestamped; s != nil && s.Count == 0 {
		fmt.Fprintln(t.stdout, "timestamps: none")
	} else if s != nil {
		fmt.Fprintf(t.stdout, "timestamps: %d; %s by %s, signed by %s\n", s.Count, plural(s.Size, "event"), s.Time.Format(time.RFC3339), flat(s.Signer))
	}
	w := r.Witnessed
	if w == nil {
		return
	}
	var by []string
	for _, c := range w.By {
		by = append(by, fmt.Sprintf("%s (%s)", flat(c.Witness), c.Time.Format(time.RFC3339)))
	}
	fmt.Fprintf(t.stdout, "witnessed: %s by %s\n", plural(w.Size, "event"), dash(strings.Join(by, ", ")))
	if w.Waiting > 0 {
		fmt.Fprintf(t.stdout, "not yet witnessed: %s\n", plural(w.Waiting, "event"))
	}
	if len(w.Missing) > 0 {
		fmt.Fprintf(t.stdout, "not among the witnesses: %s\n", flat(strings.Join(w.Missing, ", ")))
	}
}
