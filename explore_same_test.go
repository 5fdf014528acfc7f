// SPDX-License-Identifier: MPL-2.0

//go:build !race

package main

import (
	"runtime"
	"slices"
	"testing"

	"vault-plugin-secrets-entra/internal/explore"
)

// TestExploreIsReproducible: a seed stands for one history, except where the runtime chooses
// between two goroutines that wait for the same instant, which is rare. The race detector
// shuffles goroutines on purpose: scripts/explore.sh runs this without it.
func TestExploreIsReproducible(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	seeds := uint64(max(10, *histories/500))
	most := 3 + int(seeds)/12
	var differ []uint64
	for seed := range seeds {
		first := explore.Run(t, seed, explored, explore.Options{Trace: true})
		second := explore.Run(t, seed, explored, explore.Options{Trace: true})
		if !slices.Equal(first.Trace, second.Trace) {
			differ = append(differ, seed)
		}
	}
	t.Logf("%d of %d seeds have two traces: %v", len(differ), seeds, differ)
	if len(differ) > most {
		t.Errorf("%d of %d seeds have two traces, at most %d may", len(differ), seeds, most)
	}
}
