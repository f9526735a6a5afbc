package planfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"

	"slipway/provider"
	"slipway/zone"
)

// Bounds on a file that is read.
const (
	MaxFile  = 256 << 20 // bytes
	maxPlans = 200_000
	maxText  = 4096 // bytes of a name, a note or a reason
)

var (
	digest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	object = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)
)

// Parse reads a plan file. It refuses one that was changed by hand or damaged: its digest,
// and those of its plans, have to be those of what stands in it.
func Parse(r io.Reader) (*File, error) {
	d := json.NewDecoder(io.LimitReader(r, MaxFile+1))
	d.DisallowUnknownFields()
	var f File
	if err := d.Decode(&f); err != nil {
		if d.InputOffset() > MaxFile {
			return nil, fmt.Errorf("plan file: it is larger than %d bytes", MaxFile)
		}
		return nil, fmt.Errorf("plan file: this is not a file that slipway plan --out has written: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("plan file: something stands after its end")
	}
	if err := f.check(); err != nil {
		return nil, fmt.Errorf("plan file: %w", err)
	}
	want, err := f.Sum()
	if err != nil {
		return nil, err
	}
	if want != f.Digest {
		return nil, fmt.Errorf("plan file: it was changed after it was written: its digest is not that of what stands in it (%s, and %s)", f.Digest, want)
	}
	return &f, nil
}

func (f *File) check() error {
	if f.Version != Version {
		return fmt.Errorf("it has the form %d, and this version of Slipway reads form %d: make the plan again", f.Version, Version)
	}
	if !digest.MatchString(f.Digest) {
		return errors.New("it has no digest")
	}
	if f.Commit != "" && !object.MatchString(f.Commit) || f.Tree != "" && !object.MatchString(f.Tree) {
		return errors.New("its commit is not the name of one")
	}
	if len(f.Plans) > maxPlans || len(f.Of) > maxPlans {
		return fmt.Errorf("it has more than %d plans", maxPlans)
	}
	for _, z := range f.Of {
		if err := name(z); err != nil {
			return err
		}
	}
	for i := range f.Plans {
		p := &f.Plans[i]
		if i > 0 && !before(f.Plans[i-1], *p) {
			return errors.New("its plans are not in order, or one is there twice")
		}
		if err := p.check(); err != nil {
			return fmt.Errorf("zone %.300q: %w", string(p.Zone), err)
		}
	}
	return nil
}

func before(a, b Plan) bool { return a.Zone < b.Zone || a.Zone == b.Zone && a.Provider < b.Provider }

func (p *Plan) check() error {
	if err := name(p.Zone); err != nil {
		return err
	}
	for _, s := range slices.Concat([]string{p.Provider, p.Type, p.Exceeds}, p.Notes) {
		if len(s) > maxText {
			return fmt.Errorf("a text in it is longer than %d bytes", maxText)
		}
	}
	if p.Provider == "" || !digest.MatchString(p.Live) || !digest.MatchString(p.Desired) || !digest.MatchString(p.Plan) {
		return errors.New("it does not say what was planned, by digest")
	}
	if want := provider.PlanDigest(p.Zone, p.Live, p.Desired); p.Plan != want {
		return errors.New("the digest of the plan is not that of its contents")
	}
	if (len(p.Edits) == 0) != (p.Live == p.Desired) && p.Exists {
		return errors.New("its edits do not lead from what is live to what is desired")
	}
	counts := provider.Counts{Live: p.Counts.Live}
	for _, e := range p.Edits {
		if err := e.check(p.Zone); err != nil {
			return err
		}
		switch e.Op {
		case zone.Create:
			counts.Creates++
		case zone.Update:
			counts.Updates++
		default:
			counts.Deletes++
		}
	}
	if counts != p.Counts || counts.Live < 0 || p.Others < 0 || p.Lasts < 0 {
		return errors.New("its counts are not those of its edits")
	}
	return nil
}

func (e Edit) check(z zone.Name) error {
	if err := name(e.Name); err != nil {
		return err
	}
	if !e.Name.In(z) {
		return fmt.Errorf("%s is outside the zone", e.Name)
	}
	want := map[zone.Op][2]bool{zone.Create: {false, true}, zone.Update: {true, true}, zone.Delete: {true, false}}
	have, ok := want[e.Op]
	if !ok || have != [2]bool{e.Before != nil, e.After != nil} {
		return fmt.Errorf("%s %s: %.20q is not what is done to it", e.Type, e.Name, e.Op)
	}
	for _, set := range []*zone.RRSet{e.Before, e.After} {
		if set != nil && (set.Name != e.Name || set.Type != e.Type) {
			return fmt.Errorf("%s %s: its record sets are of another name or type", e.Type, e.Name)
		}
	}
	return nil
}

// name refuses what is not a domain name in canonical form.
func name(n zone.Name) error {
	if canonical, err := zone.ParseName(string(n)); err != nil || canonical != n {
		return fmt.Errorf("%.300q is not a domain name in canonical form", string(n))
	}
	return nil
}
