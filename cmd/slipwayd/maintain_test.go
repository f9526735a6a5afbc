package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"slipway/repo"
	"slipway/starter"
)

func TestEvery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var at []time.Duration
		var ended bool
		stop := every(10*time.Minute, 24*time.Hour, func(ctx context.Context) {
			if at = append(at, time.Since(began)); len(at) == 3 {
				<-ctx.Done() // under way when the server stops
				ended = true
			}
		})
		time.Sleep(3 * 24 * time.Hour) // of the bubble's clock
		if err := stop(t.Context()); err != nil || !ended {
			t.Errorf("stopped with %v while one was under way: %t", err, !ended)
		}
		if len(at) != 3 || at[0] != 10*time.Minute || at[1] != at[0]+24*time.Hour {
			t.Errorf("done at %v", at)
		}
	})
}

// What previews leave behind does not stay a file each.
func TestTheRepositoryIsPacked(t *testing.T) {
	ctx := t.Context()
	s := settings{data: filepath.Join(t.TempDir(), "data"), listen: "127.0.0.1:0", logFormat: "text", logLevel: "error", organisation: starter.Sample()}
	if err := os.MkdirAll(s.data, 0o700); err != nil {
		t.Fatal(err)
	}
	srv := &server{settings: s}
	var err error
	if srv.log, err = s.logger(); err != nil {
		t.Fatal(err)
	}
	for _, step := range []func(context.Context) error{srv.lock, srv.openKeys, srv.openZones} {
		if err := step(ctx); err != nil {
			t.Fatal(err)
		}
	}
	defer srv.close(context.WithoutCancel(ctx))
	main, err := srv.zones.Resolve(ctx, "refs/heads/main")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		who := repo.Person{Name: "ana", Email: "ana@finmicro.example"}
		if _, err := srv.zones.Propose(ctx, repo.Proposal{Base: main, Files: map[string][]byte{"note": {byte('0' + i)}}, Author: who, Message: "a preview", When: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	loose := func() string {
		out, err := exec.CommandContext(ctx, "git", "-C", srv.zones.Dir(), "count-objects").Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	before := loose()
	if err := srv.zones.Maintain(ctx); err != nil {
		t.Fatal(err)
	}
	if after := loose(); !strings.HasPrefix(after, "0 objects") {
		t.Errorf("loose objects: before %s, after %s", before, after)
	}
}
