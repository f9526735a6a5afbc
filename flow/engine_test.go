package flow

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"
)

func TestEngineStarts(t *testing.T) {
	dir := t.TempDir()
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	for i := range 2 {
		begin := time.Now()
		e, err := embed(context.Background(), dir, "slipway", logger)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("start %d: %v", i, time.Since(begin))
		begin = time.Now()
		if err := e.stop(); err != nil {
			t.Fatal(err)
		}
		t.Logf("stop %d: %v", i, time.Since(begin))
	}
}
