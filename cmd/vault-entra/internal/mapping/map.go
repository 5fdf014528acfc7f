// SPDX-License-Identifier: MPL-2.0

// Package mapping says which token of the engine is meant by a resource, a scope, a git host or a
// container registry.
package mapping

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/hcl/ast"
	"github.com/hashicorp/hcl/hcl/parser"
	"github.com/hashicorp/hcl/hcl/token"

	"vault-plugin-secrets-entra/cmd/vault-entra/internal/vaultclient"
)

// Map is a file that names the tokens of resources, git hosts and registries. It is HCL, as the
// configuration of Vault's Agent is:
//
//	mount   = "entra"
//	account = "ci"
//	resource "https://graph.microsoft.com" { role = "graph" }
//	git "dev.azure.com" { role = "devops" }
//	registry "contoso.azurecr.io" { role = "registry" }
type Map struct {
	File    string // as it was given
	Mount   string // of what names no other; "" if the file names none
	Account string // the same

	resources  map[string]entry // by Canonical
	gits       map[string]entry // by host, in lower case
	registries map[string]entry // the same
}

// entry is a block of the map.
type entry struct {
	name    string // as it stands in the file
	line    int
	account string
	role    string
	mount   string
}

// Load reads the map in a file.
func Load(file string) (*Map, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("the map: %w", err)
	}
	return Parse(file, text)
}

// Parse reads a map. The error names the file and the line.
func Parse(file string, text []byte) (*Map, error) {
	m := &Map{
		File: file, resources: map[string]entry{}, gits: map[string]entry{},
		registries: map[string]entry{},
	}
	parsed, err := parser.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("the map %s cannot be parsed: %w", file, err)
	}
	list, ok := parsed.Node.(*ast.ObjectList)
	if !ok {
		return nil, fmt.Errorf("the map %s cannot be parsed: it is no list of settings", file)
	}
	for _, item := range list.Items {
		if err := m.take(item); err != nil {
			return nil, fmt.Errorf("the map %s, line %d: %w", file, item.Pos().Line, err)
		}
	}
	if m.Account == "" && len(m.resources)+len(m.gits)+len(m.registries) == 0 {
		return nil, fmt.Errorf("the map %s names nothing", file)
	}
	return m, nil
}

// Complete is an error that names the first block without an account, where the file has none for
// all: it is used with one from the command line.
func (m *Map) Complete() error {
	if m.Account != "" {
		return nil
	}
	var first *entry
	for _, blocks := range m.blocks() {
		for _, e := range blocks {
			if e.account == "" && (first == nil || e.line < first.line) {
				first = &e
			}
		}
	}
	if first == nil {
		return nil
	}
	return fmt.Errorf("the map %s, line %d: %q names no account, and neither does the top of the "+
		"file or -account", m.File, first.line, first.name)
}

func (m *Map) blocks() []map[string]entry {
	return []map[string]entry{m.resources, m.gits, m.registries}
}

// take reads one setting or block of the file.
func (m *Map) take(item *ast.ObjectItem) error {
	key := keyOf(item, 0)
	var err error
	switch key {
	case "mount":
		m.Mount, err = mountOf(item)
	case "account":
		m.Account, err = nameOf(item)
	case "resource":
		err = put(m.resources, item, Canonical)
	case "git":
		err = put(m.gits, item, strings.ToLower)
	case "registry":
		err = put(m.registries, item, strings.ToLower)
	default:
		err = fmt.Errorf("there is no %q: a map has mount, account, resource, git "+
			"and registry", key)
	}
	return err
}

// put reads a block into blocks, which hold it by what canonical makes of its name.
func put(blocks map[string]entry, item *ast.ObjectItem, canonical func(string) string) error {
	kind := keyOf(item, 0)
	body, isBlock := item.Val.(*ast.ObjectType)
	if len(item.Keys) != 2 || !isBlock {
		return fmt.Errorf(`%s is a block with one name: %s "NAME" { role = "ROLE" }`, kind, kind)
	}
	e := entry{name: keyOf(item, 1), line: item.Pos().Line}
	name := canonical(e.name)
	if name == "" {
		return fmt.Errorf("the name of %s is empty", kind)
	}
	if before, taken := blocks[name]; taken {
		return fmt.Errorf("%s %q is named twice, here and in line %d", kind, e.name, before.line)
	}
	for _, setting := range body.List.Items {
		var err error
		switch key := keyOf(setting, 0); key {
		case "account":
			e.account, err = nameOf(setting)
		case "role":
			e.role, err = nameOf(setting)
		case "mount":
			e.mount, err = mountOf(setting)
		default:
			err = fmt.Errorf("there is no %q: %s has account, role and mount", key, kind)
		}
		if err != nil {
			return err
		}
	}
	blocks[name] = e
	return nil
}

// keyOf is the n-th word before a value, "" if there is none.
func keyOf(item *ast.ObjectItem, n int) string {
	if n >= len(item.Keys) {
		return ""
	}
	word, _ := item.Keys[n].Token.Value().(string)
	return word
}

// textOf is a setting's string.
func textOf(item *ast.ObjectItem) (string, error) {
	literal, ok := item.Val.(*ast.LiteralType)
	if !ok || len(item.Keys) != 1 || literal.Token.Type != token.STRING {
		return "", fmt.Errorf(`%s is a string: %s = "…"`, keyOf(item, 0), keyOf(item, 0))
	}
	text, _ := literal.Token.Value().(string)
	return text, nil
}

// nameOf is the name of an account or a role.
func nameOf(item *ast.ObjectItem) (string, error) {
	name, err := textOf(item)
	if err == nil && !ValidName(name) {
		err = fmt.Errorf("%s: %q is no name: letters, digits, _, -, . and @", keyOf(item, 0), name)
	}
	return name, err
}

// mountOf is a mount's path, without slashes around it.
func mountOf(item *ast.ObjectItem) (string, error) {
	path, err := textOf(item)
	path = strings.Trim(path, "/")
	if err == nil && path == "" {
		err = fmt.Errorf("mount is empty")
	}
	return path, err
}

// ValidName reports whether the engine takes a name for an account or a role (docs/api.md).
func ValidName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		return !letter && !strings.ContainsRune("_-.@", r)
	})
}

// Resource is the token of a resource, or of a scope, that the map names.
func (m *Map) Resource(resource string) (vaultclient.Target, bool) {
	e, named := m.resources[Canonical(resource)]
	return m.target(e), named
}

// Git is the token for a git host that the map names: the host itself, or a name with a star for
// its first labels.
func (m *Map) Git(host string) (vaultclient.Target, bool) { return m.host(m.gits, host) }

// Registry is the token for a container registry that the map names, as Git is.
func (m *Map) Registry(host string) (vaultclient.Target, bool) { return m.host(m.registries, host) }

func (m *Map) host(blocks map[string]entry, host string) (vaultclient.Target, bool) {
	host = strings.ToLower(host)
	for name := host; ; {
		if e, named := blocks[name]; named {
			return m.target(e), true
		}
		_, rest, more := strings.Cut(strings.TrimPrefix(name, "*."), ".")
		if !more {
			return vaultclient.Target{}, false
		}
		name = "*." + rest
	}
}

// Default is the token of what the map does not name.
func (m *Map) Default() (vaultclient.Target, bool) {
	return m.target(entry{}), m.Account != ""
}

func (m *Map) target(e entry) vaultclient.Target {
	return vaultclient.Target{
		Mount:   firstOf(e.mount, m.Mount, vaultclient.DefaultMount),
		Account: firstOf(e.account, m.Account),
		Role:    e.role,
	}
}

// Targets are the tokens that the map's blocks name, each once, in the order of their paths.
func (m *Map) Targets() []vaultclient.Target {
	var targets []vaultclient.Target
	for _, blocks := range m.blocks() {
		for _, e := range blocks {
			targets = append(targets, m.target(e))
		}
	}
	slices.SortFunc(targets, func(a, b vaultclient.Target) int {
		return strings.Compare(a.Path(), b.Path())
	})
	return slices.Compact(targets)
}

// Resources are the resources that the map names, as they stand there.
func (m *Map) Resources() []string { return names(m.resources) }

// Registries are the registries that the map names, as they stand there, with their stars.
func (m *Map) Registries() []string { return names(m.registries) }

func names(blocks map[string]entry) []string {
	var names []string
	for _, e := range blocks {
		names = append(names, e.name)
	}
	slices.Sort(names)
	return names
}

func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}
