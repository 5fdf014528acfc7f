// SPDX-License-Identifier: MPL-2.0

package explore

import (
	"hash/fnv"
	"math/rand/v2"
	"time"
)

// caller is who calls storage or the authority: an operation, or a node's background. What
// becomes of its calls depends on its name and their number, not on who else calls: a history
// without one operation treats the others alike.
type caller struct {
	name  string
	calls map[string]int
}

func newCaller(name string) *caller { return &caller{name: name, calls: map[string]int{}} }

// roll is the chance for the caller's next call of a kind.
func (w *world) roll(c *caller, kind string) *rand.Rand {
	n := c.calls[kind]
	c.calls[kind]++
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(c.name))
	_, _ = hash.Write([]byte(kind))
	return rand.New(rand.NewPCG(mix(w.seed), mix(hash.Sum64()+uint64(n))))
}

// mix is the finalizer of splitmix64: neighbours among seeds have nothing in common.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func chance(r *rand.Rand, p float64) bool { return p > 0 && r.Float64() < p }

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// between is a time that hardly any other call shares: timers do not order what is due at
// the same moment.
func between(r *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(r.Int64N(int64(most-least)))
}
