// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"vault-plugin-secrets-entra/e2e/harness"
)

// A thousand reads of one expired token, all at standbys, cost one call to Entra, whichever node
// is active. OpenBao's standbys answer reads of a fresh token themselves; where a refresh is due
// they must leave it to the active node, which alone can store what Entra answers. Entra ends the
// whole grant here when a refresh token comes twice, so the account would be lost at the next
// round. What a standby has in memory follows what the active node writes.
func TestStandbyReads(t *testing.T) {
	t.Parallel()
	c := harness.NewCluster(t)
	sim := harness.NewSimulator(t, "-rotation", "revoke-family")
	at := func(node *harness.Server) *harness.Engine {
		return &harness.Engine{Server: node, Sim: sim}
	}
	at(c.Active()).Configure(nil)
	c.Settle()
	account := at(c.Active()).ImportAccounts(1)[0]

	for round := range 3 {
		if round > 0 {
			c.StepDown()
		}
		active := at(c.Active())
		sim.SetTokenLifetime("4s")
		active.Put("entra/refresh/"+account, nil).Want(200)
		c.Settle()
		if harness.OpenBao(t) {
			for _, standby := range c.Standbys() {
				wantAnswersItself(at(standby), account)
			}
		}
		expires := active.ExpireTime(account)
		sim.SetTokenLifetime("1h")
		harness.Until(t, expires.Add(time.Second))

		before := sim.TokenRequests()
		const reads = 1000
		answers := readAll(c.Standbys(), account, reads)
		if n := sim.TokenRequests() - before; n != 1 {
			t.Errorf("round %d: %d token requests for reads at the standbys, want 1", round, n)
		}
		token := active.ReadToken(account).Access
		if answers[token] != reads || !sim.Active(token) {
			t.Fatalf("round %d: the standbys gave %v, want %d times %s", round, answers, reads, token)
		}
	}
	at(c.Active()).WantAllGood([]string{account})

	at(c.Active()).Put("entra/account/"+account, object{"disabled": true}).Want(204)
	for _, standby := range c.Standbys() {
		harness.Eventually(t, 10*time.Second, "the standby serves the account no more", func() error {
			a := standby.Get("entra/token/" + account)
			if a.Status == 200 {
				return fmt.Errorf("%s", a.Body)
			}
			a.WantError(400, "account_disabled: ")
			return nil
		})
	}
}

// readAll reads a token n times at these nodes, all at once, and counts the answers by the token,
// or by what was wrong.
func readAll(nodes []*harness.Server, account string, n int) map[string]int {
	var mu sync.Mutex
	var wg sync.WaitGroup
	answers := map[string]int{}
	for i := range n {
		wg.Go(func() {
			a, err := nodes[i%len(nodes)].Try("GET", "entra/token/"+account, nil)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				answers[err.Error()]++
			case a.Status != 200:
				answers[firstWords(a)]++
			case len(a.Warnings) > 0:
				answers[a.Warnings[0]]++
			default:
				answers[a.Text("access_token")]++
			}
		})
	}
	wg.Wait()
	return answers
}

// wantAnswersItself fails the test unless a standby serves a fresh token by itself: the request
// is in the standby's own audit log, and not in that of the active node.
func wantAnswersItself(standby *harness.Engine, account string) {
	standby.T.Helper()
	path := "entra/token/" + account
	harness.Eventually(standby.T, 10*time.Second, "the standby answers", func() error {
		before := standby.AuditedResponses(path)
		standby.Get(path).Want(200)
		if n := standby.AuditedResponses(path) - before; n != 1 {
			return fmt.Errorf("%d of its reads are in its audit log", n)
		}
		return nil
	})
}
