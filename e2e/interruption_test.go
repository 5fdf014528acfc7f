// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"net/url"
	"testing"
	"time"
)

// A login and the tokens survive whatever happens to the server between two
// steps. The simulator is as strict as providers get: if the engine lost a
// rotated refresh token and presented an old one, the whole grant would end.
func TestInterruptions(t *testing.T) {
	t.Parallel()
	for name, interrupt := range map[string]func(*engine){
		"restart": func(e *engine) { e.stop(); e.startAgain() },
		"crash":   func(e *engine) { e.kill(); e.startAgain() },
		"reload":  func(e *engine) { e.reloadPlugin() },
		"seal":    func(e *engine) { e.seal(); e.unseal() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEngine(t, "-rotation", "revoke-family", "-token-lifetime", "4s")

			authURL := e.login("alice", nil)
			interrupt(e)
			b := newBrowser(e.sim)
			page := b.follow(b.signIn(authURL, "alice"))
			interrupt(e)
			wantPage(t, b.confirm(page), 200, "You are signed in")
			wantSucceeded(t, e, "alice")

			for range 2 {
				until(t, e.get("entra/account/alice").want(200).time("expire_time").Add(time.Second))
				interrupt(e)
				if got := e.readToken("alice"); !e.sim.active(got.access) {
					t.Fatal("the token read after an interruption is not good")
				}
			}

			e.sim.tokenLifetime("1h")
			until(t, e.get("entra/account/alice").want(200).time("expire_time").Add(time.Second))
			held, requests := e.readToken("alice"), e.sim.tokenRequests()
			interrupt(e)
			if got := e.readToken("alice"); got.access != held.access {
				t.Fatal("a fresh token did not survive the interruption")
			}
			if n := e.sim.tokenRequests() - requests; n != 0 {
				t.Fatalf("%d token requests for a token that is held", n)
			}
			wantPage(t, b.submit(page, url.Values{"decision": {"confirm"}}), 400, "Nothing waits for this sign-in")
		})
	}
}
