// SPDX-License-Identifier: MPL-2.0

// Package dependabot holds .github/dependabot.yml to the modules that there are.
package dependabot

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// TestEveryModule holds that each folder with a manifest is named, once, and no other.
func TestEveryModule(t *testing.T) {
	root := os.DirFS(filepath.Join("..", "..", ".."))
	text, err := fs.ReadFile(root, ".github/dependabot.yml")
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Updates []struct {
			Ecosystem   string   `yaml:"package-ecosystem"`
			Directories []string `yaml:"directories"`
		} `yaml:"updates"`
	}
	if err := yaml.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	named := map[string][]string{}
	for _, update := range config.Updates {
		named[update.Ecosystem] = append(named[update.Ecosystem], update.Directories...)
	}
	for ecosystem, manifest := range map[string]string{
		"gomod": "go.mod",
		"npm":   "package.json",
	} {
		there := folders(t, root, manifest)
		slices.Sort(named[ecosystem])
		if !slices.Equal(named[ecosystem], there) {
			t.Errorf("%s: dependabot.yml names\n%s\nthere are\n%s", ecosystem,
				strings.Join(named[ecosystem], "\n"), strings.Join(there, "\n"))
		}
	}
}

// folders finds the folders with a manifest, as Dependabot writes them.
func folders(t *testing.T, root fs.FS, manifest string) (found []string) {
	t.Helper()
	skipped := []string{".git", "bin", "leftout", "node_modules", "testdata"}
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains(skipped, entry.Name()):
			return fs.SkipDir
		case !entry.IsDir() && entry.Name() == manifest:
			found = append(found, path.Join("/", path.Dir(name)))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	return found
}
