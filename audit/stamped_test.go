package audit

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/audit/timestamp"
	"slipway/audit/timestamp/tsatest"
)

// stamp has a checkpoint signed and puts the token on record, as the server does.
func stamp(t *testing.T, l *Log, a *timestamp.Authority, checkpoint []byte) Receipt {
	t.Helper()
	token, at, signer, err := a.Stamp(t.Context(), checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	refs := map[string]string{}
	for name, content := range map[string][]byte{"timestamp": token, "checkpoint": checkpoint} {
		if refs[name], err = l.Documents().Put(t.Context(), content); err != nil {
			t.Fatal(err)
		}
	}
	details, err := json.Marshal(TimestampDetails{Time: at, Signer: signer.Subject.String()})
	if err != nil {
		t.Fatal(err)
	}
	return add(t, l, Event{Actor: Actor{ID: "slipway", Role: "system"}, Action: TimestampCheckpoint, Resource: Resource{Name: "timestamps/office"}, ArtifactRefs: refs, Details: details})
}

func published(t *testing.T, o Options) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(o.Dir, logDir, checkpointFile))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func authorityOf(t *testing.T) *timestamp.Authority {
	t.Helper()
	tsa := tsatest.New(t, tsatest.Settings{})
	roots, err := timestamp.ReadRoots(tsa.Root)
	if err != nil {
		t.Fatal(err)
	}
	return &timestamp.Authority{URL: tsa.URL, Roots: roots}
}

func TestStampedLogVerifies(t *testing.T) {
	t.Parallel()
	a := authorityOf(t)
	o := options(t)
	l := openLog(t, o)
	fill(t, l, 10)
	closeLog(t, l)
	first := published(t, o)
	l = openLog(t, o)
	stamp(t, l, a, first)
	fill(t, l, 300)
	closeLog(t, l)
	second := published(t, o)
	l = openLog(t, o)
	last := stamp(t, l, a, second)
	closeLog(t, l)

	keys := l.PublicKeys()
	if r := wantSound(t, o.Dir, keys); r.Timestamped != nil {
		t.Errorf("looked at without roots: %+v", r.Timestamped)
	}
	keys.Timestamps = a.Roots
	r := wantSound(t, o.Dir, keys)
	if s := r.Timestamped; s == nil || s.Count != 2 || s.Size != 312 || !strings.Contains(s.Signer, "Time Stamper") || time.Since(s.Time) > time.Hour {
		t.Errorf("%+v", s)
	}

	stranger := authorityOf(t)
	keys.Timestamps = stranger.Roots
	r = verify(t, o.Dir, keys)
	if len(r.Problems) != 2 || r.Problems[1].Check != CheckTimestamps || *r.Problems[1].Index != last.Index {
		t.Errorf("believed an authority that is not trusted: %+v", r.Problems)
	}
}

// Who writes another history, or dates events back, cannot have it stamped in the past.
func TestTimestampsGiveAway(t *testing.T) {
	t.Parallel()
	a := authorityOf(t)
	for name, tt := range map[string]struct {
		run  func(t *testing.T, o Options)
		says string
	}{
		"another history": {func(t *testing.T, o Options) {
			other := o
			other.Dir = filepath.Join(t.TempDir(), "other")
			l := openLog(t, other)
			fill(t, l, 20)
			closeLog(t, l)
			l = openLog(t, o)
			fill(t, l, 30)
			stamp(t, l, a, published(t, other)) // it was stamped before the history was written anew
			closeLog(t, l)
		}, "two histories"},
		"more than there was": {func(t *testing.T, o Options) {
			other := o
			other.Dir = filepath.Join(t.TempDir(), "other")
			l := openLog(t, other)
			fill(t, l, 20)
			closeLog(t, l)
			l = openLog(t, o)
			fill(t, l, 5)
			stamp(t, l, a, published(t, other))
			closeLog(t, l)
		}, "came before it"},
		"a clock that lies": {func(t *testing.T, o Options) {
			o.Now = func() time.Time { return time.Now().Add(time.Hour) }
			l := openLog(t, o)
			fill(t, l, 5)
			closeLog(t, l)
			l = openLog(t, o)
			stamp(t, l, a, published(t, o))
			closeLog(t, l)
		}, "it was there by"},
		"not a checkpoint": {func(t *testing.T, o Options) {
			l := openLog(t, o)
			stamp(t, l, a, []byte("not a checkpoint"))
			closeLog(t, l)
		}, "not a checkpoint of"},
		"another's checkpoint": {func(t *testing.T, o Options) {
			stranger := options(t)
			closeLog(t, openLog(t, stranger))
			l := openLog(t, o)
			stamp(t, l, a, published(t, stranger))
			closeLog(t, l)
		}, "signed by its key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(t)
			tt.run(t, o)
			keys, err := publicKeys(o)
			if err != nil {
				t.Fatal(err)
			}
			wantSound(t, o.Dir, keys)
			keys.Timestamps = a.Roots
			r := verify(t, o.Dir, keys)
			if len(r.Problems) != 1 || r.Problems[0].Check != CheckTimestamps || !strings.Contains(r.Problems[0].What, tt.says) {
				t.Errorf("%+v", r.Problems)
			}
		})
	}
}
