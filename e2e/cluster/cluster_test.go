// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"sync"
	"testing"
	"time"

	"vault-plugin-secrets-entra/e2e/harness"
)

// A login that began on one node ends on another, through a standby, after the
// active node has changed; and one refresh serves readers of all nodes.
func TestCluster(t *testing.T) {
	t.Parallel()
	c := harness.NewCluster(t)
	sim := harness.NewSimulator(t, "-rotation", "revoke-family", "-token-lifetime", "4s")
	at := func(node *harness.Server) *harness.Engine {
		return &harness.Engine{Server: node, Sim: sim}
	}
	var redirectURIs []string
	for _, node := range c.Nodes {
		redirectURIs = append(redirectURIs, at(node).CallbackURL())
	}
	at(c.Active()).Configure(object{"redirect_uris": redirectURIs})
	c.Settle()

	standby := c.Standbys()[0]
	authURL := at(standby).Login("alice", object{"redirect_uri": at(standby).CallbackURL()})
	b := harness.NewBrowser(sim)
	page := b.Follow(b.SignIn(authURL, "alice"))
	harness.WantPage(t, page, 200, "Confirm")
	c.StepDown()
	harness.WantPage(t, b.Confirm(page), 200, "You are signed in")

	// Entra's redirect by query is a read, and OpenBao's standbys answer reads.
	standby = c.Standbys()[0]
	authURL = at(standby).Login("bob", object{
		"redirect_uri": at(standby).CallbackURL(), "response_mode": "query",
	})
	b = harness.NewBrowser(sim)
	harness.WantPage(t, b.Complete(authURL, "bob"), 200, "You are signed in")

	for round := range 2 {
		if round > 0 {
			c.StepDown()
		}
		expired := at(c.Active()).ReadToken("alice")
		harness.Until(t, expired.Expires.Add(time.Second))
		before := sim.TokenRequests()
		tokens := make([]harness.Token, len(c.Nodes))
		var wg sync.WaitGroup
		for i, node := range c.Nodes {
			wg.Go(func() {
				a, err := node.Try("GET", "entra/token/alice", nil)
				if err == nil && a.Status == 200 {
					tokens[i].Access = a.Text("access_token")
				}
			})
		}
		wg.Wait()
		if n := sim.TokenRequests() - before; n != 1 {
			t.Fatalf("%d token requests for one read at each node, want 1", n)
		}
		for i := range tokens {
			if tokens[i] != tokens[0] || !sim.Active(tokens[i].Access) {
				t.Fatalf("the nodes served different tokens, or none: %+v", tokens)
			}
		}
	}
}
