package flow

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"sync"

	"slipway/change"
	"slipway/check"
	"slipway/lifecycle"
	"slipway/repo"
	"slipway/zone"
)

// proposal is what a merge of head into a base would do.
type proposal struct {
	base   *repo.Tree
	merged *repo.Tree // the merge's result: what the change is judged by, and what is committed
	change *change.Change
}

// proposals keeps the latest proposals: one change asks for the same thing when it is
// submitted, checked and merged.
type proposals struct {
	mu    sync.Mutex // held for the length of a slice operation
	order []string   // oldest first
	by    map[string]*proposal
}

const maxProposals = 32

func newProposals() *proposals { return &proposals{by: make(map[string]*proposal)} }

func (p *proposals) get(key string) *proposal {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.by[key]
}

func (p *proposals) put(key string, v *proposal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.by[key] == nil {
		p.order = append(p.order, key)
	}
	p.by[key] = v
	if len(p.order) > maxProposals {
		delete(p.by, p.order[0])
		p.order = slices.Delete(p.order, 0, 1)
	}
}

// prepare merges head into base in memory and computes the change. The error is a
// repo.ErrConflict when they do not fit, a *zone.Error when the result cannot be used.
func (s *Service) prepare(ctx context.Context, base, head string) (*proposal, error) {
	key := base + " " + head
	if p := s.prepared.get(key); p != nil {
		return p, nil
	}
	tree, err := s.o.Repo.MergeTree(ctx, base, head)
	if err != nil {
		return nil, err
	}
	p := new(proposal)
	if p.base, err = s.o.Repo.Tree(ctx, base); err != nil {
		return nil, err
	}
	if p.merged, err = s.o.Repo.Tree(ctx, tree); err != nil {
		return nil, err
	}
	if p.change, err = change.Compute(ctx, s.o.Repo, p.base, p.merged); err != nil {
		return nil, err
	}
	s.prepared.put(key, p)
	return p, nil
}

// committed is the proposal as it was merged. It never fails on content: what is on main was computed before.
func (s *Service) committed(ctx context.Context, st lifecycle.State) (*proposal, error) {
	key := st.Base + " " + st.Commit
	if p := s.prepared.get(key); p != nil {
		return p, nil
	}
	p := &proposal{}
	var err error
	if p.base, err = s.o.Repo.Tree(ctx, st.Base); err != nil {
		return nil, err
	}
	if p.merged, err = s.o.Repo.Tree(ctx, st.Commit); err != nil {
		return nil, err
	}
	if p.change, err = change.Compute(ctx, s.o.Repo, p.base, p.merged); err != nil {
		return nil, err
	}
	s.prepared.put(key, p)
	return p, nil
}

// home is the tree whose settings name a zone's provider: the merged one, or for a zone that the change takes
// away the one before. nil: neither does.
func (p *proposal) home(ctx context.Context, z zone.Name) (*repo.Tree, error) {
	for _, t := range []*repo.Tree{p.merged, p.base} {
		settings, err := t.Settings(ctx)
		if err != nil {
			return nil, err
		}
		at, served := settings.Zones[z]
		if _, known := settings.Providers[at.Provider]; served && known {
			return t, nil
		}
		if served {
			return nil, nil // still there, with no provider
		}
	}
	return nil, nil
}

// judge runs the checks. Who asks is looked up in the settings in force, not taken from the request.
func (s *Service) judge(ctx context.Context, p *proposal, who, role string, thirdParty bool) (*check.Verdict, error) {
	settings, err := p.base.Settings(ctx)
	if err != nil {
		return nil, err
	}
	return s.o.Engine.Run(ctx, check.Input{
		Repo: s.o.Repo, Base: p.base, Head: p.merged, Change: p.change, AsOf: s.now(),
		Requester: check.Requester{
			ID: who, Role: role, Groups: settings.GroupsOf(who),
			ThirdParty: thirdParty || settings.ThirdParty(who),
		},
	})
}

// keep stores a document as JSON and returns its digest.
func (s *Service) keep(ctx context.Context, what string, v any) (string, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	digest, err := s.o.Log.Documents().Put(ctx, raw)
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	return digest, nil
}

// verdict reads a kept verdict.
func (s *Service) verdict(ctx context.Context, digest string) (*check.Verdict, error) {
	if digest == "" {
		return nil, nil
	}
	raw, err := s.o.Log.Documents().Get(ctx, digest)
	if err != nil {
		return nil, err
	}
	v := new(check.Verdict)
	if err := json.Unmarshal(raw, v); err != nil {
		return nil, fmt.Errorf("verdict %s: %w", digest, err)
	}
	return v, nil
}

const (
	maxArtifact  = 16 << 20 // bytes of one artifact of an app (an SBOM, a provenance statement)
	maxArtifacts = 50       // of one change
)

// ours are the names of Slipway's own documents in events; no manifest may give its files one of them.
var ours = []string{"request", "verdict", "receipt", "zone-before", "zone-after", "drift", "plan"}

// artifacts keeps the files that the changed manifests name (SBOM, provenance, …) and
// returns their digests by name. A file that is not in the repository is left out: whether
// that is a fault is for the checks to say.
func (s *Service) artifacts(ctx context.Context, p *proposal) (map[string]string, error) {
	refs := make(map[string]string)
	for _, a := range p.change.Apps {
		if a.After == nil {
			continue
		}
		for name, file := range a.After.Artifacts {
			raw, err := p.merged.ReadFile(ctx, path.Join(path.Dir(a.After.Path), file))
			if err != nil {
				raw, err = p.merged.ReadFile(ctx, path.Clean(file))
			}
			if len(p.change.Apps) > 1 {
				name = a.Name + "/" + name
			}
			if err != nil || len(raw) > maxArtifact || len(refs) == maxArtifacts || len(name) > 100 || slices.Contains(ours, name) {
				continue
			}
			if refs[name], err = s.o.Log.Documents().Put(ctx, raw); err != nil {
				return nil, fmt.Errorf("artifact %s of app %s: %w", name, a.Name, err)
			}
		}
	}
	return refs, nil
}
