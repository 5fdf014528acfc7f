// SPDX-License-Identifier: MPL-2.0

package main

import (
	"hash/maphash"
	"sync/atomic"

	lru "github.com/hashicorp/golang-lru/v2"
)

// cacheStripes is how many counters stand guard over cache inserts.
const cacheStripes = 256

// entryCache keeps storage entries in memory, bounded by count. What was read
// before an entry was written or invalidated is not cached after it.
type entryCache[E any] struct {
	entries *lru.Cache[string, E]
	seed    maphash.Seed
	stamps  [cacheStripes]atomic.Uint64 // by name: counts writes and invalidations
}

func newEntryCache[E any](size int) *entryCache[E] {
	entries, err := lru.New[string, E](size)
	if err != nil {
		panic(err) // only for a size below 1
	}
	return &entryCache[E]{entries: entries, seed: maphash.MakeSeed()}
}

func (c *entryCache[E]) stamp(name string) *atomic.Uint64 {
	return &c.stamps[maphash.String(c.seed, name)%cacheStripes]
}

func (c *entryCache[E]) get(name string) (E, bool) { return c.entries.Get(name) }

// mark is taken before a read of storage, and given to keep with its result.
func (c *entryCache[E]) mark(name string) uint64 { return c.stamp(name).Load() }

// keep caches e unless its entry was written or invalidated since mark.
func (c *entryCache[E]) keep(name string, e E, mark uint64) {
	stamp := c.stamp(name)
	if stamp.Load() != mark {
		return
	}
	c.entries.Add(name, e)
	// An invalidation between the look and the insert has left its mark by now.
	if stamp.Load() != mark {
		c.entries.Remove(name)
	}
}

// drop forgets what is cached of name. It never waits for storage.
func (c *entryCache[E]) drop(name string) {
	c.stamp(name).Add(1)
	c.entries.Remove(name)
}
