// SPDX-License-Identifier: MPL-2.0

package mapping

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"vault-plugin-secrets-entra/cmd/vault-entra/internal/vaultclient"
)

// example is the map that docs/command-line.md shows.
const example = `
mount   = "entra"
account = "ci"                                          # token/ci for what is not named
resource "https://graph.microsoft.com"   { role = "graph" }
resource "https://management.azure.com/" { account = "ops" role = "arm" }
resource "api://f2a1" { mount = "/other/" account = "app" }

git "dev.azure.com"      { role = "devops" }
git "*.visualstudio.com" { role = "old" }

registry "contoso.azurecr.io" { role = "registry" }
registry "*.azurecr.us"       { account = "ops" }
`

func parse(t *testing.T, text string) *Map {
	t.Helper()
	m, err := Parse("entra.hcl", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestResourceOfTheMap checks that a resource is found by every form in which programs write it.
func TestResourceOfTheMap(t *testing.T) {
	m := parse(t, example)
	graph := vaultclient.Target{Mount: "entra", Account: "ci", Role: "graph"}
	arm := vaultclient.Target{Mount: "entra", Account: "ops", Role: "arm"}
	for asked, want := range map[string]vaultclient.Target{
		"https://graph.microsoft.com":             graph,
		"https://graph.microsoft.com/":            graph,
		"https://graph.microsoft.com/.default":    graph,
		"https://GRAPH.microsoft.com//":           graph,
		"https://management.azure.com":            arm,
		"https://management.azure.com/":           arm,
		"https://management.azure.com//.default":  arm,
		" https://management.azure.com/.default ": arm,
		"api://f2a1/.default":                     {Mount: "other", Account: "app"},
	} {
		if got, named := m.Resource(asked); !named || got != want {
			t.Errorf("%s: %v, %t", asked, got, named)
		}
	}
	for _, asked := range []string{
		"", "https://vault.azure.net", "https://graph.microsoft.com/Mail.Read",
		"https://graph.microsoft.com.evil.example", "graph.microsoft.com", "api://f2a1/x",
	} {
		if got, named := m.Resource(asked); named {
			t.Errorf("%q is mapped to %v", asked, got)
		}
	}
}

// TestGitHostOfTheMap checks names with a star, which stands for labels in front and never for the
// domain itself.
func TestGitHostOfTheMap(t *testing.T) {
	m := parse(t, example)
	for host, role := range map[string]string{
		"dev.azure.com": "devops", "Dev.Azure.Com": "devops",
		"contoso.visualstudio.com": "old", "a.b.visualstudio.com": "old",
	} {
		if got, named := m.Git(host); !named || got.Role != role || got.Account != "ci" {
			t.Errorf("%s: %v, %t", host, got, named)
		}
	}
	for _, host := range []string{
		"", "visualstudio.com", "github.com", "sub.dev.azure.com", "evilvisualstudio.com",
	} {
		if got, named := m.Git(host); named {
			t.Errorf("%q is mapped to %v", host, got)
		}
	}
}

// TestRegistryOfTheMap checks that registries are a list of their own.
func TestRegistryOfTheMap(t *testing.T) {
	m := parse(t, example)
	for host, path := range map[string]string{
		"Contoso.azurecr.io": "entra/token/ci/registry", "a.azurecr.us": "entra/token/ops",
	} {
		if got, named := m.Registry(host); !named || got.Path() != path {
			t.Errorf("%s: %v, %t", host, got, named)
		}
	}
	for _, host := range []string{"dev.azure.com", "other.azurecr.io", "azurecr.us", ""} {
		if got, named := m.Registry(host); named {
			t.Errorf("%q is mapped to %v", host, got)
		}
	}
	if got := m.Registries(); len(got) != 2 || got[1] != "contoso.azurecr.io" {
		t.Errorf("%q", got)
	}
}

// TestTargets checks that the doctor gets each token once.
func TestTargets(t *testing.T) {
	m := parse(t, example+`resource "https://graph.microsoft.us" { role = "graph" }`)
	var paths []string
	for _, target := range m.Targets() {
		paths = append(paths, target.Path())
	}
	want := "entra/token/ci/devops entra/token/ci/graph entra/token/ci/old " +
		"entra/token/ci/registry entra/token/ops entra/token/ops/arm other/token/app"
	if got := strings.Join(paths, " "); got != want {
		t.Errorf("%s", got)
	}
}

// TestComplete checks that a block without an account is named, unless the map has one for all.
func TestComplete(t *testing.T) {
	const open = "resource \"a\" { account = \"a\" }\ngit \"b\" { }\nresource \"c\" { }\n"
	err := parse(t, open).Complete()
	if err == nil || !strings.Contains(err.Error(), `entra.hcl, line 2: "b" names no account`) {
		t.Errorf("%v", err)
	}
	if err := parse(t, open+`account = "ci"`).Complete(); err != nil {
		t.Error(err)
	}
}

// TestBadMap checks that each fault is named with its line.
func TestBadMap(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"no HCL":       {`resource "a" {`, "entra.hcl cannot be parsed: "},
		"nothing":      {"# no setting", "entra.hcl names nothing"},
		"JSON":         {`{"account": "ci"}`, "entra.hcl cannot be parsed: "},
		"an open text": {"account = \"ci\nmount = 1", "entra.hcl cannot be parsed: At 1:"},
		"a resource twice": {
			"account = \"ci\"\nresource \"https://graph.microsoft.com\" { role = \"a\" }\n" +
				"resource \"https://GRAPH.microsoft.com//.default\" { role = \"b\" }",
			`line 3: resource "https://GRAPH.microsoft.com//.default" is named twice, here and in ` +
				"line 2",
		},
		"a git host twice": {
			"account = \"ci\"\ngit \"dev.azure.com\" {}\ngit \"DEV.azure.com\" {}",
			"line 3: git \"DEV.azure.com\" is named twice",
		},
		"a setting twice": {"account = \"a\"\naccount = \"b\"", "entra.hcl cannot be parsed: "},
		"an unknown word": {"account = \"a\"\n\nresourse \"x\" {}", `line 3: there is no "resourse"`},
		"an unknown setting": {
			"account = \"a\"\nresource \"x\" {\n  roles = \"y\"\n}", `line 2: there is no "roles"`,
		},
		"no name":        {"account = \"a\"\nresource { role = \"x\" }", "line 2: resource is a block"},
		"an empty name":  {"account = \"a\"\nresource \"/\" { }", "line 2: the name of resource is empty"},
		"two names":      {"account = \"a\"\nresource \"x\" \"y\" { }", "line 2: resource is a block"},
		"no block":       {"account = \"a\"\nresource = \"x\"", "line 2: resource is a block"},
		"a number":       {"account = 1", `line 1: account is a string`},
		"a list":         {"mount = [\"entra\"]", `line 1: mount is a string`},
		"a bad name":     {`account = "a/b"`, `line 1: account: "a/b" is no name`},
		"an empty mount": {`mount = "/"`, `line 1: mount is empty`},
	} {
		if m, err := Parse("entra.hcl", []byte(test.text)); err == nil ||
			!strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, %v; want %s", name, m, err, test.want)
		}
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none.hcl")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
