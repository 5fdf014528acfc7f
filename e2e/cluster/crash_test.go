// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"testing"
	"time"

	"vault-plugin-secrets-entra/e2e/harness"
)

// A storm of refreshes in which the plugin's process is killed, the plugin is
// reloaded and the server is sealed loses no account.
//
// Only a hard kill between Entra's answer and the write can cost a refresh token,
// and only at a provider that revokes the old one: the kills in the open storm are
// therefore made under Entra's own policy, all else under the strictest, which
// ends the whole grant when an old refresh token is presented.
func TestCrashInStorm(t *testing.T) {
	t.Parallel()
	e := harness.NewEngine(t, "-token-lifetime", "4s")
	e.Configure(object{"background_refresh": true})
	accounts := e.ImportAccounts(30)

	rounds := []struct {
		name, rotation string
		strike         func()
	}{
		{"plugin killed", "entra", e.KillPlugin},
		{"plugin reloaded", "revoke-family", e.ReloadPlugin},
		{"sealed and unsealed", "revoke-family", func() { e.Seal(); e.Unseal() }},
		{"plugin killed while Entra holds refreshes", "revoke-family", func() {
			e.Sim.HoldRefreshes(10)
			e.KillPlugin()
			e.Sim.ClearFaults()
		}},
	}
	for _, round := range rounds {
		// What was refreshed under one policy is not judged by another.
		e.Sim.SetRotation(round.rotation)
		e.WantAllGood(accounts)
		s := newStorm(t, 20, accounts, e.Client)
		s.awaitService(time.Now())
		for i := range 3 {
			began := time.Now()
			round.strike()
			done := time.Now()
			s.awaitService(done)
			t.Logf("%s, in %s; reads are served again %s later", round.name,
				done.Sub(began).Round(time.Millisecond), time.Since(done).Round(time.Millisecond))
			// at other moments of the tokens' lives
			time.Sleep(time.Duration(900+400*i) * time.Millisecond)
		}
		s.calm()
		e.WantAllGood(accounts)
	}
}
