// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/explore"
)

var (
	histories = flag.Int("explore.histories", 50, "how many histories to explore")
	firstSeed = flag.Uint64("explore.seed", 1, "the seed of the first")
	seedStep  = flag.Uint64("explore.step", 1, "from one seed to the next")
	failures  = flag.Int("explore.failures", 3, "how many failures are told before it ends")
	patience  = flag.Duration("explore.patience", 20*time.Second, "for shortening a history that fails")
	tellEvery = flag.Int("explore.tell", 0, "after how many histories it tells how far it is; 0 is never")
	watched   = flag.Bool("explore.watched", false, "tell each seed before its history begins")
)

// explored is the engine as a history starts it.
func explored(conf *logical.BackendConfig, transport http.RoundTripper) (logical.Backend, error) {
	return newBackend(context.Background(), conf, transport)
}

// TestExplore plays histories that nobody thought of, see "Invariants" of
// docs/architecture.md. A history is the same each time on one processor.
func TestExplore(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	failed := 0
	for i := range *histories {
		seed := *firstSeed + uint64(i)**seedStep
		if *watched {
			fmt.Printf("seed %d\n", seed)
		}
		if n := *tellEvery; n > 0 && i > 0 && i%n == 0 {
			fmt.Printf("played %d\n", i)
		}
		o := explore.Run(t, seed, explored, explore.Options{})
		if len(o.Violations) == 0 {
			continue
		}
		t.Errorf("%s", explore.Shrink(t, o, explored, *patience))
		if failed++; failed == *failures {
			t.Fatalf("ended after %d histories", i+1)
		}
	}
}
