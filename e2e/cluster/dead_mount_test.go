// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vault-plugin-secrets-entra/e2e/harness"
)

// A plugin's process that dies while Vault brings it up after a crash leaves the mount
// dead: every request ends in "connection refused", and Vault starts no other process.
// docs/operations.md has the symptom, the health check and the cure. This test holds
// Vault to them, and fails with a Vault that no longer needs them.
func TestDeadMount(t *testing.T) {
	t.Parallel()
	e := harness.NewEngine(t)
	e.SignInFor("alice", "alice", "")
	die := filepath.Join(t.TempDir(), "die")
	e.RegisterWith("diesonce", harness.PluginVersion, "DIE_ONCE="+die)
	e.ReloadPlugin()
	e.ReadToken("alice")

	if err := os.WriteFile(die, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	e.KillPlugin()
	harness.Eventually(t, harness.UpTime, "the second process was started", func() error {
		e.Get("entra/config")
		if _, err := os.Stat(die); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is still there: %v", die, err)
		}
		return nil
	})
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		a := e.Get("entra/config") // the health check
		if a.Status < 500 || !strings.Contains(string(a.Body), "connection refused") {
			t.Fatalf("the mount answers %d: %s; is \"A mount that is dead\" in "+
				"docs/operations.md still true?", a.Status, a.Body)
		}
	}
	if alive := e.PluginProcesses(); len(alive) > 0 {
		t.Errorf("plugin processes %v live, though the mount is dead", alive)
	}
	e.ReloadPlugin() // the cure
	e.Get("entra/config").Want(200)
	e.ReadToken("alice")
}
