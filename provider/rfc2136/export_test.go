package rfc2136

import (
	"time"

	"slipway/zone"
)

// Age makes what is known of a zone older.
func (p *Provider) Age(z zone.Name, by time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.seen[z]
	k.at = k.at.Add(-by)
	p.seen[z] = k
}

const WholeEvery = wholeEvery
