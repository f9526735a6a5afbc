// Package starter holds the embedded starter kit: a first zones repository with
// its settings (kit/), and the policies in force where an organisation has none
// of its own (policies/). It is data; only Kit looks at it.
package starter

import (
	"embed"
	"fmt"
	"io/fs"
	"net/mail"
	"strings"
	"testing/fstest"
)

//go:embed all:kit
var kit embed.FS

// The organisation that the kit is written for.
const (
	sampleName   = "Fin Micro Ltd"
	sampleDomain = "finmicro.example"
	sampleBrand  = "finmicro"
)

// Organisation names whose first zones repository the kit becomes.
type Organisation struct {
	Name   string // "Fin Micro Ltd"
	Domain string // "finmicro.example": owner of the zones, and of its people's e-mail addresses
	Admin  string // e-mail address of the first administrator; "" for admin@Domain
}

// Sample is the organisation of the documentation and of the demonstration.
func Sample() Organisation {
	return Organisation{Name: sampleName, Domain: sampleDomain, Admin: "admin@" + sampleDomain}
}

// Kit returns the files of a first zones repository for o. A zone apps.DOMAIN is
// internal, DOMAIN and LABEL-apps.TLD are external.
func Kit(o Organisation) (fs.FS, error) {
	if o.Admin == "" {
		o.Admin = "admin@" + o.Domain
	}
	label, rest, found := strings.Cut(o.Domain, ".")
	if !found || label == "" || rest == "" || strings.ContainsAny(o.Domain, " \t\n:#'\"{}[],@/") {
		return nil, fmt.Errorf("organisation domain %q: give a domain name such as %s", o.Domain, sampleDomain)
	}
	if strings.ContainsAny(o.Name, "\n\r:#'\"{}[],&*!|>%@`") || strings.TrimSpace(o.Name) == "" {
		return nil, fmt.Errorf("organisation name %q: give one line without YAML's punctuation", o.Name)
	}
	if a, err := mail.ParseAddress(o.Admin); err != nil || a.Address != o.Admin {
		return nil, fmt.Errorf("administrator %q: give an e-mail address", o.Admin)
	}
	rewrite := strings.NewReplacer(
		"admin@"+sampleDomain, strings.ToLower(o.Admin),
		sampleName, o.Name,
		sampleBrand+"-apps.example", label+"-apps."+rest,
		sampleDomain, o.Domain,
		"["+sampleBrand+", finpay]", "["+label+"]",
	)
	if o.Domain == sampleDomain {
		rewrite = strings.NewReplacer("admin@"+sampleDomain, strings.ToLower(o.Admin), sampleName, o.Name)
	}
	out := fstest.MapFS{} // the standard library's file system in memory; nothing of it tests here
	err := fs.WalkDir(kit, "kit", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := kit.ReadFile(path)
		if err != nil {
			return err
		}
		name := rewrite.Replace(strings.TrimPrefix(path, "kit/"))
		out[name] = &fstest.MapFile{Data: []byte(rewrite.Replace(string(content))), Mode: 0o644}
		return nil
	})
	return out, err
}
