package change

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/gowebpki/jcs"

	"slipway/repo"
	"slipway/zone"
)

// content is what the digest is of: what the edits do, and nothing of where or
// when. Commits, places and the formatting of files are left out, so that an
// approval survives a move of main that does not touch the change. The version
// keeps digests of another layout apart.
type content struct {
	Version int           `json:"slipway_change"`
	Edits   []editContent `json:"edits"`
	Apps    []appContent  `json:"apps"`
	Files   []FileEdit    `json:"files"`
}

type editContent struct {
	Op     zone.Op     `json:"op"`
	Zone   zone.Name   `json:"zone"`
	Name   zone.Name   `json:"name"`
	Type   string      `json:"type"`
	Before *zone.RRSet `json:"before,omitempty"`
	After  *zone.RRSet `json:"after,omitempty"`
}

type appContent struct {
	Op     zone.Op   `json:"op"`
	Name   string    `json:"name"`
	Before *repo.App `json:"before,omitempty"`
	After  *repo.App `json:"after,omitempty"`
}

// digest is the SHA-256 of the content's RFC 8785 form.
func (c *Change) digest() (string, error) {
	v := content{
		Version: 1,
		Edits:   make([]editContent, len(c.Edits)),
		Apps:    make([]appContent, len(c.Apps)),
		Files:   append([]FileEdit{}, c.Files...),
	}
	for i, e := range c.Edits {
		v.Edits[i] = editContent{e.Op, e.Zone, e.Name, e.Type, e.Before, e.After}
	}
	for i, e := range c.Apps {
		v.Apps[i] = appContent(e)
	}
	canonical, err := canonicalJSON(v)
	if err != nil {
		return "", fmt.Errorf("digest of change: %w", err)
	}
	sum := sha256.Sum256(canonical)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

func canonicalJSON(v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return jcs.Transform(raw)
}

// sameApp reports whether two manifests say the same, whatever their layout.
func sameApp(a, b *repo.App) bool {
	x, err := canonicalJSON(a)
	if err != nil {
		return false
	}
	y, err := canonicalJSON(b)
	return err == nil && string(x) == string(y)
}
