// SPDX-License-Identifier: MPL-2.0

package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2/hclparse"
	"gopkg.in/yaml.v3"

	"vault-plugin-secrets-entra/e2e/harness"
)

// The recipes that cannot be run here are at least what they say they are.
func TestRecipesParse(t *testing.T) {
	t.Parallel()
	parsed := 0
	recipes := os.DirFS(harness.Path("docs", "recipes"))
	err := fs.WalkDir(recipes, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(recipes, name)
		if err != nil {
			return err
		}
		switch filepath.Ext(name) {
		case ".yml", ".yaml":
			parsed++
			for decoder := yaml.NewDecoder(strings.NewReader(string(content))); ; {
				var document any // a playbook is a list, the others are objects
				if err := decoder.Decode(&document); err != nil {
					if err.Error() != "EOF" {
						t.Errorf("%s: %v", name, err)
					}
					return nil
				}
				if document == nil {
					t.Errorf("%s has an empty document", name)
				}
			}
		case ".hcl", ".tf":
			parsed++
			_, problems := hclparse.NewParser().ParseHCL(content, name)
			if problems.HasErrors() {
				t.Errorf("%s: %v", name, problems)
			}
		}
		return nil
	})
	if err != nil || parsed < 9 {
		t.Errorf("%d files, %v", parsed, err)
	}
}
