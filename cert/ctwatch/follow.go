package ctwatch

import (
	"bytes"
	"context"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	ctx509 "github.com/google/certificate-transparency-go/x509"
)

// follower follows one log. All but w is owned by the pass that is under way.
type follower struct {
	w     *Watcher
	log   *opened
	id    string
	src   source
	zones *watched
	file  string // of the position

	scratch []byte
}

// pass looks at the log's new entries.
func (f *follower) pass(ctx context.Context) Status {
	s := Status{Log: f.log.Name, LogID: f.id}
	p, err := f.load()
	if err == nil {
		p, err = f.renew(ctx, p)
	}
	if p != nil {
		s.Size, s.Position, s.Head = p.Head.Size, p.Position, p.Head.Time
	}
	start := s.Position
	for err == nil && p.Position < p.Head.Size && p.Position-start < f.w.o.Pass {
		var found int
		found, err = f.batch(ctx, p, f.w.o.Pass-(p.Position-start))
		s.Found += found
		s.Position = p.Position
	}
	s.Read, s.Err = s.Position-start, err
	return s
}

// renew fetches the newest head and makes sure that it continues the one before. What comes
// back is recorded, and is p itself, the position as it was, when there is an error.
func (f *follower) renew(ctx context.Context, p *position) (*position, error) {
	head, err := f.src.head(ctx)
	if errors.Is(err, errSignature) {
		return p, f.complain(ctx, Problem{
			Kind: Unsigned,
			Text: fmt.Sprintf("The log %s answers with a tree head that its key has not signed. Somebody else may answer in its place and leave certificates out.", f.log.Name),
			Help: "Compare the key in the settings with the one that the log's operator publishes. If it is right, tell the operator.",
		}, nil, nil)
	}
	if err != nil {
		return p, err
	}
	if p == nil {
		p = &position{Log: f.id, Name: f.log.Name, Head: head}
		if f.w.o.From == FromStart {
			p.prefix = emptyPrefix()
		} else if p.Position = head.Size; head.Size == 0 {
			p.prefix = emptyPrefix()
		}
		return p, f.save(p)
	}
	now := *p
	switch {
	case head.Size >= p.Head.Size:
		hashes, err := f.continues(ctx, p.Head, head)
		if err != nil {
			return p, f.contradiction(ctx, err, Fork, p.Head, head)
		}
		if now.prefix.Range == nil && head.Size > p.Head.Size {
			// Begun at the end of the tree before: this proof has what is needed of it.
			if now.prefix, err = prefixOf(p.Position, p.Head.Root, head.Size, hashes); err != nil {
				return p, f.contradiction(ctx, err, Fork, p.Head, head)
			}
		}
		now.Head = head
	case head.Time.After(p.Head.Time):
		return p, f.contradiction(ctx, errProof, Rollback, p.Head, head)
	default:
		// An older head, from a part of the log that lags behind. It must be a beginning all
		// the same; what is known already stays.
		if _, err := f.continues(ctx, head, p.Head); err != nil {
			return p, f.contradiction(ctx, err, Fork, p.Head, head)
		}
	}
	if err := f.save(&now); err != nil {
		return p, err
	}
	if age := f.w.o.Now().Sub(now.Head.Time); age > f.w.o.Stale && f.log.State != "readonly" {
		// What there is, is read all the same.
		err := f.complain(ctx, Problem{
			Kind: StaleHead,
			Text: fmt.Sprintf("The log %s has signed no new tree head since %s. Certificates may be in use that it promised to show and does not.", f.log.Name, now.Head.Time.Format(time.RFC3339)),
			Help: "See whether its operator or the browsers say that it ends. If so, take it out of the settings; else tell the operator.",
		}, &now.Head, nil)
		if !errors.Is(err, ErrProblem) {
			return &now, err
		}
	}
	return &now, nil
}

// continues checks that older is the beginning of newer, and returns the proof. A proof that
// does not hold is asked for once more before the log is blamed.
func (f *follower) continues(ctx context.Context, older, newer Head) ([][]byte, error) {
	var hashes [][]byte
	var err error
	for range 2 {
		if older.Size > 0 && older.Size < newer.Size {
			if hashes, err = f.src.consistency(ctx, older.Size, newer.Size); err != nil {
				return nil, err
			}
		}
		if err = consistent(older.Size, older.Root, newer.Size, newer.Root, hashes); err == nil {
			return hashes, nil
		}
	}
	return nil, err
}

func (f *follower) contradiction(ctx context.Context, err error, kind Kind, before, after Head) error {
	if !errors.Is(err, errProof) {
		return err
	}
	text := fmt.Sprintf("The log %s has signed two trees that cannot both be true: one of %d entries on %s, and one of %d on %s that does not continue it.",
		f.log.Name, before.Size, before.Time.Format(time.RFC3339), after.Size, after.Time.Format(time.RFC3339))
	if kind == Rollback {
		text = fmt.Sprintf("The log %s had %d entries on %s and has only %d on %s. A log may never lose any.",
			f.log.Name, before.Size, before.Time.Format(time.RFC3339), after.Size, after.Time.Format(time.RFC3339))
	}
	return f.complain(ctx, Problem{
		Kind: kind,
		Text: text + " It may show others a certificate for your names that it does not show here.",
		Help: "Keep both signed tree heads, which are here: they are the proof. Send them to the log's operator and to ct-policy@chromium.org. " +
			"Certificates in this log are not watched until the contradiction is gone or the log is taken out of the settings.",
	}, &before, &after)
}

func (f *follower) complain(ctx context.Context, p Problem, before, after *Head) error {
	p.Log, p.LogID, p.Before, p.After = f.log.Name, f.id, before, after
	key := []string{string(p.Kind), f.id}
	for _, h := range []*Head{before, after} {
		if h != nil {
			key = append(key, fmt.Sprintf("%d %x", h.Size, h.Root))
		}
	}
	p.ID = "ct-log:" + digest([]byte(strings.Join(key, "\n")))
	return f.w.complain(ctx, p)
}

// batch looks at the next entries, at most most, and moves p behind them: first it is made sure that
// they are the tree's, then what is found is told, then the position is recorded. So a kill
// anywhere tells something twice, and nothing never.
func (f *follower) batch(ctx context.Context, p *position, most uint64) (found int, err error) {
	end := p.Position + min(uint64(f.w.o.Batch), most)
	if aligned := end - end%tileWidth; aligned > p.Position {
		end = aligned // whole tiles, and proofs between whole tiles, are fetched with fewer requests
	}
	end = min(end, p.Head.Size)
	var all []entry
	var grown prefix
	for try := range 2 {
		all, err = f.read(ctx, p.Position, end, p.Head.Size)
		if err == nil {
			grown, err = f.belong(ctx, p, all)
		}
		if err == nil || try == 1 || !errors.Is(err, errProof) && !errors.Is(err, errEntry) {
			break
		}
	}
	switch {
	case errors.Is(err, errProof):
		return 0, f.complain(ctx, Problem{
			Kind: Hidden,
			Text: fmt.Sprintf("The entries that the log %s gives from %d on are not those of the tree that it has signed. It leaves some out, or shows others than it does elsewhere.", f.log.Name, p.Position),
			Help: "Keep the signed tree head, which is here, and tell the log's operator. Certificates in this log are not watched until it answers rightly or is taken out of the settings.",
		}, nil, &p.Head)
	case errors.Is(err, errEntry):
		return 0, f.complain(ctx, Problem{
			Kind: Garbage,
			Text: fmt.Sprintf("The log %s gives entries from %d on that no program can read (%v). A certificate for your names could hide behind them.", f.log.Name, p.Position, err),
			Help: "Tell the log's operator. Certificates in this log are not watched until it answers rightly or is taken out of the settings.",
		}, nil, &p.Head)
	case err != nil:
		return 0, err
	}
	for i := range all {
		told, err := f.look(ctx, &all[i])
		if err != nil {
			return found, err
		}
		if told {
			found++
		}
	}
	next := *p
	next.Position, next.prefix = p.Position+uint64(len(all)), grown
	if err := f.save(&next); err != nil {
		return found, err
	}
	*p = next
	return found, nil
}

const tileWidth = 256

// read fetches entries until it has all up to end or enough for the memory that they may take.
func (f *follower) read(ctx context.Context, from, end, tree uint64) ([]entry, error) {
	var all []entry
	size := 0
	for from < end && size < maxBatchBytes {
		some, err := f.src.entries(ctx, from, end, tree)
		if err != nil {
			return nil, err
		}
		for i := range some {
			size += some[i].size()
		}
		all = append(all, some...)
		from += uint64(len(some))
	}
	return all, nil
}

// belong checks that the entries are the tree's next ones: with what is known of those before
// they make a tree, which must be the signed one or the beginning of it.
func (f *follower) belong(ctx context.Context, p *position, all []entry) (prefix, error) {
	leaves := make([][]byte, len(all))
	for i := range all {
		leaves[i] = all[i].hash
	}
	grown, err := p.prefix.grown(leaves)
	if err != nil {
		return prefix{}, err
	}
	root, err := grown.root()
	if err != nil {
		return prefix{}, err
	}
	if grown.End() == p.Head.Size {
		if !bytes.Equal(root, p.Head.Root) {
			return prefix{}, fmt.Errorf("%w: the entries make another tree", errProof)
		}
		return grown, nil
	}
	hashes, err := f.src.consistency(ctx, grown.End(), p.Head.Size)
	if err != nil {
		return prefix{}, err
	}
	return grown, consistent(grown.End(), root, p.Head.Size, p.Head.Root, hashes)
}

// look tells of the entry if it has the organisation's names.
func (f *follower) look(ctx context.Context, e *entry) (bool, error) {
	var may bool
	if may, f.scratch = f.zones.mayMatch(e.signed, f.scratch); !may {
		return false, nil
	}
	found := Found{Log: f.log.Name, LogID: f.id, Index: e.index, Timestamp: milliseconds(e.timestamp), Precert: e.precert}
	c, err := e.parse()
	if err != nil {
		found.ID, found.DER, found.Unreadable = identity(e.signed), bytes.Clone(e.signed), short(err.Error())
		found.SHA256 = digest(found.DER)
		return f.w.tell(ctx, found)
	}
	if found.Names, found.More = f.zones.ours(c); len(found.Names) == 0 {
		return false, nil
	}
	found.ID = identity(e.tbs(c))
	found.DER = bytes.Clone(e.der())
	found.SHA256, found.SPKI = digest(found.DER), digest(c.RawSubjectPublicKeyInfo)
	found.Serial = "00"
	if c.SerialNumber != nil {
		found.Serial = serial(c.SerialNumber.Text(16))
	}
	found.Issuer = short(distinguishedName(c))
	found.NotBefore, found.NotAfter = c.NotBefore.UTC(), c.NotAfter.UTC()
	return f.w.tell(ctx, found)
}

// serial writes whole octets, as openssl does but in small letters.
func serial(hex string) string {
	digits, negative := strings.CutPrefix(hex, "-")
	if len(digits)%2 == 1 {
		digits = "0" + digits
	}
	if negative {
		return "-" + digits
	}
	return digits
}

// distinguishedName writes the issuer as package crypto/x509 has it, with attributes that
// have no field of their own, so that it compares with what else is on record.
func distinguishedName(c *ctx509.Certificate) string {
	var sequence pkix.RDNSequence
	if rest, err := asn1.Unmarshal(c.RawIssuer, &sequence); err != nil || len(rest) > 0 {
		return c.Issuer.String()
	}
	var name pkix.Name
	name.FillFromRDNSequence(&sequence)
	return name.String()
}

// short holds text from a certificate to a length that can be shown.
func short(s string) string {
	const most = 2 << 10
	// Anybody can put anything into a certificate: no line ends in a log, no colours in a terminal.
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, ""), func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
