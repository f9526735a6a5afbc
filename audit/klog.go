package audit

import (
	"bytes"
	"context"
	"flag"
	"io"
	"log/slog"
	"sync"

	"k8s.io/klog/v2"
)

// Tessera speaks through klog, whose settings belong to the process. The first log
// that is opened sends what matters of it to its own logger.
var klogOnce sync.Once

func quietKlog(logger *slog.Logger) {
	klogOnce.Do(func() {
		var flags flag.FlagSet
		klog.InitFlags(&flags)
		for name, value := range map[string]string{"logtostderr": "false", "stderrthreshold": "FATAL", "one_output": "true", "skip_headers": "true"} {
			if err := flags.Set(name, value); err != nil {
				logger.Warn("the messages of the log's storage could not be redirected", "setting", name, "error", err)
			}
		}
		klog.SetOutputBySeverity("INFO", io.Discard)
		klog.SetOutputBySeverity("WARNING", toSlog{logger, slog.LevelWarn})
		klog.SetOutputBySeverity("ERROR", toSlog{logger, slog.LevelError})
		klog.SetOutputBySeverity("FATAL", toSlog{logger, slog.LevelError})
	})
}

// toSlog passes klog's lines on. klog writes one message with each call.
type toSlog struct {
	logger *slog.Logger
	level  slog.Level
}

func (w toSlog) Write(line []byte) (int, error) {
	w.logger.Log(context.Background(), w.level, "audit log storage", "message", string(bytes.TrimSpace(line)))
	return len(line), nil
}
