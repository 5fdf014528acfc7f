// SPDX-License-Identifier: MPL-2.0

package token

import (
	"errors"
	"testing"
	"time"

	"vault-plugin-secrets-entra/e2e/harness"
)

// A token in use is refreshed ahead by the worker, so that its readers do not
// wait; after a restart the worker takes up its work again by itself.
func TestBackgroundRefresh(t *testing.T) {
	t.Parallel()
	e := harness.NewEngine(t, "-rotation", "revoke-family", "-token-lifetime", "10s")
	e.Configure(object{"background_refresh": true})
	e.SignIn("alice", "alice")
	refreshed := func() error {
		if e.Sim.Grants()["refresh_token"] == 0 {
			return errors.New("Entra has seen no refresh")
		}
		return nil
	}
	for _, restart := range []func(){func() {}, e.ReloadPlugin} {
		restart()
		e.Sim.Control("reset", object{}, nil)
		before := e.ReadToken("alice")
		e.Sim.Control("reset", object{}, nil)
		harness.Eventually(t, 20*time.Second, "the worker refreshes a token that was read",
			refreshed)
		harness.Eventually(t, 5*time.Second, "the new token is served", func() error {
			if e.ReadToken("alice").Access == before.Access {
				return errors.New("it is the old one")
			}
			return nil
		})
		if n := e.Sim.TokenRequests(); n != 1 {
			t.Fatalf("%d token requests for one refresh ahead", n)
		}
	}
}
