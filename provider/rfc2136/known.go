package rfc2136

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/miekg/dns"

	"slipway/provider"
	"slipway/provider/service"
	"slipway/zone"
)

// wholeEvery is how long a zone whose serial stays the same is taken for the same without
// being transferred whole. A serial does not tell of every edit: somebody who edits a zone
// file by hand may leave it as it was. Such an edit is found after this time at the latest,
// or as soon as a person asks (Whole).
const wholeEvery = time.Hour

// maxKept bounds what is kept of transfers on disk: some hundred bytes a zone.
const maxKept = 32 << 20

// known is what was found out about a zone by the digest of its transfer. A zone that
// was changed in any way, its serial included or not, has another.
type known struct {
	transfer [sha256.Size]byte
	live     provider.Live // without sets
	at       time.Time     // when it was last transferred whole
}

// remember keeps what a transfer said.
func (p *Provider) remember(z zone.Name, sum [sha256.Size]byte, live *provider.Live) {
	short := *live
	short.Sets = nil
	p.mu.Lock()
	p.seen[z] = known{sum, short, p.s.Now()}
	p.mu.Unlock()
	if raw, err := json.Marshal(short); err == nil {
		p.kept.Put(p.keptKey(z, sum), raw)
	}
}

// recall returns what the same transfer said before, in this process or an earlier one.
func (p *Provider) recall(z zone.Name, sum [sha256.Size]byte) (*provider.Live, bool) {
	p.mu.Lock()
	k, ok := p.seen[z]
	if ok = ok && k.transfer == sum; ok {
		k.at = p.s.Now()
		p.seen[z] = k
	}
	p.mu.Unlock()
	if ok {
		return &k.live, true
	}
	raw, ok := p.kept.Get(p.keptKey(z, sum))
	if !ok {
		return nil, false
	}
	live := new(provider.Live)
	if json.Unmarshal(raw, live) != nil || live.Zone != z || !live.Exists || live.Digest == "" {
		return nil, false
	}
	p.mu.Lock()
	p.seen[z] = known{sum, *live, p.s.Now()}
	p.mu.Unlock()
	return live, true
}

// keptKey names everything that the meaning of a transfer depends on. The number is that of
// this code: whoever changes how transfers are read counts it up.
func (p *Provider) keptKey(z zone.Name, sum [sha256.Size]byte) string {
	return fmt.Sprintf("rfc2136 transfer 1 %d %s %x", p.s.DefaultTTL, z, sum)
}

// Summary implements provider.Summariser. The server is asked for what has changed since the
// serial that is known (RFC 1995): when nothing has, it answers with one SOA record. Else,
// and every wholeEvery, the zone is transferred whole, and taken apart only when its
// bytes are others than the last time.
func (p *Provider) Summary(ctx context.Context, z zone.Name) (*provider.Live, error) {
	return p.summary(ctx, z, false)
}

// Whole is Summary by a transfer of the whole zone, whatever its serial says.
func (p *Provider) Whole(ctx context.Context, z zone.Name) (*provider.Live, error) {
	return p.summary(ctx, z, true)
}

func (p *Provider) summary(ctx context.Context, z zone.Name, whole bool) (*provider.Live, error) {
	p.mu.Lock()
	k, ok := p.seen[z]
	p.mu.Unlock()
	age := p.s.Now().Sub(k.at)
	if ok && !whole && age >= 0 && age < wholeEvery && !p.noSerial.Load() {
		live, err := p.since(ctx, z, k)
		if live != nil || err != nil {
			return live, service.Fault(z, err)
		}
	}
	v, err := p.read(ctx, z, true)
	if err != nil {
		return nil, service.Fault(z, err)
	}
	live := *v.live
	live.Sets = nil
	return &live, nil
}

// Unmanaged is nothing, and costs no transfer: whatever DNS has, a zones repository can say.
func (p *Provider) Unmanaged(context.Context, zone.Name) ([]service.Unmanaged, error) {
	return nil, nil
}

// since asks what has changed since the zone was k. nil: it has to be transferred whole. What
// differs is not pieced together from single steps: a step that was lost would stay lost.
func (p *Provider) since(ctx context.Context, z zone.Name, k known) (*provider.Live, error) {
	q := new(dns.Msg)
	q.SetIxfr(z.FQDN(), k.live.Serial, ".", ".")
	c, err := p.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer c.close()
	v, err := c.send(q)
	if err != nil {
		return nil, err
	}
	m, err := c.receive(v)
	if err != nil {
		return nil, err
	}
	switch {
	case m.rcode == dns.RcodeNotImplemented, m.rcode == dns.RcodeFormatError:
		p.noSerial.Store(true)
		return nil, nil
	case m.rcode != dns.RcodeSuccess, m.answers == 0, m.first != dns.TypeSOA:
		return nil, nil // the transfer of the whole zone says what is wrong
	case m.answers > 1 && m.second != dns.TypeSOA:
		// RFC 1995 section 4: the server has no history that goes back so far, and sends it all.
		messages, err := c.whole(v, m)
		taken, err := p.taken(z, messages, err, true)
		if err != nil {
			return nil, err
		}
		live := *taken.live
		live.Sets = nil
		return &live, nil
	case m.answers > 1:
		return nil, nil
	}
	if !v.done() {
		return nil, errUnsigned
	}
	var msg dns.Msg
	if err := msg.Unpack(m.wire); err != nil {
		return nil, c.fault(err)
	}
	soa, ok := msg.Answer[0].(*dns.SOA)
	if !ok {
		return nil, c.fault(errors.New("the server's answer has no SOA record"))
	}
	if soa.Serial != k.live.Serial {
		return nil, nil // an older zone than the one that is known, or the first message of many
	}
	live := k.live
	return &live, nil
}
