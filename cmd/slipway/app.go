package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slipway/repo"
	"slipway/zone"
)

// maxManifest bounds --file; a manifest is a page of text.
const maxManifest = 1 << 20

// appFlags are the fields of an app as flags. Whatever a flag says wins over a manifest.
type appFlags struct {
	file                                    string
	name, hostname, purpose, team, owner    string
	exposure, expires, upstream, thirdParty string
	data, a, aaaa, cname, txt, records      []string
	ttl                                     int
	certificate, mtls                       bool
}

func (f *appFlags) register(c *cobra.Command) {
	p := c.Flags()
	p.StringVar(&f.file, "file", "", "app manifest (apps/NAME.yaml) to start from")
	p.StringVar(&f.hostname, "hostname", "", "the app's host name, for example expenses.apps.example.com")
	p.StringVar(&f.name, "name", "", "short name of the app (default: the first part of the host name)")
	p.StringVar(&f.purpose, "purpose", "", "what the app is for, in one sentence")
	p.StringVar(&f.team, "team", "", "the team that runs it")
	p.StringVar(&f.owner, "owner", "", "e-mail address of its owner (default: you)")
	p.StringVar(&f.exposure, "exposure", "", "who can reach it: internal or external")
	p.StringSliceVar(&f.data, "data", nil, "what data it handles: none, pii, financial, health")
	p.StringVar(&f.expires, "expires", "", "the day on which it ends, 2027-06-30")
	p.StringVar(&f.upstream, "upstream", "", "where it answers, such as http://10.1.2.3:8080, for the gateway in front of it")
	p.StringVar(&f.thirdParty, "third-party", "", "the company that runs it or asked for it, if it is not yours")
	p.BoolVar(&f.certificate, "certificate", false, "ask for a certificate")
	p.BoolVar(&f.mtls, "mtls", false, "let the gateway pass nobody without a certificate of the organisation")
	p.StringArrayVar(&f.a, "a", nil, "IPv4 address (repeat for more)")
	p.StringArrayVar(&f.aaaa, "aaaa", nil, "IPv6 address (repeat for more)")
	p.StringArrayVar(&f.cname, "cname", nil, "name that the host name stands for")
	p.StringArrayVar(&f.txt, "txt", nil, "text at the host name (repeat for more)")
	p.StringArrayVar(&f.records, "record", nil, "any other record, as 'NAME TYPE VALUE' (repeat for more)")
	p.IntVar(&f.ttl, "ttl", 300, "for how many seconds answers may be kept")
	c.RegisterFlagCompletionFunc("exposure", cobra.FixedCompletions([]string{"internal", "external"}, cobra.ShellCompDirectiveNoFileComp))
	c.RegisterFlagCompletionFunc("data", cobra.FixedCompletions([]string{"none", "pii", "financial", "health"}, cobra.ShellCompDirectiveNoFileComp))
}

// build makes the app: from what it was, the manifest, the flags, and answers to questions, in this order.
func (t *tool) build(c *cobra.Command, f *appFlags, app repo.App, owner string) (*repo.App, error) {
	if f.file != "" {
		manifest, err := readManifest(f.file)
		if err != nil {
			return nil, err
		}
		if app.Name != "" && !c.Flags().Changed("name") {
			manifest.Name = app.Name // a revision stays the same app, whatever its file is called
		}
		app = *manifest
	}
	for _, field := range []struct {
		flag string
		set  func()
	}{
		{"name", func() { app.Name = f.name }},
		{"purpose", func() { app.Purpose = f.purpose }},
		{"team", func() { app.Team = f.team }},
		{"owner", func() { app.Owner = strings.ToLower(f.owner) }},
		{"exposure", func() { app.Exposure = f.exposure }},
		{"data", func() { app.Data = f.data }},
		{"expires", func() { app.Expires = f.expires }},
		{"upstream", func() { app.Upstream = f.upstream }},
		{"third-party", func() { app.ThirdParty = f.thirdParty }},
		{"certificate", func() { app.Certificate = f.certificate }},
		{"mtls", func() { app.MTLS = f.mtls }},
	} {
		if c.Flags().Changed(field.flag) {
			field.set()
		}
	}
	if app.Owner == "" {
		app.Owner = owner
	}
	if f.hostname != "" {
		name, err := hostname(f.hostname)
		if err != nil {
			return nil, &usage{what: "--hostname " + f.hostname + ": " + err.Error()}
		}
		if app.Hostname != "" && app.Hostname != name {
			moveRecords(&app, name)
		}
		app.Hostname = name
	}
	if err := t.complete(&app, f); err != nil {
		return nil, err
	}
	if err := f.addRecords(&app); err != nil {
		return nil, err
	}
	if len(app.Records) == 0 {
		return nil, &usage{what: "the app has no record: nobody could reach it", help: "Give --a, --aaaa, --cname or --record."}
	}
	app.Path = repo.AppPath(app.Name)
	return &app, nil
}

func readManifest(file string) (*repo.App, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, &usage{what: "--file: " + err.Error()}
	}
	if info.Size() > maxManifest {
		return nil, &usage{what: fmt.Sprintf("--file %s is larger than %d KiB; a manifest is not", file, maxManifest>>10)}
	}
	src, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return repo.ParseApp(filepath.ToSlash(file), src)
}

// moveRecords keeps the records at the host name when the host name changes.
func moveRecords(app *repo.App, to zone.Name) {
	app.Records = slices.Clone(app.Records)
	for i := range app.Records {
		if app.Records[i].Name == app.Hostname {
			app.Records[i].Name = to
		}
	}
}

// complete asks for what is needed and not known. Where nobody can be asked, it names the flags.
func (t *tool) complete(app *repo.App, f *appFlags) error {
	questions := []struct {
		flag, question string
		fallback       func() string
		known          bool
		set            func(string) error
	}{
		{"hostname", "Host name of the app (expenses.apps.example.com)", none, app.Hostname != "", func(s string) (err error) {
			app.Hostname, err = hostname(s)
			return err
		}},
		{"", "Short name", func() string { return firstLabel(app.Hostname) }, app.Name != "", func(s string) error {
			if !repo.ValidAppName(s) {
				return errors.New("use small letters, digits and hyphens, 63 at most")
			}
			app.Name = s
			return nil
		}},
		{"purpose", "What is it for, in one sentence", none, app.Purpose != "", text(&app.Purpose)},
		{"team", "Which team runs it", none, app.Team != "", text(&app.Team)},
		{"exposure", "Who can reach it: internal or external", func() string { return "internal" }, app.Exposure != "", oneOf(&app.Exposure, "internal", "external")},
		{"data", "What data does it handle: none, pii, financial, health", func() string { return "none" }, len(app.Data) > 0, func(s string) error {
			app.Data = strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
			if len(app.Data) == 0 {
				return errors.New("say none if it handles no data of these kinds")
			}
			return nil
		}},
		{"", "When does it end (a date, or never)", func() string { return t.now().AddDate(1, 0, 0).Format(time.DateOnly) }, app.Expires != "" || !t.asks, func(s string) error {
			if s == "never" {
				return nil
			}
			if _, err := time.Parse(time.DateOnly, s); err != nil {
				return errors.New("write a date such as 2027-06-30, or never")
			}
			app.Expires = s
			return nil
		}},
		{"a", "Where does it run: an IP address or a host name", none, len(app.Records) > 0 || f.hasRecords(), f.target},
	}
	var missing []string
	for _, q := range questions {
		if q.known {
			continue
		}
		if !t.asks {
			if q.flag == "" {
				if s := q.fallback(); s != "" {
					if err := q.set(s); err != nil {
						return &usage{what: "no --name, and “" + s + "” of the host name will not do: " + err.Error()}
					}
				}
				continue
			}
			missing = append(missing, "--"+q.flag)
			continue
		}
		if _, err := t.ask(q.question, q.fallback(), q.set); err != nil {
			return err
		}
	}
	if len(missing) > 0 {
		return &usage{what: "missing: " + strings.Join(missing, ", "), help: "Nobody can be asked here, so give them as flags, or a manifest with --file."}
	}
	return nil
}

func none() string { return "" }

func text(field *string) func(string) error {
	return func(s string) error {
		if s == "" {
			return errors.New("this cannot be empty")
		}
		*field = s
		return nil
	}
}

func oneOf(field *string, values ...string) func(string) error {
	return func(s string) error {
		if !slices.Contains(values, s) {
			return fmt.Errorf("answer %s", strings.Join(values, " or "))
		}
		*field = s
		return nil
	}
}

func hostname(s string) (zone.Name, error) {
	name, err := zone.ParseName(s)
	if err != nil {
		return "", err
	}
	if len(name.Labels()) < 2 {
		return "", errors.New("write the full host name, for example expenses.apps.example.com")
	}
	return name, nil
}

func firstLabel(name zone.Name) string {
	if labels := name.Labels(); len(labels) > 0 {
		return labels[0]
	}
	return ""
}

func (f *appFlags) hasRecords() bool {
	return len(f.a)+len(f.aaaa)+len(f.cname)+len(f.txt)+len(f.records) > 0
}

// target takes an answer for the flag that it belongs to.
func (f *appFlags) target(s string) error {
	if ip, err := netip.ParseAddr(s); err == nil {
		if ip.Is4() {
			f.a = append(f.a, s)
		} else {
			f.aaaa = append(f.aaaa, s)
		}
		return nil
	}
	if _, err := hostname(s); err != nil {
		return errors.New("write an IP address such as 192.0.2.10, or a host name such as app.provider.example")
	}
	f.cname = append(f.cname, s)
	return nil
}

// addRecords puts the record flags into the app; each replaces the set of its name and type.
func (f *appFlags) addRecords(app *repo.App) error {
	put := func(flag string, name zone.Name, typ string, ttl int, values []string) error {
		set, err := zone.NewRRSet(name, typ, ttl, values)
		if err != nil {
			return flagFault(flag, err)
		}
		app.Records = slices.DeleteFunc(slices.Clone(app.Records), func(r zone.RRSet) bool { return r.Key() == set.Key() })
		app.Records = append(app.Records, set)
		return nil
	}
	for _, r := range []struct {
		flag, typ string
		values    []string
	}{{"--a", "A", f.a}, {"--aaaa", "AAAA", f.aaaa}, {"--cname", "CNAME", f.cname}, {"--txt", "TXT", f.txt}} {
		if len(r.values) == 0 {
			continue
		}
		if err := put(r.flag, app.Hostname, r.typ, f.ttl, r.values); err != nil {
			return err
		}
	}

	var order []zone.Key
	values := make(map[zone.Key][]string)
	for _, line := range f.records {
		words := strings.Fields(line)
		if len(words) < 3 {
			return &usage{what: fmt.Sprintf("--record %q: write it as 'NAME TYPE VALUE'", line)}
		}
		name, err := hostname(words[0])
		if err != nil {
			return &usage{what: fmt.Sprintf("--record %q: %v", line, err)}
		}
		k := zone.Key{Name: name, Type: strings.ToUpper(words[1])}
		if _, ok := values[k]; !ok {
			order = append(order, k)
		}
		// The value keeps its own spaces: they count inside a TXT.
		rest := strings.TrimSpace(line)[len(words[0]):]
		rest = strings.TrimSpace(rest)[len(words[1]):]
		values[k] = append(values[k], strings.TrimSpace(rest))
	}
	for _, k := range order {
		if err := put("--record", k.Name, k.Type, f.ttl, values[k]); err != nil {
			return err
		}
	}
	return nil
}

// flagFault says which flag a fault of a record set comes from: there is no file to point at.
func flagFault(flag string, err error) error {
	var fault *zone.Error
	if errors.As(err, &fault) {
		return &usage{what: flag + ": " + fault.What, help: fault.Help}
	}
	return &usage{what: flag + ": " + err.Error()}
}
