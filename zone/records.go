package zone

import (
	"fmt"

	"github.com/miekg/dns"
)

// FromRecords gathers the records of a zone, as a server has handed them over, into record
// sets as ReadMaster has them: sorted, canonical, and without what DNSSEC signing and zone
// transfer make. It saves writing records down to read them again. path is for errors.
func FromRecords(records []dns.RR, zone Name, path string) (*SOA, []RRSet, error) {
	if len(records) > maxRecords {
		return nil, nil, fmt.Errorf("%s: it has %d records, and %d are allowed", path, len(records), maxRecords)
	}
	m := master{zone: zone, path: path, at: make(map[Key]int, len(records))}
	m.sets = make([]RRSet, 0, len(records))
	for i, rr := range records {
		if err := m.add(rr, i+1); err != nil {
			return nil, nil, err
		}
	}
	for i := range m.sets {
		if len(m.sets[i].Values) > 1 {
			m.sets[i].Values = sortedSet(m.sets[i].Values)
		}
	}
	sortSets(m.sets)
	return m.soa, m.sets, nil
}
