// SPDX-License-Identifier: MPL-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestRoomsImport holds the imports of every room to the table of docs/architecture.md.
func TestRoomsImport(t *testing.T) {
	t.Parallel()
	allowed := importTable(t)
	const module = "vault-plugin-secrets-entra"
	list := exec.Command("go", "list", "-f", `{{.ImportPath}}:{{join .Imports " "}}`, ".", "./internal/...")
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := 0
	for line := range strings.Lines(string(out)) {
		path, imports, _ := strings.Cut(strings.TrimSpace(line), ":")
		room := strings.TrimPrefix(path, module+"/internal/")
		if path == module {
			room = "root"
		}
		may, listed := allowed[room]
		if !listed {
			t.Errorf("%s is not in the table of docs/architecture.md", path)
			continue
		}
		seen++
		for _, imported := range strings.Fields(imports) {
			of, ours := strings.CutPrefix(imported, module+"/internal/")
			switch {
			case ours && !slices.Contains(may, of):
				t.Errorf("%s imports %s, which the table does not allow", room, of)
			case strings.HasPrefix(room, "entra") && strings.Contains(imported, "hashicorp/vault"):
				t.Errorf("%s imports %s: the protocol knows no Vault", room, imported)
			}
		}
	}
	if seen != len(allowed) {
		t.Errorf("%d packages are listed in the table, %d exist", len(allowed), seen)
	}
}

// importTable reads the rows of the table that follows "Who may import whom".
func importTable(t *testing.T) map[string][]string {
	t.Helper()
	document, err := os.ReadFile(filepath.Join("docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(document), "### Who may import whom")
	section, _, _ = strings.Cut(section, "\n## ")
	quoted := regexp.MustCompile("`([a-z]+)`")
	allowed := map[string][]string{}
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) != 4 || strings.Contains(cells[1], "--") || strings.Contains(cells[1], "package") {
			continue
		}
		room := strings.Trim(strings.TrimSpace(cells[1]), "`")
		allowed[room] = []string{}
		for _, name := range quoted.FindAllStringSubmatch(cells[2], -1) {
			allowed[room] = append(allowed[room], name[1])
		}
	}
	if len(allowed) < 8 {
		t.Fatalf("the table has only %d rows", len(allowed))
	}
	return allowed
}
