// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"fmt"
	"testing"
)

// Device code sign-in on a real Vault: it goes on through a reload and a seal, ends
// as the person decides, and disturbs nothing that was there.
func TestDeviceCode(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	e.put("entra/device/alice", nil).wantError(400, "invalid_request: ")
	e.configure(object{"allow_device_code": true})
	status := func(account, want string) {
		t.Helper()
		eventually(t, upTime, "the login is "+want, func() error {
			if got := e.get("entra/login/" + account).want(200).text("status"); got != want {
				return fmt.Errorf("it is %s", got)
			}
			return nil
		})
	}
	decide := func(code, user, action string) {
		t.Helper()
		e.sim.control("device", object{"user_code": code, "user": user, "action": action}, nil)
	}

	code := e.put("entra/device/alice", nil).want(200)
	for _, name := range []string{"verification_uri", "message", "login_id"} {
		code.text(name)
	}
	if code.number("interval") < 1 {
		t.Errorf("interval %d", code.number("interval"))
	}
	code.time("expire_time")
	e.reloadPlugin()
	e.seal()
	e.unseal()
	decide(code.text("user_code"), "alice", "signin")
	status("alice", "succeeded")
	held := e.readToken("alice")

	// Declined, expired, and by another user: the account is as it was.
	decide(e.put("entra/device/alice", nil).want(200).text("user_code"), "alice", "cancel")
	status("alice", "failed")
	decide(e.put("entra/device/alice", nil).want(200).text("user_code"), "bob", "signin")
	status("alice", "failed")
	e.sim.control("lifetimes", object{"device_code": "4s"}, nil)
	e.put("entra/device/alice", nil).want(200)
	status("alice", "expired")
	if e.readToken("alice").access != held.access {
		t.Error("the token has changed")
	}
	e.put("entra/refresh/alice", nil).want(200)
}
