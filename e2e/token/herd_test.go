// SPDX-License-Identifier: MPL-2.0

package token

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"vault-plugin-secrets-entra/e2e/harness"
)

// A hundred readers of an expired token cause one request at Entra, and all of
// them get its result.
func TestHerdOfReaders(t *testing.T) {
	t.Parallel()
	e := harness.NewEngine(t, "-token-lifetime", "4s")
	e.SignIn("alice", "alice")
	expired := e.ReadToken("alice")
	harness.Until(t, expired.Expires.Add(time.Second))

	e.Sim.Control("reset", object{}, nil)
	e.Sim.SetTokenLifetime("1h")
	// Entra takes long enough for all readers to arrive meanwhile.
	e.Sim.Control("faults", object{"endpoint": "token", "delay": "2s", "times": 1}, nil)

	const readers = 100
	tokens := make(chan string, readers)
	var wg sync.WaitGroup
	for range readers {
		wg.Go(func() {
			a, err := e.Try("GET", "entra/token/alice", nil)
			switch {
			case err != nil:
				tokens <- err.Error()
			case a.Status != 200 || len(a.Warnings) > 0:
				tokens <- fmt.Sprintf("status %d: %s", a.Status, a.Body)
			default:
				tokens <- a.Text("access_token")
			}
		})
	}
	wg.Wait()
	close(tokens)
	got := map[string]int{}
	for token := range tokens {
		got[token]++
	}
	if len(got) != 1 || got[expired.Access] != 0 {
		t.Fatalf("%d readers got %d different answers: %v", readers, len(got), got)
	}
	for token := range got {
		if !e.Sim.Active(token) {
			t.Fatalf("all readers got %q, which is no good token", token)
		}
	}
	if grants := e.Sim.Grants(); grants["refresh_token"] != 1 || e.Sim.TokenRequests() != 1 {
		t.Fatalf("token requests %v, want one refresh", grants)
	}
}
