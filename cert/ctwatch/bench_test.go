package ctwatch

import (
	"fmt"
	"testing"
)

// Entries a second of one log: fetched, hashed, checked against the tree, looked through.
// One in a hundred has a name of the organisation.
func benchmarkPass(b *testing.B, n int, log Log) {
	o := observe(b, log)
	b.ReportAllocs()
	for b.Loop() {
		o.dir = b.TempDir()
		o.found = nil
		o.options = func(op *Options) { op.Pass = 1 << 40 }
		if got := o.clean(); len(got) != n/100 {
			b.Fatalf("%d found", len(got))
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}

func someCertificates(a *authority, n int) [][]byte {
	other := a.precertificate(a.serial(), "www.other.example", "other.example")
	var out [][]byte
	for i := range n {
		der := other
		if i%100 == 7 {
			der = a.precertificate(a.serial(), fmt.Sprintf("n%d.finmicro.example", i))
		}
		out = append(out, der)
	}
	return out
}

func BenchmarkPassRFC6962(b *testing.B) {
	const n = 20_000
	a := newAuthority(b)
	l := newJSONLog(b, a)
	for _, der := range someCertificates(a, n) {
		l.add(der)
	}
	benchmarkPass(b, n, l.log())
}

func BenchmarkPassStaticCT(b *testing.B) {
	const n = 20_000
	a := newAuthority(b)
	l := newTileLog(b, a)
	l.many(someCertificates(a, n))
	l.added()
	benchmarkPass(b, n, l.log())
}

func BenchmarkLook(b *testing.B) {
	a := newAuthority(b)
	w := watch(zonesOf("finmicro.example", "apps.finmicro.example", "finmicro-apps.example"))
	der := a.certificate(a.serial(), nil, "www.other.example", "other.example")
	var scratch []byte
	for b.Loop() {
		_, scratch = w.mayMatch(der, scratch)
	}
}
