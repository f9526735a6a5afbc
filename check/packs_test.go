package check

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"

	"slipway/check/internal/scenario"
	"slipway/pack"
)

// pinned adds packs that come with Slipway to a repository.
func pinned(t testing.TB, files fstest.MapFS, names ...string) {
	t.Helper()
	lock := &pack.Lock{}
	for _, name := range names {
		src, p, err := pack.Builtin(name)
		if err != nil {
			t.Fatal(err)
		}
		lock.Set(pack.Pin{Name: name, Version: p.Version, Source: "builtin:" + name, Digest: p.Digest, Unsigned: pack.BuiltinUnsigned})
		files[pack.BundlePath(name)] = &fstest.MapFile{Data: src, Mode: 0o644}
	}
	src, err := lock.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	files[pack.LockPath] = &fstest.MapFile{Data: src, Mode: 0o644}
}

const wildcardApp = `-- apps/anything.yaml --
owner: ana@finmicro.example
team: product
purpose: Answers for everything
exposure: external
data: [none]
expires: 2027-06-30
hostname: jenkins.finmicro.example
certificate: true
records:
  - {name: jenkins.finmicro.example, type: A, ttl: 300, values: [198.51.100.20]}
  - {name: "*.jenkins.finmicro.example", type: A, ttl: 300, values: [198.51.100.20]}
`

// What a base pins judges: its findings, its tier, its control IDs. What it does not pin is silent.
func TestPinnedPacksJudge(t *testing.T) {
	judge := func(names ...string) *Verdict {
		t.Helper()
		files := baseFiles(t, nil)
		if len(names) > 0 {
			pinned(t, files, names...)
		}
		w := scenario.FromFiles(t, files)
		v, err := NewEngine().Run(t.Context(), Input{
			Repo: w.Repo, Base: w.Base, Head: w.Head(t, []byte(wildcardApp)),
			Requester: Requester{ID: "ana@finmicro.example"}, AsOf: scenario.Now,
		})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	has := func(v *Verdict, rule string) bool {
		return slices.ContainsFunc(v.Findings, func(f Finding) bool { return f.Rule == rule })
	}
	const console = "packs.exposure/console-name-public"
	plain, strict, mapped := judge(), judge("exposure"), judge("exposure", "soc2", "nist-800-53")
	if has(plain, console) || !has(strict, console) || !strict.Denied {
		t.Errorf("without the pack %v, with it %v", plain.Findings, strict.Findings)
	}
	if strict.Tier != Red || !slices.ContainsFunc(strict.TierReasons, func(s string) bool { return strings.Contains(s, "every name that nobody thought of") }) {
		t.Errorf("%s because of %q", strict.Tier, strict.TierReasons)
	}
	if plain.PolicyDigest == strict.PolicyDigest || strict.PolicyDigest == mapped.PolicyDigest {
		t.Error("the policy digest does not cover the packs")
	}
	for _, f := range mapped.Findings {
		for _, want := range []string{"SOC2:CC8.1", "NIST-800-53:CM-3"} {
			if !slices.Contains(f.Controls, want) {
				t.Errorf("%s has the controls %v, without %s", f.Rule, f.Controls, want)
			}
		}
		if f.Rule == console && (!slices.Contains(f.Controls, "NIST-800-53:SC-7") || !slices.Contains(f.Controls, "ISO27001:A.8.20")) {
			t.Errorf("%s has the controls %v", f.Rule, f.Controls)
		}
	}
	if again := judge("exposure", "soc2", "nist-800-53"); string(render(t, again, true)) != string(render(t, mapped, true)) {
		t.Error("the same packs judge otherwise the second time")
	}
}

// A change that pins a pack which cannot be trusted is denied before it can do harm.
func TestBrokenPackIsDenied(t *testing.T) {
	files := fstest.MapFS{}
	pinned(t, files, "exposure")
	w := scenario.FromFiles(t, baseFiles(t, nil))
	lock := string(files[pack.LockPath].Data)
	head := w.Head(t, txtar.Format(&txtar.Archive{Files: []txtar.File{
		{Name: pack.LockPath, Data: []byte(lock)},
		{Name: pack.BundlePath("exposure"), Data: []byte("another bundle\n")},
	}}))
	v, err := NewEngine().Run(t.Context(), Input{Repo: w.Repo, Base: w.Base, Head: head, Requester: Requester{ID: "omar@finmicro.example"}, AsOf: scenario.Now})
	if err != nil {
		t.Fatal(err)
	}
	if !v.Denied || v.Tier != Red || !slices.ContainsFunc(v.Findings, func(f Finding) bool {
		return f.Rule == "policy-broken" && strings.Contains(f.Message, "not the one that is pinned")
	}) {
		t.Errorf("%s, %+v", v.Tier, v.Findings)
	}
	// The base is not to be trusted either when somebody put another bundle there.
	pinned(t, files, "exposure")
	for name, f := range baseFiles(t, nil) {
		files[name] = f
	}
	files[pack.BundlePath("exposure")] = &fstest.MapFile{Data: []byte("another bundle\n"), Mode: 0o644}
	w = scenario.FromFiles(t, files)
	if _, err := NewEngine().Run(t.Context(), Input{Repo: w.Repo, Base: w.Base, Head: w.Head(t, []byte(wildcardApp)), AsOf: scenario.Now}); err == nil || !strings.Contains(err.Error(), "not the one that is pinned") {
		t.Errorf("got %v", err)
	}
	if _, err := NewTrialEngine().Run(t.Context(), Input{Repo: w.Repo, Base: w.Base, Head: w.Head(t, []byte(wildcardApp)), AsOf: scenario.Now}); err != nil {
		t.Errorf("a trial looks at what is pinned: %v", err)
	}
}
