package check

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"slipway/change"
	"slipway/check/policy"
	"slipway/repo"
	"slipway/starter"
	"slipway/zone"
)

// This file finds the policies that judge a change.

// Source finds policies that a tree asks for beside its own files, such as the
// packs that it pins. A fault that a person can mend is a *zone.Error. Bundles come
// in an order that depends on the tree alone.
type Source func(context.Context, *repo.Tree) ([]policy.Bundle, error)

// bundles gathers the policies that a tree puts in force.
func (e *Engine) bundles(ctx context.Context, t *repo.Tree) ([]policy.Bundle, error) {
	shipped, err := policy.Starter(starter.Policies())
	if err != nil {
		return nil, fmt.Errorf("starter policies: %w", err)
	}
	all := []policy.Bundle{shipped}
	for _, source := range e.sources {
		more, err := source(ctx, t)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	own, err := OwnPolicies(ctx, t, false)
	if err != nil {
		return nil, err
	}
	return append(all, own), nil
}

// OwnPolicies reads the policies that a tree holds itself, with or without their tests.
func OwnPolicies(ctx context.Context, t *repo.Tree, tests bool) (policy.Bundle, error) {
	own := policy.Bundle{Name: "repository", Own: true}
	paths, err := t.Glob(ctx, PoliciesPattern)
	if err != nil {
		return own, err
	}
	for _, p := range paths {
		if policy.IsTest(p) && !tests {
			continue
		}
		src, err := t.ReadFile(ctx, p)
		if errors.Is(err, repo.ErrNotFound) { // listed, but a link
			return own, &zone.Error{Place: zone.Place{Path: p, Line: 1}, What: "the policy is not a plain file", Help: "put the file itself there"}
		}
		if err != nil {
			return own, err
		}
		own.Files = append(own.Files, policy.File{Path: p, Src: src})
	}
	return own, nil
}

// Policies compiles the policies that a tree puts in force.
func (e *Engine) Policies(ctx context.Context, t *repo.Tree) (*policy.Policies, error) {
	bundles, err := e.bundles(ctx, t)
	if err != nil {
		return nil, err
	}
	return e.compile(ctx, bundles)
}

// compilation is policies that are being compiled.
type compilation struct {
	done     chan struct{}
	bundles  []policy.Bundle
	policies *policy.Policies
	err      error
}

// compileMeanwhile begins to compile the policies that a tree puts in force. The caller waits for it,
// whatever happens, since it reads the tree's repository.
func (e *Engine) compileMeanwhile(ctx context.Context, t *repo.Tree) *compilation {
	c := &compilation{done: make(chan struct{})}
	go func() {
		defer close(c.done)
		if c.bundles, c.err = e.bundles(ctx, t); c.err == nil {
			c.policies, c.err = e.compile(ctx, c.bundles)
		}
	}()
	return c
}

func (c *compilation) wait() ([]policy.Bundle, *policy.Policies, error) {
	<-c.done
	return c.bundles, c.policies, c.err
}

// compile returns compiled policies, from the cache where it can.
func (e *Engine) compile(ctx context.Context, bundles []policy.Bundle) (*policy.Policies, error) {
	key := policy.Digest(bundles...)
	e.mu.Lock()
	p := e.compiled[key]
	e.mu.Unlock()
	if p != nil {
		return p, nil
	}
	p, err := policy.Compile(ctx, bundles...)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.compiled) >= maxCompiled {
		clear(e.compiled) // rare, and compiling again takes milliseconds
	}
	e.compiled[key] = p
	return p, nil
}

// brokenPolicies judges a change of policies by whether the new ones compile.
// Merged broken ones would judge every later change, the repair included, as unusable.
func (e *Engine) brokenPolicies(ctx context.Context, in Input) ([]Finding, error) {
	if !slices.ContainsFunc(in.Change.Files, func(f change.FileEdit) bool { return f.Kind == change.KindPolicy }) {
		return nil, nil
	}
	_, err := e.Policies(ctx, in.Head)
	var fault *zone.Error
	switch {
	case err == nil:
		return nil, nil
	case !errors.As(err, &fault):
		return nil, err
	}
	return []Finding{{
		Rule:     "policy-broken",
		Severity: Deny,
		Message:  fmt.Sprintf("The policies could not judge any later change, not even their repair: %s.", fault.What),
		Help:     fault.Help,
		Path:     fault.Place.Path,
		Line:     fault.Place.Line,
		Controls: []string{"SOC2:CC8.1", "ISO27001:A.8.32", "SOX:ITGC-CM"},
	}}, nil
}

// withControls adds the control IDs that bundles map rules to, such as those of a regime.
func withControls(findings []Finding, bundles []policy.Bundle) []Finding {
	for _, b := range bundles {
		if len(b.Controls) == 0 {
			continue
		}
		for i, f := range findings {
			ids := slices.Concat(f.Controls, b.Controls[policy.EveryRule], b.Controls[f.Rule])
			slices.Sort(ids)
			findings[i].Controls = slices.Compact(ids)
		}
	}
	return findings
}
