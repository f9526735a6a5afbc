package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"slipway/audit"
	"slipway/internal/durable"
	"slipway/key"
)

// The keys that sign events are named events, events-2, events-3 and so on, in the order
// of their turns. Which one's turn it is, the log says. A key lies in the keys directory,
// sealed, or in a store elsewhere (an HSM, a key service), and then a note lies there that
// says in which and as what.
const (
	eventsKey  = "events"
	noteSuffix = ".ref"
	maxNote    = 16 << 10
	ownFiles   = "file:" // the URI of the keys directory itself
)

// keyNote is where to find an event key that is elsewhere. Nothing in it is a secret.
type keyNote struct {
	Store string `json:"store"` // as key/kms opens it
	Ref   string `json:"ref"`   // the key in it
	ID    string `json:"id"`    // its public half's, as the log names it
}

func eventsKeyName(turn int) string {
	if turn == 1 {
		return eventsKey
	}
	return eventsKey + "-" + strconv.Itoa(turn)
}

// turnOf reads an event key's name, in the one spelling that eventsKeyName has.
func turnOf(name string) (turn int, ok bool) {
	if name == eventsKey {
		return 1, true
	}
	turn, err := strconv.Atoi(strings.TrimPrefix(name, eventsKey+"-"))
	return turn, err == nil && turn > 1 && name == eventsKeyName(turn)
}

// eventKey is the key whose turn it is to sign events, as the log says; a new log gets the
// first one. For a log that is there no key is ever made: it could not go on with it.
func (srv *server) eventKey(ctx context.Context) (*key.Signer, error) {
	current, err := audit.CurrentKey(ctx, srv.settings.path("audit"))
	if err != nil {
		return nil, err
	}
	if current == "" {
		return srv.makeEventKey(ctx, 1, srv.settings.eventKeys)
	}
	notes, err := srv.keyNotes()
	if err != nil {
		return nil, err
	}
	for name, note := range notes {
		if note.ID == current {
			return srv.eventKeyElsewhere(ctx, name, note)
		}
	}
	names, err := srv.keys.Names()
	if err != nil {
		return nil, err
	}
	var unusable []error
	for _, name := range names {
		if _, ok := turnOf(name); !ok {
			continue
		}
		// One that is damaged may be a replaced one whose destruction was interrupted.
		signer, err := srv.keys.Signer(ctx, name, false)
		if err == nil && signer.ID() == current {
			return signer, srv.wantedIn(ownFiles)
		}
		if err != nil {
			unusable = append(unusable, err)
		}
	}
	missing := fmt.Errorf("the log's events are signed by the key with the ID %s, and it is not in %s. Restore that directory from a backup that is as new as the log", current, srv.settings.path("keys"))
	return nil, errors.Join(append([]error{missing}, unusable...)...)
}

// wantedIn is an error where the settings say that events be signed by a key in another
// kind of store than the one that the current key is in: a setting alone changes no key.
func (srv *server) wantedIn(store string) error {
	wanted := srv.settings.eventKeys
	if srv.rotating || wanted == "" || sameKind(wanted, store) {
		return nil
	}
	return usageError{fmt.Errorf(`--event-keys names another kind of store (%s) than the one that signs this log's events (%s). Keys change on record only: run slipwayd key rotate --to URI --because "Why", or leave --event-keys out`, scheme(wanted), scheme(store))}
}

func sameKind(store, other string) bool {
	return scheme(store) == scheme(other) && (store == ownFiles) == (other == ownFiles)
}

func scheme(uri string) string {
	name, _, _ := strings.Cut(uri, ":")
	return name
}

func (srv *server) eventKeyElsewhere(ctx context.Context, name string, note keyNote) (*key.Signer, error) {
	if err := srv.wantedIn(note.Store); err != nil {
		return nil, err
	}
	store, err := srv.keeper(ctx, name, &note)
	if err != nil {
		return nil, err
	}
	private, err := store.Signer(ctx, note.Ref)
	if err != nil {
		return nil, fmt.Errorf("the log's events are signed by the key %s, and it cannot be used: %w", name, err)
	}
	signer, err := key.NewSigner(name, note.Ref, private)
	if err == nil && signer.ID() != note.ID {
		err = fmt.Errorf("key %s: %s is another key than the one that the log's events are signed by (ID %s)", name, note.Ref, note.ID)
	}
	return signer, err
}

// keeper opens the store that a note names. Where that fails, and the settings name
// another of the same kind, the store or its PIN has moved: that one is opened and noted.
func (srv *server) keeper(ctx context.Context, name string, note *keyNote) (key.Manager, error) {
	store, err := srv.eventStore(ctx, note.Store)
	if wanted := srv.settings.eventKeys; err != nil && wanted != note.Store && sameKind(wanted, note.Store) {
		var moved error
		if store, moved = srv.eventStore(ctx, wanted); moved == nil {
			note.Store = wanted
			return store, srv.writeNote(name, *note)
		}
		err = errors.Join(err, moved)
	}
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", name, err)
	}
	return store, nil
}

// eventStore opens a store for event keys, once.
func (srv *server) eventStore(ctx context.Context, uri string) (key.Manager, error) {
	if store, ok := srv.eventStores[uri]; ok {
		return store, nil
	}
	if srv.secrets == nil {
		if err := srv.openSecrets(ctx); err != nil {
			return nil, err
		}
	}
	store, closeStore, err := srv.openKeyStore(ctx, uri)
	if err != nil {
		return nil, err
	}
	srv.onClose(func(context.Context) error { return closeStore() })
	if srv.eventStores == nil {
		srv.eventStores = map[string]key.Manager{}
	}
	srv.eventStores[uri] = store
	return store, nil
}

// makeEventKey makes the key of a turn, or takes the one that was made for it and has not
// been put on record. One that lies elsewhere than is wanted now has signed nothing, and
// is destroyed.
func (srv *server) makeEventKey(ctx context.Context, turn int, store string) (*key.Signer, error) {
	name := eventsKeyName(turn)
	notes, err := srv.keyNotes()
	if err != nil {
		return nil, err
	}
	own := store == "" || store == ownFiles
	if note, ok := notes[name]; ok && (own || note.Store != store) {
		if err := srv.destroyNoted(ctx, name, note); err != nil {
			return nil, err
		}
	}
	if own {
		return srv.keys.Signer(ctx, name, true)
	}
	manager, err := srv.eventStore(ctx, store)
	if err != nil {
		return nil, err
	}
	// Under the same name the store gives the same key again, so nothing is lost when this
	// is interrupted before the note is written.
	inStore, err := srv.nameInStore(ctx, name)
	if err != nil {
		return nil, err
	}
	ref, private, err := manager.Create(ctx, inStore, key.ECDSAP256)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", name, err)
	}
	signer, err := key.NewSigner(name, ref, private)
	if err != nil {
		return nil, err
	}
	if err := srv.writeNote(name, keyNote{Store: store, Ref: ref, ID: signer.ID()}); err != nil {
		return nil, err
	}
	names, err := srv.keys.Names()
	if err == nil && turn > 1 && slices.Contains(names, name) {
		err = srv.keys.Destroy(ctx, name)
	}
	return signer, err
}

func (srv *server) writeNote(name string, note keyNote) error {
	raw, err := json.MarshalIndent(note, "", "  ")
	if err != nil {
		return err
	}
	if err := durable.Write(srv.settings.path("keys", name+noteSuffix), append(raw, '\n'), 0o600); err != nil {
		return fmt.Errorf("key %s: note where it is: %w", name, err)
	}
	return nil
}

// nameInStore is an event key's name where other servers may have theirs as well: it ends
// in a digest of this log's own key.
func (srv *server) nameInStore(ctx context.Context, name string) (string, error) {
	log, err := srv.keys.Signer(ctx, "log", true)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(log.ID()))
	return "slipway-" + name + "-" + hex.EncodeToString(sum[:6]), nil
}

// keyNotes reads the notes about event keys that are elsewhere, by the keys' names.
func (srv *server) keyNotes() (map[string]keyNote, error) {
	files, err := os.ReadDir(srv.settings.path("keys"))
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	notes := map[string]keyNote{}
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), noteSuffix)
		if _, event := turnOf(name); !ok || !event {
			continue
		}
		raw, err := durable.Read(srv.settings.path("keys", f.Name()), maxNote)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", name, err)
		}
		if notes[name], err = parseKeyNote(raw); err != nil {
			return nil, fmt.Errorf("%s: %w. Restore it from a backup", srv.settings.path("keys", f.Name()), err)
		}
	}
	return notes, nil
}

func parseKeyNote(raw []byte) (note keyNote, err error) {
	if err := json.Unmarshal(raw, &note); err != nil {
		return keyNote{}, fmt.Errorf("not a note about a key: %w", err)
	}
	if note.Store == "" || note.Ref == "" || note.ID == "" {
		return keyNote{}, errors.New(`not a note about a key: it needs "store", "ref" and "id"`)
	}
	return note, nil
}

// destroyNoted destroys a key that is elsewhere, and then its note: a destruction that is
// interrupted can be finished.
func (srv *server) destroyNoted(ctx context.Context, name string, note keyNote) error {
	store, err := srv.keeper(ctx, name, &note)
	if err != nil {
		return err
	}
	if err := store.Destroy(ctx, note.Ref); err != nil {
		return err
	}
	path := srv.settings.path("keys", name+noteSuffix)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("key %s: %w", name, err)
	}
	return durable.Sync(srv.settings.path("keys"))
}

// finishRetiring destroys what an interrupted rotation has left. A store that cannot be
// reached now keeps no server from starting: what it still has may sign nothing any more.
func (srv *server) finishRetiring(ctx context.Context, current string) error {
	retired, elsewhere, err := srv.retireKeys(ctx, current)
	if srv.retired = retired; elsewhere != nil {
		srv.log.Warn("a replaced key that signed events could not be destroyed; it is tried again at the next start", "error", elsewhere)
	}
	return err
}

// retireKeys destroys the event keys whose turn was before that of the current one, which
// must have been found on record. What went wrong in stores elsewhere is told apart.
func (srv *server) retireKeys(ctx context.Context, current string) (retired []string, elsewhere, err error) {
	now, ok := turnOf(current)
	if !ok {
		return nil, nil, fmt.Errorf("the key %s is none that signs events", current)
	}
	names, err := srv.keys.Names()
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		if turn, ok := turnOf(name); !ok || turn >= now {
			continue
		}
		if err := srv.keys.Destroy(ctx, name); err != nil {
			return retired, nil, err
		}
		retired = append(retired, name)
	}
	notes, err := srv.keyNotes()
	if err != nil {
		return retired, nil, err
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(notes)) {
		if turn, _ := turnOf(name); turn >= now {
			continue
		}
		if err := srv.destroyNoted(ctx, name, notes[name]); err != nil {
			errs = append(errs, err)
			continue
		}
		retired = append(retired, name)
	}
	return retired, errors.Join(errs...), nil
}
