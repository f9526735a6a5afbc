package inventory

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"slipway/zone"
)

// Proposal is somebody who may own a zone, and what speaks for it.
type Proposal struct {
	Owner string `json:"owner"` // an e-mail address, or a team's name
	Why   string `json:"why"`

	weight int
}

// What speaks for an owner, from the strongest to the weakest.
const (
	byTag     = 100 // somebody wrote it down for just this
	byRP      = 80  // RFC 1183 section 2.2: the responsible person
	byTXT     = 70
	byHistory = 50 // and more, the larger the share of commits
	byReports = 10 // receives the reports of the zone's mail
)

const maxOwners = 5 // that are told

var (
	ownerTags = []string{"owner", "team", "contact", "maintainer", "maintained-by", "service-owner", "managed-by-team"}
	ownerText = regexp.MustCompile(`(?i)^"?(?:owner|contact|team|maintainer)\s*[=:]\s*([^";,]{2,100})"?$`)
	reportsTo = regexp.MustCompile(`(?i)mailto:([^,;!"\s]+@[^,;!"\s]+)`)
)

// propose gathers what speaks for owners of a zone.
func propose(z *Zone, domain zone.Name, history map[string]int) []Proposal {
	best := map[string]Proposal{}
	add := func(owner, why string, weight int) {
		owner = strings.ToLower(strings.TrimSpace(owner))
		if owner == "" || best[owner].weight >= weight {
			return
		}
		best[owner] = Proposal{owner, why, weight}
	}
	for _, k := range slices.Sorted(maps.Keys(z.tags)) {
		if i := slices.Index(ownerTags, strings.ToLower(strings.ReplaceAll(k, "_", "-"))); i >= 0 {
			add(z.tags[k], "the provider's tag "+k, byTag-i)
		}
	}
	for _, s := range z.Sets {
		for _, v := range s.Values {
			switch {
			case s.Type == "RP":
				if fields := strings.Fields(v); len(fields) == 2 && fields[0] != "." {
					add(mailbox(fields[0]), "the RP record of "+string(s.Name), byRP)
				}
			case s.Type == "TXT" && (s.Name == z.Name || s.Name == "_owner."+z.Name || s.Name == "_contact."+z.Name):
				if m := ownerText.FindStringSubmatch(v); m != nil {
					add(m[1], "a TXT record of "+string(s.Name), byTXT)
				}
			case s.Type == "TXT" && s.Name == "_dmarc."+z.Name:
				for _, m := range reportsTo.FindAllStringSubmatch(v, -1) {
					if _, at, _ := strings.Cut(m[1], "@"); domain != "" && ours(at, domain) {
						add(m[1], "gets the reports about the zone's mail (DMARC)", byReports)
					}
				}
			}
		}
	}
	commits := 0
	for _, n := range history {
		commits += n
	}
	for who, n := range history {
		add(who, fmt.Sprintf("made %d of the %d commits about it in two years", n, commits), byHistory+19*n/commits)
	}
	return slices.SortedFunc(maps.Values(best), func(a, b Proposal) int {
		return cmp.Or(b.weight-a.weight, cmp.Compare(a.Owner, b.Owner))
	})[:min(len(best), maxOwners)]
}

func ours(host string, domain zone.Name) bool {
	n, err := zone.ParseName(host)
	return err == nil && n.In(domain)
}

// mailbox is an address in the form of a domain name (RFC 1035 section 8): the first label
// is the part before the @, and a dot within it is escaped.
func mailbox(name string) string {
	var local strings.Builder
	for i := 0; i < len(name); i++ {
		switch {
		case name[i] == '\\' && i+1 < len(name):
			i++
			local.WriteByte(name[i])
		case name[i] == '.':
			return local.String() + "@" + strings.TrimSuffix(name[i+1:], ".")
		default:
			local.WriteByte(name[i])
		}
	}
	return ""
}

const (
	historyBack = 2 * 365 * 24 * time.Hour
	maxHistory  = 64 << 20 // bytes of what git says
)

// readHistory counts, for each zone, who made commits to files that are named after it.
func readHistory(ctx context.Context, dir string, now time.Time, zones []zone.Name) (map[zone.Name]map[string]int, error) {
	out := map[zone.Name]map[string]int{}
	if dir == "" {
		return out, nil
	}
	known := map[string]zone.Name{}
	for _, z := range zones {
		known[string(z)] = z
	}
	cmd := exec.CommandContext(ctx, "git", "-C", dir, "log", "--no-merges", "--since="+now.Add(-historyBack).Format(time.RFC3339), "--format=%x00%aE", "--name-only", "-n", "50000")
	var fault bytes.Buffer
	cmd.Stderr = &fault
	pipe, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("history in %s: %w", dir, err)
	}
	who, read := "", 0
	lines := bufio.NewScanner(pipe)
	for lines.Scan() && read < maxHistory {
		line := lines.Text()
		read += len(line)
		if author, ok := strings.CutPrefix(line, "\x00"); ok {
			who = strings.ToLower(author)
			continue
		}
		if z, ok := named(known, line); ok && who != "" {
			if out[z] == nil {
				out[z] = map[string]int{}
			}
			out[z][who]++
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("history in %s: %w", dir, err)
	}
	if read >= maxHistory {
		cmd.Process.Kill() // enough is known
		cmd.Wait()
		return out, nil
	}
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("history in %s: %s", dir, strings.TrimSpace(fault.String()))
	}
	return out, nil
}

// named finds the zone that a file is named after, as tools name theirs: x.example.yaml,
// db.x.example, x.example.zone, or a folder x.example.
func named(known map[string]zone.Name, file string) (zone.Name, bool) {
	for _, part := range strings.Split(strings.ToLower(file), "/") {
		part = strings.TrimPrefix(part, "db.")
		for {
			if z, ok := known[strings.TrimSuffix(part, ".")]; ok {
				return z, true
			}
			ext := path.Ext(part)
			if ext == "" {
				break
			}
			switch ext {
			case ".yaml", ".yml", ".zone", ".db", ".tf", ".js", ".json", ".txt", ".hosts":
				part = strings.TrimSuffix(part, ext)
				continue
			}
			break
		}
	}
	return "", false
}
