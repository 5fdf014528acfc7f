// SPDX-License-Identifier: MPL-2.0

package signin

import (
	"fmt"
	"testing"

	"vault-plugin-secrets-entra/e2e/harness"
)

// Device code sign-in on a real Vault: it goes on through a reload and a seal, ends
// as the person decides, and disturbs nothing that was there.
func TestDeviceCode(t *testing.T) {
	t.Parallel()
	e := harness.NewEngine(t)
	e.Put("entra/device/alice", nil).WantError(400, "invalid_request: ")
	e.Configure(object{"allow_device_code": true})
	status := func(account, want string) {
		t.Helper()
		harness.Eventually(t, harness.UpTime, "the login is "+want, func() error {
			if got := e.Get("entra/login/" + account).Want(200).Text("status"); got != want {
				return fmt.Errorf("it is %s", got)
			}
			return nil
		})
	}
	decide := func(code, user, action string) {
		t.Helper()
		e.Sim.Control("device", object{"user_code": code, "user": user, "action": action}, nil)
	}

	code := e.Put("entra/device/alice", nil).Want(200)
	for _, name := range []string{"verification_uri", "message", "login_id"} {
		code.Text(name)
	}
	if code.Number("interval") < 1 {
		t.Errorf("interval %d", code.Number("interval"))
	}
	code.Time("expire_time")
	e.ReloadPlugin()
	e.Seal()
	e.Unseal()
	decide(code.Text("user_code"), "alice", "signin")
	status("alice", "succeeded")
	before := e.ReadToken("alice")

	// Declined, expired, and by another user: the account is as it was.
	decide(e.Put("entra/device/alice", nil).Want(200).Text("user_code"), "alice", "cancel")
	status("alice", "failed")
	decide(e.Put("entra/device/alice", nil).Want(200).Text("user_code"), "bob", "signin")
	status("alice", "failed")
	e.Sim.Control("lifetimes", object{"device_code": "4s"}, nil)
	e.Put("entra/device/alice", nil).Want(200)
	status("alice", "expired")
	if e.ReadToken("alice").Access != before.Access {
		t.Error("the token has changed")
	}
	e.Put("entra/refresh/alice", nil).Want(200)
}
