// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Program is the path of a program that scripts/e2e-build.sh has built.
func Program(t testing.TB, name string) string {
	t.Helper()
	return filepath.Join(Programs(t), name)
}

// Programs is the folder of what the script has built.
func Programs(t testing.TB) string {
	t.Helper()
	dir, err := programFolder()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// programFolder takes the folder from the environment. Without it, it runs the
// script, and keeps the programs locked until this process ends: another package
// would build them while they run.
var programFolder = sync.OnceValues(func() (string, error) {
	const variable = "ENTRA_E2E_PROGRAMS"
	if dir := os.Getenv(variable); dir != "" {
		return dir, nil
	}
	fmt.Fprintf(os.Stderr, "%s is not set: scripts/e2e-build.sh builds the programs first\n",
		variable)
	if err := os.MkdirAll(Path("bin"), 0o755); err != nil {
		return "", err
	}
	lock := Path("bin", "e2e.lock")
	fd, err := syscall.Open(lock, syscall.O_CREAT|syscall.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return "", fmt.Errorf("%s: %w", lock, err)
	}
	if err := syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		fmt.Fprintln(os.Stderr, "waiting for other end-to-end tests of this folder to end")
		if err := syscall.Flock(fd, syscall.LOCK_EX); err != nil {
			return "", fmt.Errorf("%s: %w", lock, err)
		}
	}
	return Run(Path(), nil, "scripts/e2e-build.sh")
})

// Run runs a command and returns its standard output, trimmed; what it says
// on standard error is shown.
func Run(dir string, env []string, name string, args ...string) (string, error) {
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

// Checksum is the SHA-256 of a file, as Vault takes it.
func Checksum(name string) (string, error) {
	content, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:]), nil
}
