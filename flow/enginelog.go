package flow

import (
	"context"
	"log/slog"

	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/log/tag"
)

// The engine talks a lot, and to its own developers. Here its information goes to
// debug, its warnings and errors to one level below their own: what an operator must
// act on is told by the steps themselves.

// serverLog is the embedded server's logger.
type serverLog struct{ to *slog.Logger }

var _ log.Logger = serverLog{}

func (l serverLog) write(level slog.Level, msg string, tags []tag.Tag) {
	ctx := context.Background()
	if !l.to.Enabled(ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, len(tags)+1)
	attrs = append(attrs, slog.String("component", "temporal"))
	for _, t := range tags {
		attrs = append(attrs, slog.Any(t.Key(), t.Value()))
	}
	l.to.LogAttrs(ctx, level, msg, attrs...)
}

func (l serverLog) Debug(string, ...tag.Tag) {}

func (l serverLog) Info(msg string, tags ...tag.Tag)  { l.write(slog.LevelDebug, msg, tags) }
func (l serverLog) Warn(msg string, tags ...tag.Tag)  { l.write(slog.LevelDebug, msg, tags) }
func (l serverLog) Error(msg string, tags ...tag.Tag) { l.write(slog.LevelWarn, msg, tags) }

// DPanic is a panic in development builds of the engine only.
func (l serverLog) DPanic(msg string, tags ...tag.Tag) { l.write(slog.LevelError, msg, tags) }

// Panic and Fatal must not return: their callers go on as if the impossible were true.
func (l serverLog) Panic(msg string, tags ...tag.Tag) {
	l.write(slog.LevelError, msg, tags)
	panic("workflow engine: " + msg)
}

func (l serverLog) Fatal(msg string, tags ...tag.Tag) { l.Panic(msg, tags...) }

// quiet lowers the levels of the engine's client in the same way.
type quiet struct{ slog.Handler }

func (q quiet) lower(level slog.Level) slog.Level {
	if level >= slog.LevelError {
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

func (q quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return level > slog.LevelDebug && q.Handler.Enabled(ctx, q.lower(level))
}

func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	r.Level = q.lower(r.Level)
	return q.Handler.Handle(ctx, r)
}

func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(attrs)} }
func (q quiet) WithGroup(name string) slog.Handler       { return quiet{q.Handler.WithGroup(name)} }
