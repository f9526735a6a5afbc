package portal_test

import (
	"net/http/httptest"
	"strings"
	"testing"
)

// BenchmarkChangePage is a whole page with everything on it: session, state, verdict, template.
func BenchmarkChangePage(b *testing.B) {
	bench := newBench(b)
	id := bench.ask(ana, external("shop"))
	cookie := bench.cookie(ivy)
	b.ResetTimer()
	for b.Loop() {
		r := httptest.NewRequest("GET", "/changes/"+id, nil)
		r.AddCookie(cookie)
		w := httptest.NewRecorder()
		bench.handler.ServeHTTP(w, r)
		if w.Code != 200 {
			b.Fatal(w.Code)
		}
	}
}

// BenchmarkPreview is what each pause in typing costs the portal, the checks aside.
func BenchmarkPreview(b *testing.B) {
	bench := newBench(b)
	cookie, form := bench.cookie(ana), external("shop").Encode()
	b.ResetTimer()
	for b.Loop() {
		r := httptest.NewRequest("POST", "/apps/preview", strings.NewReader(form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.AddCookie(cookie)
		w := httptest.NewRecorder()
		bench.handler.ServeHTTP(w, r)
		if w.Code != 200 {
			b.Fatal(w.Code)
		}
	}
}

// BenchmarkBearer is the cost of knowing a program by its token.
func BenchmarkBearer(b *testing.B) {
	bench := newBench(b)
	token := bench.token(ana)
	b.ResetTimer()
	for b.Loop() {
		r := httptest.NewRequest("GET", "/api/v1/me", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		bench.handler.ServeHTTP(w, r)
		if w.Code != 200 {
			b.Fatal(w.Code)
		}
	}
}
