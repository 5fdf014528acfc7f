// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Need skips the test where one of these programs is not on PATH. In CI it fails.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("%s is needed in CI: %v", program, err)
			}
			t.Skipf("there is no %s on this machine", program)
		}
	}
}

// NPMProgram installs what a folder's package.json names and returns where. It is kept in
// the user's cache directory. Without Node.js the test is skipped, in CI it fails.
func NPMProgram(t testing.TB, folder string) (dir string) {
	t.Helper()
	Need(t, "node", "npm")
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(cache, "vault-plugin-secrets-entra", filepath.Base(folder))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	same := true
	for _, file := range files {
		content, err := os.ReadFile(filepath.Join(folder, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		old, err := os.ReadFile(filepath.Join(dir, file.Name()))
		if err == nil && string(old) == string(content) {
			continue
		}
		same = false
		if err := os.WriteFile(filepath.Join(dir, file.Name()), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules")); err != nil || !same {
		install := exec.Command("npm", "ci", "--no-audit", "--no-fund", "--prefix", dir)
		if out, err := install.CombinedOutput(); err != nil {
			t.Fatalf("npm ci: %v: %s", err, out)
		}
	}
	return dir
}
