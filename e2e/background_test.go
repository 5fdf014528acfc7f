// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"errors"
	"testing"
	"time"
)

// A token in use is refreshed ahead by the worker, so that its readers do not
// wait; after a restart the worker takes up its work again by itself.
func TestBackgroundRefresh(t *testing.T) {
	t.Parallel()
	e := newEngine(t, "-rotation", "revoke-family", "-token-lifetime", "10s")
	e.configure(object{"background_refresh": true})
	e.signIn("alice", "alice")
	refreshed := func() error {
		if e.sim.grants()["refresh_token"] == 0 {
			return errors.New("Entra has seen no refresh")
		}
		return nil
	}
	for _, restart := range []func(){func() {}, e.reloadPlugin} {
		restart()
		e.sim.control("reset", object{}, nil)
		before := e.readToken("alice")
		e.sim.control("reset", object{}, nil)
		eventually(t, 20*time.Second, "the worker refreshes a token that was read", refreshed)
		eventually(t, 5*time.Second, "the new token is served", func() error {
			if e.readToken("alice").access == before.access {
				return errors.New("it is the old one")
			}
			return nil
		})
		if n := e.sim.tokenRequests(); n != 1 {
			t.Fatalf("%d token requests for one refresh ahead", n)
		}
	}
}
