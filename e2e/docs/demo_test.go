// SPDX-License-Identifier: MPL-2.0

package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vault-plugin-secrets-entra/e2e/harness"
)

// The demo is the first thing that a newcomer runs: it walks the whole way, and
// leaves nothing behind.
func TestDemo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), harness.Path("scripts", "demo.sh"))
	cmd.Env = append(os.Environ(), "VAULT_BIN="+harness.Program(t, "vault"), "TMPDIR="+dir,
		"ENTRA_TENANT_ID=", "ENTRA_CLIENT_ID=")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it cleans up
	cmd.WaitDelay = 30 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("demo.sh: %v\n%s", err, out)
	}
	for _, says := range []string{
		"$ vault read entra/token/alice\n", "Content-Security-Policy: default-src 'none'",
		"You are signed in", `"refresh_token": 1`,
		"* login_required: account \"alice\" must sign in again (AADSTS50173",
		"=== The whole way was walked",
	} {
		if !strings.Contains(string(out), says) {
			t.Errorf("the demo does not say %q:\n%s", says, out)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "entra-demo-*")); err != nil || len(left) > 0 {
		t.Errorf("the demo leaves %q, %v", left, err)
	}
}
