package lint

import (
	"fmt"
	"slices"
	"strings"

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
	if want, err := parseSPF(p.Settings.Mail.SPF); p.Settings.Mail.SPF != "" && err == nil {
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
func (p *pass) spfLacks(records []string, want spf) ([]string, error) {
	if len(records) != 1 {
		return []string{fmt.Sprintf("it has %d SPF records, where one is needed", len(records))}, nil
	}
	has, err := parseSPF(records[0])
	if err != nil {
		return []string{err.Error()}, nil
	}
	if has.nobody() {
		return nil, nil // nobody may send, which no template can be stricter than
	}
	for range maxRedirects { // what a redirect within our zones leads to is as good as the record itself
		i := slices.IndexFunc(has.terms, func(t spfTerm) bool { return t.qualifier == 0 && t.name == "redirect" })
		if has.ending() != '=' || want.ending() == '=' || i < 0 {
			break
		}
		next, ok := has.terms[i].domain()
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
		s, err := parseSPF(inner[0])
		if err != nil {
			break
		}
		s.terms = append(slices.Delete(slices.Clone(has.terms), i, i+1), s.terms...)
		has = s
	}
	var lacks []string
	for _, t := range want.terms {
		if t.name != "all" && !slices.ContainsFunc(has.terms, t.same) {
			lacks = append(lacks, "it lacks "+t.text())
		}
	}
	strictness := "+?~-" // RFC 7208 section 4.6.2, the mildest first
	if strings.IndexByte(strictness, has.ending()) < strings.IndexByte(strictness, want.ending()) {
		lacks = append(lacks, fmt.Sprintf("it must end with %call", want.ending()))
	}
	return lacks, nil
}

func (t spfTerm) same(o spfTerm) bool {
	return t.qualifier == o.qualifier && t.name == o.name && t.prefix == o.prefix && strings.EqualFold(strings.TrimSuffix(t.value, "."), strings.TrimSuffix(o.value, "."))
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
