// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"net/url"
	"testing"
	"time"

	"vault-plugin-secrets-entra/e2e/harness"
)

// A login and the tokens survive whatever happens to the server between two
// steps. The simulator is as strict as providers get: if the engine lost a
// rotated refresh token and presented an old one, the whole grant would end.
func TestInterruptions(t *testing.T) {
	t.Parallel()
	for name, interrupt := range map[string]func(*harness.Engine){
		"restart": func(e *harness.Engine) { e.Stop(); e.StartAgain() },
		"crash":   func(e *harness.Engine) { e.Kill(); e.StartAgain() },
		"reload":  func(e *harness.Engine) { e.ReloadPlugin() },
		"seal":    func(e *harness.Engine) { e.Seal(); e.Unseal() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := harness.NewEngine(t, "-rotation", "revoke-family", "-token-lifetime", "4s")

			authURL := e.Login("alice", nil)
			interrupt(e)
			b := harness.NewBrowser(e.Sim)
			page := b.Follow(b.SignIn(authURL, "alice"))
			interrupt(e)
			harness.WantPage(t, b.Confirm(page), 200, "You are signed in")
			e.WantSucceeded("alice")

			for range 2 {
				harness.Until(t, e.ExpireTime("alice").Add(time.Second))
				interrupt(e)
				if got := e.ReadToken("alice"); !e.Sim.Active(got.Access) {
					t.Fatal("the token read after an interruption is not good")
				}
			}

			e.Sim.SetTokenLifetime("1h")
			harness.Until(t, e.ExpireTime("alice").Add(time.Second))
			cached, requests := e.ReadToken("alice"), e.Sim.TokenRequests()
			interrupt(e)
			if got := e.ReadToken("alice"); got.Access != cached.Access {
				t.Fatal("a fresh token did not survive the interruption")
			}
			if n := e.Sim.TokenRequests() - requests; n != 0 {
				t.Fatalf("%d token requests for a token that is cached", n)
			}
			harness.WantPage(t, b.Submit(page, url.Values{"decision": {"confirm"}}), 400,
				"Nothing waits for this sign-in")
		})
	}
}
