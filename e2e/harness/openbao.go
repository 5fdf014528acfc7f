// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// OpenBao reports whether the tests run on OpenBao, and not on Vault. All of them apply to both;
// what they ask this for is where the two differ.
func OpenBao(t testing.TB) bool {
	t.Helper()
	version, err := serverVersion()
	if err != nil {
		t.Fatal(err)
	}
	return strings.HasPrefix(version, "OpenBao v")
}

// serverVersion is what the server's command says of its version.
var serverVersion = sync.OnceValues(func() (string, error) {
	dir, err := programFolder()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "vault"), "version").Output()
	if err != nil {
		return "", fmt.Errorf("the server's version: %w", err)
	}
	return string(out), nil
})
