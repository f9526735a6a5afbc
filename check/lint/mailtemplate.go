package lint

import (
	"fmt"
	"slices"
	"strings"

	"slipway/check/spf"
	"slipway/zone"
)

// maxRedirects is how many redirects within our own zones a template is looked for through.
const maxRedirects = 3

// mailTemplate holds the mail records of an external zone that sends or receives mail against the
// organisation's templates. A template that cannot be read is mail-template-invalid's matter.
func mailTemplate(p *pass, e zone.Edit) error {
	m, err := p.mailOf(e.Zone)
	if err != nil || m == nil || p.Settings.Zones[e.Zone].Parked || !m.receives() && len(m.spf) == 0 {
		return err
	}
	z := e.Zone.Unicode()
	if want, err := spf.Parse(p.Settings.Mail.SPF); p.Settings.Mail.SPF != "" && err == nil {
		lacks, err := p.spfLacks(m.spf, want)
		if err != nil {
			return err
		}
		if len(lacks) > 0 {
			p.report(m.at, record(e.Zone), "The SPF record of %s does not meet the organisation's template: %s.", z, strings.Join(lacks, "; "))
		}
	}
	if want, err := parseDMARC(p.Settings.Mail.DMARC); p.Settings.Mail.DMARC != "" && err == nil {
		if lacks := dmarcLacks(m.dmarc, want); len(lacks) > 0 {
			p.report(m.at, record(e.Zone), "The DMARC record of %s does not meet the organisation's template: %s.", z, strings.Join(lacks, "; "))
		}
	}
	return nil
}

// spfLacks says in what an SPF record falls short of the template: every term of it must stand there,
// and other senders must be treated at least as strictly.
func (p *pass) spfLacks(records []string, want spf.Record) ([]string, error) {
	if len(records) != 1 {
		return []string{fmt.Sprintf("it has %d SPF records, where one is needed", len(records))}, nil
	}
	has, err := spf.Parse(records[0])
	if err != nil {
		return []string{err.Error()}, nil
	}
	if has.Nobody() {
		return nil, nil // nobody may send, which no template can be stricter than
	}
	for range maxRedirects { // what a redirect within our zones leads to is as good as the record itself
		i := slices.IndexFunc(has.Terms, func(t spf.Term) bool { return t.Qualifier == 0 && t.Name == "redirect" })
		if has.Ending() != '=' || want.Ending() == '=' || i < 0 {
			break
		}
		next, ok := has.Terms[i].Domain()
		if !ok {
			break
		}
		a, _, err := p.head.resolve(next)
		if err != nil {
			return nil, err
		}
		var inner []string
		for _, r := range a.sets {
			inner = append(inner, spfTexts(r)...)
		}
		if len(inner) != 1 {
			break
		}
		s, err := spf.Parse(inner[0])
		if err != nil {
			break
		}
		s.Terms = append(slices.Delete(slices.Clone(has.Terms), i, i+1), s.Terms...)
		has = s
	}
	var lacks []string
	for _, t := range want.Terms {
		if t.Name != "all" && !slices.ContainsFunc(has.Terms, t.Same) {
			lacks = append(lacks, "it lacks "+t.String())
		}
	}
	strictness := "+?~-" // RFC 7208 section 4.6.2, the mildest first
	if strings.IndexByte(strictness, has.Ending()) < strings.IndexByte(strictness, want.Ending()) {
		lacks = append(lacks, fmt.Sprintf("it must end with %call", want.Ending()))
	}
	return lacks, nil
}

// dmarcLacks says in what a DMARC record falls short of the template: policies may be stricter, reports
// may go to more addresses, every other tag must be as it is there.
func dmarcLacks(records []string, want []tag) []string {
	records = slices.DeleteFunc(slices.Clone(records), func(s string) bool { return !isDMARC(s) })
	if len(records) != 1 {
		return []string{fmt.Sprintf("it has %d DMARC records, where one is needed", len(records))}
	}
	has, err := parseDMARC(records[0])
	if err != nil {
		return []string{err.Error()}
	}
	strictness := []string{"none", "quarantine", "reject"}
	var lacks []string
	for _, w := range want {
		got, found := value(has, w.name)
		if !found && (w.name == "sp" || w.name == "np") {
			got, _ = value(has, "p") // RFC 9989 section 4.7: they fall back to p
		}
		met := strings.EqualFold(got, w.value)
		switch w.name {
		case "p", "sp", "np":
			met = slices.Index(strictness, strings.ToLower(got)) >= slices.Index(strictness, strings.ToLower(w.value))
		case "rua", "ruf":
			met = true
			for _, a := range addressList(w.value) {
				met = met && slices.Contains(addressList(got), a)
			}
		}
		if !met {
			lacks = append(lacks, fmt.Sprintf("it must say %s=%s", w.name, w.value))
		}
	}
	return lacks
}

func addressList(s string) []string {
	var out []string
	for _, a := range strings.Split(s, ",") {
		if a = strings.ToLower(strings.TrimSpace(a)); a != "" {
			out = append(out, a)
		}
	}
	return out
}
