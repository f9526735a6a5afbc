package inbound

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"

	"slipway/internal/durable"
	"slipway/internal/part"
	"slipway/repo"
)

// Open prepares a source of `record: sources:` in slipway.yaml. The function that it
// returns follows a source that delivers nothing by itself, a log file or CloudTrail's own
// API; for one that delivers it waits. Report is told how each look went.
func (s *Service) Open(ctx context.Context, name string, p repo.Part, report func(context.Context, error)) (run func(context.Context) error, err error) {
	in := part.Read("record sources "+name, p.Params, s.o.Secrets)
	if _, ok := parsers[p.Type]; !ok {
		return nil, fmt.Errorf("record sources %s: the type %q is none of: %v", name, p.Type, Types())
	}
	token, key := credential(ctx, in)
	ways := 0
	for _, given := range []bool{token.Reveal() != "", key.Reveal() != "", p.Params["path"] != "", p.Params["region"] != ""} {
		if given {
			ways++
		}
	}
	f := &follower{service: s, source: name, typ: p.Type, position: filepath.Join(s.o.Dir, name+".json"), report: report}
	run = func(ctx context.Context) error {
		report(ctx, nil) // its settings are good, and that is all that can be said
		<-ctx.Done()
		return nil
	}
	switch p.Type {
	case "bind", "powerdns":
		if f.path = in.Text("path", ""); f.path != "" {
			if !filepath.IsAbs(f.path) {
				in.Fail("path", "give the whole path, from / on")
			}
			run = f.file
		}
	case "cloudtrail":
		if region := in.Text("region", ""); region != "" {
			id, secret := in.Secret(ctx, "access-key", true), in.Secret(ctx, "secret-key", true)
			c := aws.Config{Region: region, Credentials: credentials.NewStaticCredentialsProvider(id.Reveal(), secret.Reveal(), "")}
			if endpoint := in.Text("endpoint", ""); endpoint != "" {
				c.BaseEndpoint = aws.String(in.URL("endpoint").String())
			}
			client := cloudtrail.NewFromConfig(c)
			f.every = in.Duration("every", time.Minute, 10*time.Second, time.Hour)
			run = func(ctx context.Context) error { return f.trail(ctx, client) }
		}
	}
	if ways != 1 {
		in.Fail("token", "a source has just one of: token or secret, by which it proves who it is when it delivers; path, a log file on this machine (bind, powerdns); region, to look at CloudTrail (cloudtrail)")
	}
	if err := in.Done(); err != nil {
		return nil, err
	}
	return run, nil
}

// follower looks at one source again and again.
type follower struct {
	service *Service
	source  string
	typ     string
	path    string
	every   time.Duration
	report  func(context.Context, error)

	position string // file
}

// place is how far a source was read.
type place struct {
	Inode  uint64    `json:"inode,omitempty"`
	Offset int64     `json:"offset,omitempty"`
	Until  time.Time `json:"until,omitzero"`
}

func (f *follower) load() (place, error) {
	var p place
	raw, err := os.ReadFile(f.position)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &p)
	}
	if err != nil {
		return p, fmt.Errorf("source %s: %s does not say how far it was read; remove the file to read it from the beginning (what is on record already is not recorded again): %w", f.source, filepath.Base(f.position), err)
	}
	return p, nil
}

func (f *follower) save(p place) error {
	raw, err := json.Marshal(p)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(f.position), 0o700)
	}
	if err == nil {
		err = durable.Write(f.position, raw, 0o600)
	}
	if err != nil {
		return fmt.Errorf("source %s: %w", f.source, err)
	}
	return nil
}

const (
	fileEvery = time.Second
	maxChunk  = maxBody / 2
)

// file reads what is added to a log file, through its being renamed and made anew.
func (f *follower) file(ctx context.Context) error {
	p, err := f.load()
	if err != nil {
		return err
	}
	var open *os.File
	defer func() {
		if open != nil {
			open.Close()
		}
	}()
	tick := time.NewTicker(fileEvery)
	defer tick.Stop()
	for {
		err := f.look(ctx, &open, &p)
		if ctx.Err() != nil {
			return nil
		}
		f.report(ctx, err)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look reads what there is now. The file that was open is read to its end before the one
// that has its name by now.
func (f *follower) look(ctx context.Context, open **os.File, p *place) error {
	for {
		if *open == nil {
			file, err := os.Open(f.path)
			if err != nil {
				return err
			}
			inode, size, err := identity(file)
			if err != nil {
				file.Close()
				return err
			}
			if inode != p.Inode || size < p.Offset {
				*p = place{Inode: inode}
			}
			*open = file
		}
		if err := f.drain(ctx, *open, p); err != nil {
			return err
		}
		info, err := os.Stat(f.path)
		if err != nil {
			return err // between a renaming and the new file; the old one stays open
		}
		inode, _ := inodeOf(info)
		if inode == p.Inode && info.Size() >= p.Offset {
			return nil
		}
		(*open).Close()
		*open = nil
	}
}

// drain delivers the whole lines from the place on.
func (f *follower) drain(ctx context.Context, file *os.File, p *place) error {
	for {
		chunk := make([]byte, maxChunk)
		n, err := file.ReadAt(chunk, p.Offset)
		if err != nil && err != io.EOF {
			return err
		}
		end := bytes.LastIndexByte(chunk[:n], '\n') + 1
		if end == 0 {
			if n < maxChunk {
				return nil // no line is whole yet
			}
			end = n // a line that long is no log's; what comes after it may be
		} else if err := f.deliver(ctx, chunk[:end]); err != nil {
			return err
		}
		p.Offset += int64(end)
		if err := f.save(*p); err != nil {
			return err
		}
	}
}

// deliver hands over the lines that are about changes, and nothing else that a log may
// hold. A line that is too long for a log is none of them.
func (f *follower) deliver(ctx context.Context, chunk []byte) error {
	about := map[string]*regexp.Regexp{"bind": bindUpdate, "powerdns": powerDNSRequest}[f.typ]
	var out bytes.Buffer
	for line := range bytes.Lines(chunk) {
		if len(line) < maxLine && about.Match(bytes.TrimRight(line, "\r\n")) {
			out.Write(line)
		}
	}
	if out.Len() == 0 {
		return nil
	}
	return f.service.Receive(ctx, f.source, f.typ, out.Bytes())
}

func identity(f *os.File) (inode uint64, size int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, 0, &fs.PathError{Op: "read", Path: f.Name(), Err: errors.New("not a regular file")}
	}
	inode, _ = inodeOf(info)
	return inode, info.Size(), nil
}

func inodeOf(info fs.FileInfo) (uint64, bool) {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return s.Ino, true
}

// late is how long after an act CloudTrail may tell of it: usually 5 minutes (Amazon's
// CloudTrail user guide), and looked at for longer.
const late = 30 * time.Minute

// trail asks CloudTrail's LookupEvents, which goes back 90 days.
func (f *follower) trail(ctx context.Context, client *cloudtrail.Client) error {
	p, err := f.load()
	if err != nil {
		return err
	}
	tick := time.NewTicker(f.every)
	defer tick.Stop()
	for {
		now := f.service.o.Now()
		from := p.Until.Add(-late)
		if p.Until.IsZero() {
			from = now.Add(-24 * time.Hour)
		}
		err := f.lookup(ctx, client, from)
		if err == nil {
			p.Until = now
			err = f.save(p)
		}
		if ctx.Err() != nil {
			return nil
		}
		f.report(ctx, err)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (f *follower) lookup(ctx context.Context, client *cloudtrail.Client, from time.Time) error {
	for _, source := range []string{awsRoute53, awsRoute53Domains} {
		pages := cloudtrail.NewLookupEventsPaginator(client, &cloudtrail.LookupEventsInput{
			StartTime:        aws.Time(from),
			LookupAttributes: []types.LookupAttribute{{AttributeKey: types.LookupAttributeKeyEventSource, AttributeValue: aws.String(source)}},
		})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return err
			}
			for _, e := range page.Events {
				if e.CloudTrailEvent == nil || len(*e.CloudTrailEvent) > maxBody {
					continue
				}
				if err := f.service.Receive(ctx, f.source, f.typ, []byte(*e.CloudTrailEvent)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
