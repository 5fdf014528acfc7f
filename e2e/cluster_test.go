// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

// cluster is three servers with raft storage. One of them is active; the others
// are standbys and forward to it.
type cluster struct {
	t     testing.TB
	nodes []*server
}

// newCluster starts a cluster, unsealed, with an audit device and the engine
// mounted at entra/.
func newCluster(t testing.TB) *cluster {
	t.Helper()
	c := &cluster{t: t}
	for i := range 3 {
		storage := fmt.Sprintf("storage \"raft\" {\n  path = \"%%s\"\n  node_id = \"node%d\"\n", i)
		if i > 0 {
			storage += fmt.Sprintf("  retry_join { leader_api_addr = %q }\n", c.nodes[0].addr)
		}
		c.nodes = append(c.nodes, configureServer(t, storage+"}\n"))
	}
	first := c.nodes[0]
	first.start()
	first.initialize()
	first.unseal()
	for _, node := range c.nodes[1:] {
		node.start()
		node.unsealKey, node.token = first.unsealKey, first.token
		node.join()
	}
	active := c.active()
	c.awaitVoters(active)
	active.put("sys/audit/file", map[string]any{
		"type":    "file",
		"options": map[string]string{"file_path": "stdout", "log_raw": "false"},
	}).want(204)
	active.mount()
	return c
}

// awaitVoters waits until every node may become the leader: Vault makes a new
// node a voter only after it was stable for a while, 10 s by default.
func (c *cluster) awaitVoters(active *server) {
	c.t.Helper()
	active.put("sys/storage/raft/autopilot/configuration", object{"server_stabilization_time": "1s"}).want(204)
	eventually(c.t, upTime, "all nodes are voters", func() error {
		var answer struct {
			Data struct {
				Config struct {
					Servers []struct {
						ID    string `json:"node_id"`
						Voter bool   `json:"voter"`
					} `json:"servers"`
				} `json:"config"`
			} `json:"data"`
		}
		active.get("sys/storage/raft/configuration").want(200).into(&answer)
		voters := 0
		for _, s := range answer.Data.Config.Servers {
			if s.Voter {
				voters++
			}
		}
		if voters != len(c.nodes) {
			return fmt.Errorf("servers %+v", answer.Data.Config.Servers)
		}
		return nil
	})
}

// join unseals a node that joins by retry_join. The key is taken once the leader
// has answered the node, and must not be given again: Vault would start its
// standby loop twice, and a step-down would reach the wrong one.
func (s *server) join() {
	s.t.Helper()
	eventually(s.t, upTime, "the node takes the key", func() error {
		a, err := s.try("PUT", "sys/unseal", map[string]any{"key": s.unsealKey})
		if err == nil && a.status != 200 {
			err = fmt.Errorf("status %d: %s", a.status, a.body)
		}
		return err
	})
	s.awaitHealth(429)
}

// active is the node that is active; it waits for an election.
func (c *cluster) active() *server {
	c.t.Helper()
	var active *server
	eventually(c.t, upTime, "a node is active", func() error {
		for _, node := range c.nodes {
			if node.process.ended() {
				continue
			}
			if code, err := node.health(); err == nil && code == 200 {
				active = node
				return nil
			}
		}
		return errors.New("none is")
	})
	return active
}

// standbys are the other nodes that are up.
func (c *cluster) standbys() []*server {
	c.t.Helper()
	active := c.active()
	var others []*server
	for _, node := range c.nodes {
		if node != active && !node.process.ended() {
			others = append(others, node)
		}
	}
	return others
}

// stepDown makes the active node a standby and waits until another is active.
func (c *cluster) stepDown() {
	c.t.Helper()
	was := c.active()
	was.put("sys/step-down", nil).want(204)
	eventually(c.t, upTime, "another node is active", func() error {
		if c.active() == was {
			return errors.New("the same is")
		}
		return nil
	})
	c.settle()
}

// settle waits until every node answers for the engine: a standby forwards only
// once it knows the new leader.
func (c *cluster) settle() {
	c.t.Helper()
	for _, node := range c.nodes {
		if node.process.ended() {
			continue
		}
		eventually(c.t, upTime, "the node forwards", func() error {
			a, err := node.try("GET", "entra/config", nil)
			if err != nil {
				return err
			}
			if a.status != 200 && a.status != 404 {
				return fmt.Errorf("status %d: %s", a.status, a.body)
			}
			return nil
		})
	}
}

// A login that began on one node ends on another, through a standby, after the
// active node has changed; and one refresh serves readers of all nodes.
func TestCluster(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	sim := newSimulator(t, "-rotation", "revoke-family", "-token-lifetime", "4s")
	at := func(node *server) *engine { return &engine{server: node, sim: sim} }
	var redirectURIs []string
	for _, node := range c.nodes {
		redirectURIs = append(redirectURIs, at(node).callbackURL())
	}
	at(c.active()).configure(object{"redirect_uris": redirectURIs})
	c.settle()

	standby := c.standbys()[0]
	authURL := at(standby).login("alice", object{"redirect_uri": at(standby).callbackURL()})
	b := newBrowser(sim)
	page := b.follow(b.signIn(authURL, "alice"))
	wantPage(t, page, 200, "Confirm")
	c.stepDown()
	wantPage(t, b.confirm(page), 200, "You are signed in")

	for round := range 2 {
		if round > 0 {
			c.stepDown()
		}
		expired := at(c.active()).readToken("alice")
		until(t, expired.expires.Add(time.Second))
		before := sim.tokenRequests()
		tokens := make([]token, len(c.nodes))
		var wg sync.WaitGroup
		for i, node := range c.nodes {
			wg.Go(func() {
				if a, err := node.try("GET", "entra/token/alice", nil); err == nil && a.status == 200 {
					tokens[i].access = a.text("access_token")
				}
			})
		}
		wg.Wait()
		if n := sim.tokenRequests() - before; n != 1 {
			t.Fatalf("%d token requests for one read at each node, want 1", n)
		}
		for i := range tokens {
			if tokens[i] != tokens[0] || !sim.active(tokens[i].access) {
				t.Fatalf("the nodes served different tokens, or none: %+v", tokens)
			}
		}
	}
}
