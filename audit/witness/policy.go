package witness

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Witness is one witness as a policy names it.
type Witness struct {
	Name string // in the policy, for people
	Key  string // its verifier key: Ed25519 (type 0x04) or ML-DSA-44 (0x06) as C2SP tlog-cosignature has them
	URL  string // where it takes checkpoints (the submission prefix of C2SP tlog-witness); not needed to verify

	verifier note.Verifier
}

// Policy says whose cosignatures make a checkpoint one that everybody was shown: which
// witnesses there are, and how many of them, or of groups of them, it takes. It is the
// policy of C2SP tlog-policy. A Policy does not change, and is safe for concurrent use.
type Policy struct {
	logs      []string
	verifiers []note.Verifier // of logs
	witnesses []Witness
	groups    []group
	quorum    string
}

// group is met when k of its members are.
type group struct {
	name    string
	k       int
	members []string
}

// None is the quorum that asks for no witness.
const None = "none"

const (
	// MaxWitnesses bounds a policy.
	MaxWitnesses  = 64
	maxGroups     = 64
	maxPolicyLogs = 64
	// MaxPolicy bounds the text of a policy, in bytes. A key of ML-DSA-44 has 1,800.
	MaxPolicy = 256 << 10
)

// NewPolicy asks for any quorum of the witnesses, or for all of them when it is 0.
func NewPolicy(quorum int, witnesses ...Witness) (*Policy, error) {
	p := &Policy{quorum: None}
	if len(witnesses) == 0 {
		return p, nil
	}
	if quorum == 0 {
		quorum = len(witnesses)
	}
	all := group{name: "all-witnesses", k: quorum}
	for _, w := range witnesses {
		if err := p.addWitness(w); err != nil {
			return nil, err
		}
		all.members = append(all.members, w.Name)
	}
	if err := p.addGroup(all); err != nil {
		return nil, err
	}
	p.quorum = all.name
	return p, nil
}

// ParsePolicy reads the text form.
func ParsePolicy(raw []byte) (*Policy, error) {
	if len(raw) > MaxPolicy {
		return nil, fmt.Errorf("witness policy: it has %d bytes, and at most %d are read", len(raw), MaxPolicy)
	}
	if i := slices.IndexFunc(raw, func(b byte) bool { return b < 0x20 && b != '\t' && b != '\n' || b == 0x7f }); i >= 0 {
		return nil, fmt.Errorf("witness policy: line %d has a control character; only tab and newline are allowed", 1+bytes.Count(raw[:i], []byte("\n")))
	}
	p := &Policy{}
	for i, line := range strings.Split(string(raw), "\n") {
		words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if err := p.add(words); err != nil {
			return nil, fmt.Errorf("witness policy: line %d: %w", i+1, err)
		}
	}
	if p.quorum == "" {
		return nil, errors.New("witness policy: it has no quorum line; add for example `quorum none` or `quorum NAME`, where NAME is a witness or a group")
	}
	return p, nil
}

func (p *Policy) add(words []string) error {
	name := func(i int) string {
		if i < len(words) {
			return words[i]
		}
		return ""
	}
	switch n := len(words); {
	case words[0] == "log" && (n == 2 || n == 3):
		return p.addLog(words[1])
	case words[0] == "witness" && (n == 3 || n == 4):
		return p.addWitness(Witness{Name: words[1], Key: words[2], URL: name(3)})
	case words[0] == "group" && n >= 4:
		g := group{name: words[1], members: words[3:]}
		switch words[2] {
		case "any":
			g.k = 1
		case "all":
			g.k = len(g.members)
		default:
			k, err := strconv.Atoi(words[2])
			if err != nil || strconv.Itoa(k) != words[2] {
				return fmt.Errorf("group %s: %q is not any, all or a number", g.name, words[2])
			}
			g.k = k
		}
		return p.addGroup(g)
	case words[0] == "quorum" && n == 2:
		if p.quorum != "" {
			return errors.New("there is more than one quorum line")
		}
		if words[1] != None && !p.known(words[1]) {
			return fmt.Errorf("quorum: %q is neither a witness nor a group of the lines above", words[1])
		}
		p.quorum = words[1]
		return nil
	}
	return fmt.Errorf("%q is none of `log KEY [URL]`, `witness NAME KEY [URL]`, `group NAME any|all|NUMBER MEMBER…` and `quorum NAME`", strings.Join(words, " "))
}

func (p *Policy) addLog(key string) error {
	v, err := note.NewVerifier(key)
	if err != nil {
		return fmt.Errorf("log: the verifier key: %w", err)
	}
	if len(p.logs) == maxPolicyLogs {
		return fmt.Errorf("at most %d logs are read", maxPolicyLogs)
	}
	if slices.ContainsFunc(p.logs, func(other string) bool { return material(other) == material(key) }) {
		return fmt.Errorf("log %s: its key is there already", v.Name())
	}
	p.logs, p.verifiers = append(p.logs, key), append(p.verifiers, v)
	return nil
}

func (p *Policy) addWitness(w Witness) (err error) {
	if err := p.free(w.Name); err != nil {
		return err
	}
	if len(p.witnesses) == MaxWitnesses {
		return fmt.Errorf("at most %d witnesses are read", MaxWitnesses)
	}
	if w.verifier, err = NewVerifier(w.Key); err != nil {
		return fmt.Errorf("witness %s: %w", w.Name, err)
	}
	// One who signs under two names would count twice.
	for _, other := range p.witnesses {
		if material(other.Key) == material(w.Key) {
			return fmt.Errorf("witness %s: it has the key of %s", w.Name, other.Name)
		}
	}
	if w.URL != "" {
		u, err := url.Parse(w.URL)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return fmt.Errorf("witness %s: %q is not an address like https://witness.example.com", w.Name, w.URL)
		}
	}
	p.witnesses = append(p.witnesses, w)
	return nil
}

func (p *Policy) addGroup(g group) error {
	if err := p.free(g.name); err != nil {
		return err
	}
	if len(p.groups) == maxGroups {
		return fmt.Errorf("at most %d groups are read", maxGroups)
	}
	if g.k < 1 || g.k > len(g.members) {
		return fmt.Errorf("group %s: %d of %d members can never be", g.name, g.k, len(g.members))
	}
	member := map[string]bool{}
	for _, other := range p.groups {
		for _, m := range other.members {
			member[m] = true
		}
	}
	for _, m := range g.members {
		if !p.known(m) {
			return fmt.Errorf("group %s: %q is neither a witness nor a group of the lines above", g.name, m)
		}
		if member[m] {
			return fmt.Errorf("group %s: %q is a member of a group already, and would count twice", g.name, m)
		}
		member[m] = true
	}
	p.groups = append(p.groups, g)
	return nil
}

// free says whether a name may be given to something.
func (p *Policy) free(name string) error {
	switch {
	case name == "" || strings.ContainsAny(name, " \t\n\r"):
		return fmt.Errorf("the name %q has spaces or nothing in it", name)
	case name == None:
		return fmt.Errorf("the name %q is taken: it asks for no witness", None)
	case p.known(name):
		return fmt.Errorf("the name %q is given twice", name)
	}
	return nil
}

func (p *Policy) known(name string) bool {
	return slices.ContainsFunc(p.witnesses, func(w Witness) bool { return w.Name == name }) ||
		slices.ContainsFunc(p.groups, func(g group) bool { return g.name == name })
}

// material is the public key in a verifier key: what is left without name, key ID and
// signature type.
func material(key string) string {
	_, rest, _ := strings.Cut(key, "+")
	_, encoded, _ := strings.Cut(rest, "+")
	raw, err := decode(encoded)
	if err != nil || len(raw) < 1 {
		return key
	}
	return string(raw[1:])
}

// Witnesses lists the witnesses in the order of the policy.
func (p *Policy) Witnesses() []Witness { return slices.Clone(p.witnesses) }

// Asks says whether the policy asks for any witness at all.
func (p *Policy) Asks() bool { return p.quorum != None }

// String is the text form, which ParsePolicy reads.
func (p *Policy) String() string {
	var b strings.Builder
	for _, l := range p.logs {
		fmt.Fprintf(&b, "log %s\n", l)
	}
	for _, w := range p.witnesses {
		fmt.Fprintln(&b, strings.TrimSpace(strings.Join([]string{"witness", w.Name, w.Key, w.URL}, " ")))
	}
	for _, g := range p.groups {
		fmt.Fprintf(&b, "group %s %d %s\n", g.name, g.k, strings.Join(g.members, " "))
	}
	fmt.Fprintf(&b, "quorum %s\n", p.quorum)
	return b.String()
}

// met says whether a witness or a group has cosigned.
func (p *Policy) met(name string, cosigned map[string]bool) bool {
	if name == None {
		return true
	}
	for _, g := range p.groups {
		if g.name != name {
			continue
		}
		n := 0
		for _, m := range g.members {
			if p.met(m, cosigned) {
				n++
			}
		}
		return n >= g.k
	}
	return cosigned[name]
}
