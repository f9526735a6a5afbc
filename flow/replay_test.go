package flow

import (
	"context"
	"encoding/hex"
	"flag"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/worker"
	"google.golang.org/protobuf/encoding/protojson"

	"slipway/lifecycle"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestReplay replays what workflows did, now and as recorded when their code was last changed: code that
// decides otherwise on the same history would break the changes that are open during an upgrade.
func TestReplay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	st := w.submit(yellow("replayed", "203.0.113.70"))
	_, err := w.approve(ivy, st)
	w.must(err)
	w.reaches(st.ID, lifecycle.Live)
	next := w.submit(green("after", "192.0.2.70"))
	w.reaches(next.ID, lifecycle.Live)

	for name, id := range map[string]string{
		"change": changeWorkflowID(st.ID), "green": changeWorkflowID(next.ID), "merges": mergesType + "/" + w.flow.repoName(),
	} {
		h := w.history(id)
		secretFree(t, h)
		if err := replayer().ReplayWorkflowHistory(engineLog(w.logger), h); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		golden := filepath.Join("testdata", name+".history.json")
		if *update {
			w.must(os.MkdirAll("testdata", 0o755))
			w.must(os.WriteFile(golden, scrub(h), 0o644))
		}
		if err := replayer().ReplayWorkflowHistoryFromJSONFile(engineLog(w.logger), golden); err != nil {
			t.Errorf("%s, as recorded: %v", name, err)
		}
	}
}

func replayer() worker.WorkflowReplayer {
	r := worker.NewWorkflowReplayer()
	registerWorkflows(r)
	return r
}

func (w *world) history(id string) *historypb.History {
	w.t.Helper()
	h := new(historypb.History)
	events := w.flow.engine.client.GetWorkflowHistory(context.Background(), id, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		e, err := events.Next()
		w.must(err)
		h.Events = append(h.Events, e)
	}
	if len(h.Events) < 5 {
		w.t.Fatalf("%s has %d events", id, len(h.Events))
	}
	return h
}

// secretFree checks that a history holds nothing that a person wrote.
func secretFree(t *testing.T, h *historypb.History) {
	t.Helper()
	raw, err := protojson.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	for _, private := range []string{"@finmicro", "203.0.113", "192.0.2", "expenses", "Launch"} {
		if strings.Contains(string(raw), private) {
			t.Errorf("the engine's history holds %q", private)
		}
	}
}

var hostQueue = regexp.MustCompile(`"name": *"[^"]*:[0-9a-f-]{36}"`)

// scrub writes a history without the name of the machine that made it.
func scrub(h *historypb.History) []byte {
	return hostQueue.ReplaceAll([]byte(protojson.MarshalOptions{Multiline: true}.Format(h)), []byte(`"name": "sticky"`))
}

// parseHexAddress reads an address of /proc/net/tcp.
func parseHexAddress(t *testing.T, s string) string {
	t.Helper()
	host, port, _ := strings.Cut(s, ":")
	ip, err := hex.DecodeString(host)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(ip); i += 4 { // each word is in the machine's order
		ip[i], ip[i+1], ip[i+2], ip[i+3] = ip[i+3], ip[i+2], ip[i+1], ip[i]
	}
	n, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort(net.IP(ip).String(), strconv.FormatUint(n, 10))
}
