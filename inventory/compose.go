package inventory

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"slipway/exchange"
	"slipway/repo"
	"slipway/starter"
	"slipway/zone"
)

// Files are the first zones repository: settings in which every zone is unclassified, one
// file for each zone as it is served, and the folder of policies. Losses are what has no
// form there.
func (inv *Inventory) Files() (map[string][]byte, []exchange.Loss, error) {
	var zones []exchange.Zone
	var losses []exchange.Loss
	for _, z := range inv.Zones {
		if z.Sets == nil && len(z.Problems) > 0 {
			continue // it could not be read; the report says so
		}
		sets := slices.DeleteFunc(slices.Clone(z.Sets), func(s zone.RRSet) bool { return s.Type == "SOA" })
		zones = append(zones, exchange.Zone{Name: z.Name, Sets: sets})
		for _, l := range z.Leftovers {
			losses = append(losses, exchange.Loss{Zone: z.Name, Why: l})
		}
	}
	written, lost, err := exchange.WriteOctoDNS(zones)
	if err != nil {
		return nil, nil, err
	}
	out := map[string][]byte{}
	for _, f := range written {
		out[repo.DefaultZonesDirectory+"/"+f.Name] = f.Content
	}
	settings, err := inv.settings()
	if err != nil {
		return nil, nil, err
	}
	if _, err := repo.ParseSettings(repo.SettingsPath, settings); err != nil {
		return nil, nil, fmt.Errorf("the settings that were made: %w", err)
	}
	out[repo.SettingsPath] = settings
	kit, err := starter.Kit(starter.Sample())
	if err != nil {
		return nil, nil, err
	}
	readme, err := fs.ReadFile(kit, "policies/README.md")
	if err != nil {
		return nil, nil, err
	}
	out["policies/README.md"] = readme
	return out, append(losses, lost...), nil
}

// settings writes slipway.yaml. Everything that only people know is there to be filled in.
func (inv *Inventory) settings() ([]byte, error) {
	root := mapping()
	put(root, "organisation", scalar(inv.Organisation), "Made from what is served. Look through it, then let a change to it be approved as any other.")
	if inv.Domain != "" {
		put(root, "domain", scalar(string(inv.Domain)), "")
	}
	zones := mapping()
	put(zones, "directory", scalar(repo.DefaultZonesDirectory), "")
	for _, z := range inv.Zones {
		entry := mapping()
		entry.Style = yaml.FlowStyle
		put(entry, "visibility", scalar("unclassified"), "")
		switch len(z.Providers) {
		case 1:
			put(entry, "provider", scalar(z.Providers[0]), "")
		default:
			list := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
			for _, p := range z.Providers {
				list.Content = append(list.Content, scalar(p))
			}
			put(entry, "provider", list, "")
		}
		put(zones, string(z.Name), entry, note(z))
	}
	put(root, "zones", zones, "Until somebody says internal or external, an unclassified zone is handled as external: with every check.")
	groups := mapping()
	for _, g := range []string{"infosec", "platform-ops", "legal", "security", "product", "auditors"} {
		members := mapping()
		members.Style = yaml.FlowStyle
		put(members, "members", &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}, "")
		put(groups, g, members, "")
	}
	put(root, "groups", groups, "Who may decide: write the addresses of people here.")
	providers := mapping()
	for _, p := range inv.Providers {
		entry := mapping()
		entry.Style = yaml.FlowStyle
		put(entry, "type", scalar(p.Type), "")
		for _, k := range slices.Sorted(maps.Keys(p.params)) {
			put(entry, k, scalar(p.params[k]), "")
		}
		put(providers, p.Name, entry, "")
	}
	put(root, "providers", providers, "")
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(root); err != nil {
		return nil, err
	}
	return b.Bytes(), enc.Close()
}

// note says beside a zone who may own it.
func note(z *Zone) string {
	var said []string
	for _, p := range z.Owners {
		said = append(said, p.Owner+" ("+p.Why+")")
	}
	if len(said) == 0 {
		return "owner: nobody known"
	}
	return oneLine("owner? " + strings.Join(said[:min(len(said), 2)], "; "))
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func mapping() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode} }

func scalar(s string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(s) // quoted where it would be read as something else
	return n
}

func put(m *yaml.Node, key string, value *yaml.Node, comment string) {
	k := scalar(key)
	k.HeadComment = comment
	m.Content = append(m.Content, k, value)
}
