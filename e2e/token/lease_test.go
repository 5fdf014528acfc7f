// SPDX-License-Identifier: MPL-2.0

package token

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"vault-plugin-secrets-entra/e2e/harness"
)

// lease is what Vault says of a lease in an answer.
type lease struct {
	ID        string `json:"lease_id"`
	Duration  int    `json:"lease_duration"`
	Renewable bool   `json:"renewable"`
}

func leaseIn(a *harness.Answer) (l lease) {
	a.Into(&l)
	return l
}

// A role with lease=true gives leases that end with the token, with the reader's own Vault
// token, or when somebody revokes them; none of that does anything to the account.
func TestLease(t *testing.T) {
	t.Parallel()
	e := harness.NewEngineWithRoles(t, "-token-lifetime", "1h")
	e.SignInFor("alice", "alice", "mail")
	e.Put("entra/roles/mail", object{"lease": true}).Want(204)
	if role := e.Get("entra/roles/mail").Want(200); role.Data["lease"] != true {
		t.Errorf("the role is %s", role.Body)
	}
	if none := leaseIn(e.Get("entra/token/alice").Want(200)); none != (lease{}) {
		t.Errorf("the default token has %+v", none)
	}

	first := e.Get("entra/token/alice/mail").Want(200)
	l, token := leaseIn(first), first.Text("access_token")
	left := time.Until(first.Time("expire_time")).Seconds()
	if !strings.HasPrefix(l.ID, "entra/token/alice/mail/") || l.Renewable ||
		float64(l.Duration) < left-2 || float64(l.Duration) > left+2 {
		t.Errorf("the lease is %+v, and the token has %.1f s left", l, left)
	}
	if len(first.Data) != 11 || len(first.Warnings) != 0 {
		t.Errorf("the answer is %s", first.Body)
	}
	// Vault stores what was read with the lease, until that ends.
	stored := "sys/raw/sys/expire/id/" + l.ID
	if value := e.Get(stored).Want(200).Text("value"); !strings.Contains(value, token) {
		t.Error("the lease holds no token: docs/security.md says so")
	}
	e.Put("sys/leases/renew", object{"lease_id": l.ID}).WantError(400, "lease is not renewable")

	calls := e.Sim.TokenRequests()
	unchanged := func(after string) {
		t.Helper()
		if again := e.Get("entra/token/alice/mail").Want(200).Text("access_token"); again != token {
			t.Errorf("after %s there is another token", after)
		}
		if n := e.Sim.TokenRequests() - calls; n != 0 || !e.Sim.Active(token) {
			t.Errorf("after %s Entra was asked %d times", after, n)
		}
	}
	gone := func(id string) error {
		if a := e.Put("sys/leases/lookup", object{"lease_id": id}); a.Status != 400 {
			return fmt.Errorf("it is there: %d %s", a.Status, a.Body)
		}
		return nil
	}
	e.Put("sys/leases/revoke", object{"lease_id": l.ID, "sync": true}).Want(204)
	e.Get(stored).Want(404)
	unchanged("the revocation of a lease")

	var reader struct {
		Auth struct {
			Token string `json:"client_token"`
		} `json:"auth"`
	}
	e.Put("auth/token/create", object{"ttl": "1h"}).Want(200).Into(&reader)
	other := &harness.Client{T: t, Addr: e.Addr, Token: reader.Auth.Token}
	of := leaseIn(other.Get("entra/token/alice/mail").Want(200))
	e.Put("auth/token/revoke", object{"token": reader.Auth.Token}).Want(204)
	harness.Eventually(t, harness.UpTime, "the lease ends with its reader", func() error {
		return gone(of.ID)
	})
	unchanged("the end of a reader's Vault token")

	// The mount's max_lease_ttl caps a lease, not the token.
	e.Put("sys/mounts/entra/tune", object{"max_lease_ttl": "5s", "default_lease_ttl": "5s"}).Want(204)
	capped := e.Get("entra/token/alice/mail").Want(200)
	if got := leaseIn(capped); got.Duration > 5 || len(capped.Warnings) != 1 ||
		!strings.Contains(capped.Warnings[0], "exceeded the effective max_ttl") {
		t.Errorf("with max_lease_ttl=5s the answer is %s", capped.Body)
	}
	harness.Eventually(t, harness.UpTime, "a capped lease ends", func() error {
		return gone(leaseIn(capped).ID)
	})

	e.Get("entra/token/alice/mail").Want(200)
	e.Call("DELETE", "sys/mounts/entra", nil).Want(204) // with leases that have not ended
}
