// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"testing"
	"time"
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
	e := newEngine(t, "-token-lifetime", "4s")
	e.configure(object{"background_refresh": true})
	accounts := e.importAccounts(30)

	rounds := []struct {
		name, rotation string
		strike         func(t *testing.T)
	}{
		{"the plugin is killed", "entra", func(*testing.T) { e.killPlugin() }},
		{"the plugin is reloaded", "revoke-family", func(*testing.T) { e.reloadPlugin() }},
		{"the server is sealed and unsealed", "revoke-family", func(*testing.T) { e.seal(); e.unseal() }},
		{"the plugin is killed while Entra holds refreshes", "revoke-family", func(*testing.T) {
			e.sim.holdRefreshes(10)
			e.killPlugin()
			e.sim.clearFaults()
		}},
	}
	for _, round := range rounds {
		t.Run(round.name, func(t *testing.T) {
			// What was refreshed under one policy is not judged by another.
			e.sim.rotation(round.rotation)
			e.wantAllGood(accounts)
			s := newStorm(t, 20, accounts, e.client)
			s.awaitService(time.Now())
			for i := range 3 {
				at := time.Now()
				round.strike(t)
				struck := time.Since(at).Round(time.Millisecond)
				t.Logf("%s, which took %s: reads are served again %s after it began", round.name, struck, s.awaitService(at.Add(struck))+struck)
				time.Sleep(time.Duration(900+400*i) * time.Millisecond) // at other moments of the tokens' lives
			}
			s.calm()
			e.wantAllGood(accounts)
		})
	}
}
