package cert

import (
	"slices"
	"time"
)

// Month is the certificates that end in one month, for the expiry calendar.
type Month struct {
	Start        time.Time     // its first moment, UTC
	Certificates []Certificate // the one that ends first in front
}

// Expiring puts the certificates that still serve into the months in which they
// end, this one and those after it, at most count of them. Months in which none ends
// are there too, so that a calendar has no gap. Those that have ended come in the first.
func Expiring(certs []Certificate, now time.Time, count int) []Month {
	first := monthOf(now)
	var months []Month
	for _, c := range certs {
		if s := c.Status(now); s != Valid && s != Expired {
			continue
		}
		at := monthOf(c.NotAfter)
		n := (at.Year()-first.Year())*12 + int(at.Month()) - int(first.Month())
		if n = max(n, 0); n >= count {
			continue
		}
		for len(months) <= n {
			months = append(months, Month{Start: first.AddDate(0, len(months), 0)})
		}
		months[n].Certificates = append(months[n].Certificates, c)
	}
	for _, m := range months {
		slices.SortFunc(m.Certificates, func(a, b Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
	}
	return months
}

func monthOf(t time.Time) time.Time {
	t = t.UTC()
	return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
}
