package portal

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"slipway/approval"
	"slipway/cert"
	"slipway/identity"
	"slipway/zone"
)

//go:embed templates assets
var files embed.FS

// pages are the parsed templates: one set a page, each with the layout and the parts.
type pages struct {
	byName  map[string]*template.Template
	assets  map[string][]byte
	version string // of the assets, in their addresses, so that a browser may keep them for good
}

func loadPages() (*pages, error) {
	p := &pages{byName: map[string]*template.Template{}, assets: map[string][]byte{}}
	names, err := fs.Glob(files, "assets/*")
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	for _, name := range names {
		raw, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		sum.Write(raw)
		p.assets[path.Base(name)] = raw
	}
	p.version = hex.EncodeToString(sum.Sum(nil)[:8])

	names, err = fs.Glob(files, "templates/*.html")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		base := strings.TrimSuffix(path.Base(name), ".html")
		if base == "layout" || base == "parts" {
			continue
		}
		t, err := template.New(base).Funcs(words(p.version)).ParseFS(files, "templates/layout.html", "templates/parts.html", name)
		if err != nil {
			return nil, err
		}
		p.byName[base] = t
	}
	return p, nil
}

// words are the functions that templates call.
func words(version string) template.FuncMap {
	return template.FuncMap{
		"asset":      func(name string) string { return "/assets/" + name + "?v=" + version },
		"moment":     moment,
		"age":        age,
		"day":        day,
		"sentence":   sentence,
		"short":      short,
		"group":      approval.GroupName,
		"groups":     func(g []string) string { return approval.List(g, "and") },
		"phase":      phaseOf,
		"tier":       func(t any) string { return tierWords[fmt.Sprint(t)] },
		"data":       func(d string) string { return dataWords[d] },
		"handles":    handles,
		"exposure":   func(e string) string { return exposureWords[e] },
		"status":     func(c cert.Certificate, now time.Time) cert.Status { return c.Status(now) },
		"statusword": func(s cert.Status) string { return statusWords[s] },
		"more":       func(names []string) int { return len(names) - 1 },
		"left":       left,
		"keyplace":   keyPlace,
		"keykind":    keyKind,
		"because":    because,
		"step":       stepName,
		"issuer":     commonName,
		"refusal":    refusal,
		"signin":     signIn,
		"via":        func(v string) string { return viaWords[v] },
		"kind":       func(k string) string { return kindWords[k] },
		"op":         func(o zone.Op) string { return opWords[o] },
		"rrtype":     func(t string) string { return typeWords[t] },
		"unicode":    func(n zone.Name) string { return n.Unicode() },
		"join":       strings.Join,
		"text":       func(v any) string { return fmt.Sprint(v) },
		"control":    func(f formView, id string) control { return f.control(id) },
	}
}

// view is what a page's template gets.
type view struct {
	Title   string
	Failed  bool // the title says so, for those who hear the page
	Section string
	Person  *identity.Person
	Insider bool
	Record  bool // may read the whole log
	Org     string
	Waiting int  // in the person's inbox
	Root    bool // there is a root certificate to trust
	Data    any
}

// sections tell which entry of the navigation a page belongs to.
var sections = map[string]string{
	"home": "home", "request": "home", "changes": "changes", "change": "changes", "inbox": "inbox", "apps": "apps", "app": "apps",
	"drift": "drift", "drift-month": "drift", "certificates": "certificates", "certificate": "certificates", "revoke": "certificates", "strays": "certificates", "trust": "certificates", "account": "account", "admin": "admin",
	"controls": "controls",
}

// show renders a whole page. It is written only once it is complete, so that a
// fault in a template is an error page and not half of one.
func (s *server) show(w http.ResponseWriter, r *request, status int, name, title string, data any) error {
	v := view{Title: title, Section: sections[name], Failed: status >= 400, Data: data}
	v.Root = s.Root != nil && len(s.Root()) > 0
	if r.person.Via != "" {
		p := r.person
		v.Person, v.Insider, v.Record = &p, isInsider(p), seesRecord(p)
		// The number beside "Inbox" is a service; a page without it is better than none.
		if waiting, err := s.Service.Inbox(r.Context(), p); err == nil {
			v.Waiting = len(waiting)
		}
	}
	if settings, err := s.Settings(r.Context()); err == nil {
		v.Org = settings.Organisation
	}
	return s.write(w, status, name, "layout", v)
}

// fragment renders a part of a page, for the script.
func (s *server) fragment(w http.ResponseWriter, status int, page, part string, data any) error {
	return s.write(w, status, page, part, data)
}

func (s *server) write(w http.ResponseWriter, status int, name, part string, data any) error {
	var b bytes.Buffer
	if err := s.pages.byName[name].ExecuteTemplate(&b, part, data); err != nil {
		return fmt.Errorf("page %s: %w", name, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // a browser that has gone is no error of ours
	return nil
}

// asset serves the style sheet, the script and the icon. Their address has
// their version in it, so they may be kept.
func (s *server) asset(w http.ResponseWriter, r *request) error {
	raw, ok := s.pages.assets[r.PathValue("file")]
	if !ok {
		return notFound("This file")
	}
	kinds := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
	w.Header().Set("Content-Type", kinds[path.Ext(r.PathValue("file"))])
	if r.URL.Query().Get("v") == s.pages.version {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	_, _ = w.Write(raw)
	return nil
}
