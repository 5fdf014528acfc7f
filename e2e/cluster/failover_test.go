// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"vault-plugin-secrets-entra/e2e/harness"
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
	c := harness.NewCluster(t)
	sim := harness.NewSimulator(t, "-token-lifetime", "4s")
	at := func(node *harness.Server) *harness.Engine {
		return &harness.Engine{Server: node, Sim: sim}
	}
	var redirectURIs []string
	var nodes []*harness.Client
	for _, node := range c.Nodes {
		redirectURIs = append(redirectURIs, at(node).CallbackURL())
		nodes = append(nodes, node.Client)
	}
	at(c.Active()).Configure(object{"redirect_uris": redirectURIs, "background_refresh": true})
	c.Settle()
	accounts := at(c.Active()).ImportAccounts(30)

	t.Logf("a write of an account, the whole request, takes %s at the median",
		accountWriteTime(at(c.Active()), accounts[0]))

	for _, round := range []struct {
		name, rotation string
		hold           bool
	}{
		{"in an open storm", "entra", false},
		{"while Entra holds refreshes", "revoke-family", true},
	} {
		sim.SetRotation(round.rotation)
		at(c.Active()).WantAllGood(accounts)
		s := newStorm(t, 20, accounts, nodes...)
		s.awaitService(time.Now())

		leader := c.Active()
		standby := at(c.Standbys()[0])
		people := waitingPeople(standby, "alice", "bob", "carol")
		if round.hold {
			sim.HoldRefreshes(10)
		}
		killed := time.Now()
		leader.Kill()
		if round.hold { // else Entra processes what the plugin asks that outlives its Vault
			pluginsEnd(t, leader)
		}
		sim.ClearFaults()
		c.Active()
		elected := time.Since(killed)
		s.awaitService(killed.Add(elected))
		t.Logf("leader killed %s: another is active after %s, reads are served after %s",
			round.name,
			elected.Round(time.Millisecond), time.Since(killed).Round(time.Millisecond))

		c.Settle()
		for _, finish := range people {
			finish()
		}
		pluginsEnd(t, leader)
		leader.StartAgain()
		c.Settle()
		time.Sleep(2 * time.Second) // the storm goes on over all three nodes
		s.calm()
		at(c.Active()).WantAllGood(append([]string{"alice", "bob", "carol"}, accounts...))
	}
}

// pluginsEnd waits until no plugin of a killed server runs any more.
func pluginsEnd(t *testing.T, killed *harness.Server) {
	t.Helper()
	harness.Eventually(t, harness.UpTime, "the killed server's plugin ends", func() error {
		if alive := killed.PluginProcesses(); len(alive) > 0 {
			return fmt.Errorf("%d runs", alive)
		}
		return nil
	})
}

// accountWriteTime is the median of a few writes: that part of the unavoidable
// window which is Vault's.
func accountWriteTime(e *harness.Engine, account string) time.Duration {
	e.T.Helper()
	took := make([]time.Duration, 51)
	for i := range took {
		began := time.Now()
		e.Put("entra/account/"+account, object{"metadata": object{"round": i}}).Want(204)
		took[i] = time.Since(began)
	}
	return median(took)
}

func median(took []time.Duration) time.Duration {
	slices.Sort(took)
	return took[len(took)/2].Round(100 * time.Microsecond)
}

// waitingPeople starts a login for each user, through a standby. They stand at
// different places: one has not opened the link, one is on Entra's page, one reads
// the page that asks for a confirmation. The functions go on from there.
func waitingPeople(e *harness.Engine, users ...string) []func() {
	e.T.Helper()
	finish := make([]func(), len(users))
	for i, user := range users {
		authURL := e.Login(user, object{"redirect_uri": e.CallbackURL()})
		b := harness.NewBrowser(e.Sim)
		var atEntra, atVault *harness.Page
		if i > 0 {
			atEntra = b.SignIn(authURL, user)
		}
		if i > 1 {
			atVault = b.Follow(atEntra)
			harness.WantPage(e.T, atVault, 200, "Confirm")
		}
		finish[i] = func() {
			if atEntra == nil {
				atEntra = b.SignIn(authURL, user)
			}
			if atVault == nil {
				atVault = b.Follow(atEntra)
			}
			harness.WantPage(e.T, b.Confirm(atVault), 200, "You are signed in")
		}
	}
	return finish
}
