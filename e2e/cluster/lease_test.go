// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"strings"
	"testing"
	"time"

	"vault-plugin-secrets-entra/e2e/harness"
)

// A lease that was read through a standby is known to every leader, and its end does nothing
// to the account. What leases cost on raft is told.
func TestLeases(t *testing.T) {
	t.Parallel()
	c := harness.NewCluster(t)
	sim := harness.NewSimulator(t, "-token-lifetime", "1h")
	at := func(node *harness.Server) *harness.Engine {
		return &harness.Engine{Server: node, Sim: sim}
	}
	active := at(c.Active())
	active.Configure(nil)
	active.Put("entra/roles/plain", object{"scopes": "User.Read"}).Want(204)
	active.Put("entra/roles/leased", object{"scopes": "User.Read", "lease": true}).Want(204)
	c.Settle()
	account := active.ImportAccounts(1)[0]
	plain, leased := "entra/token/"+account+"/plain", "entra/token/"+account+"/leased"
	active.Get(plain).Want(200)

	var lease struct {
		ID string `json:"lease_id"`
	}
	first := at(c.Standbys()[0]).Get(leased).Want(200)
	if first.Into(&lease); !strings.HasPrefix(lease.ID, leased+"/") {
		t.Fatalf("through a standby the lease is %q", lease.ID)
	}
	// Of a token that is fresh, OpenBao's standby serves what has no lease by itself.
	begun := lease.ID
	fresh := at(c.Standbys()[0]).Get(leased).Want(200)
	if fresh.Into(&lease); !strings.HasPrefix(lease.ID, leased+"/") || lease.ID == begun {
		t.Fatalf("through a standby the lease of a fresh token is %q", lease.ID)
	}

	const rounds = 101
	var without, with []time.Duration
	for range rounds {
		for path, took := range map[string]*[]time.Duration{plain: &without, leased: &with} {
			began := time.Now()
			active.Get(path).Want(200)
			*took = append(*took, time.Since(began))
		}
	}
	t.Logf("a read takes %s at the median, with a lease %s; a write of an account %s",
		median(without), median(with), accountWriteTime(active, account))

	calls := sim.TokenRequests()
	c.StepDown()
	active = at(c.Active())
	active.Put("sys/leases/lookup", object{"lease_id": lease.ID}).Want(200)
	active.Put("sys/leases/revoke-prefix/entra/token", object{"sync": true}).Want(204)
	active.Put("sys/leases/lookup", object{"lease_id": lease.ID}).Want(400)
	again := active.Get(leased).Want(200)
	if again.Text("access_token") != first.Text("access_token") || sim.TokenRequests() != calls {
		t.Error("the end of the leases ended the token, or Entra was asked")
	}
}
