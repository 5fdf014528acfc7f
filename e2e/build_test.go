// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const pluginName = "vault-plugin-secrets-entra"

// pluginVersion is what the plugin under test is built as and registered by.
const pluginVersion = "v0.0.1-e2e"

// built is what TestMain has built or found, once for all tests.
var built struct {
	vault     string // path of the Vault binary
	plugins   string // directory with the plugin and nothing else
	sha256    string // of the plugin
	simulator string // path of the Entra simulator
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "entra-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
	code := 1
	if err := buildAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

func buildAll(dir string) error {
	root, err := filepath.Abs("..")
	if err != nil {
		return err
	}
	built.plugins = filepath.Join(dir, "plugins")
	if _, err := command(root, []string{"VERSION=" + pluginVersion}, "scripts/build.sh", built.plugins); err != nil {
		return err
	}
	if built.sha256, err = checksum(filepath.Join(built.plugins, pluginName)); err != nil {
		return err
	}
	built.simulator = filepath.Join(dir, "entra-simulator")
	if _, err := command(root, nil, "go", "build", "-o", built.simulator, "./cmd/entra-simulator"); err != nil {
		return err
	}
	built.vault, err = command(root, nil, "scripts/vault.sh")
	return err
}

// command runs a command and returns its standard output, trimmed; what it says
// on standard error is shown.
func command(dir string, env []string, name string, args ...string) (string, error) {
	if strings.Contains(name, "/") {
		name = filepath.Join(dir, name)
	}
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return strings.TrimSpace(string(out)), nil
}

func checksum(name string) (string, error) {
	content, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:]), nil
}
