package starter_test

import (
	"io/fs"
	"slices"
	"strings"
	"testing"

	"slipway/repo"
	"slipway/starter"
	"slipway/zone"
)

func TestKitIsAZonesRepository(t *testing.T) {
	for _, o := range []starter.Organisation{
		starter.Sample(),
		{Name: "Acme", Domain: "acme.example", Admin: "You@acme.example"},
		{Name: "Deep Ltd", Domain: "corp.deep.example"},
	} {
		t.Run(o.Domain, func(t *testing.T) {
			kit, err := starter.Kit(o)
			if err != nil {
				t.Fatal(err)
			}
			src, err := fs.ReadFile(kit, repo.SettingsPath)
			if err != nil {
				t.Fatal(err)
			}
			s, err := repo.ParseSettings(repo.SettingsPath, src)
			if err != nil {
				t.Fatal(err)
			}
			if s.Organisation != o.Name || string(s.Domain) != o.Domain {
				t.Errorf("settings are of %q, %s", s.Organisation, s.Domain)
			}
			admin := "admin@" + o.Domain
			if o.Admin != "" {
				admin = strings.ToLower(o.Admin)
			}
			if !slices.Equal(s.Administrators, []string{admin}) {
				t.Errorf("administrators %v, want %s", s.Administrators, admin)
			}
			for name, z := range s.Zones {
				path := "zones/" + string(name) + ".yaml"
				src, err := fs.ReadFile(kit, path)
				if err != nil {
					t.Errorf("a zone of the settings has no file: %v", err)
					continue
				}
				file, err := zone.ParseYAML(name, path, src)
				if err != nil {
					t.Error(err)
					continue
				}
				sets, err := file.RRSets()
				if err != nil {
					t.Error(err)
				}
				for _, set := range sets {
					if err := set.Validate(); err != nil {
						t.Error(err)
					}
				}
				if z.Owner != s.Domain || s.Providers[z.Provider].Type != "zonefile" {
					t.Errorf("zone %s: owner %s, provider %q", name, z.Owner, z.Provider)
				}
			}
			app, err := fs.ReadFile(kit, "apps/canteen-menu.yaml")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := repo.ParseApp("apps/canteen-menu.yaml", app); err != nil {
				t.Error(err)
			}
			if o.Domain != starter.Sample().Domain {
				for path := range s.Zones {
					if strings.Contains(string(path), "finmicro") {
						t.Errorf("zone %s is the sample's", path)
					}
				}
				if strings.Contains(string(src), "finmicro") {
					t.Errorf("the settings still speak of the sample:\n%s", src)
				}
			}
		})
	}
}

func TestKitRefuses(t *testing.T) {
	for name, o := range map[string]starter.Organisation{
		"no domain":         {Name: "Acme"},
		"one label":         {Name: "Acme", Domain: "acme"},
		"YAML in a domain":  {Name: "Acme", Domain: "acme.example: {x"},
		"YAML in a name":    {Name: "Acme\nadministrators: [eve@example.com]", Domain: "acme.example"},
		"no name":           {Domain: "acme.example"},
		"not an address":    {Name: "Acme", Domain: "acme.example", Admin: "eve"},
		"YAML in the admin": {Name: "Acme", Domain: "acme.example", Admin: "eve@acme.example, mallory@acme.example"},
	} {
		if _, err := starter.Kit(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
