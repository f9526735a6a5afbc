package observe

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"slipway/zone"
)

// Formats of the file. One without pages is written as it was before there were pages, so that its digest, which
// verdicts name, stays what it is. A file of another format is refused.
const (
	Format      = "slipway-observations/1"
	FormatPages = "slipway-observations/2"
)

// Set is what was seen, and when and through whom. Its fields stand in the order of the
// canonical form.
type Set struct {
	Answers  []Answer  `json:"answers"` // by name and type
	At       time.Time `json:"at"`      // whole seconds, UTC
	Format   string    `json:"format"`
	Pages    []Page    `json:"pages,omitempty"` // by URL
	Resolver string    `json:"resolver"`        // whom was asked, address:port
}

// Bytes is the set's canonical form (RFC 8785): the same bytes for the same
// observations. It holds ASCII, short strings and no number, so that keys in order and no
// white space are all there is to it.
func (s *Set) Bytes() []byte {
	c := *s
	c.Format = Format
	if len(c.Pages) > 0 {
		c.Format = FormatPages
	}
	if c.Answers == nil {
		c.Answers = []Answer{}
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(c); err != nil {
		panic(err) // the type has nothing that JSON cannot hold
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

// Digest is of the canonical form: what sha256sum says of a recorded file.
func (s *Set) Digest() string {
	sum := sha256.Sum256(s.Bytes())
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Ask answers from the set; it is a Source.
func (s *Set) Ask(_ context.Context, q Question) (Answer, error) {
	i, found := slices.BinarySearchFunc(s.Answers, q, func(a Answer, q Question) int { return a.Question().compare(q) })
	if !found {
		return Answer{}, fmt.Errorf("%s: %w", q, ErrMissing)
	}
	return s.Answers[i], nil
}

// Get answers from the set; it is a Source.
func (s *Set) Get(_ context.Context, url string) (Page, error) {
	i, found := slices.BinarySearchFunc(s.Pages, url, func(p Page, url string) int { return strings.Compare(p.URL, url) })
	if !found {
		return Page{}, fmt.Errorf("%s: %w", url, ErrMissing)
	}
	return s.Pages[i], nil
}

// Read reads a file of observations. A fault is a *zone.Error with the file's name.
func Read(path string, src io.Reader) (*Set, error) {
	raw, err := io.ReadAll(io.LimitReader(src, MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("observations %s: %w", path, err)
	}
	fault := func(format string, args ...any) error {
		return &zone.Error{Place: zone.Place{Path: path, Line: 1}, What: fmt.Sprintf(format, args...),
			Help: "Record the observations again with slipway check --online --record FILE."}
	}
	if len(raw) > MaxFile {
		return nil, fault("the file of observations is longer than %d bytes", MaxFile)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	s := &Set{}
	if err := dec.Decode(s); err != nil {
		return nil, fault("this is not a file of observations: %v", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fault("something follows the observations")
	}
	if s.Format != Format && s.Format != FormatPages {
		return nil, fault("the format is %q; this version reads %q and %q", s.Format, Format, FormatPages)
	}
	if s.Format == Format && len(s.Pages) > 0 {
		return nil, fault("the format %q has no pages", Format)
	}
	if len(s.Pages) > MaxPages {
		return nil, fault("there are %d pages; at most %d are read", len(s.Pages), MaxPages)
	}
	if len(s.Answers) > MaxAnswers {
		return nil, fault("there are %d observations; at most %d are read", len(s.Answers), MaxAnswers)
	}
	if len(s.Resolver) > 300 || strings.ContainsFunc(s.Resolver, func(r rune) bool { return r < ' ' || r > '~' }) {
		return nil, fault("the resolver's address cannot be read")
	}
	s.At = stamp(s.At)
	for i := range s.Answers {
		if err := s.Answers[i].normalise(); err != nil {
			return nil, fault("observation %d (%s %s): %v", i+1, s.Answers[i].Name, s.Answers[i].Type, err)
		}
	}
	slices.SortFunc(s.Answers, func(a, b Answer) int { return a.Question().compare(b.Question()) })
	for i := 1; i < len(s.Answers); i++ {
		if q := s.Answers[i].Question(); q == s.Answers[i-1].Question() {
			return nil, fault("%s is answered twice", q)
		}
	}
	for i := range s.Pages {
		if err := s.Pages[i].normalise(); err != nil {
			return nil, fault("page %d: %v", i+1, err)
		}
	}
	slices.SortFunc(s.Pages, func(a, b Page) int { return strings.Compare(a.URL, b.URL) })
	for i := 1; i < len(s.Pages); i++ {
		if s.Pages[i].URL == s.Pages[i-1].URL {
			return nil, fault("%s is fetched twice", s.Pages[i].URL)
		}
	}
	return s, nil
}

// normalise checks an answer that was read and puts it into the form in which answers are kept.
func (a *Answer) normalise() error {
	name, err := zone.ParseName(string(a.Name))
	if err != nil {
		return err
	}
	a.Name = name
	if a.Server != "" {
		if a.Server, err = zone.ParseName(string(a.Server)); err != nil {
			return err
		}
	}
	if _, known := dns.StringToType[a.Type]; !known {
		return fmt.Errorf("%q is no record type", a.Type)
	}
	if _, known := dns.StringToRcode[a.Status]; !known && a.Status != Unreachable {
		return fmt.Errorf("%q is no status", a.Status)
	}
	if len(a.Records) > MaxRecords {
		return fmt.Errorf("it has %d records; at most %d are read", len(a.Records), MaxRecords)
	}
	records := make([]string, 0, len(a.Records))
	for _, s := range a.Records {
		rr, err := dns.NewRR(s)
		if err != nil || rr == nil {
			return fmt.Errorf("%q is no record", s)
		}
		text, err := record(rr)
		if err != nil {
			return err
		}
		records = append(records, text)
	}
	slices.Sort(records)
	a.Records = slices.Compact(records)
	return nil
}
