// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
)

// cluster is three servers with raft storage. One of them is active; the others
// are standbys and forward to it.
type cluster struct {
	t     testing.TB
	Nodes []*Server
}

// NewCluster starts a cluster, unsealed, with an audit device and the engine
// mounted at entra/.
func NewCluster(t testing.TB) *cluster {
	t.Helper()
	c := &cluster{t: t}
	for i := range 3 {
		storage := fmt.Sprintf("storage \"raft\" {\n  path = \"%%s\"\n  node_id = \"node%d\"\n", i)
		if i > 0 {
			storage += fmt.Sprintf("  retry_join { leader_api_addr = %q }\n", c.Nodes[0].Addr)
		}
		c.Nodes = append(c.Nodes, configureServer(t, storage+"}\n"))
	}
	first := c.Nodes[0]
	first.start()
	first.initialize()
	first.Unseal()
	for _, node := range c.Nodes[1:] {
		node.start()
		node.unsealKey, node.Token = first.unsealKey, first.Token
		node.join()
	}
	active := c.Active()
	c.awaitVoters(active)
	active.Put("sys/audit/file", map[string]any{
		"type":    "file",
		"options": map[string]string{"file_path": "stdout", "log_raw": "false"},
	}).Want(204)
	active.mount()
	return c
}

// awaitVoters waits until every node may become the leader: Vault makes a new
// node a voter only after it was stable for a while, 10 s by default.
func (c *cluster) awaitVoters(active *Server) {
	c.t.Helper()
	active.Put("sys/storage/raft/autopilot/configuration", object{
		"server_stabilization_time": "1s",
	}).Want(204)
	Eventually(c.t, UpTime, "all nodes are voters", func() error {
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
		active.Get("sys/storage/raft/configuration").Want(200).Into(&answer)
		voters := 0
		for _, s := range answer.Data.Config.Servers {
			if s.Voter {
				voters++
			}
		}
		if voters != len(c.Nodes) {
			return fmt.Errorf("servers %+v", answer.Data.Config.Servers)
		}
		return nil
	})
}

// join unseals a node that joins by retry_join. The key is taken once the leader
// has answered the node, and must not be given again: Vault would start its
// standby loop twice, and a step-down would reach the wrong one.
func (s *Server) join() {
	s.T.Helper()
	Eventually(s.T, UpTime, "the node takes the key", func() error {
		a, err := s.Try("PUT", "sys/unseal", map[string]any{"key": s.unsealKey})
		if err == nil && a.Status != 200 {
			err = fmt.Errorf("status %d: %s", a.Status, a.Body)
		}
		return err
	})
	s.awaitHealth(429)
}

// Active is the node that is active; it waits for an election.
func (c *cluster) Active() *Server {
	c.t.Helper()
	var active *Server
	Eventually(c.t, UpTime, "a node is active", func() error {
		for _, node := range c.Nodes {
			if node.process.Ended() {
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

// Standbys are the other nodes that are up.
func (c *cluster) Standbys() []*Server {
	c.t.Helper()
	active := c.Active()
	var others []*Server
	for _, node := range c.Nodes {
		if node != active && !node.process.Ended() {
			others = append(others, node)
		}
	}
	return others
}

// StepDown makes the active node a standby and waits until another is active.
func (c *cluster) StepDown() {
	c.t.Helper()
	was := c.Active()
	was.Put("sys/step-down", nil).Want(204)
	Eventually(c.t, UpTime, "another node is active", func() error {
		if c.Active() == was {
			return errors.New("the same is")
		}
		return nil
	})
	c.Settle()
}

// Settle waits until every node answers for the engine as the active one does: a standby forwards
// only once it knows the new leader, and one of OpenBao's, which reads by itself, mounts the engine
// and takes a write over a moment after the active node.
func (c *cluster) Settle() {
	c.t.Helper()
	for _, node := range c.Nodes {
		if node.process.Ended() {
			continue
		}
		Eventually(c.t, UpTime, "the node answers as the active one", func() error {
			want, err := c.Active().Try("GET", "entra/config", nil)
			if err != nil {
				return err
			}
			a, err := node.Try("GET", "entra/config", nil)
			if err != nil {
				return err
			}
			good := a.Status == 200 || a.Status == 404 && len(a.Errors) == 0
			if !good || a.Status != want.Status || !reflect.DeepEqual(a.Data, want.Data) {
				return fmt.Errorf("status %d: %s", a.Status, a.Body)
			}
			return nil
		})
	}
}
