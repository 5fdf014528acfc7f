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

const module = "vault-plugin-secrets-entra"

// TestRoomsImport holds the imports of every room to the tables of docs/architecture.md.
func TestRoomsImport(t *testing.T) {
	t.Parallel()
	for _, part := range []struct{ heading, top, rooms string }{
		{"### Who may import whom", module, module + "/internal/"},
		{"### Who may import whom in the command", module + "/cmd/vault-entra",
			module + "/cmd/vault-entra/internal/"},
	} {
		allowed := importTable(t, part.heading)
		seen := 0
		for room, imports := range importsOf(t, part.top, part.rooms) {
			may, listed := allowed[room]
			if !listed {
				t.Errorf("%s is not in the table %q of docs/architecture.md", room, part.heading)
				continue
			}
			seen++
			for _, imported := range imports {
				if of, ours := ownPackage(imported, part.rooms); ours && !slices.Contains(may, of) {
					t.Errorf("%s imports %s, which the table does not allow", room, of)
				}
				if strings.HasPrefix(room, "entra") && strings.Contains(imported, "hashicorp/vault") {
					t.Errorf("%s imports %s: the protocol knows no Vault", room, imported)
				}
			}
		}
		if seen != len(allowed) {
			t.Errorf("%d packages are listed in the table %q, %d exist", len(allowed), part.heading,
				seen)
		}
	}
}

// importsOf are the imports of a package and of its rooms, by the room's name; "root" is the
// package itself.
func importsOf(t *testing.T, top, rooms string) map[string][]string {
	t.Helper()
	list := exec.Command("go", "list", "-f", `{{.ImportPath}}:{{join .Imports " "}}`, top, rooms+"...")
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	found := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		path, imports, _ := strings.Cut(strings.TrimSpace(line), ":")
		room := strings.TrimPrefix(path, rooms)
		if path == top {
			room = "root"
		}
		found[room] = strings.Fields(imports)
	}
	return found
}

// ownPackage is the name of a package of this module as the tables write it: one of the same rooms
// by its last word, a room of the engine as `engine/NAME`.
func ownPackage(imported, rooms string) (name string, ours bool) {
	if room, same := strings.CutPrefix(imported, rooms); same {
		return room, true
	}
	if room, engine := strings.CutPrefix(imported, module+"/internal/"); engine {
		return "engine/" + room, true
	}
	return imported, strings.HasPrefix(imported, module)
}

// importTable reads the rows of the table that follows a heading.
func importTable(t *testing.T, heading string) map[string][]string {
	t.Helper()
	document, err := os.ReadFile(filepath.Join("docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(document), heading+"\n")
	section, _, _ = strings.Cut(section, "\n#")
	quoted := regexp.MustCompile("`([a-z/]+)`")
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
