// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// A hundred readers of an expired token cause one request at Entra, and all of
// them get its result.
func TestHerdOfReaders(t *testing.T) {
	t.Parallel()
	e := newEngine(t, "-token-lifetime", "4s")
	e.signIn("alice", "alice")
	expired := e.readToken("alice")
	until(t, expired.expires.Add(time.Second))

	e.sim.control("reset", object{}, nil)
	e.sim.tokenLifetime("1h")
	// Entra takes long enough for all readers to arrive meanwhile.
	e.sim.control("faults", object{"endpoint": "token", "delay": "2s", "times": 1}, nil)

	const readers = 100
	tokens := make(chan string, readers)
	var wg sync.WaitGroup
	for range readers {
		wg.Go(func() {
			a, err := e.try("GET", "entra/token/alice", nil)
			switch {
			case err != nil:
				tokens <- err.Error()
			case a.status != 200 || len(a.Warnings) > 0:
				tokens <- fmt.Sprintf("status %d: %s", a.status, a.body)
			default:
				tokens <- a.text("access_token")
			}
		})
	}
	wg.Wait()
	close(tokens)
	got := map[string]int{}
	for token := range tokens {
		got[token]++
	}
	if len(got) != 1 || got[expired.access] != 0 {
		t.Fatalf("%d readers got %d different answers: %v", readers, len(got), got)
	}
	for token := range got {
		if !e.sim.active(token) {
			t.Fatalf("all readers got %q, which is no good token", token)
		}
	}
	if grants := e.sim.grants(); grants["refresh_token"] != 1 || e.sim.tokenRequests() != 1 {
		t.Fatalf("token requests %v, want one refresh", grants)
	}
}
