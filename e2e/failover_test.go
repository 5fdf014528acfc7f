// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// The leader of three nodes is killed with kill -9 in the middle of a storm of
// refreshes and of logins that wait for their people. The others go on: no reader
// is told to sign in again, no account is lost, and every login can be completed
// at a node that never saw its beginning.
//
// The first kill hits an open storm, under Entra's own rotation policy. The second
// comes while Entra holds refreshes that it has not processed, under the strictest
// policy: then nothing is in the one window that no engine can close.
func TestFailover(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	sim := newSimulator(t, "-token-lifetime", "4s")
	at := func(node *server) *engine { return &engine{server: node, sim: sim} }
	var redirectURIs []string
	var nodes []*client
	for _, node := range c.nodes {
		redirectURIs = append(redirectURIs, at(node).callbackURL())
		nodes = append(nodes, node.client)
	}
	at(c.active()).configure(object{"redirect_uris": redirectURIs, "background_refresh": true})
	c.settle()
	accounts := at(c.active()).importAccounts(30)

	t.Logf("a write of an account, the whole request, takes %s at the median", at(c.active()).accountWriteTime(accounts[0]))

	for _, round := range []struct {
		name, rotation string
		hold           bool
	}{
		{"in an open storm", "entra", false},
		{"while Entra holds refreshes", "revoke-family", true},
	} {
		sim.rotation(round.rotation)
		at(c.active()).wantAllGood(accounts)
		s := newStorm(t, 20, accounts, nodes...)
		s.awaitService(time.Now())

		leader := c.active()
		standby := at(c.standbys()[0])
		people := waitingPeople(standby, "alice", "bob", "carol")
		if round.hold {
			sim.holdRefreshes(10)
		}
		killed := time.Now()
		leader.kill()
		sim.clearFaults()
		c.active()
		elected := time.Since(killed)
		s.awaitService(killed.Add(elected))
		t.Logf("leader killed %s: another is active after %s, reads are served after %s", round.name,
			elected.Round(time.Millisecond), time.Since(killed).Round(time.Millisecond))

		c.settle()
		for _, finish := range people {
			finish()
		}
		eventually(t, upTime, "the killed server's plugin ends", func() error {
			if alive := leader.pluginProcesses(); len(alive) > 0 {
				return fmt.Errorf("%d runs", alive)
			}
			return nil
		})
		leader.startAgain()
		c.settle()
		time.Sleep(2 * time.Second) // the storm goes on over all three nodes
		s.calm()
		at(c.active()).wantAllGood(append([]string{"alice", "bob", "carol"}, accounts...))
	}
}

// accountWriteTime is the median of a few writes: that part of the unavoidable
// window which is Vault's.
func (e *engine) accountWriteTime(account string) time.Duration {
	e.t.Helper()
	took := make([]time.Duration, 51)
	for i := range took {
		began := time.Now()
		e.put("entra/account/"+account, object{"metadata": object{"round": i}}).want(204)
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	return took[len(took)/2].Round(100 * time.Microsecond)
}

// waitingPeople starts a login for each user, through a standby. They stand at
// different places: one has not opened the link, one is on Entra's page, one reads
// the page that asks for a confirmation. The functions go on from there.
func waitingPeople(e *engine, users ...string) []func() {
	e.t.Helper()
	finish := make([]func(), len(users))
	for i, user := range users {
		authURL := e.login(user, object{"redirect_uri": e.callbackURL()})
		b := newBrowser(e.sim)
		var atEntra, atVault *webPage
		if i > 0 {
			atEntra = b.signIn(authURL, user)
		}
		if i > 1 {
			atVault = b.follow(atEntra)
			wantPage(e.t, atVault, 200, "Confirm")
		}
		finish[i] = func() {
			if atEntra == nil {
				atEntra = b.signIn(authURL, user)
			}
			if atVault == nil {
				atVault = b.follow(atEntra)
			}
			wantPage(e.t, b.confirm(atVault), 200, "You are signed in")
		}
	}
	return finish
}
