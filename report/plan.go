package report

import (
	"fmt"
	"io"
	"strings"

	"slipway/provider/planfile"
	"slipway/zone"
)

// Plan writes what would be done to live zones as Markdown. failed says in words what there is
// no plan for.
func Plan(w io.Writer, f *planfile.File, failed []string) error {
	const most = 20 // failures
	var b strings.Builder
	b.WriteString("## Slipway: plan\n")
	for i, why := range failed {
		if i == most {
			fmt.Fprintf(&b, "- … and %d more\n", len(failed)-i)
			break
		}
		if i == 0 {
			b.WriteString("\n### What there is no plan for\n\n")
		}
		fmt.Fprintf(&b, "- ⛔ %s\n", prose(why))
	}
	if f.Empty() {
		b.WriteString("\nNothing is to be done: what is live is as the repository says.\n")
	}
	for _, p := range f.Plans {
		if len(p.Edits) == 0 {
			continue
		}
		if b.Len() > 2*maxDiff {
			b.WriteString("\n… and more zones: run `slipway plan` to see them.\n")
			break
		}
		markdownZonePlan(&b, p)
	}
	fmt.Fprintf(&b, "\n<sub>Plan %s.</sub>\n", code(f.Digest))
	_, err := io.WriteString(w, b.String())
	return err
}

func markdownZonePlan(b *strings.Builder, p planfile.Plan) {
	fmt.Fprintf(b, "\n### %s at %s\n\n%d to create, %d to change, %d to delete, in this order. %d record sets are live.\n",
		code(p.Zone.Unicode()), code(p.Provider), p.Counts.Creates, p.Counts.Updates, p.Counts.Deletes, p.Counts.Live)
	for i, fact := range p.Facts() {
		if i == 0 {
			b.WriteString("\n")
		}
		mark := "ℹ️"
		if i == 0 && p.Exceeds != "" {
			mark = "⚠️"
		}
		fmt.Fprintf(b, "- %s %s\n", mark, prose(fact))
	}
	edits := make([]zone.Edit, len(p.Edits))
	for i, e := range p.Edits {
		edits[i] = zone.Edit{Op: e.Op, Zone: p.Zone, Name: e.Name, Type: e.Type, Before: e.Before, After: e.After}
	}
	lines, left := diffLines(edits)
	markdownLines(b, lines)
	if left > 0 {
		fmt.Fprintf(b, "\n… and %d record sets more: run `slipway plan` to see them.\n", left)
	}
}
