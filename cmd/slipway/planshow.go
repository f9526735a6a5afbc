package main

import (
	"fmt"
	"strings"

	"slipway/provider/planfile"
	"slipway/zone"
)

// showPlan prints a plan, zone by zone. What failed is not in it: that goes to standard error.
func (t *tool) showPlan(p *livePlan) error {
	creates, updates, deletes := 0, 0, 0
	zones, changed := map[zone.Name]bool{}, map[zone.Name]bool{} // a zone may have several providers
	for _, one := range p.Plans {
		zones[one.Zone] = true
		if len(one.Edits) == 0 {
			continue
		}
		changed[one.Zone] = true
		creates, updates, deletes = creates+one.Counts.Creates, updates+one.Counts.Updates, deletes+one.Counts.Deletes
		t.showZonePlan(one)
		fmt.Fprintln(t.stdout)
	}
	if len(p.Nowhere) > 0 {
		fmt.Fprintf(t.stdout, "Not looked at, because slipway.yaml names no provider for them: %s.\n\n", flat(listing(p.Nowhere)))
	}
	if p.Behind {
		fmt.Fprintf(t.stdout, "%s\n\n", t.paint(yellow, "! What was planned is older than main: what was approved since shows as undone. Bring it up to date and plan again."))
	}
	left := ""
	if len(p.Failed) > 0 {
		left = fmt.Sprintf(" There is no plan for %d more.", len(p.Failed))
	}
	if len(changed) == 0 {
		_, err := fmt.Fprintf(t.stdout, "Nothing to do: %s as the repository says.%s %s\n", are(len(zones)), left, t.paint(dim, p.Digest))
		return err
	}
	_, err := fmt.Fprintf(t.stdout, "%d to create, %d to change, %d to delete in %d of %s, in this order.%s %s\n",
		creates, updates, deletes, len(changed), plural(len(zones), "zone"), left, t.paint(dim, p.Digest))
	return err
}

func (t *tool) showZonePlan(p planfile.Plan) {
	what := fmt.Sprintf("at %s (%s", p.Provider, p.Type)
	if p.Serial != 0 {
		what += fmt.Sprintf(", serial %d", p.Serial)
	}
	fmt.Fprintf(t.stdout, "%s  %s\n", t.paint(bold, flat(p.Zone.Unicode())), t.paint(dim, flat(what)+")"))
	for _, e := range p.Edits {
		t.showEdit(zone.Edit{Op: e.Op, Zone: p.Zone, Name: e.Name, Type: e.Type, Before: e.Before, After: e.After})
	}
	for _, note := range p.Facts() {
		fmt.Fprintf(t.stdout, "  %s\n", t.paint(yellow, "! "+flat(note)))
	}
}

// listing names the first few zones.
func listing(zones []zone.Name) string {
	const most = 8
	var names []string
	for _, z := range zones[:min(len(zones), most)] {
		names = append(names, z.Unicode())
	}
	s := strings.Join(names, ", ")
	if more := len(zones) - most; more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}

func (t *tool) showChanged(planned *planfile.File, changed []planfile.Difference) error {
	if len(changed) == 0 {
		_, err := fmt.Fprintf(t.stdout, "It holds: what was planned at %s is what would be done now. %s\n", moment(planned.Made), t.paint(dim, planned.Digest))
		return err
	}
	for _, d := range changed {
		fmt.Fprintf(t.stdout, "%s\n", flat(strings.ToUpper(d.Text[:1])+d.Text[1:]+"."))
	}
	_, err := fmt.Fprintf(t.stdout, "\nThe plan of %s does not hold any more. Look at what would be done now, and plan again.\n", moment(planned.Made))
	return err
}
