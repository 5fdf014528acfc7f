// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"strings"
	"testing"
	"time"

	"vault-plugin-secrets-entra/e2e/harness"
)

// A plugin's process that dies while Vault brings it up again leaves the mount dead:
// every request ends in "connection refused", and Vault starts no other process.
// docs/operations.md has the symptom, the health check and the cure; this test holds
// Vault to them, and fails where a Vault no longer needs them.
func TestDeadMount(t *testing.T) {
	t.Parallel()
	e := harness.NewEngine(t)
	e.SignInFor("alice", "alice", "")
	const attempts = 20
	for attempt := range attempts {
		if killTwice(t, e) {
			t.Logf("attempt %d left the mount dead", attempt+1)
			wantDead(t, e)
			e.ReloadPlugin() // vault plugin reload, the cure
			e.Get("entra/config").Want(200)
			e.ReadToken("alice")
			return
		}
	}
	t.Fatalf("the plugin was killed twice %d times, and Vault always brought it up: "+
		"is \"A mount that is dead\" in docs/operations.md still true?", attempts)
}

// killTwice kills the plugin's process, and the next one while it comes up. It says
// whether the mount is dead then.
func killTwice(t *testing.T, e *harness.Engine) bool {
	t.Helper()
	e.KillPlugin()
	served := make(chan bool)
	go func() { // Vault starts the next process for a request
		a, err := e.Try("GET", "entra/config", nil)
		served <- err == nil && a.Status == 200
	}()
	limit := time.NewTimer(harness.UpTime)
	defer limit.Stop()
	for killed := false; ; {
		select {
		case <-served:
			return refused(e)
		case <-limit.C:
			t.Fatalf("a request of the mount has no answer after %s", harness.UpTime)
		case <-time.After(2 * time.Millisecond):
			if !killed {
				killed = len(e.KillPluginProcesses()) > 0
			}
		}
	}
}

// refused says whether the health check that docs/operations.md names fails as it
// says there.
func refused(e *harness.Engine) bool {
	a := e.Get("entra/config")
	return a.Status >= 500 && strings.Contains(string(a.Body), "connection refused")
}

// wantDead looks for a while whether Vault starts another process after all.
func wantDead(t *testing.T, e *harness.Engine) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if !refused(e) {
			t.Fatal("the mount came back by itself: docs/operations.md says that it does not")
		}
	}
	if alive := e.PluginProcesses(); len(alive) > 0 {
		t.Errorf("plugin processes %v live, though the mount is dead", alive)
	}
}
