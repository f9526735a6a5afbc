package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/transparency-dev/tessera/client"

	"slipway/audit"
	"slipway/audit/witness"
)

var served = regexp.MustCompile(`Witnessing at (http\S+) as\n(\S+)\n`)

// cosign takes a log's checkpoint to the witness whose output is in a file, as the server
// does, and writes a policy that asks for it, and keys that do: cosign DIR OUTPUT POLICY
// KEYS. What the witness refuses goes to the script's log.
func cosign(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 4 {
		ts.Fatalf("usage: cosign DIR OUTPUT POLICY KEYS")
	}
	ctx, dir := context.Background(), ts.MkAbs(args[0])
	m := served.FindStringSubmatch(ts.ReadFile(args[1]))
	if m == nil {
		ts.Fatalf("%s does not say where the witness is", args[1])
	}
	policy, err := witness.NewPolicy(1, witness.Witness{Name: "legal", Key: m[2], URL: m[1]})
	ts.Check(err)
	keys, err := readKeys(filepath.Join(dir, "keys.json"))
	ts.Check(err)
	files := client.FileFetcher{Root: filepath.Join(dir, "log")}
	var told error
	k, err := witness.NewKeeper(witness.KeeperOptions{
		Log: keys.Log, Policy: policy, Dir: audit.CosignedDir(dir), Checkpoint: files.ReadCheckpoint, Tile: files.ReadTile,
		Report: func(_ context.Context, _ string, problem error) { told = problem },
	})
	ts.Check(err)
	ts.Check(k.Round(ctx))
	if neg {
		if told == nil {
			ts.Fatalf("the witness signed")
		}
		ts.Logf("%v", told)
	} else {
		ts.Check(told)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), fmt.Append(nil, policy), 0o600))
	keys.Witnesses = &audit.Witnesses{Policy: policy}
	out, err := os.Create(ts.MkAbs(args[3]))
	ts.Check(err)
	ts.Check(errors.Join(keys.Write(out), out.Close()))
}
