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
		strike         func()
	}{
		{"plugin killed", "entra", e.killPlugin},
		{"plugin reloaded", "revoke-family", e.reloadPlugin},
		{"sealed and unsealed", "revoke-family", func() { e.seal(); e.unseal() }},
		{"plugin killed while Entra holds refreshes", "revoke-family", func() {
			e.sim.holdRefreshes(10)
			e.killPlugin()
			e.sim.clearFaults()
		}},
	}
	for _, round := range rounds {
		// What was refreshed under one policy is not judged by another.
		e.sim.rotation(round.rotation)
		e.wantAllGood(accounts)
		s := newStorm(t, 20, accounts, e.client)
		s.awaitService(time.Now())
		for i := range 3 {
			began := time.Now()
			round.strike()
			done := time.Now()
			s.awaitService(done)
			t.Logf("%s, in %s; reads are served again %s later", round.name,
				done.Sub(began).Round(time.Millisecond), time.Since(done).Round(time.Millisecond))
			time.Sleep(time.Duration(900+400*i) * time.Millisecond) // at other moments of the tokens' lives
		}
		s.calm()
		e.wantAllGood(accounts)
	}
}
