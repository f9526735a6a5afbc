package stepca

import "testing"

// What a server's start pays for the authority that it has already.
func BenchmarkStart(b *testing.B) {
	s := newSite(b)
	s.start(b).Close()
	for b.Loop() {
		ca, err := Start(b.Context(), s.options)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		ca.Close()
		b.StartTimer()
	}
}

// One certificate from order to chain, without the time that a name server takes.
func BenchmarkIssue(b *testing.B) {
	s := newSite(b)
	ca := s.start(b)
	c := client(b, ca.Directory(), ca.Root(), newKey(b))
	k := newKey(b)
	for b.Loop() {
		s.issue(b, c, k, "a.example")
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Minutes(), "certificates/min")
}
