// SPDX-License-Identifier: MPL-2.0

// Package explore looks for histories that the engine does not survive: two nodes, one
// storage, an authority, operators, readers and a clock, all in a bubble and all from one
// seed. Only tests import it.
package explore

import (
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/hashicorp/vault/sdk/logical"
)

// NewBackend makes a backend whose requests to Entra go through the transport.
type NewBackend func(*logical.BackendConfig, http.RoundTripper) (logical.Backend, error)

// Options change how one history is run.
type Options struct {
	Skip  map[int]bool // operations that are left out, by their number
	Trace bool         // whether Outcome.Trace is filled in, with the engine's log
}

// Outcome is what became of one history.
type Outcome struct {
	Seed       uint64
	Violations []string // of invariants, empty for a history that the engine survived
	Operations []string // as they were planned, without those left out
	Numbers    []int    // the number of each operation
	Trace      []string
}

// Run plays the history of a seed. It fails no test: the outcome says what was violated.
func Run(t *testing.T, seed uint64, make NewBackend, o Options) *Outcome {
	outcome := &Outcome{Seed: seed}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(seed, make, o, outcome)
		w.play()
	})
	return outcome
}
